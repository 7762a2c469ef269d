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
  /** Events for durable functions that nobody has received, oldest first. */
  readonly kept?: readonly KeptEvent[];
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
  /** The agents that wait for its asker, each for the next. */
  readonly waiting?: readonly string[];
}

export interface Timer {
  /** The step that set it: a timer of another generation was replaced or cancelled. */
  readonly generation: number;
  readonly due: number;
  readonly event: EventData;
  /** Whether it is an event that was sent to be taken then. */
  readonly isSent?: true;
  /** The call of a durable function that waits for it. */
  readonly call?: { readonly effect: string; readonly place: number };
  /** Another agent, or a durable function of this one, when the event is not for this one. */
  readonly to?: string;
  /** `to` is a durable function: when that has ended, nobody is meant. */
  readonly isToFunction?: true;
}

export interface Effect {
  readonly id: string;
  readonly src: string;
  readonly input: unknown;
  /** From 1 on; one more for every run that begins after a takeover, or after a wait. */
  readonly attempt: number;
  /** When it is ended at the latest, once someone has cancelled its agent. */
  readonly cancelled?: number;
  /** Of a durable function: what it has done and waits for. */
  readonly durable?: DurableState;
}

/** A durable function's record: a re-run is told what is here, and does the rest. */
export interface DurableState {
  /** 16 bytes that nobody can guess: seeds what the function draws, and the tokens of its waits. */
  readonly key: Uint8Array;
  /** When it began, or began anew by `restart`. */
  readonly since: number;
  /** How often it began anew by `restart`. */
  readonly round: number;
  /** Results in the order in which they were recorded: a re-run is given them one at a time, in this order (D7). */
  readonly checkpoints: readonly Checkpoint[];
  /** Calls that are durably begun and have not ended, by place; place 0 is the function itself, between two attempts. */
  readonly open: { readonly [place: string]: OpenCall };
  /** How many checkpoints it had when it was cancelled. */
  readonly cancelledAt?: number;
  /** How many lines it has logged. */
  readonly logs: number;
  /** `parked`: it waits, in no host's memory. `stuck`: its code no longer fits this record, and someone must mend it. */
  readonly rest?: "parked" | "stuck";
  /** Why it is stuck. */
  readonly error?: ErrorData;
}

export type CallKind = "run" | "sleep" | "receive" | "send" | "ask" | "spawn";

/** The end of one call. `place`: the how-many-th call of the function it is, from 1 on. */
export interface Checkpoint {
  readonly place: number;
  readonly kind: CallKind;
  readonly name: string;
  /** When it was recorded. */
  readonly at: number;
  readonly result: EffectResult;
}

export type EffectResult =
  | { readonly ok: true; readonly output: unknown }
  | { readonly ok: false; readonly error: ErrorData };

export type OpenCall =
  /** Between two attempts; without `due` the next one may begin. */
  | {
      readonly kind: "run";
      readonly name: string;
      readonly since: number;
      readonly attempts: number;
      readonly error: ErrorData;
      readonly due?: number;
    }
  | { readonly kind: "sleep"; readonly name: string; readonly since: number; readonly due: number }
  | {
      readonly kind: "receive";
      readonly name: string;
      readonly since: number;
      readonly due?: number;
      readonly question?: string;
      /** Its schema as JSON Schema, for people, where the schema can tell it. */
      readonly schema?: unknown;
      /** Whether only the function can tell if a value will do. */
      readonly isChecked: boolean;
      /** The value that the function is looking at. */
      readonly offered?: KeptEvent;
    }
  | {
      readonly kind: "ask";
      readonly name: string;
      readonly since: number;
      readonly due: number;
      readonly to: string;
    }
  | {
      readonly kind: "spawn";
      readonly name: string;
      readonly since: number;
      readonly due?: undefined;
      readonly child: string;
    };

/** An event that came before its `receive`, or is being looked at by it. */
export interface KeptEvent {
  readonly name: string;
  readonly value: unknown;
  /** Of its message. */
  readonly id: string;
  readonly at: number;
  /** It is for the wait that its token names, and no other. */
  readonly isByToken?: true;
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

/** Whether the owner has something to do for this agent without being asked: effects that do not rest, owed actions. */
export function isBusy(state: AgentState): boolean {
  return state.owed.length > 0 || hasEffectAtWork(state);
}

/** Whether an effect of the agent runs, or is to run, on its owner: a durable function that is parked or stuck does not. */
export function hasEffectAtWork({ effects }: AgentState): boolean {
  for (const address in effects) if (effects[address]?.durable?.rest === undefined) return true;
  return false;
}

/** Whether a durable function of the agent waits for someone to mend its code. */
export function isStuck(state: AgentState): boolean {
  return Object.values(state.effects).some((effect) => effect.durable?.rest === "stuck");
}
