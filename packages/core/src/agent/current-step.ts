/** The step under way in this process, if there is one: what `now`, `random`, `uuid` and `message` read. */
import type { Address } from "./address.ts";
import { DormouseError } from "./errors.ts";

declare const brand: unique symbol;

/** A message's id: for `replyTo`, which answers one ask by it. */
export type MessageId = string & { readonly [brand]: "MessageId" };

/** The envelope of the event that a step handles. */
export interface Message {
  readonly id: MessageId;
  /** The sender's address, if an agent sent it; a client's sends have none. */
  readonly from?: string;
  /** Milliseconds since 1970, by the sender's clock. */
  readonly sentAt: number;
  /** Whether its sender waits for a reply. */
  readonly isAsked: boolean;
}

export interface CurrentStep {
  readonly agent: Address;
  readonly now: number;
  readonly message: Message;
  random(): number;
  uuid(): string;
}

let current: CurrentStep | undefined;

/** Makes `step` the one under way; gives what was, for the caller to put back in a `finally`. */
export function enterStep(step: CurrentStep | undefined): CurrentStep | undefined {
  const outer = current;
  current = step;
  return outer;
}

/** @throws DormouseError `invalid` (`step.none`). */
export function currentStep(caller: string): CurrentStep {
  if (current !== undefined) return current;
  throw new DormouseError(
    "invalid",
    "step.none",
    `${caller}() is only available inside a step, while a machine's guards, assigns and other built-in actions are ` +
      `computed; a plain action runs after the commit, pass it what it needs as params`,
  );
}
