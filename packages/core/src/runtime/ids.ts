/** ULIDs from the ports' time and randomness: for messages, incarnations, stints. */
import { monotonicFactory } from "ulid";
import type { Clock, Entropy } from "../ports/index.ts";

/** Each id is above the one before, also within a millisecond and when the wall clock goes back. */
export function makeIds({ clock, entropy }: { readonly clock: Clock; readonly entropy: Entropy }): () => string {
  const random = (): number => {
    const [a = 0, b = 0, c = 0, d = 0] = entropy.bytes(4);
    return (a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d) / 2 ** 32;
  };
  const next = monotonicFactory(random);
  return () => next(clock.now());
}
