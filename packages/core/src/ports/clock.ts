/** Time, as core asks for it. Drivers: real (`@dormouse/local`), simulated (`@dormouse/testing`). */

export type Cancel = () => void;

export interface Clock {
  /** Wall time, in whole milliseconds since 1970. It may jump; nothing's safety rests on it. */
  now(): number;
  /** Milliseconds since some moment; never goes backwards, also when the wall clock does. */
  monotonic(): number;
  /**
   * Calls `callback` once, when `delayMs` have passed; never before this call has returned. A delay of any length is
   * kept (drivers split what their platform cannot hold). The call itself never keeps a process alive.
   */
  schedule(delayMs: number, callback: () => void): Cancel;
  /** Calls `callback` once, after all that is ready now has run: one turn of the event loop, a *tick*. */
  turn(callback: () => void): void;
}
