/**
 * Durable functions, as their agents' states know them: which calls have begun and ended. Pure, as all of a step.
 *
 * Owns: how a call's news, an event, a timer or an answer changes a function's record.
 * Leaves to others: running functions (`runtime/release/durable.ts`), the rest of the step (`step.ts`).
 *
 * F1  What a call came to is recorded once, at the end of `checkpoints`, and its open call goes with it (D7).
 * F2  A parked function whose call ended, or may go on, is parked no more and gets its next attempt: whatever its earlier
 *     runs still say is dropped by the number.
 * F3  A timer, an answer or an event for a call that is not open changes nothing: it was overtaken.
 */
import type { Address } from "../agent/address.ts";
import { DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import { dateMsMax } from "../agent/duration.ts";
import { checkpointsMax, keptEventsMax, openCallsMax } from "../agent/limits.ts";
import { makeToken } from "../agent/token.ts";
import type { EventData } from "../agent/way-out.ts";
import type { AskedBy, Body } from "../format/message.ts";
import { circleOf, waitingFor } from "./circle.ts";
import { sha256, toHex } from "./context.ts";
import { replyToCall } from "./replies.ts";
import { childAddress } from "./scope.ts";
import type {
  AgentState,
  CallKind,
  Checkpoint,
  DurableState,
  Effect,
  EffectResult,
  KeptEvent,
  OpenCall,
  Timer,
} from "./state.ts";

/** What a run of a durable function tells its agent: in one step, all of one tick. */
export type CallNews =
  /** A `run` came to its end. */
  | {
      readonly what: "ended";
      readonly place: number;
      readonly name: string;
      readonly result: EffectResult;
      readonly attempt: number;
      readonly startedAt: number;
      /** For people who read the history. */
      readonly input?: unknown;
      readonly usage?: unknown;
    }
  /** An attempt at a `run`, or, at place 0, at the function itself, failed and is repeated at `due`. */
  | {
      readonly what: "failed";
      readonly place: number;
      readonly name: string;
      readonly error: ErrorData;
      readonly attempt: number;
      readonly startedAt: number;
      readonly due: number;
    }
  | { readonly what: "sleep"; readonly place: number; readonly due: number }
  | {
      readonly what: "receive";
      readonly place: number;
      readonly name: string;
      readonly timeoutMs?: number;
      readonly question?: string;
      readonly schema?: unknown;
      readonly isChecked: boolean;
    }
  /** The value offered to a `receive` is taken, as its schema gives it, or refused. */
  | { readonly what: "taken"; readonly place: number; readonly id: string; readonly value: unknown }
  | { readonly what: "refused"; readonly place: number; readonly id: string; readonly error: ErrorData }
  | { readonly what: "send"; readonly place: number; readonly to: string; readonly event: EventData }
  | {
      readonly what: "ask";
      readonly place: number;
      readonly to: string;
      readonly event: EventData;
      readonly timeoutMs: number;
    }
  | { readonly what: "spawn"; readonly place: number; readonly type: string; readonly input: unknown }
  /** `isInside`: by the body of a marked call. */
  | { readonly what: "log"; readonly message: string; readonly fields?: unknown; readonly isInside?: boolean }
  /** Nothing is left to do but wait; `seen`: the checkpoints that the function has been given. */
  | { readonly what: "park"; readonly seen: number }
  | { readonly what: "stuck"; readonly error: ErrorData }
  | { readonly what: "restart"; readonly input: unknown };

/** A step's state in the making, and what it lets out. */
export interface Making {
  readonly agent: Address;
  readonly seq: number;
  readonly now: number;
  state: AgentState;
  send(to: string, body: Body, ask?: AskedBy): void;
  /** Answers the asks of one message. */
  answer(messageId: string, answer: EffectResult): void;
  emit(event: EventData): void;
}

/** @param birth - The agent's. */
export function beginDurable(birth: Uint8Array, address: string, now: number, round: number = 0): DurableState {
  const key = sha256(`${toHex(birth)} ${address} ${round}`).slice(0, 16);
  return { key, since: now, round, checkpoints: [], open: {}, logs: 0 };
}

/** What names one wait to whoever may end it: the agent, and what only its asker can know. */
export function tokenOf(agent: string, key: Uint8Array, place: number): string {
  return makeToken(secretOf(key, place), agent);
}

function secretOf(key: Uint8Array, place: number): string {
  return toHex(sha256(`${toHex(key)} ${place}`).subarray(0, 16));
}

/** Takes what a function's run tells, up to where it has said its last: the function rests, or has begun anew. */
export function takeNews(making: Making, address: string, news: readonly CallNews[]): void {
  const round = durableAt(making, address)?.round;
  for (const one of news) {
    const durable = durableAt(making, address);
    if (durable?.rest !== undefined || durable?.round !== round) return;
    takeOne(making, address, one);
  }
}

function takeOne(making: Making, address: string, news: CallNews): void {
  const { now } = making;
  switch (news.what) {
    case "ended":
      return end(making, address, news.place, "run", news.name, news.result);
    case "failed": {
      const { place, name, attempt, error, due, startedAt } = news;
      const again = { attempts: attempt, error, due: dueAfter(due, 0) };
      open(making, address, place, { kind: "run", name, since: startedAt, ...again });
      if (place === 0) rest(making, address, "parked");
      return;
    }
    case "sleep":
      open(making, address, news.place, { kind: "sleep", name: "sleep", since: now, due: news.due });
      return;
    case "receive":
      return receive(making, address, news);
    case "taken":
    case "refused":
      return decide(making, address, news);
    case "send":
      making.send(news.to, { kind: "event", event: news.event });
      return end(making, address, news.place, "send", news.event.type, { ok: true, output: undefined });
    case "ask": {
      const { place, to, event, timeoutMs } = news;
      const replyTo = replyToCall(address, durableAt(making, address)?.round ?? 0, place, making.agent);
      const waiting = waitingFor(making.state.asks);
      const call: OpenCall = { kind: "ask", name: event.type, since: now, due: dueAfter(now, timeoutMs), to };
      if (!open(making, address, place, call)) return;
      const asked: AskedBy = { replyTo, patienceMs: timeoutMs, isRepeat: false };
      return making.send(to, { kind: "event", event }, waiting.length === 0 ? asked : { ...asked, waiting });
    }
    case "spawn": {
      const { place, type, input } = news;
      const child = childAddress(type, making.agent, making.seq, place);
      const id = `${address} ${place}`;
      const parent = { address: making.agent, id, isSnapshotSynced: false };
      if (!open(making, address, place, { kind: "spawn", name: type, since: now, child })) return;
      making.state = { ...making.state, children: { ...making.state.children, [child]: { id } } };
      return making.send(child, { kind: "start-child", input, parent, path: [] });
    }
    case "log": {
      const { message, fields } = news;
      if (news.isInside !== true) change(making, address, (durable) => ({ ...durable, logs: durable.logs + 1 }));
      return making.emit({ type: "dormouse.log", message, ...(fields === undefined ? {} : { fields }) });
    }
    case "park": {
      const durable = durableAt(making, address);
      const isOvertaken = durable?.checkpoints.length !== news.seen || isAnyReady(durable.open);
      return isOvertaken ? undefined : rest(making, address, "parked");
    }
    case "stuck":
      change(making, address, (durable) => ({ ...durable, rest: "stuck", error: news.error }));
      return;
    case "restart":
      return restart(making, address, news.input);
  }
}

/** Whether the function has something to do for one of them: an attempt that is due, a value to look at. */
function isAnyReady(calls: DurableState["open"]): boolean {
  return Object.entries(calls).some(([place, call]) => {
    if (call.kind === "receive") return call.offered !== undefined;
    // The attempt of place 0 is the function's run itself.
    return call.kind === "run" && call.due === undefined && place !== "0";
  });
}

// ------------------------------------------------------------------------------------------------------------ what ends a wait

/** A timer of a call is due. */
export function wakeCall(making: Making, { effect: address, place }: NonNullable<Timer["call"]>): void {
  const call = durableAt(making, address)?.open[place];
  switch (call?.kind) {
    case "run": {
      readyRun(making, address, place, call);
      return unpark(making, address);
    }
    case "sleep":
      return end(making, address, place, "sleep", call.name, { ok: true, output: undefined });
    case "receive": {
      const error = encodeError(receiveTimeout(making.agent, call.name, making.now - call.since));
      if (call.offered !== undefined) making.answer(call.offered.id, { ok: false, error });
      return end(making, address, place, "receive", call.name, { ok: false, error });
    }
    case "ask": {
      const error = encodeError(askTimeout(making, call));
      return end(making, address, place, "ask", call.name, { ok: false, error });
    }
    case "spawn":
    case undefined:
      return;
  }
}

/** News of the end of an agent that a function has spawned; the call that waited for it, `undefined` if none did. */
export function endSpawn(
  making: Making,
  { child, news }: Extract<Body, { kind: "child" }>,
): { readonly address: string; readonly place: number } | undefined {
  if (news.kind === "snapshot") return undefined;
  for (const [address, { durable }] of Object.entries(making.state.effects)) {
    for (const [place, call] of Object.entries(durable?.open ?? {})) {
      if (call.kind !== "spawn" || call.child !== child) continue;
      dropChild(making, child);
      const result: EffectResult =
        news.kind === "done" ? { ok: true, output: news.output } : { ok: false, error: encodeError(news.error) };
      end(making, address, Number(place), "spawn", call.name, result);
      return { address, place: Number(place) };
    }
  }
  return undefined;
}

/**
 * Tells all that is under way that it should end: signals are aborted, waits end with an error, and what has not ended by its
 * time is ended. Whether anything is.
 *
 * @param graceMs - How long the effect of an actor may go on.
 */
export function cancelAll(making: Making, graceMs: (src: string) => number): boolean {
  let isAny = false;
  for (const [address, effect] of Object.entries(making.state.effects)) {
    if (effect.cancelled !== undefined) continue;
    isAny = true;
    const cancelled = dueAfter(making.now, graceMs(effect.src));
    put(making, address, { ...effect, cancelled });
    arm(making, address, cancelPlace, cancelled);
    if (effect.durable !== undefined) cancelCalls(making, address, effect.durable);
  }
  return isAny;
}

/** The place of the timer that ends a cancelled effect. */
export const cancelPlace = -1;

export function cancelledError(agent: string): DormouseError {
  return new DormouseError("closed", "agent.cancelled", `someone cancelled this agent: agent=${agent}`);
}

function cancelCalls(making: Making, address: string, { open: calls, checkpoints }: DurableState): void {
  change(making, address, (durable) => ({ ...durable, cancelledAt: checkpoints.length }));
  const error = encodeError(cancelledError(making.agent));
  for (const [place, call] of Object.entries(calls)) {
    if (place === "0") {
      // Its next attempt is now.
      if (call.kind === "run") readyRun(making, address, 0, call);
      continue;
    }
    endCallee(making, call, error);
    end(making, address, Number(place), call.kind, call.name, { ok: false, error });
  }
  unpark(making, address);
}

/** Whoever works for an open call that is over hears of it. */
function endCallee(making: Making, call: OpenCall, error: ErrorData): void {
  if (call.kind === "receive" && call.offered !== undefined) making.answer(call.offered.id, { ok: false, error });
  if (call.kind !== "spawn") return;
  dropChild(making, call.child);
  making.send(call.child, { kind: "stop", parent: making.agent });
}

function dropChild(making: Making, child: string): void {
  const { [child]: _ended, ...children } = making.state.children;
  making.state = { ...making.state, children };
}

/**
 * Gives an event to the function that waits for it; whether one does, or keeps it.
 *
 * @param only - The effect it is for, if it is for one; else the first that waits.
 */
export function offerEvent(making: Making, { type: name, value }: EventData, id: string, only?: string): boolean {
  const event: KeptEvent = { name, value, id, at: making.now };
  for (const [address, { durable }] of Object.entries(making.state.effects)) {
    if (durable === undefined || (only !== undefined && only !== address)) continue;
    for (const [place, call] of Object.entries(durable.open)) {
      if (call.kind !== "receive" || call.name !== name || call.offered !== undefined) continue;
      give(making, address, Number(place), call, event);
      return true;
    }
  }
  return false;
}

/** Keeps an event for a `receive` to come. @throws DormouseError `conflict` (`receive.full`). */
export function keepEvent(making: Making, { type: name, value }: EventData, id: string): void {
  const kept = making.state.kept ?? [];
  if (kept.length >= keptEventsMax) {
    throw new DormouseError(
      "conflict",
      "receive.full",
      `the agent keeps as many events for its functions as it may; let them receive some first: agent=${making.agent} ` +
        `name=${name} count=${kept.length}`,
    );
  }
  making.state = { ...making.state, kept: [...kept, { name, value, id, at: making.now }] };
  making.answer(id, { ok: true, output: undefined });
}

/** Whether a durable function of the agent is under way, for whom events are kept. */
export function hasDurable(state: AgentState): boolean {
  return Object.values(state.effects).some(({ durable }) => durable !== undefined);
}

/** The message whose value is being looked at for the wait that a token names. */
export function offeredUnder({ effects }: AgentState, secret: string): string | undefined {
  for (const { durable } of Object.values(effects)) {
    for (const [place, call] of Object.entries(durable?.open ?? {})) {
      if (durable === undefined || call.kind !== "receive" || call.offered === undefined) continue;
      if (secretOf(durable.key, Number(place)) === secret) return call.offered.id;
    }
  }
  return undefined;
}

/** A value for the wait that a token names, of which none is being looked at. @throws DormouseError `conflict` (`token.unknown`). */
export function respond(making: Making, secret: string, value: unknown, id: string): void {
  for (const [address, { durable }] of Object.entries(making.state.effects)) {
    if (durable === undefined) continue;
    for (const [place, call] of Object.entries(durable.open)) {
      if (call.kind !== "receive" || secretOf(durable.key, Number(place)) !== secret) continue;
      give(making, address, Number(place), call, { name: call.name, value, id, at: making.now, isByToken: true });
      return;
    }
    // The second to respond is told what the first was.
    const ended = durable.checkpoints.find(
      ({ kind, place }) => kind === "receive" && secretOf(durable.key, place) === secret,
    );
    if (ended === undefined) continue;
    making.answer(id, ended.result.ok ? { ok: true, output: undefined } : ended.result);
    return;
  }
  throw tokenUnknown(making.agent, "the wait is over, or its function has ended");
}

export function tokenUnknown(agent: string, why: string): DormouseError {
  return new DormouseError("conflict", "token.unknown", `nothing waits under this token, ${why}: agent=${agent}`);
}

/** An answer to an ask of a function. */
export function takeAnswer(making: Making, body: Extract<Body, { kind: "answer" }>): void {
  const durable = durableAt(making, body.effect);
  const call = durable?.open[body.place];
  if (durable?.round !== body.round || call?.kind !== "ask") return;
  const { answer } = body;
  const result: EffectResult = answer.ok ? { ok: true, output: answer.value } : { ok: false, error: answer.error };
  end(making, body.effect, body.place, "ask", call.name, result);
}

/** A person has mended what a function was stuck on: it is run again. */
export function unstick(making: Making): boolean {
  let isAny = false;
  for (const [address, { durable }] of Object.entries(making.state.effects)) {
    if (durable?.rest !== "stuck") continue;
    isAny = true;
    const { error: _error, ...mended } = durable;
    change(making, address, () => ({ ...mended, rest: "parked" }));
    unpark(making, address);
  }
  return isAny;
}

/** Nothing of a function that is over stays: its timers go, and those who wait for its word are told. */
export function dropDurable(making: Making, address: string): void {
  const { [address]: effect, ...effects } = making.state.effects;
  if (effect === undefined) return;
  disarm(making, address, cancelPlace);
  const over = encodeError(tokenUnknown(making.agent, "its function has ended"));
  for (const [place, call] of Object.entries(effect.durable?.open ?? {})) {
    disarm(making, address, Number(place));
    endCallee(making, call, over);
  }
  making.state = { ...making.state, effects };
  if (making.state.kept === undefined || hasDurable(making.state)) return;
  const { kept: _kept, ...state } = making.state;
  making.state = state;
}

// ------------------------------------------------------------------------------------------------------------------ leaves

function durableAt({ state }: Making, address: string): DurableState | undefined {
  return state.effects[address]?.durable;
}

function change(making: Making, address: string, make: (durable: DurableState) => DurableState): void {
  const effect = making.state.effects[address];
  if (effect?.durable === undefined) return;
  put(making, address, { ...effect, durable: make(effect.durable) });
}

function put(making: Making, address: string, effect: Effect): void {
  making.state = { ...making.state, effects: { ...making.state.effects, [address]: effect } };
}

/** Whether it is open: beyond the bound the function is stuck. */
function open(making: Making, address: string, place: number, call: OpenCall): boolean {
  const known = durableAt(making, address)?.open ?? {};
  if (known[place] === undefined && Object.keys(known).length >= openCallsMax) {
    rest(making, address, "stuck", encodeError(tooMany("open calls", making.agent, openCallsMax)));
    return false;
  }
  change(making, address, (durable) => ({ ...durable, open: { ...durable.open, [place]: call } }));
  if (call.due === undefined) disarm(making, address, place);
  else arm(making, address, place, call.due);
  return true;
}

/** F1 */
function end(making: Making, address: string, place: number, kind: CallKind, name: string, result: EffectResult): void {
  const durable = durableAt(making, address);
  if (durable === undefined || durable.checkpoints.some((known) => known.place === place)) return;
  disarm(making, address, place);
  const { [place]: _ended, ...left } = durable.open;
  const checkpoint: Checkpoint = { place, kind, name, at: making.now, result };
  change(making, address, () => ({ ...durable, open: left, checkpoints: [...durable.checkpoints, checkpoint] }));
  if (durable.checkpoints.length >= checkpointsMax) {
    rest(making, address, "stuck", encodeError(tooMany("checkpoints", making.agent, checkpointsMax)));
  } else unpark(making, address);
}

/** The next attempt may begin. */
function readyRun(making: Making, address: string, place: number, call: Extract<OpenCall, { kind: "run" }>): void {
  const { due: _due, ...ready } = call;
  open(making, address, place, ready);
}

function receive(making: Making, address: string, news: Extract<CallNews, { what: "receive" }>): void {
  const { place, name, timeoutMs, question, schema, isChecked } = news;
  const call = {
    kind: "receive",
    name,
    since: making.now,
    isChecked,
    ...(timeoutMs === undefined ? {} : { due: dueAfter(making.now, timeoutMs) }),
    ...(question === undefined ? {} : { question }),
    ...(schema === undefined ? {} : { schema }),
  } as const;
  if (open(making, address, place, call)) nextKept(making, address, place, call);
}

/** Gives a wait the first event that was kept for its name. */
function nextKept(making: Making, address: string, place: number, call: Extract<OpenCall, { kind: "receive" }>): void {
  const kept = making.state.kept ?? [];
  const first = kept.find((event) => event.name === call.name);
  if (first === undefined) return;
  making.state = { ...making.state, kept: kept.filter((event) => event !== first) };
  give(making, address, place, call, first);
}

function give(
  making: Making,
  address: string,
  place: number,
  call: Extract<OpenCall, { kind: "receive" }>,
  event: KeptEvent,
): void {
  if (call.isChecked) {
    open(making, address, place, { ...call, offered: event });
    unpark(making, address);
    return;
  }
  making.answer(event.id, { ok: true, output: undefined });
  end(making, address, place, "receive", call.name, { ok: true, output: event.value });
}

function decide(making: Making, address: string, news: Extract<CallNews, { what: "taken" | "refused" }>): void {
  const call = durableAt(making, address)?.open[news.place];
  if (call?.kind !== "receive" || call.offered?.id !== news.id) return;
  if (news.what === "taken") {
    making.answer(news.id, { ok: true, output: undefined });
    end(making, address, news.place, "receive", call.name, { ok: true, output: news.value });
    return;
  }
  making.answer(news.id, { ok: false, error: news.error });
  const { offered: _offered, ...waiting } = call;
  open(making, address, news.place, waiting);
  nextKept(making, address, news.place, waiting);
}

function restart(making: Making, address: string, input: unknown): void {
  const effect = making.state.effects[address];
  if (effect?.durable === undefined) return;
  keepOffered(making, address);
  const over = encodeError(tokenUnknown(making.agent, "its function has begun anew"));
  for (const [place, call] of Object.entries(durableAt(making, address)?.open ?? {})) {
    disarm(making, address, Number(place));
    endCallee(making, call, over);
  }
  const durable = beginDurable(making.state.birth, address, making.now, effect.durable.round + 1);
  put(making, address, { ...effect, input, attempt: effect.attempt + 1, durable });
}

/** An event that a function was looking at when it began anew is for its next wait, before all that came later. */
function keepOffered(making: Making, address: string): void {
  const kept: KeptEvent[] = [];
  const calls = Object.entries(durableAt(making, address)?.open ?? {});
  for (const [place, call] of calls) {
    // What came by a token was for that wait alone.
    if (call.kind !== "receive" || call.offered === undefined || call.offered.isByToken === true) continue;
    kept.push(call.offered);
    const { offered: _offered, ...waiting } = call;
    open(making, address, Number(place), waiting);
  }
  if (kept.length === 0) return;
  making.state = { ...making.state, kept: [...kept.toSorted((a, b) => a.at - b.at), ...(making.state.kept ?? [])] };
}

function rest(making: Making, address: string, how: "parked" | "stuck", error?: ErrorData): void {
  change(making, address, (durable) => ({ ...durable, rest: how, ...(error === undefined ? {} : { error }) }));
}

/** F2 */
function unpark(making: Making, address: string): void {
  const effect = making.state.effects[address];
  // A function that failed waits for its next attempt, whatever comes meanwhile.
  if (effect?.durable?.rest !== "parked" || effect.durable.open[0]?.due !== undefined) return;
  const { rest: _rest, ...durable } = effect.durable;
  put(making, address, { ...effect, attempt: effect.attempt + 1, durable });
}

/** Never after the last date there is. */
function dueAfter(now: number, ms: number): number {
  return Math.min(dateMsMax, Math.ceil(now + ms));
}

function timerId(address: string, place: number): string {
  return `dormouse ${address} ${place}`;
}

function arm(making: Making, address: string, place: number, due: number): void {
  const id = timerId(address, place);
  const known = making.state.timers[id];
  if (known?.due === due) return;
  const timer: Timer = {
    generation: making.seq,
    due,
    event: { type: "dormouse.call" },
    call: { effect: address, place },
  };
  making.state = { ...making.state, timers: { ...making.state.timers, [id]: timer } };
}

function disarm(making: Making, address: string, place: number): void {
  const { [timerId(address, place)]: known, ...timers } = making.state.timers;
  if (known !== undefined) making.state = { ...making.state, timers };
}

function receiveTimeout(agent: string, name: string, waitedMs: number): DormouseError {
  const message = `nobody sent what the function waited for in time: agent=${agent} name=${name} waitedMs=${waitedMs}`;
  return new DormouseError("timeout", "receive.timeout", message);
}

function askTimeout({ agent, state, now }: Making, call: Extract<OpenCall, { kind: "ask" }>): DormouseError {
  const { to, name, since } = call;
  const circle = circleOf(agent, state.asks, to);
  const why = circle === undefined ? "" : `, since they wait for one another in a circle (${circle.join(" -> ")})`;
  const message = `the agent gave no answer in time${why}: agent=${agent} asked=${to} type=${name} waitedMs=${now - since}`;
  return new DormouseError("timeout", "ask.timeout", message);
}

function tooMany(what: string, agent: string, most: number): DormouseError {
  return new DormouseError(
    "invalid",
    "durable.too-many",
    `a durable function has more ${what} than it may; begin anew with restart(input) before, as a loop does: ` +
      `agent=${agent} most=${most}`,
  );
}
