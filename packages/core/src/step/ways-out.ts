/** What the machine asked for in one step, folded into the step's draft: into its state, or to be let out. */
import { encodeError } from "../agent/errors.ts";
import type { WayOut } from "../agent/way-out.ts";
import type { ParentLink } from "../format/message.ts";
import { type Draft, without } from "./draft.ts";
import { validateReply } from "./schemas.ts";
import type { Answer, Timer } from "./state.ts";

export function foldWaysOut(draft: Draft, waysOut: readonly WayOut[]): void {
  waysOut.forEach((way, index) => {
    switch (way.kind) {
      case "send":
        draft.sendEvent(way.to, way.event);
        return;
      case "timer": {
        const timer: Timer = {
          generation: draft.seq,
          due: draft.now + Math.max(0, Math.ceil(way.delayMs)),
          event: way.event,
          ...(way.to === undefined ? {} : { to: way.to }),
          ...(way.to !== undefined && draft.isFunction(way.to) ? { isToFunction: true } : {}),
        };
        draft.setTimers({ ...draft.state.timers, [way.id]: timer });
        return;
      }
      case "cancel-timer":
        draft.setTimers(without(draft.state.timers, way.id));
        return;
      case "start-effect": {
        const effect = {
          id: way.id,
          src: way.src,
          input: way.input,
          attempt: 1,
          ...draft.recordOf(way.src, way.address),
        };
        draft.state = { ...draft.state, effects: { ...draft.state.effects, [way.address]: effect } };
        return;
      }
      case "start-child":
        startChild(draft, way);
        return;
      case "stop":
        draft.stop(way.address);
        return;
      case "reply":
        reply(draft, way.value);
        return;
      case "reply-to":
        replyTo(draft, way.eventType, way.messageId, way.value);
        return;
      case "emit":
        draft.emitted.push(way.event);
        return;
      case "log":
        draft.logs.push({ label: way.label, value: way.value });
        return;
      case "action":
        owe(draft, way, index);
    }
  });
}

function startChild(draft: Draft, way: Extract<WayOut, { kind: "start-child" }>): void {
  const { address, id, input, path, isSnapshotSynced } = way;
  const parent: ParentLink = { address: draft.request.agent, id, isSnapshotSynced };
  draft.sends.push({ to: address, body: { kind: "start-child", input, parent, path } });
  draft.state = { ...draft.state, children: { ...draft.state.children, [address]: { id } } };
}

function owe(draft: Draft, way: Extract<WayOut, { kind: "action" }>, index: number): void {
  const { name, params, event, run } = way;
  if (!way.isNamed) {
    draft.actions.push({ name, seq: draft.seq, index, isOwed: false, run });
    return;
  }
  draft.state = { ...draft.state, owed: [...draft.state.owed, { seq: draft.seq, index, name, params, event }] };
  draft.actions.push({ name, seq: draft.seq, index, isOwed: true, run });
}

function reply(draft: Draft, value: unknown): void {
  const { input } = draft.request;
  if (input.kind !== "event") return;
  const { message } = input;
  draft.answerAsks((ask) => ask.handledId === message.id, replyAnswer(draft, input.event.type, value));
}

function replyTo(draft: Draft, eventType: string, messageId: string | undefined, value: unknown): void {
  draft.answerAsks(
    (ask) => ask.eventType === eventType && (messageId === undefined || ask.handledId === messageId),
    replyAnswer(draft, eventType, value),
  );
}

function replyAnswer(draft: Draft, eventType: string, value: unknown): Answer {
  try {
    return { ok: true, seq: draft.seq, value: validateReply(draft.request.definition, eventType, value) };
  } catch (thrown) {
    return { ok: false, seq: draft.seq, error: encodeError(thrown) };
  }
}
