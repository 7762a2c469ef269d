/** One agent's whole durable state: plain data, never changed in place, so that a delta sees what a step changed. */
import type { ErrorData } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import type { ParentLink } from "../format/message.ts";
import type { MachineData } from "./engine.ts";

export type AgentStatus = "active" | "done" | "error" | "stopped";

export interface AgentState {
  /** 16 random bytes drawn when the agent began: seeds every step, so that what a step makes cannot be guessed. */
  readonly birth: Uint8Array;
  /** Of the definition that took the last step. */
  readonly version: number;
  /** The number of the last step; counts on over a tombstone, so no id made of it is ever made twice. */
  readonly seq: number;
  /** The time of the last step: never runs backwards, whatever the clock does. */
  readonly now: number;
  readonly status: AgentStatus;
  readonly machine: MachineData;
  readonly parent?: ParentLink;
  /** Names of actors from the type's machine down to this agent's logic; empty for the type's own machine. */
  readonly path: readonly string[];
  readonly asks: readonly OpenAsk[];
  readonly timers: { readonly [id: string]: Timer };
  /** Work under way, by address. */
  readonly effects: { readonly [address: string]: Effect };
  /** Child agents that were not heard to have ended, by address. */
  readonly children: { readonly [address: string]: Child };
  /** Named actions that were asked for and have not run. */
  readonly owed: readonly OwedAction[];
  /** By idempotency key, oldest first. */
  readonly keys: ReadonlyMap<string, KeyedMessage>;
  /** How many steps failed; the steps themselves are in the history. */
  readonly errorCount: number;
}

export interface OpenAsk {
  /** The message that asked; a repeat under an idempotency key keeps its own id. */
  readonly id: string;
  /** The message that the machine knows: differs from `id` for a repeat. */
  readonly handledId: string;
  readonly eventType: string;
  readonly replyTo: string;
  /** When its asker's patience ends, by the mailbox's time. */
  readonly until: number;
}

export interface Timer {
  /** The step that set it: a timer of another generation was replaced or cancelled. */
  readonly generation: number;
  readonly due: number;
  readonly event: EventData;
  /** Another agent, when the event is not for this one. */
  readonly to?: string;
}

export interface Effect {
  readonly id: string;
  readonly src: string;
  readonly input: unknown;
  /** From 1 on; one more for every run that begins after a takeover. */
  readonly attempt: number;
}

export interface Child {
  readonly id: string;
}

export interface OwedAction {
  readonly seq: number;
  readonly index: number;
  readonly name: string;
  readonly params: unknown;
  /** The event that asked for it. */
  readonly event: EventData;
}

export interface KeyedMessage {
  readonly id: string;
  readonly at: number;
  readonly answer?: Answer;
}

/** What an asker is told. */
export type Answer =
  | { readonly ok: true; readonly seq: number; readonly value: unknown }
  | { readonly ok: false; readonly seq: number; readonly error: ErrorData };

/** The earliest due time of an agent's timers; `undefined` if it has none. */
export function earliestDue(state: AgentState): number | undefined {
  let earliest: number | undefined;
  for (const timer of Object.values(state.timers)) {
    if (earliest === undefined || timer.due < earliest) earliest = timer.due;
  }
  return earliest;
}

/** Whether the owner has something to do for this agent without being asked: effects, owed actions. */
export function isBusy(state: AgentState): boolean {
  return state.owed.length > 0 || hasKeys(state.effects);
}

function hasKeys(object: { readonly [key: string]: unknown }): boolean {
  for (const _key in object) return true;
  return false;
}
