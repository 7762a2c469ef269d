/**
 * Time that stands still until it is moved, for a world that lives in one process and its event loop.
 *
 * Owns: virtual time, the timers set on it, how many turns are still to come.
 * Leaves to others: when time moves (`test-runtime.ts`).
 *
 * V1  Timers run when time has been moved to them, by due time and then in the order in which they were set. One that is
 *     due at once runs in the next turn: time need not move for it.
 * V2  Between two turns of the event loop every promise chain goes as far as it can without a turn, a timer or the real
 *     world. So when a turn has passed and none is to come, only those can set anything in motion.
 * V3  Of a life that has ended nothing runs again.
 */
import type { Cancel, Clock } from "@dormouse/core/ports";

/** Taken before a user's test can put fake timers in its place. */
const { setImmediate } = globalThis;

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

export class StandingClock {
  readonly #startMs: number;
  readonly #timers = new Set<Timer>();
  readonly #stirred = new Set<() => void>();
  #nowMs = 0;
  #turnsToCome = 0;

  /** @param startMs - Wall time at the start, in milliseconds since 1970. */
  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  /** Virtual milliseconds since the start. */
  get elapsedMs(): number {
    return this.#nowMs;
  }

  /** Whether no turn is to come (V2). */
  get isStill(): boolean {
    return this.#turnsToCome === 0;
  }

  /** When the next timer is due, on the scale of `elapsedMs`. */
  nextDueMs(): number | undefined {
    let least: number | undefined;
    for (const { dueMs } of this.#timers) if (least === undefined || dueMs < least) least = dueMs;
    return least;
  }

  /** Moves time, never backwards; what is due by then runs in the next turns. */
  moveTo(elapsedMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, elapsedMs);
    const due = [...this.#timers].filter(({ dueMs }) => dueMs <= this.#nowMs);
    // A stable sort: a Set keeps the order in which they were set.
    for (const timer of due.toSorted((left, right) => left.dueMs - right.dueMs)) this.#turn(() => this.#fire(timer));
  }

  /** Calls `stirred` once, when a turn is asked for; returns how to forget that. */
  onStir(stirred: () => void): Cancel {
    this.#stirred.add(stirred);
    return () => void this.#stirred.delete(stirred);
  }

  /** This time, as one party sees it until `end` is called (V3). */
  life(): Clock & { end(): void } {
    let isEnded = false;
    const unlessEnded = (run: () => void) => (): void => {
      if (!isEnded) run();
    };
    return {
      now: () => Math.floor(this.#startMs + this.#nowMs),
      monotonic: () => this.#nowMs,
      schedule: (delayMs, callback) => this.#schedule(delayMs, unlessEnded(callback)),
      turn: (callback) => this.#turn(unlessEnded(callback)),
      end: () => {
        isEnded = true;
      },
    };
  }

  #schedule(delayMs: number, run: () => void): Cancel {
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, delayMs), run };
    this.#timers.add(timer);
    if (timer.dueMs <= this.#nowMs) this.#turn(() => this.#fire(timer));
    return () => void this.#timers.delete(timer);
  }

  /** Runs a timer, unless it was cancelled or has run. */
  #fire(timer: Timer): void {
    if (this.#timers.delete(timer)) timer.run();
  }

  #turn(run: () => void): void {
    this.#turnsToCome += 1;
    setImmediate(() => {
      this.#turnsToCome -= 1;
      run();
    });
    const stirred = [...this.#stirred];
    this.#stirred.clear();
    for (const tell of stirred) tell();
  }
}

/** Resolves after one turn of the event loop. */
export function oneTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
