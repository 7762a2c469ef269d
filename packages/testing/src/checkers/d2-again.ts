/**
 * D2: a step is pure: the same state, message and context give the same bytes.
 *
 * Executes every recorded step again when it is stored: from the state that earlier records tell, the message as the
 * mailbox took it, and the time and seed that stand in the record. What comes out (the change, what was sent, answered
 * and emitted, the error) must be what was recorded, down to the order of keys. And an agent's time never runs back.
 *
 * Does not verify messages that were decided without a step, nor that a value met twice is written once.
 */
import type { Checker, Observation, Violation } from "./checker.ts";
import { errorData, firstDifference } from "./same-bytes.ts";
import type { StoredEnvelope, StoredState } from "./stored.ts";
import { type RecordedStep, StoredAgents } from "./stored-agents.ts";

/**
 * Executes a step: all that the checker takes from the runtime, since the user's machine has to run. Reading, order and
 * comparison are the checker's own.
 */
export type StepAgain = (again: AgainRequest) => AgainOutcome;

export interface AgainRequest {
  readonly agent: string;
  readonly path: readonly string[];
  readonly before: StoredState | undefined;
  readonly input: { readonly kind: string; readonly [field: string]: unknown };
  readonly now: number;
  readonly birth: Uint8Array;
  readonly seqBefore: number;
  /** Of the code that took the step. */
  readonly version: number;
  readonly stateBytesMax: number;
}

export type AgainOutcome =
  | {
      readonly kind: "stepped";
      readonly seq: number;
      readonly at: number;
      readonly delta: unknown;
      readonly cause: unknown;
      readonly sends: readonly { readonly to: string; readonly body: unknown }[];
      readonly answers: readonly unknown[];
      readonly emitted: readonly unknown[];
      readonly error: unknown;
    }
  | { readonly kind: "passed"; readonly why: string };

/** How large an agent's state may be in a simulated world: less than by default, so that some grow too large. */
export const stateBytesMax = 1_000_000;

export class AgainChecker implements Checker {
  readonly name = "D2 again";
  readonly #agents = new StoredAgents();
  readonly #stepAgain: StepAgain;
  readonly #violations: Violation[] = [];
  #stepsAgain = 0;

  constructor(stepAgain: StepAgain) {
    this.#stepAgain = stepAgain;
  }

  observe(observation: Observation): void {
    if (observation.type === "appended") this.#agents.append(observation.partition, observation.bytes);
    if (observation.type === "appended-raw") this.#agents.appendRaw(observation);
    if (observation.type !== "stored") return;
    for (const recorded of this.#agents.store(observation.name, observation.bytes)) {
      this.#stepsAgain += 1;
      const difference = this.#check(recorded);
      if (difference === undefined) continue;
      const { agent, seq } = recorded.step;
      const message = `step ${seq} of ${agent} in ${recorded.record}, executed again: ${difference}`;
      this.#violations.push({ invariant: "D2", message, atMs: observation.atMs });
    }
  }

  finish(): readonly Violation[] {
    return this.#violations;
  }

  report(): { readonly [figure: string]: number } {
    return { "steps executed again": this.#stepsAgain };
  }

  /** What differs, if anything does. */
  #check(recorded: RecordedStep): string | undefined {
    const { step, before, after, seqBefore } = recorded;
    const { agent, seq, at } = step;
    if (seq !== seqBefore + 1) return `it follows step ${seqBefore}`;
    const input = inputOf(recorded);
    if (typeof input === "string") return input;
    if (before !== undefined && at < before.now) return `it is at ${at}, and the step before it at ${before.now}`;
    const { path, birth, version } = after;
    const outcome = this.#stepAgain({ agent, path, before, input, now: at, birth, seqBefore, version, stateBytesMax });
    if (outcome.kind === "passed") return `it was passed: ${outcome.why}`;
    const sends = outcome.sends.map(({ to, body }) => ({ to, body }));
    return (
      firstDifference(outcomeOf(recorded), { ...outcome, sends }) ??
      firstDifference(derivedOf(after), { wakeUp: step.wakeUp, isBusy: step.isBusy })
    );
  }
}

/** What the step took, or why that is not known. */
function inputOf({ step, before, message }: RecordedStep): AgainRequest["input"] | string {
  const { cause, origin, error } = step;
  switch (cause.kind) {
    case "timer":
      return { kind: "timer", id: cause.timer, generation: before?.timers[cause.timer ?? ""]?.generation };
    case "effect": {
      const { address, attempt, event = {} } = cause;
      const isDone = String(event["type"]).startsWith("xstate.done.actor.");
      const result = isDone ? { ok: true, output: event["output"] } : { ok: false, error: errorData(event["error"]) };
      return { kind: "effect", address, attempt, result };
    }
    case "attempt":
      return { kind: "attempt", address: cause.address };
    case "action":
      // One that is recorded and was not owed is an inline one that failed.
      return { kind: "action", name: cause.name, seq: cause.seq, index: cause.index, isOwed: false, error };
    case "undelivered":
      return { kind: "undelivered", id: cause.id, to: cause.to, error };
    case "end":
      // The end that a removal brings takes no message of its own.
      return { kind: "end", how: cause.how, message: message ?? { to: step.agent, body: { kind: "command" } } };
    default:
      return message === undefined ? `no mailbox took its message` : inputOfMessage(cause.kind, message, origin?.at);
  }
}

function inputOfMessage(kind: string, message: StoredEnvelope, at: number | undefined): AgainRequest["input"] {
  const { body } = message;
  switch (kind) {
    case "start": {
      const { input, parent, path } = body;
      const child = body.kind === "start-child" ? { parent, path } : undefined;
      return { kind: "start", message, input, child, isImplied: body.kind === "event" };
    }
    case "child":
      return { kind: "child", message, news: body };
    default:
      // One off the shelf has no place in the mailbox any more: its sender's time stands for the mailbox's.
      return { kind: "event", message, at: at ?? message.sentAt, event: body.event };
  }
}

function outcomeOf({ step }: RecordedStep): AgainOutcome {
  const { seq, at, delta, cause, sends, answers, emitted, error } = step;
  return {
    kind: "stepped",
    seq,
    at,
    delta,
    cause,
    sends: sends.map(({ envelope: { to, body } }) => ({ to, body })),
    answers,
    emitted,
    error,
  };
}

/** What an entry says of the state it leads to, so that nobody need read the state. */
function derivedOf({ timers, effects, owed }: StoredState): { readonly wakeUp: unknown; readonly isBusy: boolean } {
  const dues = Object.values(timers).map(({ due }) => due);
  return {
    wakeUp: dues.length === 0 ? undefined : Math.min(...dues),
    isBusy: owed.length > 0 || Object.keys(effects).length > 0,
  };
}
