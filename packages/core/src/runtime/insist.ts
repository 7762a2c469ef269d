/** Calls to ports that must come to an end: repeated with growing pauses until the world answers or the host gives up. */
import { DormouseError } from "../agent/errors.ts";
import type { Writing } from "../format/codec/formats.ts";
import type { Clock, Entropy, Etag, ObjectStore, PutCondition, StoredObject } from "../ports/index.ts";

/** What insisting needs. */
export interface Waiting {
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** The host's life: when it ends, whoever insists gives up. */
  readonly signal: AbortSignal;
  readonly patience: Patience;
}

/** What reading and writing the store needs. */
export interface Storing extends Waiting {
  readonly store: ObjectStore;
}

/** What a host's runtime has of the world. */
export interface World extends Storing {
  readonly formats: Writing;
}

/** How long one call may go on failing. */
export interface Patience {
  /** In milliseconds; a host that runs has no end of it, one that starts or drains would keep its user waiting. */
  ms: number;
  /** Told of each call that has failed for longer than a second, and after each further try; by the same object each time. */
  readonly failing?: (call: object, failedMs: number, cause: unknown) => void;
  /** Told when such a call has come to an end. */
  readonly ended?: (call: object) => void;
}

const pauseMsMin = 20;
/** Longer would be added to every outage: what fails at once is cheap to try, what does not takes its own time. */
const pauseMsMax = 1_000;
const failingMsMin = 1_000;

/** Resolves after `delayMs`, or at once when the host ends. */
export function pause({ clock, signal }: Pick<World, "clock" | "signal">, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.schedule(delayMs, done);
    if (signal.aborted) done();
    else signal.addEventListener("abort", done, { once: true });
  });
}

/**
 * Repeats `attempt` while it fails with `unavailable`; anything else it throws is passed on.
 *
 * @throws DormouseError `closed` (`host.closed`) when the host ends meanwhile; `unavailable` (`host.gave-up`) when it
 * starts or drains and has lost patience.
 * @see AWS Architecture Blog, "Exponential Backoff and Jitter" (full jitter).
 */
export async function insist<T>(world: Waiting, attempt: () => Promise<T>): Promise<T> {
  const backOff = new BackOff(world);
  try {
    for (;;) {
      checkOpen(world.signal);
      try {
        return await attempt();
      } catch (error) {
        if (!isPassing(error)) throw error;
        await backOff.failed(error);
      }
    }
  } finally {
    backOff.end();
  }
}

/** Whether it may go away by itself, and nobody has lost patience with it. */
export function isPassing(error: unknown): boolean {
  return error instanceof DormouseError && error.kind === "unavailable" && error.code !== "host.gave-up";
}

/** What became of a conditional write, known for sure. */
export type Written =
  | { readonly outcome: "stored"; readonly etag: Etag }
  /** The name holds something that is not what we wrote. */
  | { readonly outcome: "refused"; readonly found: StoredObject | undefined };

/**
 * A conditional write whose outcome becomes known. The bytes must hold a nonce: a 412 may be our own earlier attempt
 * whose answer was lost, and a wrong guess would end a healthy host or let a sealed one go on (FACTS.md 2.2, D5).
 */
export async function write(
  world: Storing,
  name: string,
  bytes: Uint8Array,
  condition: PutCondition,
): Promise<Written> {
  const backOff = new BackOff(world);
  try {
    for (;;) {
      checkOpen(world.signal);
      const answer = await world.store.put(name, bytes, condition);
      switch (answer.outcome) {
        case "stored":
          return answer;
        case "refused": {
          const found = await insist(world, () => world.store.get(name));
          if (found !== undefined && areEqual(found.bytes, bytes)) return { outcome: "stored", etag: found.etag };
          return { outcome: "refused", found };
        }
        case "conflict":
          await backOff.failed(undefined);
          break;
        case "unknown":
          await backOff.failed(answer.cause);
      }
    }
  } finally {
    backOff.end();
  }
}

/** Waits after each failure of one call, longer each time. */
class BackOff {
  readonly #world: Waiting;
  #failures = 0;
  #sinceMs = 0;
  #isTold = false;

  constructor(world: Waiting) {
    this.#world = world;
  }

  async failed(cause: unknown): Promise<void> {
    const { clock, patience, entropy } = this.#world;
    if (this.#failures === 0) this.#sinceMs = clock.monotonic();
    const failedMs = clock.monotonic() - this.#sinceMs;
    if (failedMs >= patience.ms) throw gaveUp(failedMs, cause);
    if (failedMs > failingMsMin) {
      this.#isTold = true;
      patience.failing?.(this, failedMs, cause);
    }
    const ceilingMs = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(this.#failures, 16));
    const [a = 0, b = 0] = entropy.bytes(2);
    this.#failures += 1;
    await pause(this.#world, Math.ceil((ceilingMs * (a * 256 + b + 1)) / 65_536));
  }

  end(): void {
    if (this.#isTold) this.#world.patience.ended?.(this);
  }
}

/** What the last try came to, in words. */
export function whyFailed(cause: unknown): string {
  return cause instanceof DormouseError ? `${cause.code}: ${cause.message}` : "it did not answer";
}

function gaveUp(failedMs: number, cause: unknown): DormouseError {
  const message =
    `the host gave up while it started or drained, since the store or mailbox failed for ${Math.round(failedMs / 1_000)} s; ` +
    `nothing that was acknowledged is lost, the next host goes on from there: ${whyFailed(cause)}`;
  return new DormouseError("unavailable", "host.gave-up", message, { cause });
}

function checkOpen(signal: AbortSignal): void {
  if (signal.aborted) throw new DormouseError("closed", "host.closed", "the host has ended; start another");
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
