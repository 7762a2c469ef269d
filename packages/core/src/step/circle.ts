/**
 * Agents that ask one another in a circle: each waits for the next, and none can answer. Their asks end by their time-outs; this
 * says why.
 *
 * Owns: who waits for whom, as an ask carries it along.
 * Called by: `durable.ts`, when a function asks, and when its ask has waited for its time.
 */
import { askerOf } from "./replies.ts";
import type { OpenAsk } from "./state.ts";

/** Agents that an ask names as waiting for it; of more, the latest. */
const waitingMax = 16;

/** The agents that wait for an answer of an agent with these open asks: each for the next, the last for the agent. */
export function waitingFor(asks: readonly OpenAsk[]): readonly string[] {
  const chains = asks.map(chainOf).filter((chain) => chain.length > 0);
  return chains.at(-1)?.slice(-waitingMax) ?? [];
}

/** From an agent that waits for `to` round to itself, where one that waits for it is waited for by `to`. */
export function circleOf(agent: string, asks: readonly OpenAsk[], to: string): readonly string[] | undefined {
  if (agent === to) return [agent, agent];
  for (const chain of asks.map(chainOf)) {
    const at = chain.lastIndexOf(to);
    if (at >= 0) return [agent, ...chain.slice(at), agent];
  }
  return undefined;
}

function chainOf({ replyTo, waiting = [] }: OpenAsk): readonly string[] {
  const asker = askerOf(replyTo);
  return asker === undefined ? [] : [...waiting, asker];
}
