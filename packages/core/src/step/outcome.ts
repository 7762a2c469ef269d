/** What a step comes to: recorded as one, or only answered. */
import type { EventData } from "../agent/way-out.ts";
import type { ErrorData } from "../agent/errors.ts";
import type { Delta } from "../format/codec/delta.ts";
import type { Envelope } from "../format/message.ts";
import type { Cause, GivenAnswer } from "../format/record.ts";
import type { Live } from "./machine.ts";
import type { Send } from "./send.ts";
import type { AgentState, Answer } from "./state.ts";

/** An agent in memory: its durable state, and the same as the engine runs it. */
export interface Activated {
  readonly state: AgentState;
  readonly live: Live;
}

/** `stepped`: recorded as a step. `passed`: nothing of the agent changed; the message is done with. */
export type Outcome =
  | {
      readonly kind: "stepped";
      readonly after: Activated;
      /** From the state before to the state after. */
      readonly delta: Delta | undefined;
      /** About what the delta is stored in. */
      readonly deltaBytes: number;
      readonly cause: Cause;
      readonly sends: readonly Send[];
      readonly answers: readonly GivenAnswer[];
      readonly emitted: readonly EventData[];
      readonly logs: readonly LogLine[];
      /** Inline actions, to run once after the commit, if this process lives. */
      readonly actions: readonly InlineAction[];
      readonly error: ErrorData | undefined;
      /** What the agent's code threw, with its stack: for whoever watches this process, never stored. */
      readonly thrown: unknown;
    }
  | {
      readonly kind: "passed";
      readonly why: string;
      /** Why the message was refused, if it was. */
      readonly error: ErrorData | undefined;
      readonly sends: readonly Send[];
      readonly answers: readonly GivenAnswer[];
    };

export type Stepped = Extract<Outcome, { kind: "stepped" }>;

export interface LogLine {
  readonly label: string | undefined;
  readonly value: unknown;
}

export interface InlineAction {
  readonly name: string;
  /** Of the step that asked for it, and its place among what that asked for. */
  readonly seq: number;
  readonly index: number;
  /** Whether it is owed until it ran. */
  readonly isOwed: boolean;
  /** Runs it; an action that is async gives a promise. */
  readonly run: () => unknown;
}

/** Nothing of the agent changed, and nothing was wrong. */
export function pass(why: string, answers: readonly GivenAnswer[], sends: readonly Send[]): Outcome {
  return { kind: "passed", why, error: undefined, answers, sends };
}

/** Nothing of the agent changed: whoever asks hears why. */
export function refuse(
  why: string,
  message: Envelope,
  seq: number,
  error: ErrorData,
  sends: readonly Send[] = [],
): Outcome {
  return { kind: "passed", why, error, answers: answerTo(message, { ok: false, seq, error }), sends };
}

/** The answer to a message, if it is an ask. */
export function answerTo(message: Envelope, answer: Answer): GivenAnswer[] {
  return message.ask === undefined ? [] : [{ id: message.id, replyTo: message.ask.replyTo, answer }];
}
