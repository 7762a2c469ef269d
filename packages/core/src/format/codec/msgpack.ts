/**
 * Durable data as bytes and back: the one place that knows msgpackr.
 *
 * What comes back equals what went in, for all that `data.ts` lets pass, but for these: `-0` becomes `0`; an object
 * without prototype becomes a plain one; a Buffer becomes a Uint8Array; an Error keeps name, message, code and cause,
 * a DormouseError its kind too, none its stack and other fields.
 *
 * M1  Bytes depend on the value alone, never on what was packed before (D2). Sharing belongs to the value: an object
 *     met twice is written once.
 * M2  Whatever the bytes, decoding ends, allocates in proportion to them, and gives a value without cycles or throws
 *     `corrupt`: an event comes from strangers, and the code after us recurses.
 */
import { addExtension, Packr, RESET_BUFFER_MODE, Unpackr } from "msgpackr";
import { AgentRef } from "../../agent/agent-ref.ts";
import { decodeError, DormouseError, encodeError, type ErrorData, isErrorData } from "../../agent/errors.ts";
import { valueDepthMax } from "../../agent/limits.ts";
import { childrenOf, isSharedTooOften } from "./shared.ts";
import { lookAtTokens } from "./tokens.ts";

/**
 * The bytes of a value; `checkData` has let it pass.
 *
 * @throws DormouseError `invalid` (`value.not-data`) for a key `__proto__`, a symbol, a value too deep to be walked.
 */
export function encodeValue(value: unknown): Uint8Array<ArrayBuffer> {
  try {
    // A copy: packed bytes are a view of msgpackr's own buffer, which the next pack overwrites.
    const bytes = new Uint8Array(pack(value));
    if (!mayHoldFragileText(bytes)) return bytes;
    const escaping = new Escaping();
    const escaped = escaping.escape(value);
    return escaping.escapesCount === 0 ? bytes : new Uint8Array(pack(escaped));
  } catch (cause) {
    if (cause instanceof FragileKeyFound) return new Uint8Array(pack(new Escaping().escape(value)));
    if (cause instanceof DormouseError) throw cause;
    throw new DormouseError("invalid", "value.not-data", `a value cannot be stored: ${String(cause)}`, { cause });
  }
}

/**
 * The value of bytes that `encodeValue` made. It shares no memory with them.
 *
 * @throws DormouseError `corrupt` (`codec.unreadable`) for all other bytes, and if any follow the value.
 */
export function decodeValue(bytes: Uint8Array): unknown {
  return decode(bytes).value;
}

/**
 * The same, of bytes that anyone may have made.
 *
 * @throws DormouseError also where the value is small only since it holds the same objects again and again (`valuesSharedMax`).
 */
export function decodeStrangers(bytes: Uint8Array): unknown {
  const { value, hasReference } = decode(bytes);
  if (hasReference && isSharedTooOften(value)) {
    throw unreadable(bytes, "it holds the same values too often", undefined);
  }
  return value;
}

function decode(bytes: Uint8Array): { readonly value: unknown; readonly hasReference: boolean } {
  // A view of our own: msgpackr leaves a property on what it reads, and makes Buffers out of a Buffer.
  const source = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoded: { value?: unknown; end?: number } = {};
  const { isForeign, hasReference } = lookAtTokens(source);
  if (isForeign) throw unreadable(source, "it is written in a way that Dormouse does not write", undefined);
  try {
    // `unpack` describes trailing bytes by JSON.stringify of the value, which for a value that refers to itself many
    // times over does not end; so the end is checked here (M2).
    unpackr.unpackMultiple(source, (value: unknown, _start: unknown, end: unknown) => {
      Object.assign(decoded, { value, end });
      return false;
    });
  } catch (cause) {
    throw unreadable(source, String(cause), cause);
  }
  if (decoded.end !== source.length) throw unreadable(source, "bytes follow the value", undefined);
  if (hasReference) refuseCycle(source, decoded.value);
  return { value: decoded.value, hasReference };
}

function unreadable(bytes: Uint8Array, why: string, cause: unknown): DormouseError {
  const text = `these bytes are not a value that Dormouse has encoded: ${why}: bytes=${bytes.length}`;
  return new DormouseError("corrupt", "codec.unreadable", text, { cause });
}

// --- msgpackr, and what it must not do by itself ---------------------------------------------------------------------

const packr = new Packr({ structuredClone: true, useToJSON: false, useRecords: mayBeRecord });
// Without `structures`: each decode begins with none, so bytes cannot refer to the shapes of earlier ones (M1).
const unpackr = new Unpackr({ structuredClone: true, copyBuffers: true });

function pack(value: unknown): Uint8Array {
  return packr.pack(value, RESET_BUFFER_MODE) as Uint8Array;
}

/** Thrown through msgpackr out of a pack. */
class FragileKeyFound extends Error {}

/**
 * msgpackr asks it for every object. It keeps the shapes it knows in a tree by key, and in each node of it a field
 * `__keys__`: one object with this key, and all later packs of this process would be damaged.
 */
function mayBeRecord(object: object): true {
  if (Object.hasOwn(object, "__keys__")) throw new FragileKeyFound();
  if (Object.hasOwn(object, "__proto__")) {
    throw new DormouseError("invalid", "value.not-data", 'a key "__proto__" cannot be stored; rename it');
  }
  return true;
}

// --- extensions ------------------------------------------------------------------------------------------------------
// Types are of the process, not of a Packr: high and odd ones keep clear of what others register.

interface Extension<T> {
  readonly type: number;
  readonly Class: abstract new (...parameters: never[]) => T;
  /** The data in place of the instance. */
  readonly write: (instance: T) => unknown;
  readonly read: (data: unknown) => T | string | object;
}

function extend<T>(extension: Extension<T>): void {
  addExtension(extension);
}

// msgpackr writes a Buffer in another way than the Uint8Array that it comes back as: a value and its decoded twin would
// have different bytes.
addExtension({
  type: 0x51,
  Class: Uint8Array,
  pack: (bytes: Uint8Array) => bytes,
  unpack: (bytes: Uint8Array) => bytes.slice(),
});

extend({
  type: 0x52,
  Class: AgentRef,
  write: (ref) => [escapeText(ref.sessionId), escapeText(ref.id)],
  read: (data) => {
    const [sessionId, id, ...others] = arrayOf(data);
    if (typeof sessionId !== "string" || typeof id !== "string" || others.length > 0) throw new Error("no agent ref");
    return new AgentRef(sessionId, id);
  },
});

extend({
  type: 0x53,
  Class: Error,
  write: (error) => escapeError(encodeError(error)),
  read: (data) => {
    if (!isErrorData(data)) throw new Error("no error");
    return decodeError(data);
  },
});

/** A message that is cut at a length may be cut within a character. */
function escapeError(data: ErrorData): object {
  const { name, message, code, cause } = data;
  return {
    ...data,
    name: escapeText(name),
    message: escapeText(message),
    ...(code === undefined ? {} : { code: escapeText(code) }),
    ...(cause === undefined ? {} : { cause: escapeError(cause) }),
  };
}

function arrayOf(data: unknown): unknown[] {
  if (!Array.isArray(data)) throw new Error("no array");
  return data;
}

// --- what UTF-8 and records do not carry: rare, so found afterwards --------------------------------------------------
// A token stream, or `slice`, cuts text within a character: such text must survive, or an agent that is brought back
// would differ from the one that ran.

const fragileText = /(^\ufeff|\p{Surrogate})/u;

/** Whether UTF-8 bytes of half a character, its replacement, or a byte order mark occur; they may mean other things. */
function mayHoldFragileText(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(0xed); at >= 0; at = bytes.indexOf(0xed, at + 1)) {
    if (isWithin(bytes[at + 1], 0xa0, 0xbf) && isWithin(bytes[at + 2], 0x80, 0xbf)) return true;
  }
  for (let at = bytes.indexOf(0xef); at >= 0; at = bytes.indexOf(0xef, at + 1)) {
    const [second, third] = [bytes[at + 1], bytes[at + 2]];
    if ((second === 0xbf && third === 0xbd) || (second === 0xbb && third === 0xbf)) return true;
  }
  return false;
}

function isWithin(byte: number | undefined, min: number, max: number): boolean {
  return byte !== undefined && byte >= min && byte <= max;
}

/** Text with halves of characters, in turns: what UTF-8 carries, and a code unit. */
class EscapedText {
  readonly pieces: readonly (string | number)[];
  constructor(text: string) {
    this.pieces = text
      .split(new RegExp(fragileText, "gu"))
      .map((piece, index) => (index % 2 === 0 ? piece : piece.charCodeAt(0)));
  }
}

function escapeText(text: string): string | EscapedText {
  return fragileText.test(text) ? new EscapedText(text) : text;
}

/** An object as keys and values in turns. */
class EscapedObject {
  readonly entries: readonly unknown[];
  constructor(entries: readonly unknown[]) {
    this.entries = entries;
  }
}

extend({
  type: 0x54,
  Class: EscapedText,
  write: (text) => text.pieces,
  read: (data) =>
    arrayOf(data)
      .map((piece) => {
        if (typeof piece === "string") return piece;
        if (typeof piece !== "number") throw new Error("no text");
        return String.fromCharCode(piece);
      })
      .join(""),
});

extend({
  type: 0x55,
  Class: EscapedObject,
  write: (object) => object.entries,
  read: (data) => {
    const entries = arrayOf(data);
    const object: Record<string, unknown> = {};
    for (let index = 0; index < entries.length; index += 2) {
      const key = entries[index];
      if (typeof key !== "string" || key === "__proto__") throw new Error("no key");
      object[key] = entries[index + 1];
    }
    return object;
  },
});

/** Copies a value, with stand-ins for what msgpackr would damage; keeps what is shared shared (M1). */
class Escaping {
  escapesCount = 0;
  readonly #copies = new Map<object, unknown>();

  escape(value: unknown): unknown {
    if (typeof value === "string") return this.#escapeText(value);
    if (typeof value !== "object" || value === null) return value;
    const known = this.#copies.get(value);
    if (known !== undefined) return known;
    const copy = this.#copy(value);
    this.#copies.set(value, copy);
    return copy;
  }

  #escapeText(text: string): string | EscapedText {
    const escaped = escapeText(text);
    if (escaped !== text) this.escapesCount += 1;
    return escaped;
  }

  #copy(value: object): unknown {
    if (Array.isArray(value)) return value.map((element) => this.escape(element));
    if (value instanceof Map) return new Map(Array.from(value, ([key, held]) => [this.escape(key), this.escape(held)]));
    if (value instanceof Set) return new Set(Array.from(value, (element) => this.escape(element)));
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return value;
    const entries = Object.entries(value).map(([key, held]) => [key, this.escape(held)] as const);
    if (!entries.some(([key]) => key === "__keys__" || fragileText.test(key))) return Object.fromEntries(entries);
    this.escapesCount += 1;
    return new EscapedObject(entries.flatMap(([key, held]) => [this.#escapeText(key), held]));
  }
}

// --- references -----------------------------------------------------------------------------------------------------

function refuseCycle(bytes: Uint8Array, value: unknown): void {
  const seen = new Set<object>();
  const visit = (held: unknown, depth: number): void => {
    if (typeof held !== "object" || held === null || seen.has(held)) return;
    // A cycle is as deep as one likes; a path of twice the depth that `checkData` allows is an envelope's at most.
    if (depth > 2 * valueDepthMax) throw unreadable(bytes, "it contains itself", undefined);
    for (const child of childrenOf(held)) visit(child, depth + 1);
    seen.add(held);
  };
  visit(value, 0);
}
