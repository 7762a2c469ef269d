/** What comes of what the agent has under way: its timers, effects, durable functions, children, actions and messages. */
import { decodeError, encodeError, type ErrorData } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import type { Body } from "../format/message.ts";
import type { CallNote, Cause } from "../format/record.ts";
import { type Draft, without } from "./draft.ts";
import {
  cancelledError,
  cancelPlace,
  type CallNews,
  dropDurable,
  endSpawn,
  hasDurable,
  keepEvent,
  offerEvent,
  takeAnswer as takeCallAnswer,
  takeNews as takeCallNews,
  unstick,
  wakeCall,
} from "./durable.ts";
import { describe, doneEvent, errorEvent, snapshotEvent } from "./engine.ts";
import type { InputOf } from "./input.ts";
import { type Outcome, pass } from "./outcome.ts";
import type { EffectResult } from "./state.ts";
import { runMachine } from "./transition.ts";

/** A timer is due. */
export function fire(draft: Draft, id: string, generation: number): Outcome {
  const timer = draft.before.state.timers[id];
  if (timer === undefined || timer.generation !== generation || timer.due > draft.now) {
    return pass("stale-timer", [], []);
  }
  draft.setTimers(without(draft.state.timers, id));
  if (timer.call !== undefined) {
    const { effect: address, place } = timer.call;
    const attempt = draft.state.effects[address]?.attempt;
    if (place === cancelPlace && attempt !== undefined) {
      const error = encodeError(cancelledError(draft.request.agent));
      return takeResult(draft, address, attempt, { ok: false, error });
    }
    wakeCall(draft, timer.call);
    return draft.unchanged({ kind: "call", address, place });
  }
  const cause: Cause = { kind: "timer", timer: id, event: timer.event };
  if (timer.isSent === true) return takeSent(draft, timer.event, cause, id);
  if (timer.to === undefined) return runMachine(draft, timer.event, cause, undefined);
  if (timer.isToFunction === true && !draft.isFunction(timer.to)) return draft.unchanged(cause);
  try {
    draft.sendEvent(timer.to, timer.event);
  } catch (thrown) {
    draft.countError();
    return draft.unchanged(cause, encodeError(thrown));
  }
  return draft.unchanged(cause);
}

/** One that was sent ahead and is due. */
function takeSent(draft: Draft, event: EventData, cause: Cause, id: string): Outcome {
  if (offerEvent(draft, event, id)) return draft.unchanged(cause);
  const isTaken = describe(draft.before.live).accepts.some((type) => type === event.type || type === "*");
  if (isTaken || !hasDurable(draft.state)) return runMachine(draft, event, cause, undefined);
  try {
    keepEvent(draft, event, id);
    return draft.unchanged(cause);
  } catch (thrown) {
    return draft.unchanged(cause, encodeError(thrown));
  }
}

/** An effect has ended. */
export function takeResult(draft: Draft, address: string, attempt: number, result: EffectResult): Outcome {
  const effect = draft.before.state.effects[address];
  if (effect === undefined || effect.attempt !== attempt) return pass("stale-effect", [], []);
  dropDurable(draft, address);
  const event = result.ok ? doneEvent(effect.id, result.output) : errorEvent(effect.id, decodeError(result.error));
  return runMachine(draft, event, { kind: "effect", address, attempt, event }, undefined);
}

/** An effect begins anew. */
export function beginAttempt(draft: Draft, address: string): Outcome {
  const effect = draft.before.state.effects[address];
  if (effect === undefined) return pass("stale-effect", [], []);
  const attempt = effect.attempt + 1;
  // Its code may have become a durable function since it began.
  const record = effect.durable === undefined ? draft.recordOf(effect.src, address) : {};
  const next = { ...effect, ...record, attempt };
  draft.state = { ...draft.state, effects: { ...draft.state.effects, [address]: next } };
  return draft.unchanged({ kind: "attempt", address, attempt });
}

/** A durable function tells of its calls. */
export function takeCalls(draft: Draft, address: string, attempt: number, calls: readonly CallNews[]): Outcome {
  const effect = draft.before.state.effects[address];
  if (effect === undefined || effect.attempt !== attempt) return pass("stale-calls", [], []);
  takeCallNews(draft, address, calls);
  const stuck = newlyStuck(draft, address);
  const told = draft.unchanged({ kind: "calls", address, attempt, calls: calls.map(noteOf) }, stuck);
  return draft.within(told, { kind: "calls", address, attempt, calls: [] });
}

/** Why a function is stuck that was not before: who looks for what is wrong with the agent finds it. */
function newlyStuck(draft: Draft, address: string): ErrorData | undefined {
  const { rest, error } = draft.state.effects[address]?.durable ?? {};
  if (rest !== "stuck" || draft.before.state.effects[address]?.durable?.rest === "stuck") return undefined;
  draft.countError();
  return error;
}

/** One that a durable function asked has answered. */
export function takeAnswer(draft: Draft, body: Extract<Body, { kind: "answer" }>): Outcome {
  takeCallAnswer(draft, body);
  if (draft.state.effects === draft.before.state.effects) return pass("stale-answer", [], []);
  const cause: Cause = { kind: "call", address: body.effect, place: body.place };
  return draft.within(draft.unchanged(cause), cause);
}

/** A child tells of itself. */
export function takeNews(draft: Draft, news: Extract<Body, { kind: "child" }>): Outcome {
  const call = endSpawn(draft, news);
  if (call !== undefined) return draft.unchanged({ kind: "call", ...call });
  const current = draft.before.state.machine.children[news.id];
  // An earlier child of that id: what it says is of a life that is over.
  if (current?.address !== news.child) return pass("stale-child", [], []);
  if (news.news.kind !== "snapshot") draft.dropChild(news.child);
  const event = newsEvent(news);
  return runMachine(draft, event, { kind: "child", child: news.child, event }, undefined);
}

/** An action has run, or failed. */
export function settleAction(draft: Draft, { name, seq, index, isOwed, error }: InputOf<"action">): Outcome {
  const owed = draft.state.owed.find((action) => action.seq === seq && action.index === index);
  if (owed === undefined && isOwed) return pass("stale-action", [], []);
  draft.state = {
    ...draft.state,
    owed: draft.state.owed.filter((action) => action !== owed),
    errorCount: draft.state.errorCount + (error === undefined ? 0 : 1),
  };
  return draft.unchanged({ kind: "action", name, seq, index }, error);
}

/** A message of the agent could not be sent. */
export function countUndelivered(draft: Draft, { id, to, error }: InputOf<"undelivered">): Outcome {
  draft.countError();
  return draft.unchanged({ kind: "undelivered", id, to }, error);
}

/** Stuck functions are run again. */
export function takeUnstick(draft: Draft, id: string): Outcome {
  if (!unstick(draft)) return pass("not-stuck", [], []);
  return draft.unchanged({ kind: "resumed", id });
}

/** A call's news without what is in the state, or in what is let out. */
function noteOf(news: CallNews): CallNote {
  const {
    result: _result,
    value: _value,
    event,
    fields: _fields,
    schema: _schema,
    ...note
  } = news as CallNote & {
    readonly [field in "result" | "value" | "fields" | "schema"]?: unknown;
  } & { readonly event?: EventData };
  return event === undefined ? note : { ...note, name: event.type };
}

function newsEvent({ id, news }: Extract<Body, { kind: "child" }>): EventData {
  switch (news.kind) {
    case "done":
      return doneEvent(id, news.output);
    case "error":
      return errorEvent(id, news.error);
    case "snapshot":
      return snapshotEvent(id, news.snapshot);
  }
}
