/** What a host knows of a store or mailbox that does not answer: told every few seconds, while everything waits for it. */
import type { Observe } from "../observe.ts";
import type { Clock } from "../ports/index.ts";
import { type Patience, whyFailed } from "./insist.ts";

/** How long they may fail while a host starts or drains, in milliseconds. */
const patienceMs = 10_000;
const failingToldMs = 5_000;

export class HostPatience implements Patience {
  ms: number = patienceMs;
  readonly #clock: Clock;
  readonly #observe: Observe;
  readonly #failing = new Map<object, unknown>();
  #toldAt = -Infinity;

  constructor(clock: Clock, observe: Observe) {
    this.#clock = clock;
    this.#observe = observe;
  }

  /** While a user waits for the host to start or to end. */
  limit(): void {
    this.ms = patienceMs;
  }

  lift(): void {
    this.ms = Infinity;
  }

  /** Why everything waits now, if something does not answer. */
  reason(): string | undefined {
    const [cause] = this.#failing.values();
    return this.#failing.size === 0 ? undefined : `the store or mailbox does not answer: ${whyFailed(cause)}`;
  }

  failing(call: object, failedMs: number, cause: unknown): void {
    this.#failing.set(call, cause);
    const now = this.#clock.monotonic();
    if (now - this.#toldAt < failingToldMs) return;
    this.#toldAt = now;
    const text = `the store or mailbox has failed for ${Math.round(failedMs / 1_000)} s, everything waits: ${whyFailed(cause)}`;
    this.#observe({ kind: "warned", about: "store", text });
  }

  ended(call: object): void {
    this.#failing.delete(call);
  }
}
