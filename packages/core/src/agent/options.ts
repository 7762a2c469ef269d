/** The options of a call, as plain JavaScript may give them: one that is misspelt would be ignored, and nobody told. */
import { DormouseError } from "./errors.ts";

/** Refuses options that are no object, or have one that is not `known`. @throws DormouseError `invalid` (`option.invalid`). */
export function checkOptions(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw optionError(`the options of ${call} are an object`, options);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name)) throw optionError(`${call} takes ${known.join(", ")}, and no "${name}"`, value);
    if (name === "signal" && value !== undefined && !isSignal(value)) {
      throw optionError(`the signal of ${call} is an AbortSignal`, value);
    }
  }
}

export function optionError(what: string, value: unknown): DormouseError {
  return new DormouseError("invalid", "option.invalid", `${what}: given=${shown(value)}`);
}

/** Of what may hold more than its maker meant to show, only what it is. */
function shown(value: unknown): string {
  if (typeof value === "string") return value.slice(0, 100);
  const isPlain = value === null || !["object", "function"].includes(typeof value);
  return isPlain ? String(value) : Object.prototype.toString.call(value);
}

function isSignal(value: unknown): boolean {
  return typeof value === "object" && value !== null && "aborted" in value && "addEventListener" in value;
}
