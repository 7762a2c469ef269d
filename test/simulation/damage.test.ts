/**
 * Objects of agents that are damaged under living hosts stop those agents, and nothing else (D9).
 *
 * Method: seeds with no faults but damage and crashes; an operator puts each object back a while later, and takes back
 * who was set aside. Every checker looks, and none may be set aside of whom nothing was damaged.
 */
import { simulate } from "@dormouse/testing";
import { expect, test } from "vitest";
import { stepAgainOf } from "./step-again.ts";

const seeds = 8;
const minuteMs = 60_000;

test("an object that is damaged stops its agent alone, until it is put back", { timeout: 2 * minuteMs }, async () => {
  const broken: string[] = [];
  const counts = new Map<string, number>();
  for (let seed = 0; seed < seeds; seed += 1) {
    const { violations, coverage } = await simulate({
      seed: `damage-${seed}`,
      durationMs: 15_000,
      damagesPerMinute: 60,
      faults: { spellsPerMinute: { crash: 4 } },
      worldSpellsPerMinute: {},
      traceLinesMax: 0,
      stepAgain: stepAgainOf,
    });
    broken.push(...violations.map(({ invariant, message }) => `seed damage-${seed}: ${invariant}: ${message}`));
    for (const [fault, count] of Object.entries(coverage)) counts.set(fault, (counts.get(fault) ?? 0) + count);
  }
  expect(broken).toEqual([]);
  const kinds = ["object-flipped", "object-truncated", "damage-found"];
  expect(kinds.filter((fault) => (counts.get(fault) ?? 0) === 0)).toEqual([]);
});
