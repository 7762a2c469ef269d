/** Readiness is told once, also to who waited for other hosts, and not any more when the host has ended. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { whenReady } from "./when-ready.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test.for([
  { what: "at once", readyAfterMs: 0, endsAfterMs: Infinity, told: 1 },
  { what: "when other hosts have handed over", readyAfterMs: 3_000, endsAfterMs: Infinity, told: 1 },
  { what: "never to one that ended before", readyAfterMs: 3_000, endsAfterMs: 2_000, told: 0 },
])("a host is told to be ready $what", ({ readyAfterMs, endsAfterMs, told }) => {
  const begunAt = Date.now();
  const ready = vi.fn<() => void>();
  const stop = whenReady(() => ({ isReady: Date.now() - begunAt >= readyAfterMs }), ready);
  vi.advanceTimersByTime(Math.min(endsAfterMs, 2_500));
  if (endsAfterMs < Infinity) stop();
  vi.advanceTimersByTime(60_000);
  expect(ready).toHaveBeenCalledTimes(told);
  expect(vi.getTimerCount()).toBe(0);
});
