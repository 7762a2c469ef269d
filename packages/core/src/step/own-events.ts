/** XState's own events: how a machine hears of its children. Exact shapes: FACTS.md, 3.4. */
import { DormouseError } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";

export function doneEvent(id: string, output: unknown): EventData {
  return { type: `xstate.done.actor.${id}`, output, actorId: id };
}

export function errorEvent(id: string, error: unknown): EventData {
  return { type: `xstate.error.actor.${id}`, error, actorId: id };
}

export function snapshotEvent(id: string, snapshot: unknown): EventData {
  return { type: `xstate.snapshot.${id}`, snapshot };
}

/** Whether only the runtime may send it. */
export function isReservedEvent(type: string): boolean {
  return type.startsWith("xstate.") && type !== "xstate.route";
}

export function reservedEvent(type: string): DormouseError {
  return new DormouseError("invalid", "event.reserved", `Event type "${type}" is reserved.`);
}
