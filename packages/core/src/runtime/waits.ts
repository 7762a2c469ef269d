/** What an agent has under way and waits for, as whoever looks from outside is told: from its committed state alone. */
import { type Address, parseAddress } from "../agent/address.ts";
import { DormouseError, type ErrorData } from "../agent/errors.ts";
import { tokenOf } from "../step/durable.ts";
import { decode, describe, type Description } from "../step/engine.ts";
import { newerState, type Registry } from "../step/registry.ts";
import type { AgentState, CallKind, DurableState, Effect, OpenCall } from "../step/state.ts";

/** One wait that someone outside may end. */
export interface WaitView {
  readonly agent: Address;
  /** What `respond(name, value)` takes: a `receive`'s name, or the type of an event. */
  readonly name: string;
  /** The durable function that waits, as its machine calls it (`run` of an agent that is one); `undefined`: the machine does. */
  readonly function: string | undefined;
  /** Milliseconds since 1970; of a machine, of its last step. */
  readonly since: number;
  /** When the wait ends by itself, in milliseconds since 1970. */
  readonly due: number | undefined;
  readonly question: string | undefined;
  /** JSON Schema of the value, where the schema can tell it. */
  readonly schema: unknown;
  /** Names this wait alone, for `client.respond`: whoever has it may answer. */
  readonly token: string | undefined;
}

/** An effect under way. */
export interface EffectView {
  readonly address: string;
  readonly src: string;
  readonly input: unknown;
  /** From 1 on; of a durable function, each run over its checkpoints is one. */
  readonly attempt: number;
  /** When it is ended at the latest, in milliseconds since 1970, where its agent was cancelled. */
  readonly cancelled: number | undefined;
  /** Of a durable function. */
  readonly durable: DurableView | undefined;
}

export interface DurableView {
  /** Milliseconds since 1970: when it began, or began anew by `restart`. */
  readonly since: number;
  /** `parked`: it waits, in no host's memory. `stuck`: its code no longer fits its record, and someone must mend it. */
  readonly status: "running" | "parked" | "stuck";
  /** Why it is stuck. */
  readonly error: ErrorData | undefined;
  /** Calls whose results are recorded. */
  readonly checkpointCount: number;
  /** Calls that wait; a `run` only between two attempts. */
  readonly open: readonly OpenCallView[];
}

export interface OpenCallView {
  /** The how-many-th call of the function it is; 0: the function itself, between two attempts. */
  readonly place: number;
  readonly kind: Exclude<CallKind, "send">;
  readonly name: string;
  /** Milliseconds since 1970, as `due`. */
  readonly since: number;
  readonly due: number | undefined;
  /** Attempts that failed, and the last one's error. */
  readonly attempts: number;
  readonly error: ErrorData | undefined;
  /** The agent that was asked, or spawned. */
  readonly to: string | undefined;
  readonly question: string | undefined;
}

/** A machine in a state of this tag waits for someone outside. */
const waitingTag = "waiting";

/** @param description - Of the machine's state; `undefined` where this host cannot tell: then only functions' waits are. */
export function waitsOf(agent: Address, state: AgentState, description: Description | undefined): readonly WaitView[] {
  if (state.status !== "active") return [];
  return [
    ...functionWaits(agent, state),
    ...(description === undefined ? [] : machineWaits(agent, state, description)),
  ];
}

function functionWaits(agent: Address, { effects }: AgentState): readonly WaitView[] {
  return Object.values(effects).flatMap(({ src, durable }) =>
    durable === undefined
      ? []
      : receives(durable).map(([place, call]) => functionWait(agent, src, durable, place, call)),
  );
}

type Receive = Extract<OpenCall, { kind: "receive" }>;

function receives({ open }: DurableState): readonly (readonly [place: number, call: Receive])[] {
  return Object.entries(open).flatMap(([place, call]) => (call.kind === "receive" ? [[Number(place), call]] : []));
}

function functionWait(agent: Address, src: string, { key }: DurableState, place: number, call: Receive): WaitView {
  const { name, since, due, question, schema } = call;
  return { agent, name, function: src, since, due, question, schema, token: tokenOf(agent, key, place) };
}

/** What a machine that is described waits for: each event that it takes now. */
function machineWaits(agent: Address, { now }: AgentState, { tags, accepts }: Description): readonly WaitView[] {
  if (!tags.includes(waitingTag)) return [];
  const none = { function: undefined, due: undefined, question: undefined, schema: undefined, token: undefined };
  return accepts.map((name) => ({ agent, name, since: now, ...none }));
}

/** `undefined` where this host cannot tell: code of another release made the state, or of a type that it does not run. */
export function describeIfKnown(registry: Registry, agent: Address, state: AgentState): Description | undefined {
  const known = registry.find(parseAddress(agent).type, state.path);
  if (known === undefined || newerState(agent, state, known) !== undefined) return undefined;
  try {
    return describe(decode(known.machine, state.machine));
  } catch (error) {
    // One agent that cannot be read does not keep the others' waits from being listed (D9).
    if (error instanceof DormouseError) return undefined;
    throw error;
  }
}

/** How many of its functions' waits someone outside may end. */
export function waitCount({ effects }: AgentState): number {
  return Object.values(effects).reduce((count, { durable }) => count + (durable ? receives(durable).length : 0), 0);
}

/** Why a function of the agent goes no further, if one does not. */
export function stuckError({ effects }: AgentState): ErrorData | undefined {
  return Object.values(effects).find(({ durable }) => durable?.rest === "stuck")?.durable?.error;
}

export function effectViews({ effects }: AgentState): readonly EffectView[] {
  return Object.entries(effects).map(([address, { src, input, attempt, cancelled, durable }]: [string, Effect]) => {
    const view = durable === undefined ? undefined : durableView(durable);
    return { address, src, input, attempt, cancelled, durable: view };
  });
}

function durableView({ since, rest, error, checkpoints, open }: DurableState): DurableView {
  const calls = Object.entries(open).map(([place, call]) => openCallView(Number(place), call));
  return { since, status: rest ?? "running", error, checkpointCount: checkpoints.length, open: calls };
}

function openCallView(place: number, call: OpenCall): OpenCallView {
  const { kind, name, since } = call;
  return {
    place,
    kind,
    name,
    since,
    due: call.due,
    attempts: call.kind === "run" ? call.attempts : 0,
    error: call.kind === "run" ? call.error : undefined,
    to: otherAgent(call),
    question: call.kind === "receive" ? call.question : undefined,
  };
}

/** The agent that a call waits for. */
export function otherAgent(call: OpenCall | undefined): string | undefined {
  if (call?.kind === "ask") return call.to;
  return call?.kind === "spawn" ? call.child : undefined;
}
