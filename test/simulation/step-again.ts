/** The runtime's own step, for a checker that executes recorded steps a second time (D2): no entry of core tells it. */
import type { AnyAgentDefinition } from "@dormouse/core";
import type { AgainOutcome, AgainRequest, StepAgain } from "@dormouse/testing";
import type { Address } from "../../packages/core/src/agent/address.ts";
import { decode } from "../../packages/core/src/step/engine.ts";
import { Registry } from "../../packages/core/src/step/registry.ts";
import type { AgentState } from "../../packages/core/src/step/state.ts";
import type { StepInput } from "../../packages/core/src/step/input.ts";
import { takeStep } from "../../packages/core/src/step/step.ts";

/** Executes steps of these agents, on machines of its own; of a type in several versions, by the one that took the step. */
export function stepAgainOf(agents: readonly AnyAgentDefinition[]): StepAgain {
  const registries = new Map(
    [...new Set(agents.map(({ version }) => version))].map((version) => {
      const known = new Map(agents.map((one) => [one.type, one]));
      for (const one of agents) if (one.version === version) known.set(one.type, one);
      return [version, new Registry([...known.values()], {}, () => undefined)];
    }),
  );
  return (again) => {
    const registry = registries.get(again.version);
    if (registry === undefined) throw new Error(`no code is of this version: ${again.version} of ${again.agent}`);
    return stepAgain(registry, again);
  };
}

function stepAgain(registry: Registry, again: AgainRequest): AgainOutcome {
  const { agent, path, before, now, birth, seqBefore, stateBytesMax } = again;
  const known = registry.find(agent.slice(0, agent.indexOf("/")), path);
  if (known === undefined) throw new Error(`no machine runs this agent: agent=${agent}`);
  const state = before as AgentState | undefined;
  const outcome = takeStep({
    agent: agent as Address,
    definition: known.definition,
    machine: known.machine,
    before: state === undefined ? undefined : { state, live: decode(known.machine, state.machine) },
    input: again.input as StepInput,
    now,
    birth,
    seqBefore,
    freezeContexts: true,
    stateBytesMax,
  });
  if (outcome.kind === "passed") return outcome;
  const { after, delta, cause, sends, answers, emitted, error } = outcome;
  const { seq, now: at } = after.state;
  return { kind: "stepped", seq, at, delta, cause, sends, answers, emitted, error };
}
