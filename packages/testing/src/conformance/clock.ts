/** What `Clock` promises, as cases for every driver. */
import assert from "node:assert/strict";
import type { Clock } from "@dormouse/core/ports";
import { makeCases, type ConformanceCase } from "./conformance-case.ts";

export interface OpenedClock {
  readonly clock: Clock;
  /** Lets at least this much of the clock's time pass: a real one waits, a simulated one is moved. */
  readonly advance: (ms: number) => Promise<void>;
  readonly close: () => Promise<void> | void;
}

/** More than `setTimeout` holds, which would fire it at once. */
const longMs = 2 ** 31 + 10;

/** The cases that every clock must pass. */
export function clockConformance(open: () => Promise<OpenedClock>): readonly ConformanceCase[] {
  return makeCases(open, {
    "now is whole milliseconds, and both clocks go on": async ({ clock, advance }) => {
      const before = { now: clock.now(), monotonic: clock.monotonic() };
      assert.ok(Number.isInteger(before.now));
      await advance(10);
      assert.ok(clock.monotonic() - before.monotonic >= 10);
      assert.ok(clock.now() > before.now);
    },

    "a callback is called once, when its time has come, and never before schedule has returned": async ({
      clock,
      advance,
    }) => {
      const startMs = clock.monotonic();
      const calls: number[] = [];
      clock.schedule(15, () => calls.push(clock.monotonic() - startMs));
      clock.schedule(0, () => calls.push(-1));
      assert.equal(calls.length, 0);
      await until(advance, () => calls.length === 2);
      assert.equal(calls[0], -1);
      assert.ok((calls[1] ?? 0) >= 15, `called after ${calls[1]} ms`);
      await advance(30);
      assert.equal(calls.length, 2);
    },

    "callbacks come in the order of their times": async ({ clock, advance }) => {
      const order: number[] = [];
      for (const delayMs of [60, 5, 30]) clock.schedule(delayMs, () => order.push(delayMs));
      await until(advance, () => order.length === 3);
      assert.deepEqual(order, [5, 30, 60]);
    },

    "a cancelled callback is not called, and cancelling late is no error": async ({ clock, advance }) => {
      let calls = 0;
      const cancel = clock.schedule(5, () => (calls += 100));
      const cancelLate = clock.schedule(1, () => (calls += 1));
      cancel();
      cancel();
      await until(advance, () => calls > 0);
      await advance(20);
      cancelLate();
      assert.equal(calls, 1);
    },

    "a delay longer than a platform's timer holds is kept": async ({ clock, advance }) => {
      let calls = 0;
      const cancel = clock.schedule(longMs, () => (calls += 1));
      await advance(20);
      assert.equal(calls, 0);
      cancel();
    },

    "a turn comes after all that is ready now": async ({ clock, advance }) => {
      const order: string[] = [];
      clock.turn(() => order.push("turn"));
      void Promise.resolve()
        .then(() => order.push("microtask"))
        .then(() => order.push("microtask of a microtask"));
      order.push("now");
      await until(advance, () => order.includes("turn"));
      assert.deepEqual(order, ["now", "microtask", "microtask of a microtask", "turn"]);
    },
  });
}

async function until(advance: (ms: number) => Promise<void>, condition: () => boolean): Promise<void> {
  while (!condition()) await advance(1);
}
