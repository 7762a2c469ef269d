/** What the engine hands out: a machine made ready to run, its state as data and as it runs, and a step's result. */
import type { AnyActorLogic, AnyMachineSnapshot } from "xstate";
import type { Address } from "../agent/address.ts";
import type { EventData, WayOut } from "../agent/way-out.ts";
import type { ActorKind } from "./check.ts";

export type ActorLogic = AnyActorLogic;

/** A machine made ready by `prepare`. */
export interface PreparedMachine {
  /** The agent type whose code this is. */
  readonly type: string;
  readonly version: number;
  /** Names of actors from the type's own machine down to this one. */
  readonly path: readonly string[];
  readonly logic: ActorLogic;
  /** What its author should know, of this machine and those below it. */
  readonly warnings: readonly string[];
  /** What `src` names: an actor of `setup`, a replacement, or an invoke's logic under its positional name. */
  actor(src: string): NamedActor | undefined;
  /** The machine of the children that `src` names; `undefined` for a promise, or an agent type of its own. */
  child(src: string): PreparedMachine | undefined;
  /**
   * Runs the promise that `src` names.
   *
   * @throws DormouseError `failed` (`machine.actor-removed`), or what the promise rejects with.
   */
  runPromise(src: string, call: PromiseCall): Promise<unknown>;
  /**
   * A named action of the machine, to run after its step's commit and again after a crash.
   *
   * @throws DormouseError `failed` (`machine.action-removed`).
   */
  action(name: string, params: unknown, at: ActionPlace): () => void;
}

export interface NamedActor {
  readonly kind: ActorKind;
  readonly logic: ActorLogic;
}

export interface PromiseCall {
  readonly agent: Address;
  readonly input: unknown;
  readonly signal: AbortSignal;
  readonly attempt: number;
  readonly idempotencyKey: string;
}

/** Where an owed action is run: the state it sees, and the event that asked for it if it is known. */
export interface ActionPlace {
  readonly machine: MachineData;
  readonly agent?: Address;
  readonly event?: EventData;
}

/** A machine's state at rest. Shares every part with the live state, and with the data before where nothing changed (E2). */
export interface MachineData {
  readonly status: "active" | "done" | "error" | "stopped";
  readonly value: unknown;
  /** Ids of the active states in XState's order, which decides the order of `always` transitions. */
  readonly nodes: readonly string[];
  readonly context: unknown;
  /** By the id of the history state. */
  readonly history: { readonly [id: string]: readonly string[] };
  readonly children: { readonly [id: string]: ChildData };
  readonly output: unknown;
  readonly error: unknown;
}

export interface ChildData {
  readonly address: Address;
  readonly src: string;
  readonly kind: ActorKind;
  readonly systemId?: string;
  readonly isSnapshotSynced?: true;
  /** Its end was heard: XState keeps it among the children until its state is left. */
  readonly isEnded?: true;
}

/** A machine's state as the engine runs it. Only the engine looks inside. */
export interface Live {
  readonly machine: PreparedMachine;
  readonly snapshot: EngineSnapshot;
  readonly data: MachineData;
}
/** XState's; of a transition function only status, context, output and error. */
export type EngineSnapshot = AnyMachineSnapshot;

export interface EngineResult {
  readonly next: Live;
  /** Whether a transition took the event; if not, nothing changed and nothing was asked for. */
  readonly isTaken: boolean;
  readonly waysOut: readonly WayOut[];
}

export interface Description {
  readonly status: MachineData["status"];
  readonly value: unknown;
  readonly context: unknown;
  readonly tags: readonly string[];
  readonly output: unknown;
  readonly error: unknown;
  /** Descriptors of the events it has transitions for now, guards not asked; `*` takes any. */
  readonly accepts: readonly string[];
}
