/**
 * One step's scope: what XState is given as its actor system, and the gathering of what it asks for.
 *
 * Owns: the children born in the step, and the order of all that happened in it.
 * Leaves to others: what happens (XState), what becomes of the ways out (`ways-out.ts`).
 * Called by the engine: `asActorScope()` is handed to XState, then `finish(snapshot)` turns what it gave into data. Called
 * by XState: everything else, under XState's names.
 *
 * S1  No live actor outlasts the step: context, children, events and inputs hold `AgentRef`s.
 * S2  Nothing is copied that did not change, so that a delta by reference sees what a step did.
 * S3  A child's address is made of its parent's address, the step's number and its place among the step's births: the
 *     same step makes the same children (D2).
 * S4  A child that did not outlive the step that made it, and what was sent to it, never leave the step.
 */
import type { AnyActorLogic, AnyActorScope, AnyStateMachine } from "xstate";
import { type ReplyParams, replyToType, replyType, type ReplyToParams } from "../agent/actions.ts";
import type { Address } from "../agent/address.ts";
import { AgentRef } from "../agent/agent-ref.ts";
import { assert } from "../agent/assert.ts";
import { DormouseError } from "../agent/errors.ts";
import type { EventData, WayOut } from "../agent/way-out.ts";
import {
  type ActorKind,
  inlineActor,
  isMachine,
  missingImplementation,
  ownValue,
  refusal,
  spawnWithoutId,
  unknownSystemId,
} from "./check.ts";
import { sha256, type StepContext, toHex } from "./context.ts";
import type { ChildData, EngineResult, EngineSnapshot, Live, MachineData, PreparedMachine } from "./machine.ts";
import { errorEvent, isReservedEvent, reservedEvent } from "./own-events.ts";
import { replaceRefs } from "./refs.ts";

/** What a step needs to know of its machine. */
export interface RunningMachine extends PreparedMachine {
  /** The machine's own name, for messages. */
  readonly id: string;
  /** The type of the agents that are children under `src`, and the path to their logic in it. */
  childType(src: string): { readonly type: string; readonly path: readonly string[] };
  /** Whether the actor is a durable function, which takes events. */
  isDurable(src: string): boolean;
}

export type AnyStateNode = AnyStateMachine["root"];

/** What XState hands to the executor. */
interface Action {
  readonly type: string;
  readonly params: unknown;
  readonly info: { readonly event: EventData };
  readonly exec: ((info: unknown, params: unknown) => void) | undefined;
}

/** A child made in this step: XState's actor around a stub, and the agent or effect it will be. */
class Birth {
  readonly src: string;
  readonly kind: ActorKind;
  readonly input: unknown;
  readonly ref: AgentRef;
  readonly address: Address;
  readonly systemId: string | undefined;
  readonly isSnapshotSynced: boolean;
  isLost = false;
  isStarted = false;

  constructor(actor: LiveActor, stub: StubInfo, input: unknown) {
    this.src = stub.src;
    this.kind = stub.kind;
    this.input = input;
    this.address = actor.sessionId as Address;
    this.ref = new AgentRef(actor.sessionId, actor.id);
    this.systemId = actor.systemId;
    this.isSnapshotSynced = actor._syncSnapshot === true;
  }
}

/** The fields of XState's `Actor` that are read or written here. */
interface LiveActor {
  id: string;
  sessionId: string;
  readonly systemId?: string;
  readonly _syncSnapshot?: boolean;
  subscribe: () => never;
  on: () => never;
}

interface StubInfo {
  readonly src: string;
  readonly kind: ActorKind;
}

/** One step under way: XState's actor scope, and the gathering of what it asks for. */
export class StepScope {
  readonly id: string;
  readonly sessionId: string;
  readonly self: StepSelf;
  readonly system: StepSystem;
  readonly prepared: RunningMachine;
  readonly before: Live | undefined;
  bookedCount = 0;
  /** XState replaces it while a microstep runs, hence no method. */
  actionExecutor: (action: Action) => void;
  /** Transition functions call it, taken off this object; machines give an action. */
  readonly emit: (event: EventData) => void;
  readonly #context: StepContext;
  readonly #happened: (Action | Birth)[] = [];
  readonly #births = new Map<unknown, Birth>();
  readonly #waysOut: WayOut[] = [];
  readonly #stopped = new Set<Address>();
  #microsteps = 0;
  #isTaken = false;

  constructor(prepared: RunningMachine, context: StepContext, before: Live | undefined) {
    this.prepared = prepared;
    this.before = before;
    this.#context = context;
    this.system = new StepSystem(this);
    this.self = new StepSelf(context, this.system, before);
    this.id = this.self.id;
    this.sessionId = context.agent;
    this.actionExecutor = (action): void => {
      this.#happened.push(action);
      if (action.type === "xstate.stopChild") this.system.free(action.params);
    };
    this.emit = (event): void => {
      this.#happened.push({ type: "xstate.emit", params: { event }, info: { event }, exec: undefined });
    };
  }

  asActorScope(): AnyActorScope {
    return this as unknown as AnyActorScope;
  }

  logger(): void {}
  defer(): void {}
  stopChild(): void {}

  bear(actor: LiveActor, stub: StubInfo, input: unknown): void {
    const { agent, seq } = this.#context;
    const { type } = stub.kind === "promise" ? this.prepared : this.prepared.childType(stub.src);
    const isUnnamed = actor.id === bookedId;
    actor.sessionId = childAddress(type, agent, seq, this.#births.size);
    if (isUnnamed) actor.id = actor.sessionId;
    actor.subscribe = refuseSubscribe;
    actor.on = refuseSubscribe;
    const birth = new Birth(actor, stub, input);
    this.#births.set(actor, birth);
    this.#happened.push(birth);
  }

  noteMicrostep(transitions: readonly Taken[]): void {
    if (this.#microsteps === 0) {
      // A forbidden transition (`on: { x: {} }`) is selected, and takes nothing.
      this.#isTaken = transitions.some(({ target, actions }) => target !== undefined || actions.length > 0);
    }
    this.#microsteps += 1;
  }

  // ----------------------------------------------------------------------------------------------------- after XState

  finish(next: EngineSnapshot): EngineResult {
    if (this.bookedCount !== this.#births.size) throw inlineActor(this.prepared.id);
    const { before } = this;
    if (before !== undefined && this.#isUnchanged(before, next)) return { next: before, isTaken: false, waysOut: [] };
    this.#loseStopped(next);
    const live = this.#toLive(next);
    for (const happened of this.#happened) {
      if (happened instanceof Birth) this.#start(happened);
      else this.#translate(happened);
    }
    this.#stopOverwritten(live.data);
    return { next: live, isTaken: true, waysOut: this.#waysOut };
  }

  /** A transition function's snapshot is a new object each time. */
  #isUnchanged(before: Live, next: EngineSnapshot): boolean {
    if (this.#isTaken || this.#happened.length > 0) return false;
    if (isMachine(this.prepared.logic)) return next === before.snapshot;
    return next.status === before.snapshot.status && Object.is(next.context, before.snapshot.context);
  }

  /** Births that did not outlive the step: neither they nor what was sent to them leave it (S4). */
  #loseStopped(next: EngineSnapshot): void {
    if (this.#births.size === 0) return;
    const children = Object.entries((next.children ?? {}) as { readonly [id: string]: unknown });
    const kept = new Set(children.map(([, child]) => child));
    for (const [actor, birth] of this.#births) birth.isLost = !kept.has(actor);
    for (const happened of this.#happened) {
      if (happened instanceof Birth || happened.type !== "xstate.stopChild") continue;
      const birth = this.#births.get(happened.params);
      if (birth !== undefined) birth.isLost = true;
    }
    for (const [id, child] of children) {
      const birth = this.#births.get(child);
      if (birth !== undefined && birth.ref.id !== id) throw spawnWithoutId(birth.src, this.prepared.id);
    }
  }

  /** The snapshot without live actors (S1), and its data (S2). */
  #toLive(next: EngineSnapshot): Live {
    const { before, prepared } = this;
    if (!isMachine(prepared.logic)) return transitionLive(prepared, this.#cleanTransition(next));
    if (before !== undefined && next === before.snapshot) return before;
    const context = this.#clean<unknown>(next.context, before?.snapshot.context);
    const output = this.#clean<unknown>(next.output, undefined);
    const error = this.#clean<unknown>(next.error, undefined);
    const children = this.#cleanChildren(next);
    const isClean =
      context === next.context && output === next.output && error === next.error && children === next.children;
    const snapshot = isClean ? next : ({ ...next, context, output, error, children } as EngineSnapshot);
    return { machine: prepared, snapshot, data: this.#encode(snapshot) };
  }

  #cleanTransition(next: EngineSnapshot): EngineSnapshot {
    const context = this.#clean<unknown>(next.context, this.before?.snapshot.context);
    return context === next.context ? next : ({ ...next, context } as EngineSnapshot);
  }

  #cleanChildren(next: EngineSnapshot): unknown {
    if (this.#births.size === 0) return next.children;
    const children: { [id: string]: unknown } = {};
    for (const [id, child] of Object.entries(next.children as { readonly [id: string]: unknown })) {
      const birth = this.#births.get(child);
      if (birth?.isLost !== true) children[id] = birth?.ref ?? child;
    }
    return children;
  }

  #clean<T>(value: T, before: unknown): T {
    return replaceRefs(value, before, (object) => {
      if (object instanceof StepSelf) return new AgentRef(object.sessionId);
      return this.#births.get(object)?.ref;
    });
  }

  #encode(snapshot: EngineSnapshot): MachineData {
    const before = this.before;
    const isSameNodes = before?.snapshot._nodes === snapshot._nodes;
    const isSameHistory = before?.snapshot.historyValue === snapshot.historyValue;
    return {
      status: snapshot.status,
      value: isSameNodes ? before.data.value : snapshot.value,
      nodes: isSameNodes ? before.data.nodes : snapshot._nodes.map((node) => node.id),
      context: snapshot.context as unknown,
      history: isSameHistory ? before.data.history : encodeHistory(snapshot),
      children: this.#encodeChildren(snapshot),
      output: snapshot.output as unknown,
      error: snapshot.error,
    };
  }

  #encodeChildren(snapshot: EngineSnapshot): MachineData["children"] {
    const before = this.before;
    if (before !== undefined && snapshot.children === before.snapshot.children) return before.data.children;
    const births = new Map([...this.#births.values()].map((birth) => [birth.ref, birth]));
    const children: { [id: string]: ChildData } = {};
    for (const [id, ref] of Object.entries(snapshot.children as { readonly [id: string]: AgentRef })) {
      const birth = births.get(ref);
      const child = birth === undefined ? before?.data.children[id] : encodeBirth(birth);
      if (child !== undefined) children[id] = child;
    }
    const ids = Object.keys(children);
    const isSame =
      before !== undefined &&
      ids.length === Object.keys(before.data.children).length &&
      ids.every((id) => children[id] === before.data.children[id]);
    return isSame ? before.data.children : children;
  }

  // ---------------------------------------------------------------------------------------------- actions to ways out

  /** FACTS.md, 3.3: every action as XState gives it. */
  #translate(action: Action): void {
    const { type } = action;
    const params = action.params as never;
    switch (type) {
      case "xstate.raise":
        return this.#raise(params);
      case "xstate.sendTo":
        return this.#send(params);
      case "xstate.emit":
        this.#waysOut.push({ kind: "emit", event: this.#event((params as { event: unknown }).event) });
        return;
      case "xstate.log":
        return this.#log(params);
      case "xstate.cancel":
        this.#waysOut.push({ kind: "cancel-timer", id: String((params as { sendId: unknown }).sendId) });
        return;
      case "xstate.spawnChild":
        return this.#checkSpawn(params);
      case "xstate.stopChild":
        return this.#stop(params);
      case replyType:
        this.#waysOut.push({ kind: "reply", value: this.#value((params as ReplyParams).value) });
        return;
      case replyToType:
        return this.#replyTo(params);
      default:
        return this.#custom(action);
    }
  }

  /** Without a delay it was consumed in this step. */
  #raise({ event, id, delay }: { event: unknown; id?: string; delay?: number }): void {
    if (typeof delay !== "number") return;
    const timer = { id: id ?? this.#timerId(), delayMs: checkDelay(delay), event: this.#event(event) };
    this.#waysOut.push({ kind: "timer", ...timer });
  }

  #send({ to, event: sent, id, delay }: { to: unknown; event: unknown; id?: string; delay?: number }): void {
    let event = this.#event(sent);
    if (event.type === "xstate.error") event = errorEvent(this.id, event["data"]);
    const birth = this.#births.get(to);
    if (birth?.isLost === true) return;
    const address = birth?.address ?? this.#addressOf(to);
    if (this.#isDeaf(address)) return;
    const isToSelf = address === this.sessionId;
    if (isReservedEvent(event.type) && !(isToSelf && typeof delay === "number")) throw reservedEvent(event.type);
    // An invoke begins after the entry actions that already send to it; XState keeps those for it.
    if (birth !== undefined) this.#start(birth);
    if (typeof delay !== "number") {
      this.#waysOut.push({ kind: "send", to: address, event });
      return;
    }
    const timer = { id: id ?? this.#timerId(), delayMs: checkDelay(delay), event };
    this.#waysOut.push({ kind: "timer", ...timer, ...(isToSelf ? {} : { to: address }) });
  }

  #addressOf(target: unknown): string {
    if (target instanceof AgentRef || target === this.self) return (target as AgentRef).sessionId;
    throw refusal(
      "unknown-target",
      `sendTo in machine "${this.prepared.id}" was given a target that is no agent. Use a child's id, a ref kept in ` +
        `context, or ref(definition, key).`,
    );
  }

  /** A promise takes no events unless it is a durable function, and a child that ended none any more. */
  #isDeaf(address: string): boolean {
    for (const birth of this.#births.values()) if (birth.address === address) return this.#isPlainPromise(birth);
    for (const child of Object.values(this.before?.data.children ?? {})) {
      if (child.address === address) return this.#isPlainPromise(child) || child.isEnded === true;
    }
    return false;
  }

  #isPlainPromise({ kind, src }: Birth | ChildData): boolean {
    return kind === "promise" && !this.prepared.isDurable(src);
  }

  #log({ value, label }: { value: unknown; label?: string }): void {
    this.#waysOut.push({ kind: "log", ...(label === undefined ? {} : { label }), value: this.#value(value) });
  }

  /** The birth itself was noted when XState made the actor. */
  #checkSpawn({ actorRef, src }: { actorRef: unknown; src: unknown }): void {
    if (typeof src !== "string") throw inlineActor(this.prepared.id);
    if (actorRef === undefined) throw missingImplementation(this.prepared.id, "actor", src, "?");
  }

  #stop(ref: unknown): void {
    if (ref === undefined) return;
    const birth = this.#births.get(ref);
    if (birth !== undefined) return;
    const address = ref instanceof AgentRef ? ref.sessionId : undefined;
    const children = Object.values(this.before?.data.children ?? {});
    const child = children.find((one) => one.address === address);
    if (child !== undefined) {
      this.#pushStop(child);
      return;
    }
    // A child of an earlier step that is over; of another agent's children nothing tells it.
    if (address?.includes("/~") === true) return;
    throw refusal(
      "not-a-child",
      `Cannot stop child actor ${address ?? "?"} of ${this.sessionId} because it is not a child`,
    );
  }

  /** A spawn under a used id orphans the old child without an action (FACTS 3.6). */
  #stopOverwritten(data: MachineData): void {
    const { before } = this;
    if (before === undefined || data.children === before.data.children) return;
    const kept = new Set(Object.values(data.children).map((child) => child.address));
    for (const child of Object.values(before.data.children)) if (!kept.has(child.address)) this.#pushStop(child);
  }

  #pushStop({ address, isEnded }: ChildData): void {
    if (isEnded === true || this.#stopped.has(address)) return;
    this.#stopped.add(address);
    this.#waysOut.push({ kind: "stop", address });
  }

  #start(birth: Birth): void {
    if (birth.isLost || birth.isStarted) return;
    birth.isStarted = true;
    const { src, kind, address, systemId, isSnapshotSynced } = birth;
    const { id } = birth.ref;
    const input = this.#value(birth.input);
    if (kind === "promise") {
      this.#waysOut.push({ kind: "start-effect", id, address, src, input });
      return;
    }
    const { path } = this.prepared.childType(src);
    const named = systemId === undefined ? {} : { systemId };
    this.#waysOut.push({ kind: "start-child", id, address, path, src, input, ...named, isSnapshotSynced });
  }

  #replyTo({ eventType, messageId, value }: ReplyToParams): void {
    const one = messageId === undefined ? {} : { messageId };
    this.#waysOut.push({ kind: "reply-to", eventType, ...one, value: this.#value(value) });
  }

  #custom({ type, params, info, exec }: Action): void {
    if (exec === undefined) throw missingImplementation(this.prepared.id, "action", type, "?");
    const { logic } = this.prepared;
    const isNamed = isMachine(logic) && ownValue(logic.implementations.actions, type) === exec;
    const event = this.#event(info.event);
    this.#waysOut.push({
      kind: "action",
      name: type,
      params: this.#value(params),
      event,
      isNamed,
      run: () => exec(info, params),
    });
  }

  #value(value: unknown): unknown {
    return this.#clean(value, undefined);
  }

  #event(event: unknown): EventData {
    const { type } = (event ?? {}) as { type?: unknown };
    if (typeof type !== "string")
      throw refusal("bad-event", `Machine "${this.prepared.id}" sent an event without a type.`);
    return this.#value(event) as EventData;
  }

  #timerId(): string {
    return `${this.#context.seq}:${this.#waysOut.length}`;
  }
}

function checkDelay(delayMs: number): number {
  if (Number.isFinite(delayMs)) return Math.max(0, delayMs);
  throw refusal("bad-delay", `A delay is a finite number of milliseconds: delay=${delayMs}`);
}

/** 128 bits of a hash: no two children, of whatever agents, share an address (S3). */
export function childAddress(type: string, parent: Address, seq: number, index: number): Address {
  return `${type}/~${toHex(sha256(`${parent}\n${seq}\n${index}`).subarray(0, 16))}` as Address;
}

// --------------------------------------------------------------------------------------------------------------- data of parts

function encodeBirth({ address, src, kind, systemId, isSnapshotSynced }: Birth): ChildData {
  return {
    address,
    src,
    kind,
    ...(systemId === undefined ? {} : { systemId }),
    ...(isSnapshotSynced ? { isSnapshotSynced } : {}),
  };
}

function encodeHistory(snapshot: EngineSnapshot): MachineData["history"] {
  const history: { [id: string]: readonly string[] } = {};
  for (const [id, nodes] of Object.entries(
    snapshot.historyValue as { readonly [id: string]: readonly AnyStateNode[] },
  )) {
    history[id] = nodes.map((node) => node.id);
  }
  return history;
}

const noNodes: readonly string[] = [];
const noFields = {};

/** A transition function's state: a status and its context. */
function transitionLive(machine: RunningMachine, snapshot: EngineSnapshot): Live {
  const { status, output, error } = snapshot;
  const context: unknown = snapshot.context;
  for (const field of Object.keys(snapshot)) {
    if (["status", "output", "error", "context"].includes(field)) continue;
    throw refusal(
      "custom-snapshot",
      `Actor "${machine.id}" keeps "${field}" beside its context; keep all of it in context.`,
    );
  }
  const data = {
    status,
    value: undefined,
    nodes: noNodes,
    context,
    history: noFields,
    children: noFields,
    output,
    error,
  };
  return { machine, snapshot, data };
}

// ------------------------------------------------------------------------------------------------- what XState is given

/** What an actor is until its session id is known: XState books one before it says whose it is. */
const bookedId = "dormouse.booked";

/** Logic that computes nothing; it announces the actor that XState makes of it. */
export function makeStub(src: string, kind: ActorKind): AnyActorLogic {
  const stub = {
    getInitialSnapshot: ({ self, system }: { self: unknown; system: unknown }, input: unknown): object => {
      assert(system instanceof StepSystem, "stubs run in our scope only");
      system.bear(self as LiveActor, { src, kind }, input);
      return new StubSnapshot((self as LiveActor).id);
    },
    transition: (snapshot: unknown): unknown => snapshot,
    getPersistedSnapshot: (snapshot: unknown): unknown => snapshot,
  };
  return stub as unknown as AnyActorLogic;
}

class StubSnapshot {
  readonly status = "active";
  readonly output = undefined;
  readonly error = undefined;
  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  get context(): never {
    return refuseSnapshot(this.#id);
  }
  get value(): never {
    return refuseSnapshot(this.#id);
  }
}

function refuseSnapshot(id: string): never {
  throw new DormouseError(
    "invalid",
    "ref.snapshot",
    `The snapshot of child "${id}" is not available here: it is a separate agent. Use onSnapshot, or have the child ` +
      `send you what you need.`,
  );
}

function refuseSend(): never {
  throw new DormouseError("invalid", "ref.send", "ref.send() is not durable; use sendTo(ref, event).");
}

function refuseSubscribe(): never {
  throw new DormouseError("invalid", "ref.subscribe", "ref.subscribe() is not durable; use invoke.onSnapshot.");
}

/** The agent itself, as its machine's code meets it in `self`. */
class StepSelf {
  readonly id: string;
  readonly sessionId: string;
  readonly system: StepSystem;
  readonly _parent: AgentRef | undefined;
  readonly #before: Live | undefined;

  constructor(context: StepContext, system: StepSystem, before: Live | undefined) {
    this.id = context.parent?.id ?? context.agent;
    this.sessionId = context.agent;
    this.system = system;
    this._parent = context.parent === undefined ? undefined : new AgentRef(context.parent.address);
    this.#before = before;
  }

  get ref(): this {
    return this;
  }
  getSnapshot(): unknown {
    if (this.#before === undefined) throw new Error("Snapshot can't be read while the actor initializes itself");
    return this.#before.snapshot;
  }
  send(): never {
    return refuseSend();
  }
  subscribe(): never {
    return refuseSubscribe();
  }
  on(): never {
    return refuseSubscribe();
  }
}

/** XState's actor system, reduced to this agent and its children. */
class StepSystem {
  readonly scheduler: object = idleScheduler;
  readonly _clock: object = idleClock;
  readonly #scope: StepScope;
  /** By systemId; made when first asked for. */
  #names: Map<string, { readonly sessionId: string }> | undefined;

  constructor(scope: StepScope) {
    this.#scope = scope;
  }

  _bookId(): string {
    this.#scope.bookedCount += 1;
    return bookedId;
  }

  bear(actor: LiveActor, stub: StubInfo, input: unknown): void {
    this.#scope.bear(actor, stub, input);
  }

  get(systemId: string): unknown {
    return this.#known().get(systemId) ?? refuseSystemId(systemId);
  }

  getAll(): object {
    return Object.fromEntries(this.#known());
  }

  _set(systemId: string, actor: { readonly sessionId: string }): void {
    const names = this.#known();
    const holder = names.get(systemId);
    if (holder !== undefined && holder !== actor) throw new Error(`Actor with system ID '${systemId}' already exists.`);
    names.set(systemId, actor);
  }

  /** XState would free the name in executing the stop; the same step may give it to another child. */
  free(stopped: unknown): void {
    const { sessionId } = (stopped ?? {}) as { sessionId?: unknown };
    if (sessionId === undefined) return;
    const names = this.#known();
    for (const [systemId, holder] of names) if (holder.sessionId === sessionId) names.delete(systemId);
  }

  _sendInspectionEvent(event: { readonly type: string; readonly _transitions?: readonly Taken[] }): void {
    if (event.type === "@xstate.microstep") this.#scope.noteMicrostep(event._transitions ?? []);
  }

  /** Where a real actor's `send` ends. */
  _relay(): never {
    return refuseSend();
  }

  _register(sessionId: string): string {
    return sessionId;
  }
  _unregister(): void {}
  _logger(): void {}

  #known(): Map<string, { readonly sessionId: string }> {
    if (this.#names !== undefined) return this.#names;
    this.#names = new Map();
    const { before } = this.#scope;
    for (const [id, child] of Object.entries(before?.data.children ?? {})) {
      const ref = childRef(before, id);
      if (child.systemId !== undefined && child.isEnded !== true && ref !== undefined)
        this.#names.set(child.systemId, ref);
    }
    return this.#names;
  }
}

interface Taken {
  readonly target?: unknown;
  readonly actions: readonly unknown[];
}

const idleScheduler = { schedule: (): void => {}, cancel: (): void => {}, cancelAll: (): void => {} };
const idleClock = { setTimeout: (): void => {}, clearTimeout: (): void => {} };

function childRef(live: Live | undefined, id: string): AgentRef | undefined {
  const children = live?.snapshot.children as { readonly [id: string]: AgentRef | undefined } | undefined;
  return children?.[id];
}

function refuseSystemId(systemId: string): never {
  throw unknownSystemId(systemId);
}
