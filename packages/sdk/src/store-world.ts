/** Calls to a store by a process that is no host: repeated for a while, then failed with what the store said. */
import { DormouseError } from "@dormouse/core";
import type { Clock, Entropy, ObjectStore } from "@dormouse/core/ports";
import { realClock, realEntropy } from "@dormouse/local";

/** A store with what it takes to insist on an answer. */
export interface StoreWorld {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly signal: AbortSignal;
  readonly patience: { ms: number };
}

/** How long a store may fail to answer, in milliseconds. */
const patienceMsDefault = 10_000;

/** The longest that `setInterval` keeps. */
const intervalMsMax = 2_147_483_647;

/** Uses a store with patience. Core tells a host's story when that is at its end; here the store's own is told. */
export async function withStore<T>(
  store: ObjectStore,
  use: (world: StoreWorld) => Promise<T>,
  patienceMs: number = patienceMsDefault,
): Promise<T> {
  const { signal } = new AbortController();
  // Between two tries nothing else may: a clock's timers do not, nor do a store's idle connections.
  const keepsProcess = setInterval(() => undefined, intervalMsMax);
  try {
    return await use({ store, clock: realClock, entropy: realEntropy, signal, patience: { ms: patienceMs } });
  } catch (error) {
    const isGivenUp = error instanceof DormouseError && error.code === "host.gave-up";
    throw isGivenUp && error.cause instanceof DormouseError ? error.cause : error;
  } finally {
    clearInterval(keepsProcess);
  }
}
