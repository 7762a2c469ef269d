/**
 * Crash at every point: short scenarios, with the death of a host at each point of each call, one run each.
 *
 * Method: a scenario is run once to count its crash points (before each call of a port, after its effect, after its answer;
 * before and after what is published or brought), then once for each of them. Another host, or the next process, takes over;
 * every checker looks at every run. Of late owners a host stops past every time-out, or is cut off from its streams, at each
 * of its calls of the store; scenarios of chance are played with other chances.
 */
import type { Run } from "@dormouse/testing";
import { afterAll, expect, test } from "vitest";
import { chances, lateMessages, lateOwners, mishapsOf, play, type Scenario, scenarios } from "./scenarios.ts";

const minuteMs = 60_000;
/** By port, method and point: how many hosts died there. */
const deaths = new Map<string, number>();
let runs = 0;

function violationsOf({ violations }: Run, number: number): readonly string[] {
  return violations.map(({ invariant, message }) => `mishap ${number}: ${invariant}: ${message}`);
}

/** What is broken in a scenario, whole or with any one mishap. */
async function brokenIn(scenario: Scenario): Promise<readonly string[]> {
  const whole = await play(scenario);
  const broken = whole.violations.map(({ invariant, message }) => `whole: ${invariant}: ${message}`);
  const mishaps = mishapsOf(scenario, whole);
  for (const [number, mishap] of mishaps.entries()) {
    const run = await play(scenario, mishap);
    broken.push(...violationsOf(run, number));
    for (const [point, count] of Object.entries(run.crashes)) deaths.set(point, (deaths.get(point) ?? 0) + count);
  }
  runs += mishaps.length;
  return broken;
}

const mortal = [...scenarios, ...lateMessages];

test.for(mortal)("$name survives the death of a host at any point", { timeout: 2 * minuteMs }, async (scenario) => {
  expect(await brokenIn(scenario)).toEqual([]);
});

test.for(lateOwners)("$name loses and doubles nothing", { timeout: 4 * minuteMs }, async (scenario) => {
  expect(await brokenIn(scenario)).toEqual([]);
});

test.for(chances)("$name: nothing is lost and nothing doubled", { timeout: 2 * minuteMs }, async (scenario) => {
  expect(await brokenIn(scenario)).toEqual([]);
});

test("hosts died before each method of each port, after its effect and after its answer", () => {
  expect(runs).toBeGreaterThan(1_000);
  expect([...deaths].filter(([, count]) => count === 0).map(([point]) => point)).toEqual([]);
});

afterAll(() => {
  const count = mortal.length + lateOwners.length + chances.length;
  console.log(`${runs} runs of ${count} scenarios, ${deaths.size} of kinds of their own`);
});
