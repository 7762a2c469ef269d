/** An agent's past, from head, chapters and what is committed since: read without running any of the agent's code. */
import type { Address } from "../agent/address.ts";
import { type Chapter, decodeChapter, type HistoryStep, type Run } from "../format/head.ts";
import { headKey } from "../format/keys.ts";
import { foldStep } from "../step/fold.ts";
import type { AgentState } from "../step/state.ts";
import { type Activation, readHead } from "./activations.ts";
import type { World } from "./insist.ts";
import { type Kept, read, readRun } from "./run.ts";

/** A step, and the agent's state around it. */
export interface PastStep {
  readonly step: HistoryStep;
  /** `undefined` before its first. */
  readonly before: AgentState | undefined;
  readonly after: AgentState | undefined;
}

/** What memory holds of an agent's past. */
export interface Remembered extends Pick<Activation, "settled" | "steps"> {
  readonly chapters: NonNullable<Activation["chapters"]>;
}

/**
 * The state after the last step of a part that was read from memory: who watches reads on from there, and need not have all
 * before it folded again at each step.
 */
const reached = new WeakMap<HistoryStep, AgentState | undefined>();

/** Tells the agent's steps numbered `from` to `to`, in order, of its present life, for as long as `tell` wants more. */
export async function readHistory(
  world: World,
  agent: Address,
  { settled, steps, chapters }: Remembered,
  { from, to }: { readonly from: number; readonly to: number },
  tell: (past: PastStep) => boolean,
): Promise<void> {
  let newest: PastStep | undefined;
  let state: AgentState | undefined;
  let seq = 0;
  /** Whether more is wanted. */
  const take = (step: HistoryStep): boolean => {
    const before = state;
    state = foldStep(state, step);
    seq = step.seq;
    // A run begins before what is asked for, and may end there.
    if (seq < from) return true;
    if (seq > to) return false;
    newest = { step, before, after: state };
    return tell(newest) && seq < to;
  };
  // Of a life that no head tells of yet, memory holds all.
  if (settled === undefined || from > settled.seq) {
    const known = steps.findLastIndex((step) => step.seq < from && reached.has(step));
    const last = steps[known];
    state = last === undefined ? settled : reached.get(last);
    steps.slice(known + 1).every(take);
    if (newest !== undefined && last !== undefined) reached.delete(last);
    if (newest !== undefined) reached.set(newest.step, newest.after);
    return;
  }
  const head = await readHead(world, agent);
  // Removed meanwhile.
  if (head?.kept === undefined) return;
  for await (const { name, run } of runsFrom(world, agent, head.kept, from, chapters)) {
    const { base, steps: settledSteps } = await readRun(world, run, name);
    state = base;
    // One run at a time: what comes later is not read for a part that ends before it.
    if (!settledSteps.every(take)) return;
  }
  steps.filter((step) => step.seq > seq).every(take);
  return;
}

/** The runs that hold the steps from `from` on, oldest first, and the names of the objects that hold them. */
async function* runsFrom(
  world: World,
  agent: Address,
  kept: Kept,
  from: number,
  chapters: Remembered["chapters"],
): AsyncGenerator<{ readonly name: string; readonly run: Run }> {
  const names: string[] = [];
  for (let chapter = kept.chapter; chapter !== undefined && chapter.to >= from;) {
    const { name } = chapter;
    names.unshift(name);
    // The chain leads backwards, and is never another: walked anew for each part of a history, it would be read again
    // and again.
    if (!chapters.has(name)) chapters.set(name, (await readChapter(world, name)).previous);
    chapter = chapters.get(name);
  }
  for (const name of names) yield { name, run: (await readChapter(world, name)).run };
  yield { name: headKey(agent), run: kept.run };
}

async function readChapter(world: World, name: string): Promise<Chapter> {
  return decodeChapter(await read(world, name), name);
}
