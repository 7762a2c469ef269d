/**
 * Seeds that once found a bug: clean today, and kept.
 *
 * Method: each run again among the workloads that there were then, since another one to draw from makes another run of a
 * seed. By hand: `npm run sim -- --among counter,bank,family,worker,alarm,desk --seed 29`.
 */
import { drawWorkloads, simulate, workloads } from "@dormouse/testing";
import { expect, test } from "vitest";
import { stepAgainOf } from "./step-again.ts";

const known = ["counter", "bank", "family", "worker", "alarm", "desk"];
const minuteMs = 60_000;

const seeds = [
  // Counters, a bank, families and desks; drains, second hosts, full streams, late effects: every answer and book holds.
  29,
  // Desks alone; second hosts beside hosts that die at their commits, full streams: each ask is answered once.
  272,
  // A bank, alarms and desks; lost answers, cuts, appends that overtake others: the sum stays, alarms ring once.
  1263,
  // Workers and alarms under load; four second hosts, lost tails, an outage: each job ends once, with a receipt of its own.
  1581,
  // Workers; crashes, second hosts, conflicts, repeated pushes: no effect runs again whose result is recorded.
  10_119,
];

test(
  "the head of an agent that is removed and begins again tells no step twice (guests, seed 19)",
  { timeout: minuteMs },
  async () => {
    const { violations } = await simulate({
      seed: 19,
      workloads: (random) => workloads.filter(({ name }) => name === "guest").map((make) => make(random)),
      traceLinesMax: 0,
      stepAgain: stepAgainOf,
    });
    expect(violations.map(({ invariant, message }) => `${invariant}: ${message}`)).toEqual([]);
  },
);

test(
  "a partition that is given up while what its dead owners left is taken up one by one holds up no other (seed 900022)",
  { timeout: minuteMs },
  async () => {
    const among = [...known, "guest", "scribe"];
    const { violations } = await simulate({
      seed: 900_022,
      workloads: (random) =>
        drawWorkloads(
          random,
          workloads.filter(({ name }) => among.includes(name)),
        ),
      traceLinesMax: 0,
      stepAgain: stepAgainOf,
    });
    expect(violations.map(({ invariant, message }) => `${invariant}: ${message}`)).toEqual([]);
  },
);

test.for(seeds)("nothing is broken in seed %i, which once found a bug", { timeout: minuteMs }, async (seed) => {
  const { violations } = await simulate({
    seed,
    workloads: (random) =>
      drawWorkloads(
        random,
        workloads.filter(({ name }) => known.includes(name)),
      ),
    traceLinesMax: 0,
    stepAgain: stepAgainOf,
  });
  expect(violations.map(({ invariant, message }) => `${invariant}: ${message}`)).toEqual([]);
});
