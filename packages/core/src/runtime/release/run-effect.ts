/** What an effect runs: a promise of its machine's actor, or a durable function over its checkpoints. */
import { durableOf } from "../../agent/durable.ts";
import type { CallNews } from "../../step/durable.ts";
import type { Known } from "../../step/registry.ts";
import type { World } from "../insist.ts";
import { runDurable } from "./durable.ts";
import type { Bound, EffectCall, EffectRun } from "./effect.ts";

export interface EffectWorld extends Pick<World, "clock" | "entropy"> {
  /** How long a durable function waits in memory, in milliseconds. */
  readonly parkMs: number;
  /** Tells a durable function's agent of its calls. */
  readonly tell: (calls: readonly CallNews[]) => void;
}

export function runEffect(known: Known, call: EffectCall, running: EffectRun, world: EffectWorld): Promise<unknown> {
  const { agent, effect, address, signal } = call;
  const { src, input, attempt } = effect;
  const fn = durableOf(known.machine.actor(src)?.logic);
  if (fn === undefined || effect.durable === undefined) {
    return known.machine.runPromise(src, { agent, input, signal, attempt, idempotencyKey: address });
  }
  return runDurable({ ...world, call, running, fn });
}

/** What the effect's code bounds by itself. */
export function boundOf(known: Known | undefined, { effect }: EffectCall): Bound | undefined {
  return durableOf(known?.machine.actor(effect.src)?.logic)?.bound;
}
