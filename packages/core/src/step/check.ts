/**
 * What cannot be durable, why, and what to use instead: said when an agent is registered, before it loses anything.
 *
 * Reads machines as XState builds them (checked on 5.33.3); the engine refuses in the step what only shows there.
 */
import type { AnyActorLogic, AnyStateMachine } from "xstate";
import { DormouseError } from "../agent/errors.ts";

/** What a machine invokes or spawns: work outside the step, or an agent of its own. */
export type ActorKind = "promise" | "machine" | "transition";

/**
 * The kind of a piece of actor logic.
 *
 * @throws DormouseError `invalid` (`machine.callback-actor`, `machine.observable-actor`, `machine.custom-actor`).
 * @see FACTS.md, 3.8: kinds carry no brand, so they are told by how they behave
 */
export function probeActor(src: string, logic: AnyActorLogic, machine: string): ActorKind {
  if (isMachine(logic)) return "machine";
  const { start, config } = logic as { start?: unknown; config?: unknown };
  if (start === undefined) return "transition";
  if (config === undefined) throw customActor(src);
  if (isObservable(logic)) {
    throw refusal(
      "observable-actor",
      `Actor "${src}" in machine "${machine}" is an observable actor; its subscription cannot be persisted. Poll with ` +
        `after + fromPromise, or send events from outside.`,
    );
  }
  const answer = answerToResolve(logic);
  if (answer === "threw") {
    throw refusal(
      "callback-actor",
      `Actor "${src}" in machine "${machine}" is a callback actor. Its state lives in a running closure and cannot ` +
        `survive a crash or move. Use fromPromise or a machine.`,
    );
  }
  if (answer !== "done" || typeof config !== "function") throw customActor(src);
  return "promise";
}

function customActor(src: string): DormouseError {
  return refusal(
    "custom-actor",
    `Actor "${src}" has a start() method, so it does work the runtime cannot see. Only machines, fromPromise and logic ` +
      `without start() are durable.`,
  );
}

const noScope = { self: {}, system: {} } as never;

function isObservable(logic: AnyActorLogic): boolean {
  try {
    return "_subscription" in (logic.getInitialSnapshot(noScope, undefined) as object);
  } catch {
    return false;
  }
}

function answerToResolve(logic: AnyActorLogic): unknown {
  try {
    const active = { status: "active", input: undefined } as never;
    return (logic.transition(active, { type: "xstate.promise.resolve" }, noScope) as { status?: unknown }).status;
  } catch {
    return "threw";
  }
}

/** A state as XState formats it, as far as it is looked at here. */
interface StateNode {
  readonly id: string;
  readonly type: string;
  readonly config: { readonly invoke?: unknown };
  readonly states: { readonly [key: string]: StateNode };
  readonly entry: readonly unknown[];
  readonly exit: readonly unknown[];
  readonly transitions: ReadonlyMap<string, readonly Transition[]>;
  readonly always?: readonly Transition[];
  readonly initial: Transition;
  readonly invoke: readonly { readonly src: string; readonly id: string }[];
}
interface Transition {
  readonly guard?: unknown;
  readonly actions: readonly unknown[];
}
/** A built-in action or guard: a function that carries what it was made with. */
interface BuiltIn {
  readonly type?: string;
  readonly resolve?: unknown;
  readonly id?: unknown;
  readonly src?: unknown;
  readonly delay?: unknown;
  readonly guards?: readonly unknown[];
  /** Of an assign: a function, or one per field of the context. */
  readonly assignment?: unknown;
}

/**
 * Refuses a machine that cannot run durably as it is written; gives what its author should know.
 *
 * @throws DormouseError `invalid` (`machine.missing-implementation`, `machine.spawn-without-id`, `machine.inline-actor`,
 * `machine.bad-initial`, `machine.async-function`).
 */
export function checkMachine(machine: AnyStateMachine): readonly string[] {
  const checking = new Checking(machine);
  checking.checkImplementations();
  checking.checkState(machine.root as unknown as StateNode);
  return checking.warnings();
}

class Checking {
  readonly #machine: AnyStateMachine;
  readonly #inlineActions = new Set<string>();
  readonly #inlineInvokes: string[] = [];

  constructor(machine: AnyStateMachine) {
    this.#machine = machine;
  }

  checkImplementations(): void {
    const { actions, guards } = this.#machine.implementations;
    for (const [name, action] of Object.entries(actions)) this.#checkBuiltIn(action, `setup, action "${name}"`);
    for (const [name, guard] of Object.entries(guards)) this.#checkGuard(guard, `setup, guard "${name}"`);
  }

  checkState(state: StateNode): void {
    for (const action of [...state.entry, ...state.exit]) this.#checkAction(action, state.id);
    for (const transitions of state.transitions.values()) this.#checkTransitions(transitions, state.id);
    this.#checkTransitions(state.always ?? [], state.id);
    this.#checkTransitions([this.#initialOf(state)], state.id);
    for (const invoke of state.invoke) this.#checkInvoke(invoke, state.id);
    for (const child of Object.values(state.states)) this.checkState(child);
  }

  warnings(): readonly string[] {
    const warnings: string[] = [];
    const { id } = this.#machine;
    if (this.#inlineActions.size > 0) {
      warnings.push(
        `Machine "${id}" has inline actions (states ${[...this.#inlineActions].join(", ")}). They run after the commit, ` +
          `at most once, and not at all if the host dies just then. Name them in setup({ actions }) to have them run at ` +
          `least once; use invoke for what must happen.`,
      );
    }
    if (this.#inlineInvokes.length > 0) {
      warnings.push(
        `Machine "${id}" invokes logic inline (${this.#inlineInvokes.join(", ")}). It is found again by its position, ` +
          `so reordering invokes breaks stored agents. Register it: setup({ actors: { name: logic } }) and use "name".`,
      );
    }
    return warnings;
  }

  /** XState throws here if the initial state does not exist, else only when the state is entered. */
  #initialOf(state: StateNode): Transition {
    try {
      return state.initial;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw refusal("bad-initial", `Machine "${this.#machine.id}" cannot enter state ${state.id}: ${reason}`, cause);
    }
  }

  #checkTransitions(transitions: readonly Transition[], state: string): void {
    for (const { guard, actions } of transitions) {
      this.#checkGuard(guard, state);
      for (const action of actions) this.#checkAction(action, state);
    }
  }

  #checkInvoke(invoke: { readonly src: string; readonly id: string }, state: string): void {
    const isInline = invoke.src.startsWith("xstate.invoke.");
    if (isInline) this.#inlineInvokes.push(invoke.id);
    else if (!Object.hasOwn(this.#machine.implementations.actors, invoke.src)) {
      throw this.#missing("actor", invoke.src, state);
    }
  }

  #checkAction(action: unknown, state: string): void {
    if (typeof action === "function") {
      if (!("resolve" in action)) this.#inlineActions.add(state);
      this.#checkBuiltIn(action, state);
      return;
    }
    const name = nameOf(action);
    if (!Object.hasOwn(this.#machine.implementations.actions, name)) throw this.#missing("action", name, state);
  }

  #checkBuiltIn(action: unknown, state: string): void {
    if (typeof action !== "function" || !("resolve" in action)) return;
    const { type, id, src, delay, assignment } = action as BuiltIn;
    const assigners = typeof assignment === "object" && assignment !== null ? Object.values(assignment) : [assignment];
    if (assigners.some(isAsync)) throw asyncFunction(this.#machine.id, "an assign", state);
    if (typeof delay === "string" && !Object.hasOwn(this.#machine.implementations.delays, delay)) {
      throw this.#missing("delay", delay, state);
    }
    if (type !== "xstate.spawnChild") return;
    if (typeof src !== "string") throw inlineActor(this.#machine.id);
    if (!Object.hasOwn(this.#machine.implementations.actors, src)) throw this.#missing("actor", src, state);
    if (id === undefined) throw spawnWithoutId(src, this.#machine.id);
  }

  #checkGuard(guard: unknown, state: string): void {
    if (guard === undefined) return;
    if (typeof guard === "function") {
      if (isAsync(guard)) throw asyncFunction(this.#machine.id, "a guard", state);
      for (const inner of (guard as BuiltIn).guards ?? []) this.#checkGuard(inner, state);
      return;
    }
    const name = nameOf(guard);
    if (!Object.hasOwn(this.#machine.implementations.guards, name)) throw this.#missing("guard", name, state);
  }

  #missing(what: "action" | "guard" | "delay" | "actor", name: string, state: string): DormouseError {
    return missingImplementation(this.#machine.id, what, name, state);
  }
}

/** A promise is no answer in a step: as a guard it would always pass, as a context it would have no fields. */
function isAsync(value: unknown): boolean {
  return Object.prototype.toString.call(value) === "[object AsyncFunction]";
}

function asyncFunction(machine: string, what: string, state: string): DormouseError {
  return refusal(
    "async-function",
    `Machine "${machine}" has ${what} that is async (state ${state}). A step is computed at once; do what takes time in ` +
      `an effect: invoke fromPromise, and decide on its result.`,
  );
}

function nameOf(reference: unknown): string {
  return typeof reference === "string" ? reference : String((reference as { type?: unknown }).type);
}

export function missingImplementation(
  machine: string,
  what: "action" | "guard" | "delay" | "actor",
  name: string,
  state: string,
): DormouseError {
  return refusal(
    "missing-implementation",
    `Machine "${machine}" refers to ${what} "${name}" (state ${state}) but it is not implemented.`,
  );
}

export function spawnWithoutId(src: string, machine: string): DormouseError {
  return refusal(
    "spawn-without-id",
    `spawnChild("${src}") in machine "${machine}" needs an id; XState stores it under "undefined" and a second one ` +
      `replaces the first.`,
  );
}

export function inlineActor(machine: string): DormouseError {
  return refusal(
    "inline-actor",
    `spawnChild/spawn in machine "${machine}" was given a logic object. After a restart it could not be found again. ` +
      `Register it: setup({ actors: { name: logic } }) and use "name".`,
  );
}

/** A machine, or what it asked for, that cannot be durable. */
export function refusal(code: string, text: string, cause?: unknown): DormouseError {
  return new DormouseError("invalid", `machine.${code}`, text, cause === undefined ? undefined : { cause });
}

export function unknownSystemId(systemId: string): DormouseError {
  return refusal("unknown-system-id", `No actor with systemId "${systemId}". Address it by its agent id.`);
}

export function isMachine(logic: AnyActorLogic): logic is AnyStateMachine {
  return "__xstatenode" in logic;
}

/** What an object holds itself under a name: users' names may be those of `Object.prototype`. */
export function ownValue<T>(object: { readonly [key: string]: T }, key: string): T | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
