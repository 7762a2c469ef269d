/** An agent's past, from head, chapters and what is committed since: read without running any of the agent's code. */
import type { Address } from "../agent/address.ts";
import { decodeChapter, type HistoryStep, type Run } from "../format/head.ts";
import { headKey } from "../format/keys.ts";
import { foldStep } from "../step/fold.ts";
import type { AgentState } from "../step/state.ts";
import { readHead } from "./activations.ts";
import type { World } from "./insist.ts";
import { read, readRun } from "./run.ts";

/** A step, and the agent's state around it. */
export interface PastStep {
  readonly step: HistoryStep;
  /** `undefined` before its first. */
  readonly before: AgentState | undefined;
  readonly after: AgentState | undefined;
}

/**
 * The agent's steps numbered `from` to `to`, the first `count` of them, in order; of its present life.
 *
 * @param newest - Committed steps that its head may not have.
 */
export async function readHistory(
  world: World,
  agent: Address,
  newest: readonly HistoryStep[],
  { from, to, count }: { readonly from: number; readonly to: number; readonly count: number },
): Promise<readonly PastStep[]> {
  const head = await readHead(world, agent);
  const runs = await runsFrom(world, agent, head?.kept, from);
  const past: PastStep[] = [];
  let state: AgentState | undefined;
  let seq = head?.seq ?? 0;
  const take = (step: HistoryStep): void => {
    const before = state;
    state = foldStep(state, step);
    seq = step.seq;
    if (step.seq >= from && step.seq <= to && past.length < count) past.push({ step, before, after: state });
  };
  for (const { name, run } of runs) {
    const { base, steps } = await readRun(world, run, name);
    state = base;
    for (const step of steps) take(step);
  }
  for (const step of newest) if (step.seq > seq || head?.kept === undefined) take(step);
  return past;
}

/** The runs that hold the steps from `from` on, oldest first, and the names of the objects that hold them. */
async function runsFrom(
  world: World,
  agent: Address,
  kept: { readonly run: Run; readonly chapter: { readonly name: string } | undefined } | undefined,
  from: number,
): Promise<readonly { readonly name: string; readonly run: Run }[]> {
  if (kept === undefined) return [];
  const runs = [{ name: headKey(agent), run: kept.run }];
  let previous = kept.chapter;
  while (previous !== undefined && (runs[0]?.run.base.seq ?? 0) >= from) {
    const chapter = decodeChapter(await read(world, previous.name), previous.name);
    runs.unshift({ name: previous.name, run: chapter.run });
    previous = chapter.previous;
  }
  return runs;
}
