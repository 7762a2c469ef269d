/** The one class of operating errors: a kind for the caller's next move, a code for the case, and what to do in words. */

/**
 * What a caller can do about an error.
 *
 * - `invalid`: the input or definition cannot be right; change it.
 * - `conflict`: what was expected no longer holds; read again, decide again.
 * - `sealed`: another host ended this journal; drop all memory, start a new incarnation.
 * - `unavailable`: no answer from a store or mailbox, the outcome may be unknown; repeat with the same id.
 * - `corrupt`: stored bytes do not decode or fail a check; inspect, fork.
 * - `failed`: the agent's own code threw, or the agent has ended so; mend the agent.
 * - `timeout`: the caller's deadline passed, the work may go on; ask again with the same id, or wait.
 * - `closed`: host or client was closed here.
 * - `internal`: a bug of Dormouse; report it.
 */
export type ErrorKind =
  | "invalid"
  | "conflict"
  | "sealed"
  | "unavailable"
  | "corrupt"
  | "failed"
  | "timeout"
  | "closed"
  | "internal";

/**
 * Every error that Dormouse reports.
 *
 * @example
 * ```ts
 * try {
 *   await acme.ask({ type: "add", by: 1 });
 * } catch (error) {
 *   if (error instanceof DormouseError && error.kind === "timeout") console.log("still at work");
 *   else throw error;
 * }
 * ```
 */
export class DormouseError extends Error {
  override readonly name: string = "DormouseError";
  /** What a caller can do about it. */
  readonly kind: ErrorKind;
  /** The case, as `area.case`: stable, with a heading in `docs/errors.md`. */
  readonly code: string;

  constructor(kind: ErrorKind, code: string, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.kind = kind;
    this.code = code;
  }
}

/** An error as data: what is stored, and what crosses from the host to an asker. */
export interface ErrorData {
  readonly name: string;
  readonly message: string;
  readonly kind?: ErrorKind;
  readonly code?: string;
  readonly cause?: ErrorData;
}

const causeDepthMax = 4;
const textCharactersMax = 8_192;

/**
 * What of a thrown value is kept: name, message, code, cause. A stack names the machine it was made on, so it is not.
 *
 * Never throws, whatever was thrown: fields of an Error may be of any type, be missing, or throw when they are read.
 */
export function encodeError(thrown: unknown, depth: number = 0): ErrorData {
  try {
    if (!(thrown instanceof Error)) return { name: "Error", message: clip(describeThrown(thrown)) };
    const { name, message, code, cause } = thrown as { readonly [field in keyof ErrorData]?: unknown };
    return {
      name: typeof name === "string" ? clip(name) : "Error",
      message: clip(describeThrown(message)),
      ...(thrown instanceof DormouseError ? { kind: thrown.kind } : {}),
      ...(typeof code === "string" ? { code: clip(code) } : {}),
      ...(cause === undefined || depth >= causeDepthMax ? {} : { cause: encodeError(cause, depth + 1) }),
    };
  } catch {
    return { name: "Error", message: "an error whose fields cannot be read" };
  }
}

/** Whether a decoded value is an error as data: what is not would become an error without a text or code, or none. */
export function isErrorData(value: unknown, depth: number = 0): value is ErrorData {
  if (typeof value !== "object" || value === null || depth > 2 * causeDepthMax) return false;
  const { name, message, kind, code, cause } = value as { readonly [field in keyof ErrorData]?: unknown };
  const isText = typeof name === "string" && typeof message === "string";
  const isLabelled = [kind, code].every((label) => label === undefined || typeof label === "string");
  return isText && isLabelled && (cause === undefined || isErrorData(cause, depth + 1));
}

/** The error that stands for `data` here: a DormouseError where it was one, else an Error of the same name. */
export function decodeError(data: ErrorData): Error {
  const options = data.cause === undefined ? {} : { cause: decodeError(data.cause) };
  const error =
    data.kind === undefined
      ? Object.assign(new Error(data.message, options), { name: data.name })
      : new DormouseError(data.kind, data.code ?? "internal", data.message, options);
  // Where it was decoded says nothing of where it was thrown.
  error.stack = `${data.name}: ${data.message}`;
  if (data.kind !== undefined) return error;
  if (data.code !== undefined) Object.assign(error, { code: data.code });
  return error;
}

function describeThrown(thrown: unknown): string {
  if (typeof thrown === "string") return thrown;
  try {
    const text: unknown = JSON.stringify(thrown);
    return typeof text === "string" ? text : String(thrown);
  } catch {
    return Object.prototype.toString.call(thrown);
  }
}

function clip(text: string): string {
  return text.length <= textCharactersMax ? text : `${text.slice(0, textCharactersMax)}…`;
}
