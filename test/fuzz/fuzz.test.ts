/**
 * Goal: no bytes from outside harm who decodes them, and the engine does what XState does.
 *
 * Method: seeds of `decoders.ts` and `engine.ts`: a fixed set, the same on every machine, and fresh ones, whose first is
 * printed. Longer runs: `npm run fuzz -- --seeds 1000`.
 */
import { expect, test } from "vitest";
import type { Finding } from "./finding.ts";
import { watch } from "./watch.ts";

const minuteMs = 60_000;

function told(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ seed, fuzz, what }) => `npm run fuzz -- --seed ${seed} --only ${fuzz}: ${what}`);
}

test.for(["decoders", "engine"] as const)(
  "nothing is found by the fixed seeds of %s, and what they draw is not all refused",
  { timeout: 4 * minuteMs },
  async (only) => {
    const { findings, outcomes } = await watch({ from: 0, count: only === "engine" ? 100 : 12, only });
    expect(told(findings)).toEqual([]);
    const wanted = { decoders: ["decoders: a value", "decoders: refused"], engine: ["engine: held", "engine: done"] };
    expect(Object.keys(outcomes)).toEqual(expect.arrayContaining(wanted[only]));
  },
);

test("nothing is found by seeds that nobody has run before", { timeout: 4 * minuteMs }, async () => {
  const from = Math.floor(Math.random() * 2 ** 31);
  console.log(`fresh seeds: npm run fuzz -- --seeds 5 --from ${from}`);
  expect(told((await watch({ from, count: 5 })).findings)).toEqual([]);
});
