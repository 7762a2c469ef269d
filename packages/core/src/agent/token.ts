/** The token of a wait: what names it to whoever may answer, `<32 hex>.<type/key>`. */
import { type Address, parseAddress } from "./address.ts";
import { DormouseError } from "./errors.ts";

export interface Token {
  /** What only the wait's asker can know. */
  readonly secret: string;
  readonly agent: Address;
}

export function makeToken(secret: string, agent: string): string {
  return `${secret}.${agent}`;
}

/** @throws DormouseError `invalid` (`token.invalid`). */
export function parseToken(token: unknown): Token {
  const [, secret, agent] = typeof token === "string" ? (tokenPattern.exec(token) ?? []) : [];
  if (secret === undefined || agent === undefined) throw tokenInvalid(undefined);
  try {
    return { secret, agent: parseAddress(agent).address };
  } catch (cause) {
    throw tokenInvalid(cause);
  }
}

const tokenPattern = /^([0-9a-f]{32})\.(.+)$/s;

/** It is a secret as long as its wait lives, so it is not repeated. */
function tokenInvalid(cause: unknown): DormouseError {
  return new DormouseError(
    "invalid",
    "token.invalid",
    "this is no token; one is 32 hexadecimal digits, a dot and the agent's address, as receive(...).token gives it",
    { cause },
  );
}
