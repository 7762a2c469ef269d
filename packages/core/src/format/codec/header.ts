/**
 * How every stored object begins: `DRM`, a byte for its kind, a byte for the version of its format, and a CRC-32, then
 * the payload. The checksum covers kind, version and payload, so a flipped bit never passes for another format.
 */
import { crc32 } from "node:zlib";
import { assert } from "../../agent/assert.ts";
import { DormouseError } from "../../agent/errors.ts";

/** What an object is. */
export type ObjectKind =
  | "app"
  | "record"
  | "seal"
  | "trim"
  | "partition"
  | "head"
  | "base"
  | "chapter"
  | "bucket"
  | "blob"
  | "envelope";

/** An opened object; its payload is in the current format of its kind, and a view of the bytes it came in. */
export interface Unwrapped<Kind extends ObjectKind = ObjectKind> {
  readonly kind: Kind;
  /** The version it was written with. */
  readonly version: number;
  readonly payload: Uint8Array;
}

/** The length of what stands before the payload. */
export const headerBytes = 9;

/** The bytes of an object in the current format of its kind. */
export function wrap(kind: ObjectKind, version: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  assert(version === versionOf(kind), `a ${kind} is written in its current version: version=${version}`);
  const bytes = new Uint8Array(headerBytes + payload.length);
  bytes.set(magic);
  bytes[kindAt] = formats[kind].letter.charCodeAt(0);
  bytes[versionAt] = version;
  bytes.set(payload, headerBytes);
  viewOf(bytes).setUint32(checksumAt, checksum(bytes));
  return bytes;
}

/**
 * Opens an object that is of `kind`, or of one of them; the payload of an older version comes back as one of today's.
 *
 * @param name - The object's name in the store, for the error.
 * @throws DormouseError `corrupt`: `object.unreadable` if it is none of ours or of another kind, `object.checksum` if
 * its bytes have changed, `object.version` if its format is not known here.
 */
export function unwrap<Kind extends ObjectKind>(
  bytes: Uint8Array,
  kind: Kind | readonly Kind[],
  name: string,
): Unwrapped<Kind> {
  if (bytes.length < headerBytes || magic.some((byte, index) => bytes[index] !== byte)) {
    throw corrupt("object.unreadable", "this is not an object of Dormouse", name, `bytes=${bytes.length}`);
  }
  if (viewOf(bytes).getUint32(checksumAt) !== checksum(bytes)) {
    throw corrupt(
      "object.checksum",
      "an object's bytes are not those that were written",
      name,
      `bytes=${bytes.length}`,
    );
  }
  const kinds: readonly Kind[] = typeof kind === "string" ? [kind] : kind;
  const found = kinds.find((candidate) => formats[candidate].letter.charCodeAt(0) === bytes[kindAt]);
  if (found === undefined) {
    throw corrupt("object.unreadable", `an object is not of the kind ${kinds.join(" or ")}`, name, kindField(bytes));
  }
  const version = bytes[versionAt] ?? 0;
  return { kind: found, version, payload: upgrade(found, version, bytes.subarray(headerBytes), name) };
}

/** The version in which objects of a kind are written today. */
export function versionOf(kind: ObjectKind): number {
  return formats[kind].upgrades.length + 1;
}

/** From a payload in one version to the same in the next. */
type Upgrade = (payload: Uint8Array) => Uint8Array;

interface Format {
  /** The byte for the kind: legible in a dump. */
  readonly letter: string;
  /** The way up: the first from version 1 to 2, and so on. None is ever taken away, since objects live for ever. */
  readonly upgrades: readonly Upgrade[];
}

const formats: Readonly<Record<ObjectKind, Format>> = {
  app: { letter: "A", upgrades: [] },
  record: { letter: "R", upgrades: [] },
  seal: { letter: "S", upgrades: [] },
  trim: { letter: "T", upgrades: [] },
  partition: { letter: "P", upgrades: [] },
  head: { letter: "H", upgrades: [] },
  base: { letter: "B", upgrades: [] },
  chapter: { letter: "C", upgrades: [] },
  bucket: { letter: "K", upgrades: [] },
  blob: { letter: "L", upgrades: [] },
  envelope: { letter: "E", upgrades: [] },
};

function upgrade(kind: ObjectKind, version: number, payload: Uint8Array, name: string): Uint8Array {
  const current = versionOf(kind);
  if (version < 1 || version > current) {
    const what = "an object was made by a newer format; update this host";
    throw corrupt("object.version", what, name, `kind=${kind} version=${version} versionMax=${current}`);
  }
  return formats[kind].upgrades.slice(version - 1).reduce((older, step) => step(older), payload);
}

const magic = [0x44, 0x52, 0x4d]; // DRM
const kindAt = 3;
const versionAt = 4;
const checksumAt = 5;

function checksum(bytes: Uint8Array): number {
  return crc32(bytes.subarray(headerBytes), crc32(bytes.subarray(kindAt, checksumAt)));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function kindField(bytes: Uint8Array): string {
  const found = Object.entries(formats).find(([, { letter }]) => letter.charCodeAt(0) === bytes[kindAt]);
  return `found=${found === undefined ? bytes[kindAt] : found[0]}`;
}

function corrupt(code: string, what: string, name: string, fields: string): DormouseError {
  return new DormouseError("corrupt", code, `${what}: object=${name} ${fields}`);
}
