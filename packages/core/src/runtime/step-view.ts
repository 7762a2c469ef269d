/** A step of an agent's past as a client gets it: what it took and what came of it, also of durable functions' calls. */
import type { ErrorData } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import type { HistoryStep } from "../format/head.ts";
import type { CallNote, Cause } from "../format/record.ts";
import type { AgentState, CallKind, Checkpoint, DurableState, Effect, EffectResult, OpenCall } from "../step/state.ts";
import type { PastStep } from "./history.ts";
import { otherAgent } from "./waits.ts";

/** A step of the past, as a client gets it. */
export interface StepView {
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** What it took: an event, its start, a timer, the result of an effect, news of a child, … */
  readonly cause: HistoryStep["cause"]["kind"];
  readonly event: EventData | undefined;
  /** The agent that sent it, if one did. */
  readonly from: string | undefined;
  readonly valueBefore: unknown;
  readonly value: unknown;
  readonly context: unknown;
  readonly error: ErrorData | undefined;
  /** Effects it began: actor and input. */
  readonly began: readonly EffectName[];
  /** Effects that it ended before they had a result: their state was left, or the agent ended. */
  readonly dropped: readonly EffectName[];
  /** The effect whose result, attempt or calls it took. */
  readonly effect: (EffectName & { readonly attempt: number }) | undefined;
  /** What became of calls of durable functions: first those that ended, in the order in which they were recorded. */
  readonly calls: readonly CallView[];
  readonly sent: HistoryStep["sent"];
  readonly emitted: readonly EventData[];
}

export interface EffectName {
  readonly address: string;
  readonly src: string;
  readonly input: unknown;
}

/** What became of one call of a durable function in one step. */
export interface CallView {
  /** The function's address, and its name in its machine. */
  readonly effect: string;
  readonly src: string;
  /** The how-many-th call of the function it is; 0: the function itself. */
  readonly place: number;
  readonly kind: CallKind | "function";
  readonly name: string;
  /**
   * `began`: it waits from now on. `ended`: its result is recorded. `failed`: an attempt failed, and is repeated. `refused`: a
   * value did not fit, and it waits on. Of functions: `stuck`, `resumed` and `restarted`.
   */
  readonly what: "began" | "ended" | "failed" | "refused" | "stuck" | "resumed" | "restarted";
  /** Milliseconds since 1970, as `due`: when it began; of a `run`, this attempt. */
  readonly startedAt?: number;
  /** When the wait ends by itself, or the next attempt is made. */
  readonly due?: number;
  /** Of a `run`, from 1 on. */
  readonly attempt?: number;
  readonly result?: EffectResult;
  /** Why it failed, refused or is stuck. */
  readonly error?: ErrorData;
  readonly input?: unknown;
  /** Tokens and cost, where the result has a field `usage`. */
  readonly usage?: unknown;
  /** The agent that was sent to, asked or spawned. */
  readonly to?: string;
  readonly question?: string;
}

export function viewStep({ step, before, after }: PastStep): StepView {
  const { seq, at, cause, error, sent, emitted } = step;
  const [effectsBefore, effects] = [before?.effects ?? {}, after?.effects ?? {}];
  const ended = cause.kind === "effect" ? cause.address : undefined;
  return {
    seq,
    at,
    cause: cause.kind,
    event: "event" in cause ? cause.event : undefined,
    from: cause.kind === "event" || cause.kind === "respond" ? cause.from : undefined,
    valueBefore: before?.machine.value,
    value: after?.machine.value,
    context: after?.machine.context,
    error,
    began: missing(effects, effectsBefore),
    dropped: missing(effectsBefore, effects).filter(({ address }) => address !== ended),
    effect: effectOf(cause, effectsBefore),
    calls: callViews(cause, effectsBefore, effects),
    sent,
    emitted,
  };
}

type Effects = AgentState["effects"];

/** Those of `these` that are not among `those`. */
function missing(these: Effects, those: Effects): readonly EffectName[] {
  const addresses = Object.keys(these).filter((address) => those[address] === undefined);
  return addresses.flatMap((address) => nameOf(address, these[address]) ?? []);
}

function nameOf(address: string, effect: Effect | undefined): EffectName | undefined {
  return effect === undefined ? undefined : { address, src: effect.src, input: effect.input };
}

function effectOf(cause: Cause, effects: Effects): StepView["effect"] {
  if (!("address" in cause)) return undefined;
  const effect = effects[cause.address];
  const name = nameOf(cause.address, effect);
  if (effect === undefined || name === undefined) return undefined;
  return { ...name, attempt: "attempt" in cause ? cause.attempt : effect.attempt };
}

// ------------------------------------------------------------------------------------------------- calls of durable functions

function callViews(cause: Cause, effectsBefore: Effects, effects: Effects): readonly CallView[] {
  return Object.entries(effects).flatMap(([address, { src, input, durable }]) => {
    const before = effectsBefore[address]?.durable;
    if (durable === undefined || before === undefined || durable === before) return [];
    const notes = cause.kind === "calls" && cause.address === address ? cause.calls : [];
    const views = durable.round === before.round ? changes(before, durable, notes, src) : [restarted(src, input)];
    return views.map((view) => ({ effect: address, src, ...view }));
  });
}

type Change = Omit<CallView, "effect" | "src">;

/** What the step changed of one function's record; the notes tell what is not in it. */
function changes(
  before: DurableState,
  after: DurableState,
  notes: readonly CallNote[],
  src: string,
): readonly Change[] {
  const ended = after.checkpoints.slice(before.checkpoints.length);
  return [
    ...ended.map((checkpoint) => endOf(checkpoint, before.open[checkpoint.place], notes)),
    ...Object.entries(after.open).flatMap(([place, call]) => {
      return call === before.open[place] ? [] : (waitOf(Number(place), call, before.open[place]) ?? []);
    }),
    ...notes.flatMap((note) => refusalOf(note, before) ?? []),
    ...ofFunction(before, after, src),
  ];
}

function endOf(
  { place, kind, name, at, result }: Checkpoint,
  open: OpenCall | undefined,
  notes: readonly CallNote[],
): Change {
  const note = notes.find((one) => one.place === place && (one.what === "ended" || one.what === "send"));
  const to = note?.to ?? otherAgent(open);
  return {
    place,
    kind,
    name,
    what: "ended",
    startedAt: note?.startedAt ?? open?.since ?? at,
    result,
    ...(note?.attempt === undefined ? {} : { attempt: note.attempt }),
    ...(note?.input === undefined ? {} : { input: note.input }),
    ...(note?.usage === undefined ? {} : { usage: note.usage }),
    ...(to === undefined ? {} : { to }),
  };
}

/** A call that waits from now on; `undefined` of one that did before, or whose next attempt may begin. */
function waitOf(place: number, call: OpenCall, before: OpenCall | undefined): Change | undefined {
  const { name, since: startedAt, due } = call;
  const to = otherAgent(call);
  if (call.kind === "run") {
    const { attempts: attempt, error } = call;
    if (due === undefined) return undefined;
    return { place, kind: place === 0 ? "function" : "run", name, what: "failed", startedAt, due, attempt, error };
  }
  if (before !== undefined) return undefined;
  return {
    place,
    kind: call.kind,
    name,
    what: "began",
    startedAt,
    ...(due === undefined ? {} : { due }),
    ...(to === undefined ? {} : { to }),
    ...(call.kind === "receive" && call.question !== undefined ? { question: call.question } : {}),
  };
}

function refusalOf({ what, place, error }: CallNote, { open }: DurableState): Change | undefined {
  const call = open[place ?? 0];
  if (what !== "refused" || place === undefined || call === undefined || error === undefined) return undefined;
  return { place, kind: call.kind, name: call.name, what, error };
}

function ofFunction(before: DurableState, after: DurableState, src: string): readonly Change[] {
  const [wasStuck, isStuck] = [before.rest === "stuck", after.rest === "stuck"];
  if (wasStuck === isStuck) return [];
  const { error } = after;
  const what = isStuck ? ("stuck" as const) : ("resumed" as const);
  return [{ place: 0, kind: "function", name: src, what, ...(error === undefined ? {} : { error }) }];
}

function restarted(src: string, input: unknown): Change {
  return { place: 0, kind: "function", name: src, what: "restarted", input };
}
