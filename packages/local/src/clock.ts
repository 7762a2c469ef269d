/** Real time and real randomness. */
import { randomBytes } from "node:crypto";
import type { Clock, Entropy } from "@dormouse/core/ports";

/** The longest delay that `setTimeout` keeps; a longer one would fire at once. */
const timeoutMsMax = 2_147_483_647;

/** The platform's clocks and timers. Timers never keep the process alive. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(delayMs, callback) {
    const dueMs = performance.now() + delayMs;
    let timer: NodeJS.Timeout;
    arm();
    return () => clearTimeout(timer);

    function arm(): void {
      const restMs = Math.max(0, dueMs - performance.now());
      timer = setTimeout(fire, Math.ceil(Math.min(restMs, timeoutMsMax)));
      timer.unref();
    }
    // A timer may fire up to a millisecond early, measured by the monotonic clock; a caller that compares would be misled.
    function fire(): void {
      if (performance.now() < dueMs) arm();
      else callback();
    }
  },
  turn(callback) {
    if (turns.length === 0) setImmediate(runTurns);
    turns.push(callback);
  },
};

/** What waits for the next tick. */
let turns: (() => void)[] = [];

/**
 * All of a tick in one go. An immediate each would let promises run between them, and a connection sends what it was
 * given when they do: dozens of small writes in place of one.
 */
function runTurns(): void {
  const due = turns;
  turns = [];
  for (const callback of due) {
    try {
      callback();
    } catch (error) {
      // As fatal as in an immediate of its own, and no other's concern.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** Unguessable bytes from the operating system. */
export const realEntropy: Entropy = {
  bytes: (byteCount) => Uint8Array.from(randomBytes(byteCount)),
};
