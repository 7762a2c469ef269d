/**
 * How every stored object begins: `DRM`, a byte for its kind, a byte for the version of its format, and a CRC-32, then
 * the payload. The checksum covers kind, version and payload, so a flipped bit never passes for another format.
 */
import { crc32 } from "node:zlib";
import { assert } from "../../agent/assert.ts";
import { DormouseError } from "../../agent/errors.ts";
import {
  downgraded,
  formatNewest,
  formatOldest,
  kindFormats,
  type ObjectKind,
  upgraded,
  versionIn,
} from "./formats.ts";

/** An opened object; its payload is in the current format of its kind, and a view of the bytes it came in. */
export interface Unwrapped<Kind extends ObjectKind = ObjectKind> {
  readonly kind: Kind;
  /** The version it was written with. */
  readonly version: number;
  readonly payload: Uint8Array;
}

/** The length of what stands before the payload. */
export const headerBytes = 9;

/**
 * The bytes of an object as a format has its kind.
 *
 * @param payload - In today's version of the kind.
 * @param format - One of those that this release writes.
 */
export function wrap(kind: ObjectKind, format: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const isWritten = format >= formatOldest && format <= formatNewest;
  assert(isWritten, `a ${kind} is written in a format of this release or the one before: format=${format}`);
  const version = versionIn(kindFormats[kind], format);
  const written = downgraded(kindFormats[kind], payload, version);
  const bytes = new Uint8Array(headerBytes + written.length);
  bytes.set(magic);
  bytes[kindAt] = kindFormats[kind].letter.charCodeAt(0);
  bytes[versionAt] = version;
  bytes.set(written, headerBytes);
  viewOf(bytes).setUint32(checksumAt, checksum(bytes));
  return bytes;
}

/**
 * Opens an object that is of `kind`, or of one of them; the payload of an older version comes back as one of today's.
 *
 * @param name - The object's name in the store, for the error.
 * @throws DormouseError `corrupt`: `object.unreadable` if it is none of ours or of another kind, `object.checksum` if
 * its bytes have changed, `object.version` if its format is newer than this release's.
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
  const found = kinds.find((candidate) => kindFormats[candidate].letter.charCodeAt(0) === bytes[kindAt]);
  if (found === undefined) {
    throw corrupt("object.unreadable", `an object is not of the kind ${kinds.join(" or ")}`, name, kindField(bytes));
  }
  const version = bytes[versionAt] ?? 0;
  return { kind: found, version, payload: upgrade(found, version, bytes.subarray(headerBytes), name) };
}

/** Whether an object could not be opened since it is of a newer release: nothing is wrong with it, and another host may. */
export function isNewer(error: unknown): error is DormouseError {
  return error instanceof DormouseError && error.code === "object.version";
}

function upgrade(kind: ObjectKind, version: number, payload: Uint8Array, name: string): Uint8Array {
  const newest = versionIn(kindFormats[kind], formatNewest);
  const fields = `kind=${kind} version=${version} versionMax=${newest}`;
  if (version < 1) throw corrupt("object.unreadable", "an object is of no format", name, fields);
  if (version > newest) {
    const what = "an object was made by a newer format, and waits for a host that reads it; update this host";
    throw corrupt("object.version", what, name, fields);
  }
  return upgraded(kindFormats[kind], payload, version);
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
  const found = Object.entries(kindFormats).find(([, { letter }]) => letter.charCodeAt(0) === bytes[kindAt]);
  return `found=${found === undefined ? bytes[kindAt] : found[0]}`;
}

function corrupt(code: string, what: string, name: string, fields: string): DormouseError {
  return new DormouseError("corrupt", code, `${what}: object=${name} ${fields}`);
}
