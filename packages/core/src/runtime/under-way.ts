/**
 * What agents have under way, and what comes of it: timers, effects, actions. Each has its agent step, by a message to itself.
 *
 * Owns: the near timers.
 * Leaves to others: what is under way (each agent's own state), running effects (`release/effect.ts`), steps (`steps.ts`).
 * Called by steps: `letRun`, `runAction`; by partition: `effectEnded`, `effectTells`, `armNear`, `resume`; by shelf: `resume`.
 */
import type { Address } from "../agent/address.ts";
import { decodeError, DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import { nearMs } from "../agent/limits.ts";
import type { Observe } from "../observe.ts";
import type { CallNews } from "../step/durable.ts";
import { asDurable, type StepInput } from "../step/input.ts";
import { type AgentState, earliestDue, type EffectResult } from "../step/state.ts";
import type { InlineAction } from "../step/outcome.ts";
import type { Activation } from "./activations.ts";
import type { Caution } from "./caution.ts";
import type { Commit } from "./commit.ts";
import type { Entries } from "./entries.ts";
import { pause, type World } from "./insist.ts";
import type { EffectCall, Effects } from "./release/effect.ts";
import { Timers } from "./release/timer.ts";
import type { Steps } from "./steps.ts";
import type { AgentWork } from "./agent-work.ts";

export interface UnderWayOptions {
  readonly world: World;
  readonly observe: Observe;
  readonly entries: Pick<Entries, "isClosed" | "state">;
  readonly agentWork: Pick<AgentWork, "do" | "use">;
  readonly steps: Pick<Steps, "known" | "takeLocal">;
  readonly effects: Pick<Effects, "reconcile" | "ended">;
  readonly caution: Pick<Caution, "isOn" | "aloneMs">;
  readonly commit: Pick<Commit, "cut">;
  readonly failed: (error: unknown) => void;
}

export class UnderWay {
  readonly #options: UnderWayOptions;
  readonly #timers: Timers;

  constructor(options: UnderWayOptions) {
    this.#options = options;
    const { world, failed } = options;
    this.#timers = new Timers({ clock: world.clock, wake: (agent) => this.#wake(agent), failed });
  }

  stop(): void {
    this.#timers.stop();
  }

  /** Begins what a durable state asks for, and ends what it does not; `undefined`: the agent is gone. */
  letRun(activation: Activation, state: AgentState | undefined): void {
    // Its effects and timers are the next owner's (P4).
    if (this.#options.entries.isClosed) return;
    this.#arm(activation.agent, state === undefined ? undefined : earliestDue(state));
    this.#options.effects.reconcile(activation.agent, begunHere(activation, state));
  }

  /** Arms what is near; what is far leaves memory at the next settle (D10). */
  #arm(agent: Address, due: number | undefined): void {
    const isNear = due !== undefined && due <= this.#options.world.clock.now() + 2 * nearMs;
    this.#timers.set(agent, isNear ? due : undefined);
  }

  /** Arms the near wake-ups of all agents of the partition. */
  armNear(): void {
    for (const [agent, due] of this.#options.entries.state.wakeUps) this.#arm(agent, due);
  }

  #wake(agent: Address): void {
    this.#options.agentWork.use(agent, (activation) => {
      // What it has set is not known: it stays armed until it can be read.
      if (activation.phase === "unreadable") return;
      const now = this.#options.world.clock.now();
      const due = Object.entries(activation.state?.timers ?? {}).filter(([, timer]) => timer.due <= now);
      due.sort(([, a], [, b]) => a.due - b.due || a.generation - b.generation);
      for (const [id, { generation }] of due)
        this.#local(agent, `${agent}/timer/${id}`, { kind: "timer", id, generation });
      // What is due now fires, and is armed anew by its commit: armed here, it would be due again at once, for ever.
      const next = activation.state === undefined ? undefined : earliestDue(activation.state);
      if (next !== undefined && next > now) this.#arm(agent, next);
      // One from a bucket may be older than what the agent did since: kept, it would wake it at every round, for ever.
      if (next === undefined) this.#options.entries.state.wakeUps.delete(agent);
    });
  }

  /** An effect of one of our agents has ended: its result is a message to itself. */
  effectEnded({ agent, address, effect }: EffectCall, result: EffectResult): void {
    const durable = asDurable(agent, result);
    const { attempt } = effect;
    this.#local(agent, `${address}/result`, { kind: "effect", address, attempt, result: durable });
  }

  /** A durable function of one of our agents tells of its calls: a message of the agent to itself. */
  effectTells({ agent, address, effect }: EffectCall, calls: readonly CallNews[]): void {
    this.#local(agent, `${address}/calls`, { kind: "calls", address, attempt: effect.attempt, calls });
  }

  /** Runs an action of a durable step. Its agent is told if it failed, or is owed. */
  runAction(agent: Address, { name, seq, index, isOwed, run }: InlineAction): void {
    const end = (error: ErrorData | undefined, thrown?: unknown): void => {
      if (error !== undefined) this.#options.observe({ kind: "action-failed", agent, name, error, thrown });
      if (!isOwed && error === undefined) return;
      this.#local(agent, `${agent}/action/${name}`, { kind: "action", name, seq, index, isOwed, error });
    };
    const fail = (thrown: unknown): void => end(encodeError(actionError(agent, name, thrown)), thrown);
    try {
      const result = run();
      // XState ignores what an async action comes to; that it failed must not end the host.
      if (result instanceof Promise) result.then(() => end(undefined), fail).catch(this.#options.failed);
      else end(undefined);
    } catch (thrown) {
      fail(thrown);
    }
  }

  /** What was under way begins anew; each attempt at an effect is recorded before it starts. */
  resume(agent: Address): void {
    this.#options.agentWork.do(agent, `${agent}/resumed`, async (activation) => {
      if (activation.state === undefined) return;
      // Not of what a kept message asked for since: that begins by itself.
      for (const [address, { attempt, durable }] of Object.entries(activation.state.effects)) {
        const isFound = activation.effectsFound[address]?.attempt === attempt && durable?.rest === undefined;
        if (isFound) this.#options.steps.takeLocal(activation, { kind: "attempt", address });
      }
      this.#runOwed(activation);
      // Under caution it is alone with its effects for a while, so that it is known whom a death is due to; not until
      // they end, since others wait.
      const { caution, commit, effects, world } = this.#options;
      if (!caution.isOn) return;
      // They start when their attempts are durable: asked before, none would be running.
      await commit.cut(() => undefined);
      await Promise.race([effects.ended(agent), pause(world, caution.aloneMs)]);
    });
  }

  #runOwed(activation: Activation): void {
    const { agent, state } = activation;
    if (state === undefined) return;
    const known = this.#options.steps.known(activation);
    if (known instanceof DormouseError) return;
    for (const { seq, index, name, params, event } of state.owed) {
      const run = known.machine.action(name, params, { machine: state.machine, agent, event });
      this.runAction(agent, { name, seq, index, isOwed: true, run });
    }
  }

  #local(agent: Address, id: string, input: StepInput): void {
    this.#options.agentWork.do(agent, id, (activation) => this.#options.steps.takeLocal(activation, input));
  }
}

/** The effects without those found: these begin anew by their next attempt (D6). */
function begunHere({ effectsFound }: Activation, state: AgentState | undefined): AgentState["effects"] {
  const effects = state?.effects ?? {};
  return Object.fromEntries(
    Object.entries(effects).filter(([address, { attempt }]) => effectsFound[address]?.attempt !== attempt),
  );
}

function actionError(agent: Address, name: string, thrown: unknown): DormouseError {
  const cause = encodeError(thrown);
  return new DormouseError(
    "failed",
    "agent.action-failed",
    `an action of the agent threw, after the step that asked for it was stored; use an effect for what must succeed: ` +
      `${cause.message}: agent=${agent} action=${name}`,
    { cause: decodeError(cause) },
  );
}
