/**
 * What bytes on the store and in the mailbox say, to an outside reader: msgpack, and the little of each format that the
 * checkers look at. It shares no code with the runtime, so that a wrong writing cannot hide behind an equally wrong reading.
 *
 * Does not verify checksums or versions: that is what golden files are for.
 */
import { hash } from "node:crypto";
import { zstdDecompressSync } from "node:zlib";
import { assert } from "../assert.ts";

/** A record of a journal, as far as checkers look at it. */
export interface StoredRecord {
  readonly incarnation: string;
  readonly n: number;
  readonly parts: readonly StoredPart[];
}

export interface StoredPart {
  readonly partition: number;
  readonly epoch: number;
  readonly position: StoredPosition | undefined;
  readonly entries: readonly StoredEntry[];
}

export interface StoredPosition {
  readonly stream: string;
  readonly upTo: number;
  readonly anchor: { readonly sequence: number } | undefined;
  readonly above: unknown;
  readonly before?: unknown;
}

/** Every field of every kind of entry that a checker asks for. */
export interface StoredEntry {
  readonly kind: string;
  readonly agent?: string;
  readonly seq?: number;
  readonly at?: number;
  readonly origin?: StoredOrigin | undefined;
  readonly cause?: StoredCause;
  readonly sends?: readonly StoredSend[];
  readonly answers?: readonly { readonly id: string; readonly answer: unknown }[];
  readonly upTo?: number;
  /** A partition, or as text an app or one of its partitions; of a `route`, the partitions of that app. */
  readonly to?: number | string | readonly number[];
  readonly app?: string;
  readonly stint?: string;
  /** Of a message that is put on the shelf. */
  readonly envelope?: StoredEnvelope;
  /** Of messages that are taken off it. */
  readonly count?: number;
}

/** An entry of kind `step`. */
export interface StoredStep extends StoredEntry {
  readonly agent: string;
  readonly seq: number;
  readonly at: number;
  readonly cause: StoredCause;
  readonly delta: unknown;
  readonly sends: readonly StoredSend[];
  readonly answers: readonly { readonly id: string; readonly answer: unknown }[];
  readonly wakeUp: number | undefined;
  readonly isBusy: boolean;
  readonly error: unknown;
  readonly emitted: readonly unknown[];
}

export interface StoredOrigin {
  readonly source: string;
  readonly n: number;
  readonly closed: number;
  readonly at: number;
}

export interface StoredCause {
  readonly kind: string;
  readonly name?: string;
  readonly id?: string;
  readonly address?: string;
  readonly attempt?: number;
  readonly event?: { readonly [field: string]: unknown };
  readonly input?: unknown;
  readonly timer?: string;
  readonly seq?: number;
  readonly index?: number;
  readonly how?: string;
  /** Of a durable function's call: the how-many-th it is. */
  readonly place?: number;
  /** Of a message that could not be sent: whom it was for. */
  readonly to?: string;
}

export interface StoredSend {
  /** A partition; or as text an app, or `app/partition` of one. */
  readonly to: number | string;
  readonly n: number;
  readonly envelope: { readonly id: string; readonly to: string; readonly from?: string; readonly body: unknown };
}

/** An agent's whole state, as far as checkers look at it. */
export interface StoredState {
  readonly birth: Uint8Array;
  /** Of the agent's code that took the last step. */
  readonly version: number;
  readonly seq: number;
  /** Of the last step. */
  readonly now: number;
  readonly status: string;
  readonly machine: unknown;
  readonly path: readonly string[];
  readonly timers: { readonly [id: string]: { readonly generation: number; readonly due: number } };
  readonly effects: {
    readonly [address: string]: { readonly attempt: number; readonly durable?: { readonly rest?: string } };
  };
  readonly owed: readonly unknown[];
}

/** A head: where an agent's settled state and history are. */
export interface StoredHead {
  readonly epoch: number;
  readonly seq: number;
  /** `undefined` in a tombstone. */
  readonly run: StoredRun | undefined;
  readonly chapter: { readonly name: string; readonly from: number; readonly to: number } | undefined;
}

export interface StoredRun {
  readonly base: {
    readonly kind: "nothing" | "inline" | "object";
    readonly seq: number;
    readonly state?: StoredState;
    readonly name?: string;
  };
  readonly pieces: readonly { readonly name: string }[];
  readonly steps: Uint8Array;
}

/** A step in an agent's history. */
export interface StoredHistoryStep {
  readonly seq: number;
  readonly at: number;
  readonly cause: unknown;
  readonly delta: unknown;
  readonly error: unknown;
  readonly emitted: unknown;
}

export interface StoredPartition {
  readonly epoch: number;
  readonly owner: string | undefined;
  readonly chain: readonly {
    readonly incarnation: string;
    readonly epoch: number;
    readonly from: number;
    readonly end: number | undefined;
  }[];
  readonly state: { readonly position: StoredPosition };
}

/** A mailbox message. */
export interface StoredBatch {
  readonly source: { readonly kind: string; readonly id: string; readonly floor?: number };
  readonly envelopes: readonly StoredEnvelope[];
}

export interface StoredEnvelope {
  readonly n: number;
  readonly id: string;
  readonly to: string;
  readonly body: {
    readonly kind: string;
    readonly event?: { readonly type: string; readonly n?: number };
    readonly [field: string]: unknown;
  };
  readonly sentAt: number;
}

const headerBytes = 9;
const decoded = new WeakMap<Uint8Array, unknown>();

/** Whether an object in a journal is a record, a seal or a trim mark, by its header's letter. */
export function journalKindOf(bytes: Uint8Array): "record" | "seal" | "trim" {
  const letter = String.fromCharCode(bytes[3] ?? 0);
  if (letter === "R") return "record";
  assert(letter === "S" || letter === "T", `an object in a journal is a record, a seal or a mark: letter=${letter}`);
  return letter === "S" ? "seal" : "trim";
}

export function readRecord(bytes: Uint8Array): StoredRecord {
  return readObject(bytes, recordPayload) as StoredRecord;
}

/** The records of a bundle, as they were stored. */
export function readBundle(bytes: Uint8Array): readonly Uint8Array[] {
  return readObject(bytes) as readonly Uint8Array[];
}

export function readPartition(bytes: Uint8Array): StoredPartition {
  return readObject(bytes) as StoredPartition;
}

export function readTrimMark(bytes: Uint8Array): { readonly below: number } {
  return readObject(bytes) as { readonly below: number };
}

export function readBatch(bytes: Uint8Array): StoredBatch {
  return readObject(bytes) as StoredBatch;
}

/** The id of a raw publish: a ULID of the stream's time of it, and of what names it for all time. */
export function rawId({
  stream,
  sequence,
  at,
}: {
  readonly stream: string;
  readonly sequence: number;
  readonly at: number;
}): string {
  const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const time = Array.from({ length: 10 }, (_, place) => digits[Math.floor(at / 32 ** (9 - place)) % 32]);
  const digest = hash("sha256", `${stream}/${sequence}/${at}`, "buffer");
  return [...time, ...Array.from(digest.subarray(0, 16), (byte) => digits[byte & 31])].join("");
}

export function readHead(bytes: Uint8Array): StoredHead {
  return readObject(bytes) as StoredHead;
}

/** A base: always a zstd frame. */
export function readBase(bytes: Uint8Array): StoredState {
  return readObject(bytes, (whole) => zstdDecompressSync(objectPayload(whole))) as StoredState;
}

export function readChapter(bytes: Uint8Array): { readonly run: StoredRun; readonly previous: StoredHead["chapter"] } {
  return readObject(bytes) as ReturnType<typeof readChapter>;
}

export function readPiece(bytes: Uint8Array): readonly StoredHistoryStep[] {
  return readObject(bytes, recordPayload) as readonly StoredHistoryStep[];
}

/** The steps that a head or chapter holds itself. */
export function readSteps(bytes: Uint8Array): readonly StoredHistoryStep[] {
  return bytes.length === 0 ? [] : (readObject(bytes, unpacked) as readonly StoredHistoryStep[]);
}

/** The msgpack of a record. */
export function recordPayload(bytes: Uint8Array): Uint8Array {
  return unpacked(bytes.subarray(headerBytes));
}

/** What follows a byte that is 1 where the rest is a zstd frame. */
function unpacked(bytes: Uint8Array): Uint8Array {
  const rest = bytes.subarray(1);
  return bytes[0] === 1 ? zstdDecompressSync(rest) : rest;
}

function objectPayload(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(headerBytes);
}

/** The value behind an object's header; each object is read once. */
function readObject(bytes: Uint8Array, payloadOf: (bytes: Uint8Array) => Uint8Array = objectPayload): unknown {
  const known = decoded.get(bytes);
  if (known !== undefined) return known;
  const value = readValue(payloadOf(bytes));
  decoded.set(bytes, value);
  return value;
}

/** One msgpack value, with msgpackr's inline records and references. */
export function readValue(bytes: Uint8Array): unknown {
  return new MsgpackReader(bytes).read();
}

const utf8 = new TextDecoder("utf-8");
/** Extension types of msgpackr. */
const extension = { undefined: 0x00, record: 0x72, identity: 0x69, pointer: 0x70, set: 0x73, timestamp: 0xff } as const;
/** Extension types of Dormouse: bytes, and values in other clothes. */
const bytesExtension = 0x51;
const errorExtension = 0x53;

class MsgpackReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #shapes = new Map<number, readonly string[]>();
  readonly #references = new Map<number, unknown>();
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(): unknown {
    const token = this.#uint(1);
    if (token < 0x80) return this.#shapes.has(token) ? this.#record(token) : token;
    if (token < 0x90) return this.#map(token & 0x0f);
    if (token < 0xa0) return this.#array(token & 0x0f);
    if (token < 0xc0) return this.#text(token & 0x1f);
    if (token >= 0xe0) return token - 0x100;
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#slice(this.#uint(2 ** (token - 0xc4)));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#extension(this.#uint(2 ** (token - 0xc7)));
      case 0xca:
        return this.#view.getFloat32(this.#skip(4));
      case 0xcb:
        return this.#view.getFloat64(this.#skip(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#uint(2 ** (token - 0xcc));
      case 0xcf:
        return Number(this.#view.getBigUint64(this.#skip(8)));
      case 0xd0:
        return this.#view.getInt8(this.#skip(1));
      case 0xd1:
        return this.#view.getInt16(this.#skip(2));
      case 0xd2:
        return this.#view.getInt32(this.#skip(4));
      case 0xd3:
        return Number(this.#view.getBigInt64(this.#skip(8)));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(2 ** (token - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#uint(2 ** (token - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#uint(2 ** (token - 0xdb)));
      case 0xde:
      case 0xdf:
        return this.#map(this.#uint(2 ** (token - 0xdd)));
      default:
        throw new Error(`no msgpack: token=${token} at=${this.#at}`);
    }
  }

  #extension(length: number): unknown {
    const type = this.#uint(1);
    if (type === extension.timestamp) return this.#slice(length);
    const data = this.#slice(length);
    if (type === extension.undefined) return undefined;
    if (type === extension.record) {
      const id = data[0] ?? 0;
      this.#shapes.set(id, this.read() as string[]);
      return this.#record(id);
    }
    if (type === extension.identity) {
      const value = this.read();
      this.#references.set(idOf(data), value);
      return value;
    }
    if (type === extension.pointer) return this.#references.get(idOf(data));
    if (type === extension.set) return new Set(this.read() as unknown[]);
    if (type === bytesExtension || length > 1) return data;
    // What is left of one byte is followed by the value that it clothes: an error, or (read as it stands, since no
    // workload keeps one) a reference to an agent, or odd text.
    const value = this.read();
    return type === errorExtension ? errorOf(value as StoredError) : value;
  }

  #record(id: number): Record<string, unknown> {
    const record: Record<string, unknown> = {};
    for (const key of this.#shapes.get(id) ?? []) record[key] = this.read();
    return record;
  }

  #map(size: number): Map<unknown, unknown> {
    const map = new Map<unknown, unknown>();
    for (let index = 0; index < size; index += 1) {
      const key = this.read();
      map.set(key, this.read());
    }
    return map;
  }

  #array(length: number): unknown[] {
    return Array.from({ length }, () => this.read());
  }

  #text(length: number): string {
    return utf8.decode(this.#slice(length));
  }

  #slice(length: number): Uint8Array {
    const start = this.#skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  #uint(byteCount: number): number {
    const at = this.#skip(byteCount);
    if (byteCount === 1) return this.#view.getUint8(at);
    return byteCount === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #skip(byteCount: number): number {
    const at = this.#at;
    this.#at += byteCount;
    return at;
  }
}

interface StoredError {
  readonly name: string;
  readonly message: string;
  readonly kind?: string;
  readonly code?: string;
  readonly cause?: StoredError;
}

function errorOf({ message, cause, ...rest }: StoredError): Error {
  const error = new Error(message, cause === undefined ? {} : { cause: errorOf(cause) });
  return Object.assign(error, rest);
}

function idOf(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset, data.byteLength).getUint32(0);
}
