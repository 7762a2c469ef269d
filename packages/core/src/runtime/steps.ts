/**
 * An agent's steps: its machine is found, the step decided, its entry added; what it caused follows when that is durable.
 *
 * Leaves to others: what a step decides (`step/step.ts`), entries and what they let out (`entries.ts`), what an agent has
 * under way (`under-way.ts`, through the functions in its options), agents that cannot step (`shelf.ts`).
 * Called by partition, shelf and under-way.
 *
 * N1  An activation's `state` changes at once, its `committed` state by the entry's release: what is read is durable (D3).
 */
import { parseAddress } from "../agent/address.ts";
import { DormouseError } from "../agent/errors.ts";
import type { App } from "../format/app.ts";
import { historyStep } from "../format/head.ts";
import type { Envelope } from "../format/message.ts";
import type { CallNote, Origin, StepEntry } from "../format/record.ts";
import type { Observe } from "../observe.ts";
import type { Channel } from "../ports/index.ts";
import type { ResolvedSettings } from "../settings.ts";
import { decode } from "../step/engine.ts";
import { inputOf, type StepInput } from "../step/input.ts";
import { type Known, newerState, type Registry } from "../step/registry.ts";
import { restorer } from "../step/restore.ts";
import { type AgentState, earliestDue, isBusy } from "../step/state.ts";
import type { InlineAction, Outcome, Stepped } from "../step/outcome.ts";
import { takeStep } from "../step/step.ts";
import { type Activation, unreadable } from "./activations.ts";
import { type Entries, entryBytes } from "./entries.ts";
import type { World } from "./insist.ts";
import { publishNotice } from "./release/reply.ts";

export interface StepsOptions {
  readonly app: App;
  readonly world: Pick<World, "clock" | "entropy">;
  readonly channel: Channel;
  readonly registry: Registry;
  readonly settings: Pick<ResolvedSettings, "freezeContexts" | "stateBytesMax">;
  readonly observe: Observe;
  readonly entries: Entries;
  /** Whether each step goes on from what one who reads the last one back would have, for tests. */
  readonly restoreEveryStep: boolean;
  /** Has what a durable state asks for under way, and nothing else of its agent; `undefined`: the agent is gone. */
  readonly letRun: (activation: Activation, state: AgentState | undefined) => void;
  /** Runs an action that a durable step asked for. */
  readonly runAction: (agent: Activation["agent"], action: InlineAction) => void;
}

export class Steps {
  readonly #options: StepsOptions;

  constructor(options: StepsOptions) {
    this.#options = options;
  }

  /** The machine that runs an agent, or why it cannot step now. */
  known(activation: Activation, path?: readonly string[]): Known | DormouseError {
    const { agent } = activation;
    const quarantine = this.#options.entries.state.quarantine.get(agent);
    if (quarantine !== undefined) {
      return new DormouseError(
        "failed",
        "agent.quarantined",
        `the agent is set aside until someone resumes it (dormouse resume ${agent}): ${quarantine.error.message}`,
      );
    }
    return this.code(activation, path);
  }

  /** The same, whether or not the agent is in quarantine. */
  code(activation: Activation, path: readonly string[] = activation.state?.path ?? []): Known | DormouseError {
    const { agent } = activation;
    const { type } = parseAddress(agent);
    if (activation.phase === "unreadable" && activation.error !== undefined) return activation.error;
    const known = this.#options.registry.find(type, path);
    if (known === undefined) {
      return new DormouseError(
        "invalid",
        "agent.unknown-type",
        `this host runs no agents of this type; add it to startHost({ agents }): type=${type} agent=${agent}`,
      );
    }
    const newer = newerState(agent, activation.state, known);
    if (newer !== undefined) return newer;
    if (activation.state !== undefined && activation.live === undefined) {
      try {
        activation.live = decode(known.machine, activation.state.machine);
      } catch (error) {
        return error instanceof DormouseError ? error : unreadable(error);
      }
    }
    return known;
  }

  /**
   * Takes a message: in one step, or two if the agent begins with it.
   *
   * @param at - When it was accepted, in milliseconds since 1970.
   * @param origin - What the message decides; `undefined` for one off the shelf, which was decided when it was put there.
   */
  takeMessage(activation: Activation, known: Known, envelope: Envelope, at: number, origin: Origin | undefined): void {
    if (activation.state === undefined && isBeginning(envelope)) {
      // Begun by a plain message, as children never are: two steps, init and then the event, of which only the second decides the message.
      const start = { kind: "start", message: envelope, input: undefined, child: undefined, isImplied: true } as const;
      // Of one off the shelf, in one record with its event: between the two, a crash would lose it.
      const outcome = this.take(activation, known, start, undefined, origin === undefined);
      if (outcome.kind === "passed") {
        const { why, answers, sends } = outcome;
        const { entries } = this.#options;
        const numbered = entries.number(envelope.to, sends);
        if (origin !== undefined) entries.passOf(envelope.to, origin, why, answers, numbered);
        return;
      }
    }
    this.take(activation, known, inputOf(envelope, at), origin);
  }

  /** Takes what comes from the agent itself; nothing, of one that is gone or cannot step. */
  takeLocal(activation: Activation, input: StepInput): void {
    if (activation.state === undefined) return;
    const known = this.known(activation);
    if (!(known instanceof DormouseError)) this.take(activation, known, input, undefined);
  }

  /** Takes one step. @param isWithNext - In one record with the entry that is added next. */
  take(
    activation: Activation,
    known: Known,
    input: StepInput,
    origin: Origin | undefined,
    isWithNext: boolean = false,
  ): Outcome {
    const { world, settings, restoreEveryStep, observe, entries } = this.#options;
    const { agent, state, live } = activation;
    const restore = restoreEveryStep ? restorer(state) : undefined;
    const outcome = takeStep({
      agent,
      definition: known.definition,
      machine: known.machine,
      before: state === undefined || live === undefined ? undefined : { state, live },
      input,
      now: world.clock.now(),
      birth: state === undefined ? world.entropy.bytes(16) : state.birth,
      seqBefore: activation.seqBefore,
      freezeContexts: settings.freezeContexts,
      stateBytesMax: settings.stateBytesMax,
    });
    if (outcome.kind === "passed" && outcome.error !== undefined && "message" in input) {
      const { id, ask } = input.message;
      observe({ kind: "refused", agent, id, isAsked: ask !== undefined, error: outcome.error });
    }
    if (outcome.kind === "stepped") this.#stepped(activation, restore?.(outcome) ?? outcome, origin, isWithNext);
    else if (origin !== undefined || outcome.sends.length > 0) {
      entries.passOf(agent, origin, outcome.why, outcome.answers, entries.number(agent, outcome.sends));
    }
    return outcome;
  }

  #stepped(activation: Activation, outcome: Stepped, origin: Origin | undefined, isWithNext: boolean): void {
    const { observe, channel, app, entries, letRun, runAction } = this.#options;
    const { agent } = activation;
    const { state, live } = outcome.after;
    const sends = entries.number(agent, outcome.sends);
    const entry: StepEntry = {
      kind: "step",
      agent,
      seq: state.seq,
      at: state.now,
      origin,
      cause: outcome.cause,
      delta: outcome.delta,
      sends,
      answers: outcome.answers,
      wakeUp: earliestDue(state),
      isBusy: isBusy(state),
      error: outcome.error,
      emitted: outcome.emitted,
    };
    activation.state = state;
    activation.live = live;
    const release = entries.releaseOf(sends, outcome.answers);
    const bytes = outcome.deltaBytes + entryBytes([outcome.cause, sends, outcome.answers, outcome.emitted]);
    const released = (): void => {
      activation.committed = state;
      activation.steps.push(historyStep(entry));
      observe({ kind: "stepped", agent, seq: state.seq, error: outcome.error, thrown: outcome.thrown });
      release();
      letRun(activation, state);
      for (const { label, value } of outcome.logs) observe({ kind: "logged", agent, label, value });
      if (outcome.cause.kind === "calls") this.#tellOfCalls(agent, outcome.cause.calls, outcome.emitted);
      // What is owed, the next owner of a partition that was given up runs.
      const { isClosed } = entries;
      for (const action of outcome.actions) if (!isClosed || !action.isOwed) runAction(agent, action);
      publishNotice(channel, app, agent, { seq: state.seq, emitted: outcome.emitted });
      observe({ kind: "released", agent, seq: state.seq });
    };
    entries.addOf(activation, entry, bytes, released, isWithNext);
  }

  /** What a durable function logged, and what failed in it and is tried again. */
  #tellOfCalls(agent: Activation["agent"], calls: readonly CallNote[], emitted: Stepped["emitted"]): void {
    const { observe } = this.#options;
    const lines = emitted.filter(({ type }) => type === "dormouse.log").values();
    for (const { what, name = "", attempt = 1, error } of calls) {
      if (what === "failed" && error !== undefined) observe({ kind: "attempt-failed", agent, name, attempt, error });
      const line = what === "log" ? lines.next().value : undefined;
      if (line === undefined) continue;
      const { message, fields } = line;
      const [label, value] = fields === undefined ? [undefined, message] : [String(message), fields];
      observe({ kind: "logged", agent, label, value });
    }
  }

  /** Makes an agent one that is gone. */
  forget(activation: Activation): void {
    const { entries, letRun } = this.#options;
    const seq = activation.state?.seq ?? activation.seqBefore;
    activation.seqBefore = seq;
    activation.state = undefined;
    activation.live = undefined;
    entries.addOf(activation, { kind: "remove", agent: activation.agent, seq }, 32, () => {
      activation.committed = undefined;
      activation.committedSeqBefore = seq;
      activation.settled = undefined;
      activation.error = undefined;
      activation.steps = [];
      activation.lives += 1;
      letRun(activation, undefined);
    });
  }
}

/** Whether an agent that is not there begins with the message: a response, as by a misspelt key, answers nothing then. */
function isBeginning({ to, body, ask }: Envelope): boolean {
  return body.kind === "event" && ask?.until !== "taken" && !parseAddress(to).key.startsWith("~");
}
