/**
 * One event through the machine: its next state and what it asks for, or why it did not take the event.
 *
 * Leaves to others: XState (`engine.ts`), what becomes of the ways out (`ways-out.ts`).
 * Called by whatever gives the machine an event (`take-message.ts`, `take-own.ts`), and for its first state by `step.ts`.
 */
import type { Address } from "../agent/address.ts";
import { decodeError, DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import { freezeData } from "../format/codec/data.ts";
import type { Envelope } from "../format/message.ts";
import type { Cause } from "../format/record.ts";
import { pruneAsks } from "./asks.ts";
import { checkResult } from "./check-result.ts";
import type { Message, StepContext } from "./context.ts";
import type { Draft } from "./draft.ts";
import { hasDurable, keepEvent } from "./durable.ts";
import { describe, encode, type EngineResult, step } from "./engine.ts";
import { failure } from "./failure.ts";
import { type Outcome, refuse } from "./outcome.ts";
import { foldWaysOut } from "./ways-out.ts";

/** Takes an event through the machine. @param message - That brought it, if one did. */
export function runMachine(draft: Draft, event: EventData, cause: Cause, message: Envelope | undefined): Outcome {
  const { machine } = draft.request;
  const { parent } = draft.state;
  const context: StepContext = {
    agent: draft.request.agent,
    ...(parent === undefined ? {} : { parent: { address: parent.address } }),
    seq: draft.seq,
    now: draft.now,
    birth: draft.state.birth,
    message:
      message === undefined ? describeCause(draft.request.agent, draft.seq, draft.now) : describeMessage(message),
  };
  // One that was just read is not frozen yet; one that is costs a look.
  if (draft.request.freezeContexts) freezeData(encode(draft.before.live).context);
  const asked = draft.state;
  const told = draft.answers.length;
  try {
    const result = step(machine, draft.before.live, event, context);
    checkResult(draft.request, draft.before.live, result);
    if (result.isTaken) return finish(draft, result, cause);
  } catch (thrown) {
    draft.takeBack(asked, told);
    draft.thrown = thrown;
    const about = `agent=${draft.request.agent} event=${event.type}`;
    return fail(draft, failure("agent.step-failed", thrown, about), cause, message);
  }
  if (message !== undefined) return notTaken(draft, message, event);
  return draft.unchanged(cause);
}

/** Folds what the engine gave into the state and into what is let out. */
export function finish(draft: Draft, result: EngineResult, cause: Cause): Outcome {
  foldWaysOut(draft, result.waysOut);
  answerTaken(draft);
  const machine = encode(result.next);
  draft.state = { ...draft.state, machine };
  if (machine.status !== "active") draft.endWith(machine.status);
  else if (draft.state.parent?.isSnapshotSynced === true) {
    const { status, value, context, output } = describe(result.next);
    draft.tellParent({ kind: "snapshot", snapshot: { status, value, context, output } });
  }
  draft.state = pruneAsks(draft.state);
  draft.checkSize();
  return draft.stepped(result.next, cause, undefined);
}

/** Who waits for no reply hears that the machine has taken the event, also where it ends by it. */
function answerTaken(draft: Draft): void {
  const { input } = draft.request;
  if (input.kind !== "event" || input.message.ask?.until !== "taken") return;
  const { id } = input.message;
  draft.answerAsks((ask) => ask.handledId === id, { ok: true, seq: draft.seq, value: undefined });
}

/** The machine threw: its state stays as it was, and what it would have asked for is not (D9). */
function fail(draft: Draft, error: ErrorData, cause: Cause, message: Envelope | undefined): Outcome {
  draft.countError();
  if (message !== undefined) {
    draft.answerAsks((ask) => ask.handledId === message.id, { ok: false, seq: draft.seq, error });
  }
  if (draft.request.definition.onError === "fail" || draft.state.parent !== undefined) {
    draft.state = { ...draft.state, machine: { ...draft.state.machine, status: "error", error: decodeError(error) } };
    draft.endWith("error");
  }
  return draft.stepped(draft.before.live, cause, error);
}

/** Kept for a durable function, or refused. */
export function notTaken(draft: Draft, message: Envelope, event: EventData): Outcome {
  // Who asks waits for a reply, and a function that receives the event later gives none.
  const isForReply = message.ask !== undefined && message.ask.until !== "taken";
  if (hasDurable(draft.state) && !isForReply) return keep(draft, message, event);
  const { value, accepts } = describe(draft.before.live);
  const isKnown = accepts.includes(event.type);
  const error = encodeError(
    new DormouseError(
      "conflict",
      "event.not-taken",
      `${isKnown ? "no guard of the agent's transitions let the event pass" : "the agent takes no such event"} in its ` +
        `present state: agent=${draft.request.agent} type=${event.type} state=${JSON.stringify(value)} ` +
        `accepts=${accepts.join(",") || "(none)"}`,
    ),
  );
  if (message.key === undefined) return refuse("not-taken", message, draft.before.state.seq, error);
  draft.answerAsks((ask) => ask.handledId === message.id, { ok: false, seq: draft.seq, error });
  return draft.unchanged({ kind: "event", id: message.id, from: message.from, event });
}

/** For a durable function, which may ask for it later. */
function keep(draft: Draft, message: Envelope, event: EventData): Outcome {
  try {
    keepEvent(draft, event, message.id);
  } catch (thrown) {
    return refuse("refused", message, draft.before.state.seq, encodeError(thrown));
  }
  return taken(draft, message, { kind: "event", id: message.id, from: message.from, event });
}

/** For a function that waits, or will: refused, and nothing else suffers, where the agent's state has no room for it. */
export function taken(draft: Draft, message: Envelope, cause: Cause): Outcome {
  try {
    draft.checkSize();
    return draft.unchanged(cause);
  } catch (thrown) {
    return refuse("refused", message, draft.before.state.seq, encodeError(thrown));
  }
}

/** What `message()` tells in the step that takes a message. */
export function describeMessage(message: Envelope): Message {
  return {
    id: message.id as Message["id"],
    ...(message.from === undefined ? {} : { from: message.from }),
    sentAt: message.sentAt,
    isAsked: message.ask !== undefined,
  };
}

/** What `message()` tells in a step that no message caused: a timer's, an effect's. */
function describeCause(agent: Address, seq: number, now: number): Message {
  return { id: `${agent}#${seq}` as Message["id"], sentAt: now, isAsked: false };
}
