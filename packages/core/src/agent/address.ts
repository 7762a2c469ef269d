/** An agent's address, its one encoding, and its partition. DESIGN.md section 4. */
import { DormouseError } from "./errors.ts";
import { keyBytesMax } from "./limits.ts";

declare const brand: unique symbol;

/** An agent within its app: `type/key`, the key as its user wrote it. */
export type Address = string & { readonly [brand]: "Address" };
/** The number of a partition, 0 to P - 1. */
export type Partition = number & { readonly [brand]: "Partition" };

export interface AddressParts {
  readonly type: string;
  readonly key: string;
}

const namePattern = /^[a-z][a-z0-9-]{0,62}$/;
const utf8 = new TextEncoder();
const utf8Strict = new TextDecoder("utf-8", { fatal: true });

/** Checks an app's or agent type's name. */
export function checkName(what: "app" | "type", name: string): void {
  // Plain JavaScript may give anything, and `undefined` reads as a good name.
  const given: unknown = name;
  if (typeof given === "string" && namePattern.test(given)) return;
  throw new DormouseError(
    "invalid",
    `${what}.invalid`,
    `the name of an ${what === "app" ? "app" : "agent type"} starts with a letter and has at most 63 characters ` +
      `of a-z, 0-9 and "-": ${what}=${String(given).slice(0, 100)}`,
  );
}

/** The address of the agent of a type with a key. A user's key may not begin with `~`: those are children's. */
export function makeAddress(type: string, key: string): Address {
  checkName("type", type);
  const bytes = typeof (key as unknown) === "string" ? utf8.encode(key).length : 0;
  if (bytes === 0 || bytes > keyBytesMax || !key.isWellFormed()) {
    throw new DormouseError(
      "invalid",
      "key.invalid",
      `a key is a non-empty, well-formed string of at most ${keyBytesMax} bytes of UTF-8: type=${type} ` +
        `bytes=${bytes}`,
    );
  }
  return `${type}/${key}` as Address;
}

/** Refuses a child's key: only the runtime gives one, and what a child takes comes from its parent. */
export function checkUserKey(key: string): void {
  if (!key.startsWith("~")) return;
  throw new DormouseError(
    "invalid",
    "key.reserved",
    `keys that begin with "~" name children of agents, which take events from their parents alone: key=${key}`,
  );
}

/** The parts of an address; refuses what is none. */
export function parseAddress(text: string): AddressParts & { readonly address: Address } {
  const slash = text.indexOf("/");
  if (slash < 0) {
    throw new DormouseError("invalid", "address.invalid", `an address is "type/key": address=${text.slice(0, 400)}`);
  }
  const type = text.slice(0, slash);
  const key = text.slice(slash + 1);
  return { type, key, address: makeAddress(type, key) };
}

/** An agent as a sender names it: one of its own app, or with `app` one of another. */
export interface Target {
  readonly app: string | undefined;
  readonly address: Address;
}

/**
 * `/app/type/key`: what names an agent from anywhere. The first `/` tells it from an address whose key holds one, since
 * a key may be any text.
 */
export function fullAddress(app: string, address: Address | string): string {
  return `/${app}/${address}`;
}

/** The parts of `type/key` or `/app/type/key`; refuses what is neither. */
export function parseTarget(text: string): Target {
  if (!text.startsWith("/")) return { app: undefined, address: parseAddress(text).address };
  const slash = text.indexOf("/", 1);
  const app = slash < 0 ? text.slice(1) : text.slice(1, slash);
  checkName("app", app);
  return { app, address: parseAddress(slash < 0 ? "" : text.slice(slash + 1)).address };
}

/**
 * What a person writes: `type/key`, or `app/type/key`. A key that holds a `/` is told from an agent of another app only
 * in full, so what has two or more of them is read as that.
 */
export function parseReference(text: string): string {
  const isFull = !text.startsWith("/") && text.split("/").length > 2;
  const { app, address } = parseTarget(isFull ? `/${text}` : text);
  return app === undefined ? address : fullAddress(app, address);
}

/** A key as it stands in subjects and object names: bytes outside `[A-Za-z0-9_-]` are `~XX`. */
export function encodeToken(key: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(key)) return key;
  let token = "";
  for (const byte of utf8.encode(key)) {
    const character = String.fromCharCode(byte);
    token += /[A-Za-z0-9_-]/.test(character) ? character : `~${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return token;
}

/** The key of a token; refuses any but the one encoding, so that an agent never has two names. */
export function decodeToken(token: string): string {
  const key = readToken(token);
  if (encodeToken(key) === token) return key;
  throw notEncoded(token);
}

/** The key that a stranger means by a token: in the one encoding, or another that says the same. */
export function readToken(token: string): string {
  const bytes: number[] = [];
  for (const [part] of token.matchAll(/~.{0,2}|[^~]+/gsu)) {
    if (!part.startsWith("~")) for (const byte of utf8.encode(part)) bytes.push(byte);
    else if (/^~[0-9A-Fa-f]{2}$/.test(part)) bytes.push(Number.parseInt(part.slice(1), 16));
    else throw notEncoded(token);
  }
  try {
    return utf8Strict.decode(Uint8Array.from(bytes));
  } catch {
    throw notEncoded(token);
  }
}

function notEncoded(token: string): DormouseError {
  return new DormouseError("invalid", "address.encoding", `this is not an encoded key: token=${token.slice(0, 800)}`);
}

/**
 * The partition of an agent among `count`.
 *
 * @see DESIGN.md, section 4: what NATS's `{{partition(P,1,2)}}` computes, FNV-1a 32 over the tokens with nothing between.
 */
export function partitionOf(address: Address, count: number): Partition {
  const { type, key } = parseAddress(address);
  return (fnv1a32(type + encodeToken(key)) % count) as Partition;
}

/** FNV-1a with 32 bits over ASCII text (encoded tokens are). */
function fnv1a32(ascii: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < ascii.length; index += 1) {
    hash = Math.imul(hash ^ ascii.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}
