/**
 * Simulates seed after seed from 0, or run after run of a scenario, up to the first that breaks something: for `net.ts`, in a
 * tree with a bug in it.
 *
 * One line of JSON per seed: `undefined` of a clean one, else what was broken. A run that throws breaks `thrown`.
 */
import { drawWorkloads, type Run, simulate, SimulationError, workloads } from "@dormouse/testing";
import type { Finding } from "./bugs.ts";
import { chances, lateMessages, lateOwners, mishapsOf, play, scenarios } from "./scenarios.ts";
import { stepAgainOf } from "./step-again.ts";

const seeds = Number(process.argv[2]);
const named = process.argv[3]?.split(",") ?? [];
const some = workloads.filter(({ name }) => named.includes(name));
const among = some.length === 0 ? workloads : some;

const known = [...scenarios, ...lateMessages, ...lateOwners, ...chances];
const scenario = known.find(({ name }) => name === process.argv[4]);
const mishaps = scenario === undefined ? [] : mishapsOf(scenario, await play(scenario));

function run(seed: number): Promise<Run> {
  if (scenario !== undefined) return play(scenario, seed === 0 ? {} : mishaps[seed - 1]);
  return simulate({
    seed,
    workloads: (random) => drawWorkloads(random, among),
    traceLinesMax: 0,
    stepAgain: stepAgainOf,
  });
}

async function findingOf(seed: number): Promise<Finding | undefined> {
  try {
    const { violations } = await run(seed);
    const [first] = violations;
    if (first === undefined) return undefined;
    return { seed, invariants: [...new Set(violations.map(({ invariant }) => invariant))], message: first.message };
  } catch (error) {
    // A machine that is busy with other things says nothing of the bug.
    if (error instanceof SimulationError && error.reason === "too-long") return undefined;
    return { seed, invariants: ["thrown"], message: error instanceof Error ? error.message : String(error) };
  }
}

for (let seed = 0; seed < seeds; seed += 1) {
  const finding = await findingOf(seed);
  console.log(JSON.stringify({ seed, finding }));
  if (finding !== undefined) break;
}
