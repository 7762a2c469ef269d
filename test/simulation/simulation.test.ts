/**
 * The whole system under faults, seed after seed.
 *
 * Method: `simulate` runs hosts, clients and their world under one seeded scheduler, with checkers outside. A fixed set of
 * seeds, the same on every machine, and one fresh seed per run, which is printed. Longer runs: `npm run sim -- --seeds 1000`.
 */
import { type Run, simulate } from "@dormouse/testing";
import { expect, test } from "vitest";
import { stepAgainOf } from "./step-again.ts";

const fixedSeeds = 30;
const minuteMs = 60_000;

function run(seed: number): Promise<Run> {
  return simulate({ seed, traceLinesMax: 0, stepAgain: stepAgainOf });
}

/** What a reader of a failure needs: the seed, what is broken, and how to see its trace. */
function violationsOf({ seed, violations }: Run): readonly string[] {
  return violations.map(({ invariant, message }) => `npm run sim -- --seed ${seed}: ${invariant}: ${message}`);
}

test("nothing is broken in the fixed seeds, and every fault happens in them", { timeout: 4 * minuteMs }, async () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < fixedSeeds; seed += 1) {
    const ran = await run(seed);
    expect(violationsOf(ran)).toEqual([]);
    for (const [fault, count] of Object.entries(ran.coverage)) counts.set(fault, (counts.get(fault) ?? 0) + count);
  }
  const missing = [...counts].filter(([, count]) => count === 0).map(([fault]) => fault);
  expect(missing).toEqual([]);
});

test("nothing is broken in a seed that nobody has run before", { timeout: 4 * minuteMs }, async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`a fresh seed: npm run sim -- --seed ${seed}`);
  expect(violationsOf(await run(seed))).toEqual([]);
});
