/**
 * The engine: XState, behind five functions. A second engine is a second file with the same five.
 *
 * - `init(machine, input, context)` and `step(machine, live, event, context)` decide: the next state as the engine runs
 *   it, and what was asked for, as data. They throw what the machine's own code threw, and then nothing has happened.
 * - `encode(live)` and `decode(machine, data)` are that state as data and back, exactly (D8). `encode` copies nothing.
 * - `describe(live)` is what others may see of it.
 *
 * `prepare` makes what they run: a machine with every actor in it replaced by a stub, so that a child's state is never
 * computed in its parent's step. Checked on XState 5.33.3; its internals, under their names, are met here, in `scope.ts`
 * (one step's actor system) and in `check.ts` (what is refused).
 */
import { type AnyActorLogic, type AnyStateMachine, getNextTransitions, StateMachine } from "xstate";
import type { Address } from "../agent/address.ts";
import { AgentRef } from "../agent/agent-ref.ts";
import { assert } from "../agent/assert.ts";
import { durableOf } from "../agent/durable.ts";
import { DormouseError } from "../agent/errors.ts";
import { stepIterationsMax } from "../agent/limits.ts";
import type { EventData } from "../agent/way-out.ts";
import { checkMachine, isMachine, missingImplementation, ownValue, probeActor, unknownSystemId } from "./check.ts";
import { runInStep, type StepContext } from "./context.ts";
import type {
  ActionPlace,
  ActorLogic,
  Description,
  EngineResult,
  EngineSnapshot,
  Live,
  MachineData,
  NamedActor,
  PreparedMachine,
  PromiseCall,
} from "./machine.ts";
import { isReservedEvent } from "./own-events.ts";
import { type AnyStateNode, makeStub, type RunningMachine, StepScope } from "./scope.ts";

export type { ActorKind } from "./check.ts";
export type {
  ActionPlace,
  ActorLogic,
  ChildData,
  Description,
  EngineResult,
  Live,
  MachineData,
  NamedActor,
  PreparedMachine,
  PromiseCall,
} from "./machine.ts";
export { doneEvent, errorEvent, isReservedEvent, snapshotEvent } from "./own-events.ts";

// ---------------------------------------------------------------------------------------------------------- the five functions

/** The first state. @throws what the machine's code threw; DormouseError `invalid` (`machine.…`) for what is not durable. */
export function init(machine: PreparedMachine, input: unknown, context: StepContext): EngineResult {
  const scope = new StepScope(preparedOf(machine), context, undefined);
  const next = runInStep(context, () => {
    const snapshot = scope.prepared.logic.getInitialSnapshot(scope.asActorScope(), input) as EngineSnapshot;
    // XState gives a throw in init back as a state; the actions so far belong to no state that will be.
    if (snapshot.status === "error") throw snapshot.error;
    return snapshot;
  });
  return scope.finish(next);
}

/** The state after one event. @throws as `init`. */
export function step(machine: PreparedMachine, live: Live, event: EventData, context: StepContext): EngineResult {
  // A done snapshot still reacts (FACTS 3.6).
  if (live.data.status !== "active") return { next: live, isTaken: false, waysOut: [] };
  const before = endChild(live, event);
  const scope = new StepScope(preparedOf(machine), context, before);
  const next = runInStep(
    context,
    () => scope.prepared.logic.transition(before.snapshot, event, scope.asActorScope()) as EngineSnapshot,
  );
  const result = scope.finish(next);
  return before === live || result.isTaken ? result : { ...result, isTaken: true };
}

export function encode(live: Live): MachineData {
  return live.data;
}

/** @throws DormouseError `failed` (`machine.state-removed`). */
export function decode(machine: PreparedMachine, data: MachineData): Live {
  return { machine, snapshot: preparedOf(machine).restore(data), data };
}

export function describe(live: Live): Description {
  return new LiveDescription(live);
}

/** Marks the child whose end this event tells: it hears nothing more, and its name in the system is free. */
function endChild(live: Live, event: EventData): Live {
  const { type } = event;
  if (!type.startsWith("xstate.done.actor.") && !type.startsWith("xstate.error.actor.")) return live;
  const id = event["actorId"];
  const child = typeof id === "string" ? live.data.children[id] : undefined;
  if (child === undefined || child.isEnded === true) return live;
  const children = { ...live.data.children, [String(id)]: { ...child, isEnded: true as const } };
  return { ...live, data: { ...live.data, children } };
}

/** What is costly to say is said when asked. */
class LiveDescription implements Description {
  readonly #live: Live;

  constructor(live: Live) {
    this.#live = live;
  }

  get status(): MachineData["status"] {
    return this.#live.data.status;
  }
  get value(): unknown {
    return this.#live.data.value;
  }
  get context(): unknown {
    return this.#live.data.context;
  }
  get output(): unknown {
    return this.#live.data.output;
  }
  get error(): unknown {
    return this.#live.data.error;
  }
  get tags(): readonly string[] {
    const { snapshot, machine } = this.#live;
    return isMachine(machine.logic) ? [...(snapshot.tags as Iterable<string>)] : [];
  }
  get accepts(): readonly string[] {
    const { snapshot, machine, data } = this.#live;
    if (data.status !== "active") return [];
    if (!isMachine(machine.logic)) return ["*"];
    const types = getNextTransitions(snapshot).map(({ eventType }) => eventType as string);
    return [...new Set(types)].filter((type) => type !== "" && !isReservedEvent(type));
  }
}

// ------------------------------------------------------------------------------------------------------------------ prepare

export interface PrepareOptions {
  readonly type: string;
  readonly version: number;
  /** Default: the type's own machine. */
  readonly path?: readonly string[];
  /** The type of every registered definition by its `logic`: children with this logic are agents of that type. */
  readonly registered?: ReadonlyMap<unknown, string>;
  /** Replacements of the machine's own actors by name, for tests. */
  readonly actors?: { readonly [src: string]: ActorLogic };
}

/**
 * Makes a machine ready to run, and all machines it invokes or spawns.
 *
 * @throws DormouseError `invalid` (`machine.…`) for what cannot be durable, with the reason and the way out.
 */
export function prepare(logic: ActorLogic, options: PrepareOptions): PreparedMachine {
  return Prepared.make(logic, options, new Set());
}

function preparedOf(machine: PreparedMachine): Prepared {
  assert(machine instanceof Prepared, "a machine comes from this engine's prepare");
  return machine;
}

class Prepared implements RunningMachine {
  readonly type: string;
  readonly version: number;
  readonly path: readonly string[];
  /** With stubs for actors; what runs. */
  readonly logic: ActorLogic;
  readonly id: string;
  readonly #options: PrepareOptions;
  readonly #actors: ReadonlyMap<string, NamedActor>;
  readonly #children = new Map<string, Prepared>();
  readonly #warnings: string[] = [];
  #template: EngineSnapshot | undefined;

  private constructor(logic: ActorLogic, options: PrepareOptions) {
    this.#options = options;
    this.type = options.type;
    this.version = options.version;
    this.path = options.path ?? [];
    this.id = isMachine(logic) ? logic.id : (this.path.at(-1) ?? options.type);
    this.#actors = isMachine(logic) ? namedActors(logic, options.actors ?? {}) : new Map();
    this.logic = isMachine(logic) ? this.#withStubs(logic) : logic;
  }

  /** Checks the machine, then those below it that were not met above; what is met again is made when it is needed. */
  static make(logic: ActorLogic, options: PrepareOptions, met: Set<unknown>): Prepared {
    met.add(logic);
    const checked = isMachine(logic) ? checkMachine(logic) : [];
    const prepared = new Prepared(logic, options);
    prepared.#warnings.push(...checked);
    for (const [src, actor] of prepared.#actors) {
      if (actor.kind === "promise" || met.has(actor.logic)) continue;
      const child = prepared.#makeChild(src, actor, met);
      if (child !== undefined) prepared.#warnings.push(...child.warnings);
    }
    prepared.#tryInit();
    return prepared;
  }

  get warnings(): readonly string[] {
    return this.#warnings;
  }

  actor(src: string): NamedActor | undefined {
    return this.#actors.get(src);
  }

  isDurable(src: string): boolean {
    return durableOf(this.#actors.get(src)?.logic) !== undefined;
  }

  child(src: string): PreparedMachine | undefined {
    const known = this.#children.get(src);
    if (known !== undefined) return known;
    const actor = this.#actors.get(src);
    return actor === undefined || actor.kind === "promise"
      ? undefined
      : this.#makeChild(src, actor, new Set([actor.logic]));
  }

  async runPromise(src: string, call: PromiseCall): Promise<unknown> {
    const actor = this.#actors.get(src);
    if (actor?.kind !== "promise") {
      throw new DormouseError(
        "failed",
        "machine.actor-removed",
        `Agent ${call.agent} waits for actor "${src}", which machine "${this.id}" version ${this.version} no longer has.`,
      );
    }
    const { input, signal, attempt, idempotencyKey } = call;
    const { config } = actor.logic as unknown as { config: (args: object) => unknown };
    const self = new AgentRef(idempotencyKey);
    return config({ input, signal, self, system: effectSystem, emit: () => undefined, attempt, idempotencyKey });
  }

  action(name: string, params: unknown, at: ActionPlace): () => void {
    const run = isMachine(this.logic) ? ownValue(this.logic.implementations.actions, name) : undefined;
    if (typeof run !== "function") {
      throw new DormouseError(
        "failed",
        "machine.action-removed",
        `An agent of type ${this.type} owes action "${name}", which machine "${this.id}" version ${this.version} no ` +
          `longer has.`,
      );
    }
    const { agent = `${this.type}/~unknown` as Address, event = { type: "dormouse.owed" } } = at;
    const live = decode(this, at.machine);
    const scope = new StepScope(this, { ...noContext, agent }, live);
    const args = { context: live.snapshot.context as unknown, event, self: scope.self, system: scope.system };
    return () => (run as (args: object, params: unknown) => void)(args, params);
  }

  /** The type of the agent that a child is: its own where its logic is registered, else this one's. */
  childType(src: string): { readonly type: string; readonly path: readonly string[] } {
    const registered = this.#options.registered?.get(this.#actors.get(src)?.logic);
    if (registered !== undefined) return { type: registered, path: [] };
    return { type: this.type, path: [...this.path, src] };
  }

  /** The snapshot of data, exactly as it was: no engine call, since XState would order the states anew (FACTS 3.5). */
  restore(data: MachineData): EngineSnapshot {
    const { status, context, output, error } = data;
    if (!isMachine(this.logic)) return { status, context, output, error } as EngineSnapshot;
    const machine = this.logic;
    const nodeOf = (id: string): AnyStateNode => idMapOf(machine).get(id) ?? this.#refuseState(id);
    const nodes = data.nodes.map(nodeOf);
    const historyValue: { [id: string]: AnyStateNode[] } = {};
    for (const [id, ids] of Object.entries(data.history)) historyValue[id] = ids.map(nodeOf);
    const children: { [id: string]: AgentRef } = {};
    for (const [id, { address }] of Object.entries(data.children)) children[id] = new AgentRef(address, id);
    // Only for its methods.
    this.#template ??= machine.resolveState({ value: {}, context: {} });
    return {
      ...this.#template,
      status,
      value: data.value,
      context,
      output,
      error,
      children,
      _nodes: nodes,
      tags: new Set(nodes.flatMap((node) => node.tags)),
      historyValue,
    } as unknown as EngineSnapshot;
  }

  #refuseState(id: string): never {
    throw new DormouseError(
      "failed",
      "machine.state-removed",
      `Agent is in state "${id}" which machine "${this.id}" version ${this.version} no longer has. Bring the state back, or ` +
        `redeploy ${this.version > 1 ? `version ${this.version - 1}` : "the code that had it"}: type=${this.type}`,
    );
  }

  #makeChild(src: string, actor: NamedActor, met: Set<unknown>): Prepared | undefined {
    const { registered, version } = this.#options;
    if (registered?.has(actor.logic) === true) return undefined;
    const options = { type: this.type, version, path: [...this.path, src] };
    const child = Prepared.make(actor.logic, registered === undefined ? options : { ...options, registered }, met);
    this.#children.set(src, child);
    return child;
  }

  #withStubs(machine: AnyStateMachine): AnyStateMachine {
    const stubs: { [src: string]: AnyActorLogic } = {};
    for (const [src, { kind }] of this.#actors) stubs[src] = makeStub(src, kind);
    const { implementations } = machine;
    const config = stubInvokes(machine.root, stubs);
    return new StateMachine(
      {
        ...config,
        options: {
          ...machine.config.options,
          maxIterations: Math.min(machine.options.maxIterations ?? Infinity, stepIterationsMax),
        },
      },
      {
        ...implementations,
        actors: { ...implementations.actors, ...stubs },
        delays: throwingOnUnknown(implementations.delays, (name) => missingImplementation(this.id, "delay", name, "?")),
      },
    );
  }

  /** What needs no input can be tried. User code may still mean to be given one, so what it throws is only a warning. */
  #tryInit(): void {
    if (!isMachine(this.logic) || typeof this.logic.config.context === "function") return;
    try {
      init(this, undefined, noContext);
    } catch (thrown) {
      if (thrown instanceof DormouseError && thrown.code.startsWith("machine.")) throw thrown;
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      this.#warnings.push(`Machine "${this.id}" cannot begin without input: ${reason}`);
    }
  }
}

const noContext: StepContext = {
  agent: "none/none" as Address,
  seq: 0,
  now: 0,
  birth: new Uint8Array(16),
  message: { id: "none" as StepContext["message"]["id"], sentAt: 0, isAsked: false },
};

function idMapOf(machine: AnyStateMachine): ReadonlyMap<string, AnyStateNode> {
  return (machine as unknown as { idMap: ReadonlyMap<string, AnyStateNode> }).idMap;
}

/** Every actor of a machine by the name under which XState asks for it. */
function namedActors(
  machine: AnyStateMachine,
  replacements: { readonly [src: string]: ActorLogic },
): ReadonlyMap<string, NamedActor> {
  const actors = new Map<string, NamedActor>();
  const add = (src: string, logic: ActorLogic): void => {
    const replaced = ownValue(replacements, src) ?? logic;
    actors.set(src, { kind: probeActor(src, replaced, machine.id), logic: replaced });
  };
  for (const [src, logic] of Object.entries(machine.implementations.actors)) add(src, logic as ActorLogic);
  const addInlineOf = (node: AnyStateNode): void => {
    invokesOf(node).forEach(({ src }, index) => {
      if (typeof src !== "string") add(inlineName(node, index), src);
    });
    Object.values(node.states).forEach(addInlineOf);
  };
  addInlineOf(machine.root);
  return actors;
}

interface InvokeConfig {
  readonly src: string | ActorLogic;
}

function invokesOf(node: AnyStateNode): readonly InvokeConfig[] {
  const { invoke } = node.config as { invoke?: InvokeConfig | readonly InvokeConfig[] };
  if (invoke === undefined) return [];
  return Array.isArray(invoke) ? invoke : [invoke as InvokeConfig];
}

/** As XState names the logic of an invoke that has none. */
function inlineName(node: AnyStateNode, index: number): string {
  return `xstate.invoke.${index}.${node.id}`;
}

/** A state's configuration with stubs in place of logic given inline. */
function stubInvokes(node: AnyStateNode, stubs: { readonly [src: string]: AnyActorLogic }): AnyStateMachine["config"] {
  const invoke = invokesOf(node).map((config, index) =>
    typeof config.src === "string" ? config : { ...config, src: stubs[inlineName(node, index)] },
  );
  const states: { [key: string]: unknown } = {};
  for (const [key, child] of Object.entries(node.states)) states[key] = stubInvokes(child, stubs);
  return {
    ...node.config,
    ...(invoke.length === 0 ? {} : { invoke }),
    ...(node.config.states === undefined ? {} : { states }),
  } as AnyStateMachine["config"];
}

/** XState takes an unknown delay for none, and acts at once. `enqueueActions` can name one that no check has seen. */
function throwingOnUnknown<T extends object>(names: T, error: (name: string) => Error): T {
  return new Proxy(names, {
    get: (target, name): unknown => {
      if (typeof name === "string" && !Object.hasOwn(target, name)) throw error(name);
      return Reflect.get(target, name);
    },
  });
}

const effectSystem = {
  get: (systemId: string): never => {
    throw unknownSystemId(systemId);
  },
  getAll: (): object => ({}),
};
