/**
 * The whole system under faults, seed after seed.
 *
 * Method: `simulate` runs hosts, clients and their world under one seeded scheduler, with checkers outside. A fixed set of
 * seeds, the same on every machine, and one fresh seed per run, which is printed. Longer runs: `npm run sim -- --seeds 1000`.
 */
import { type Run, simulate } from "@dormouse/testing";
import { expect, test } from "vitest";

const seedsPerTest = 20;
const fixedTests = 6;
const seedsTwice = 12;
const minuteMs = 60_000;

/** What a reader of a failure needs: the seed, what is broken, and how to see its trace. */
async function violationsOf(seed: number): Promise<readonly string[]> {
  const { violations } = await simulate({ seed, traceLinesMax: 0 });
  return violations.map(({ invariant, message }) => `npm run sim -- --seed ${seed}: ${invariant}: ${message}`);
}

test.for(Array.from({ length: fixedTests }, (_, index) => index * seedsPerTest))(
  "nothing is broken in seeds from %i on",
  { timeout: 4 * minuteMs },
  async (first) => {
    for (let seed = first; seed < first + seedsPerTest; seed += 1) expect(await violationsOf(seed)).toEqual([]);
  },
);

test("nothing is broken in a seed that nobody has run before", { timeout: 4 * minuteMs }, async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`a fresh seed: npm run sim -- --seed ${seed}`);
  expect(await violationsOf(seed)).toEqual([]);
});

test("a seed run twice does the same twice", { timeout: 4 * minuteMs }, async () => {
  for (let seed = 0; seed < seedsTwice; seed += 1) {
    const runs: Run[] = [];
    for (let time = 0; time < 2; time += 1) runs.push(await simulate({ seed: `twice-${seed}`, durationMs: 20_000 }));
    const [first, second] = runs;
    expect(second?.digest, `seed twice-${seed}`).toBe(first?.digest);
    expect(second?.events).toBe(first?.events);
  }
});

test("every fault happens in the fixed seeds", { timeout: 4 * minuteMs }, async () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < seedsPerTest; seed += 1) {
    const { coverage } = await simulate({ seed, traceLinesMax: 0, durationMs: 30_000 });
    for (const [fault, count] of Object.entries(coverage)) counts.set(fault, (counts.get(fault) ?? 0) + count);
  }
  expect([...counts].filter(([, count]) => count === 0).map(([fault]) => fault)).toEqual([]);
});
