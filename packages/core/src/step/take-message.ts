/** What a message comes to: an event, a value for a wait, or the wish that the agent ends. */
import { cancelMsDefault, durableOf } from "../agent/durable.ts";
import { decodeError, DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import type { Envelope } from "../format/message.ts";
import type { Cause } from "../format/record.ts";
import { type Draft, endedError, without } from "./draft.ts";
import { cancelAll, offeredUnder, offerEvent, respond } from "./durable.ts";
import { describe, isReservedEvent } from "./engine.ts";
import type { InputOf } from "./input.ts";
import { answerTo, type Outcome, pass, refuse } from "./outcome.ts";
import { validateEvent } from "./schemas.ts";
import type { Timer } from "./state.ts";
import { notTaken, runMachine, taken } from "./transition.ts";

/** An event of whoever sends one, now or, sent ahead, when it is due. */
export function takeEvent(draft: Draft, input: InputOf<"event">): Outcome {
  const { message } = input;
  const repeated = message.key === undefined ? undefined : draft.state.keys.get(message.key);
  if (repeated !== undefined) {
    // An ask under a key whose first ask is still open: a new asker for the same answer.
    draft.openAsk(message, input.event.type, input.at, repeated.id);
    return draft.unchanged({ kind: "event", id: message.id, from: message.from, event: input.event });
  }
  let event = input.event;
  const refusal = refuseReserved(event);
  if (refusal !== undefined) return refuse("refused", message, draft.before.state.seq, refusal);
  try {
    if (!isReservedEvent(event.type)) event = validateEvent(draft.request.definition, event);
  } catch (thrown) {
    return refuse("refused", message, draft.before.state.seq, encodeError(thrown));
  }
  if (message.key !== undefined) draft.rememberKey(message.key, message.id);
  if (message.ask !== undefined) draft.openAsk(message, input.event.type, input.at, message.id);
  if (input.due !== undefined && input.due > draft.now) return sendAhead(draft, message, event, input.due);
  const cause: Cause = { kind: "event", id: message.id, from: message.from, event };
  if (offerEvent(draft, event, message.id)) return taken(draft, message, cause);
  return runMachine(draft, event, cause, message);
}

/** Keeps an event until it is due. */
function sendAhead(draft: Draft, message: Envelope, event: EventData, due: number): Outcome {
  const timer: Timer = { generation: draft.seq, due, event, isSent: true };
  draft.setTimers({ ...draft.state.timers, [sentTimer(message.id)]: timer });
  const cause: Cause = { kind: "event", id: message.id, from: message.from, event, due };
  return draft.within(draft.unchanged(cause), cause);
}

/** An event that was sent ahead is taken back. */
export function unsend(draft: Draft, id: string, message: Envelope): Outcome {
  const isThere = draft.state.timers[sentTimer(id)]?.isSent === true;
  const answers = answerTo(message, { ok: true, seq: isThere ? draft.seq : draft.before.state.seq, value: isThere });
  if (!isThere) return pass("not-ahead", answers, []);
  draft.setTimers(without(draft.state.timers, sentTimer(id)));
  draft.answers.push(...answers);
  return draft.unchanged({ kind: "unsent", id });
}

/** A value for a wait of a durable function. */
export function takeRespond(draft: Draft, input: InputOf<"respond">): Outcome {
  const { message, at, secret, value } = input;
  // While another value for the wait is looked at: what comes of that one is the answer to both.
  const offered = offeredUnder(draft.state, secret);
  if (message.ask !== undefined) draft.openAsk(message, "dormouse.respond", at, offered ?? message.id);
  try {
    if (offered === undefined) respond(draft, secret, value, message.id);
  } catch (thrown) {
    return refuse("refused", message, draft.before.state.seq, encodeError(thrown));
  }
  return taken(draft, message, { kind: "respond", id: message.id, from: message.from });
}

/** The machine hears of it as an event, what is under way by its signal; both may do what must be done first. */
export function cancel(draft: Draft, { message, at }: InputOf<"cancel">): Outcome {
  const event = { type: cancelEvent };
  const cause: Cause = { kind: "cancel", id: message.id };
  if (message.ask !== undefined) draft.openAsk(message, event.type, at, message.id);
  const { machine } = draft.request;
  const isAny = cancelAll(draft, (src) => durableOf(machine.actor(src)?.logic)?.cancelMs ?? cancelMsDefault);
  // Without a transition for it, and with nothing under way, it would be as if nobody had asked.
  if (!isAny && !describe(draft.before.live).accepts.some((type) => type === cancelEvent || type === "*")) {
    return notTaken(draft, message, event);
  }
  draft.answerAsks((ask) => ask.handledId === message.id, { ok: true, seq: draft.seq, value: undefined });
  return runMachine(draft, event, cause, undefined);
}

/** The agent ends: its parent stops it, or someone terminates it. */
export function takeEnd(draft: Draft, how: "stop" | "terminate", message: Envelope): Outcome {
  const { body } = message;
  // A stop of an earlier parent, for an earlier child of this address.
  if (body.kind === "stop" && body.parent !== draft.state.parent?.address) return pass("stale-stop", [], []);
  draft.endWith("stopped");
  if (how === "terminate") {
    draft.tellParent({ kind: "error", error: decodeError(endedError(draft.request.agent, "stopped")) });
  }
  draft.answers.push(...answerTo(message, { ok: true, seq: draft.seq, value: undefined }));
  return draft.unchanged({ kind: "end", how });
}

function refuseReserved(event: EventData): ErrorData | undefined {
  if (!isReservedEvent(event.type)) return undefined;
  return encodeError(
    new DormouseError(
      "invalid",
      "event.reserved",
      `events that begin with "xstate." are the machine's own; send an event of another type: type=${event.type}`,
    ),
  );
}

/** The timer of an event that was sent ahead. */
function sentTimer(messageId: string): string {
  return `dormouse sent ${messageId}`;
}

/** What a machine hears when someone cancels its agent. */
const cancelEvent = "dormouse.cancel";
