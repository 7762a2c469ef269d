/** Calls to ports that must come to an end: repeated with growing pauses until the world answers or the host ends. */
import { DormouseError } from "../agent/errors.ts";
import type { Clock, Entropy, Etag, ObjectStore, PutCondition, StoredObject } from "../ports/index.ts";

/** What insisting needs. */
export interface World {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** The host's life: when it ends, whoever insists gives up. */
  readonly signal: AbortSignal;
}

const pauseMsMin = 20;
const pauseMsMax = 5_000;

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
 * @throws DormouseError `closed` (`host.closed`) when the host ends meanwhile.
 * @see AWS Architecture Blog, "Exponential Backoff and Jitter" (full jitter).
 */
export async function insist<T>(world: Omit<World, "store">, attempt: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    checkOpen(world.signal);
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof DormouseError) || error.kind !== "unavailable") throw error;
      await backOff(world, failures);
    }
  }
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
export async function write(world: World, name: string, bytes: Uint8Array, condition: PutCondition): Promise<Written> {
  for (let failures = 0; ; failures += 1) {
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
      case "unknown":
        await backOff(world, failures);
    }
  }
}

async function backOff(world: Omit<World, "store">, failures: number): Promise<void> {
  const ceilingMs = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(failures, 16));
  const [a = 0, b = 0] = world.entropy.bytes(2);
  await pause(world, Math.ceil((ceilingMs * (a * 256 + b + 1)) / 65_536));
}

function checkOpen(signal: AbortSignal): void {
  if (signal.aborted) throw new DormouseError("closed", "host.closed", "the host has ended; start another");
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
