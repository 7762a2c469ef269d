/**
 * One party's clock in a simulated world.
 *
 * Owns: how far its wall clock is off, and how fast its time runs.
 * Leaves to others: virtual time itself, and when a due timer runs (`scheduler.ts`).
 *
 * K1  A timer never runs before its delay has passed on this clock.
 * K2  Timers of one delay run in the order in which they were set, as on every platform; others, when due at one time,
 *     run in any order that the seed picks.
 * K3  A turn runs after all of its party that is ready at the time it was asked for.
 */
import type { Cancel, Clock } from "@dormouse/core/ports";

/** What a clock asks of the scheduler. */
export interface Timeline {
  /** Virtual milliseconds since the run's start. */
  now(): number;
  add(event: {
    readonly party: string;
    readonly label: string;
    readonly delayMs: number;
    readonly lane?: string;
    readonly rank?: "turn";
    readonly run: () => void;
  }): Cancel;
}

export class SimulatedClock implements Clock {
  readonly #timeline: Timeline;
  readonly #party: string;
  #wallOffsetMs: number;
  /** The largest it ever was. */
  #wallOffsetMsMost: number;
  #rate = 1;
  /** Where this clock stood when its rate last changed: virtual time, and its own. */
  #since = { virtualMs: 0, ownMs: 0 };

  constructor(timeline: Timeline, party: string, wallStartMs: number) {
    this.#timeline = timeline;
    this.#party = party;
    this.#wallOffsetMs = wallStartMs;
    this.#wallOffsetMsMost = wallStartMs;
  }

  now(): number {
    return Math.floor(this.monotonic() + this.#wallOffsetMs);
  }

  monotonic(): number {
    return this.#since.ownMs + (this.#timeline.now() - this.#since.virtualMs) * this.#rate;
  }

  schedule(delayMs: number, callback: () => void): Cancel {
    // As on every platform, 0 is 1: else two timers could hand the same millisecond to each other for ever.
    const ownMs = Math.max(1, Math.ceil(delayMs));
    return this.#timeline.add({
      party: this.#party,
      label: `timer ${ownMs}ms`,
      delayMs: Math.ceil(ownMs / this.#rate),
      lane: `${this.#party} timer ${ownMs}`,
      run: callback,
    });
  }

  turn(callback: () => void): void {
    this.#timeline.add({ party: this.#party, label: "turn", delayMs: 0, rank: "turn", run: callback });
  }

  /** Moves the wall clock by `ms`, forwards or backwards; monotonic time and timers do not notice. */
  step(ms: number): void {
    this.#wallOffsetMs += ms;
    this.#wallOffsetMsMost = Math.max(this.#wallOffsetMsMost, this.#wallOffsetMs);
  }

  /** What it would say had it never been set back. */
  foremost(): number {
    return Math.floor(this.monotonic() + this.#wallOffsetMsMost);
  }

  /** From now on this clock, wall and monotonic, runs at `rate` times virtual time. Timers already set stay as they are. */
  drift(rate: number): void {
    this.#since = { virtualMs: this.#timeline.now(), ownMs: this.monotonic() };
    this.#rate = rate;
  }
}
