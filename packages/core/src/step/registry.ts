/** The agent types that this host runs, and the machine of every agent and child among them. */
import type { AnyAgentDefinition, ResolvedAgent } from "../agent/definition.ts";
import { durableOf } from "../agent/durable.ts";
import { DormouseError } from "../agent/errors.ts";
import { machineAround } from "./engine-durable.ts";
import { type ActorLogic, prepare, type PreparedMachine } from "./engine.ts";
import type { AgentState } from "./state.ts";

/** What runs one agent. */
export interface Known {
  readonly definition: ResolvedAgent;
  readonly machine: PreparedMachine;
}

/** By agent type and actor name: what stands in for a machine's own actors, in tests. */
export interface ActorOverrides {
  readonly [type: string]: { readonly [src: string]: ActorLogic };
}

export class Registry {
  readonly #known = new Map<string, Known>();

  /**
   * @param warn - Told what an author should know: inline actions, invokes whose name is their position.
   * @throws DormouseError `invalid` (`agent.twice`, `agent.no-definition`, `machine.…`): what cannot be durable, and what to use instead.
   */
  constructor(
    definitions: readonly AnyAgentDefinition[],
    overrides: ActorOverrides,
    warn: (about: string, text: string) => void,
  ) {
    for (const definition of definitions) checkDefinition(definition);
    const registered = new Map<unknown, string>(definitions.map(({ logic, type }) => [logic, type]));
    for (const definition of definitions) {
      const { type, version } = definition;
      const logic = definition.logic as ActorLogic;
      if (this.#known.has(type)) {
        throw new DormouseError("invalid", "agent.twice", `two of the agents have one type; rename one: type=${type}`);
      }
      const actors = overrides[type];
      const machine = prepare(durableOf(logic) === undefined ? logic : machineAround(type, logic as never), {
        type,
        version,
        registered,
        ...(actors === undefined ? {} : { actors }),
      });
      const unknown = Object.keys(actors ?? {}).find((src) => machine.actor(src) === undefined);
      if (unknown !== undefined)
        throw unknownOverride(`the machine has no actor of this name: type=${type} actor=${unknown}`);
      this.#known.set(type, { definition, machine });
      for (const text of machine.warnings) warn(type, text);
    }
    const other = Object.keys(overrides).find((type) => !this.#known.has(type));
    if (other !== undefined) throw unknownOverride(`no agent is of this type: type=${other}`);
  }

  /** `type@version` of each. */
  versions(): readonly string[] {
    return [...this.#known.values()].map(({ definition: { type, version } }) => `${type}@${version}`);
  }

  /** By type and, for a child of another type's machine, the path of actor names down to its logic. */
  find(type: string, path: readonly string[]): Known | undefined {
    const known = this.#known.get(type);
    if (known === undefined || path.length === 0) return known;
    let machine: PreparedMachine | undefined = known.machine;
    for (const src of path) machine = machine?.child(src);
    // Schemas are those of the type's own events, not of its children's.
    const definition = { ...known.definition, input: undefined, events: undefined, replies: undefined };
    return machine === undefined ? undefined : { definition, machine };
  }
}

/** Why an agent cannot step here now: newer code than this host's made its state, as while a release is rolled out. */
export function newerState(agent: string, state: AgentState | undefined, known: Known): DormouseError | undefined {
  const { version } = known.definition;
  if (state === undefined || state.version <= version) return undefined;
  return new DormouseError(
    "invalid",
    "agent.newer-state",
    `a newer version of this type made the agent's state; it goes on where a host has that version: agent=${agent} ` +
      `version=${version} stateVersion=${state.version}`,
  );
}

/** Left alone, the real actor would run where a test meant another. */
function unknownOverride(what: string): DormouseError {
  return new DormouseError("invalid", "actors.unknown", `what actors should replace is not there; ${what}`);
}

/** Plain JavaScript may give a machine, or a module, where a definition belongs. */
function checkDefinition(definition: unknown): void {
  const isDefinition =
    typeof definition === "object" && definition !== null && "logic" in definition && "passivateAfterMs" in definition;
  if (isDefinition) return;
  const given = Object.prototype.toString.call(definition);
  throw new DormouseError(
    "invalid",
    "agent.no-definition",
    `agents are made by agent(...); this is not: given=${given}`,
  );
}
