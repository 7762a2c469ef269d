/** The simulator's own promise: a seed is a run. Method: the same seed twice in one process, by the digest of all events. */
import { type Run, simulate } from "@dormouse/testing";
import { expect, test } from "vitest";

const seeds = 50;
const minuteMs = 60_000;

function run(seed: string): Promise<Run> {
  return simulate({ seed, durationMs: 5_000, traceLinesMax: 0 });
}

test("a seed run twice does the same twice", { timeout: 4 * minuteMs }, async () => {
  for (let index = 0; index < seeds; index += 1) {
    const seed = `twice-${index}`;
    const [first, second] = [await run(seed), await run(seed)];
    expect(second.digest, `seed ${seed}`).toBe(first.digest);
    expect(second.events, `seed ${seed}`).toBe(first.events);
  }
});
