/** What an agent's own code threw, as data. */
import { decodeError, DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";

/** What user code threw, as its asker is told: with the reason that a typed error of ours already gives, if it is one. */
export function failure(code: string, thrown: unknown, about: string): ErrorData {
  const cause = encodeError(thrown);
  if (cause.kind !== undefined) return cause;
  const options = { cause: decodeError(cause) };
  if (cause.name === "TypeError" && frozenTexts.test(cause.message)) {
    const text =
      `the machine changed its context, or an event, in place, and both are frozen; return what is new from assign(): ` +
      `${cause.message}: ${about}`;
    return encodeError(new DormouseError("failed", "context.frozen", text, options));
  }
  const text = `the agent's own code threw; its state is as it was before: ${cause.message}: ${about}`;
  return encodeError(new DormouseError("failed", code, text, options));
}

/** What V8 says of a change to what is frozen: in words alone. */
const frozenTexts = /object is not extensible|read only property|Cannot (?:delete|redefine) property/;
