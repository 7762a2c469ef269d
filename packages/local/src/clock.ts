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
  turn: (callback) => void setImmediate(callback),
};

/** Unguessable bytes from the operating system. */
export const realEntropy: Entropy = {
  bytes: (byteCount) => Uint8Array.from(randomBytes(byteCount)),
};
