/** The union of all that can be observed. Core does not log: logs, metrics, traces and checkers subscribe. */
import type { Address, Partition } from "./agent/address.ts";
import { encodeError, type ErrorData } from "./agent/errors.ts";

export type Observed =
  | { readonly kind: "claimed"; readonly partition: Partition; readonly epoch: number; readonly records: number }
  | { readonly kind: "caught-up"; readonly partition: Partition }
  /** Given up: another host may take it at once. */
  | { readonly kind: "handed-over"; readonly partition: Partition }
  | { readonly kind: "regressed"; readonly partition: Partition; readonly why: string }
  | { readonly kind: "activated"; readonly agent: Address; readonly seq: number }
  | { readonly kind: "passivated"; readonly agent: Address; readonly seq: number }
  | {
      readonly kind: "stepped";
      readonly agent: Address;
      readonly seq: number;
      readonly error: ErrorData | undefined;
      /** What the agent's code threw, with its stack, which is kept nowhere else. */
      readonly thrown?: unknown;
    }
  /**
   * A message that changed nothing, and why: an event that no transition takes or no schema lets pass, an agent that has
   * ended; or one that is kept, since the host runs no agents of its type. Who asked was told; who sent was not.
   */
  | {
      readonly kind: "refused";
      readonly agent: Address;
      readonly id: string;
      readonly isAsked: boolean;
      readonly error: ErrorData;
    }
  | { readonly kind: "logged"; readonly agent: Address; readonly label: string | undefined; readonly value: unknown }
  | {
      readonly kind: "action-failed";
      readonly agent: Address;
      readonly name: string;
      readonly error: ErrorData;
      readonly thrown?: unknown;
    }
  /** `src`: the actor's name in its machine. */
  | {
      readonly kind: "effect-started";
      readonly agent: Address;
      readonly address: string;
      readonly src: string;
      readonly attempt: number;
    }
  | {
      readonly kind: "effect-ended";
      readonly agent: Address;
      readonly address: string;
      readonly src: string;
      readonly isOk: boolean;
      /** Of one that failed. */
      readonly error?: ErrorData;
      readonly thrown?: unknown;
    }
  /** An attempt at a marked call of a durable function, or at the function itself, that is made again. */
  | {
      readonly kind: "attempt-failed";
      readonly agent: Address;
      readonly name: string;
      readonly attempt: number;
      readonly error: ErrorData;
    }
  | { readonly kind: "committed"; readonly n: number; readonly entries: number; readonly bytes: number }
  | { readonly kind: "released"; readonly agent: Address; readonly seq: number }
  | { readonly kind: "settled"; readonly partition: Partition; readonly cut: number; readonly heads: number }
  | { readonly kind: "skipped"; readonly partition: Partition; readonly why: string; readonly error?: ErrorData }
  | { readonly kind: "quarantined"; readonly agent: Address; readonly error: ErrorData }
  | { readonly kind: "warned"; readonly about: string; readonly text: string }
  | { readonly kind: "sealed"; readonly incarnation: string }
  | { readonly kind: "failed"; readonly error: ErrorData };

/** Called synchronously where it happens; must be quick. What it throws is dropped: it may not change what happens. */
export type Observe = (event: Observed) => void;

/** The same, and never throws. After a first throw it is told that it threw, once. */
export function guarded(observe: Observe): Observe {
  let hasThrown = false;
  const tell = (event: Observed): void => {
    try {
      observe(event);
    } catch (thrown) {
      if (hasThrown) return;
      hasThrown = true;
      tell({ kind: "warned", about: "observe", text: `observe threw: ${encodeError(thrown).message}` });
    }
  };
  return tell;
}
