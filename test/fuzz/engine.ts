/**
 * The engine beside plain live XState actors, on random machines and events.
 *
 * The engine's side is stored and read back after every step, state and change; both sides must be in the same states
 * with the same context, children and timers, and have acted in the same order. Where one fails, so must the other.
 */
import { Random } from "@dormouse/testing";
import { type AnyActor, type AnyActorRef, createActor } from "xstate";
import type { Address } from "../../packages/core/src/agent/address.ts";
import type { EventData, WayOut } from "../../packages/core/src/agent/way-out.ts";
import { type Delta, diff, patch } from "../../packages/core/src/format/codec/delta.ts";
import { decodeValue, encodeValue } from "../../packages/core/src/format/codec/msgpack.ts";
import { isSame } from "../../packages/core/src/format/codec/same.ts";
import type { StepContext } from "../../packages/core/src/step/context.ts";
import {
  decode,
  describe,
  doneEvent,
  encode,
  type EngineResult,
  errorEvent,
  init,
  type MachineData,
  prepare,
  type PreparedMachine,
  step,
} from "../../packages/core/src/step/engine.ts";
import type { Finding } from "./finding.ts";
import { buildMachine, drawMachine, eventTypes, type MachineSpec, sendsMax } from "./machines.ts";
import { smaller } from "./shrink.ts";

/** What is done to both sides. */
export type Deed =
  | { readonly kind: "event"; readonly type: string }
  /** The next timer rings. */
  | { readonly kind: "time" }
  /** The promise that began first, of those that run, or last, has a result. */
  | { readonly kind: "settle"; readonly which: "first" | "last"; readonly ok: boolean };

export interface Case {
  readonly machine: MachineSpec;
  readonly deeds: readonly Deed[];
}

function drawCase(seed: number): Case {
  const random = new Random(seed).fork("engine");
  const machine = drawMachine(random.fork("machine"));
  const deeds = Array.from({ length: random.between(3, 18) }, (): Deed => {
    const drawn = random.int(10);
    if (drawn < 2) return { kind: "time" };
    if (drawn < 4) return { kind: "settle", which: random.pick(["first", "last"]), ok: random.chance(0.7) };
    return { kind: "event", type: random.pick([...eventTypes, "tick", "nobody"]) };
  });
  return { machine, deeds };
}

/** What became of a case: no difference, or the first. */
export interface Verdict {
  readonly difference: string | undefined;
  readonly end: "held" | "failed" | "done" | "refused" | "endless";
  readonly steps: number;
}

export async function runEngineSeed(seed: number): Promise<{ findings: readonly Finding[]; verdict: Verdict }> {
  const drawn = drawCase(seed);
  const verdict = await compare(drawn);
  if (verdict.difference === undefined) return { findings: [], verdict };
  const kind = kindOf(verdict);
  const small = await smaller(drawn, async (one) => kindOf(await compare(one)) === kind);
  const what = (await compare(small)).difference ?? verdict.difference;
  return { findings: [{ seed, fuzz: "engine", what, detail: JSON.stringify(small) }], verdict };
}

/** What a difference is about: a smaller case fails in the same way. */
function kindOf({ difference }: Verdict): string | undefined {
  return difference === undefined ? undefined : /(\w+ differ|only .*?:.{0,40})/.exec(difference)?.[0];
}

/** Runs both sides side by side. */
async function compare({ machine, deeds }: Case): Promise<Verdict> {
  let steps = 0;
  const verdict = (end: Verdict["end"], difference?: string): Verdict => ({ difference, end, steps });
  let ours: Ours;
  const live = startLive(machine);
  if (live === undefined) return verdict("refused");
  try {
    try {
      ours = new Ours(machine);
    } catch (error) {
      await live.act(undefined);
      return verdict("refused", live.isFailed ? undefined : `begin: only ours refuses: ${String(error)}`);
    }
    for (const deed of [undefined, ...deeds]) {
      const failure = await ours.attempt(deed);
      if (ours.isEndless) return verdict("endless");
      await live.act(deed);
      steps += 1;
      if (failure !== undefined || live.isFailed) {
        if (failure !== undefined && live.isFailed) return verdict("failed");
        return verdict("failed", `${text(deed)}: only ${live.isFailed ? "live" : "ours"} fails: ${String(failure)}`);
      }
      if (machine.child !== undefined && [ours, live].some((side) => isLoop(side.view()))) return verdict("endless");
      const difference = differenceOf(ours.view(), live.view(), ours.parts);
      if (difference !== undefined) return verdict("held", `${text(deed)}: ${difference}`);
      if (ours.isOver) return verdict("done");
    }
    return verdict("held");
  } finally {
    live.stop();
  }
}

function text(deed: Deed | undefined): string {
  return deed === undefined ? "begin" : JSON.stringify(deed);
}

/** A loop of two machines that only the bound of sends ends: who is how far then is of their interleaving. */
function isLoop({ machines }: View): boolean {
  const context = machines["m"]?.context as { readonly n: number } | undefined;
  return context !== undefined && context.n >= sendsMax;
}

/** What is compared. */
interface View {
  readonly status: string;
  readonly machines: { readonly [id: string]: MachineView };
  /** When they ring, in order. */
  readonly timers: readonly number[];
  /** Promises that run, in the order in which they began. */
  readonly works: readonly string[];
  readonly emitted: readonly unknown[];
  /** Sorted: which of two children is first is of the runtime. */
  readonly trailOfChildren: readonly string[];
}

interface MachineView {
  readonly value: unknown;
  readonly context: unknown;
  readonly nodes: readonly string[];
  readonly history: unknown;
  readonly tags: readonly string[];
  readonly output: unknown;
  readonly trail: readonly string[];
}

function differenceOf(ours: View, live: View, parts: readonly (keyof View)[]): string | undefined {
  for (const part of parts) {
    const [one, other] = [ours[part], live[part]].map((value) => JSON.stringify(value));
    if (one !== other) return `${part} differ\n  ours ${one}\n  live ${other}`;
  }
  return undefined;
}

function machineView(
  data: Omit<MachineView, "trail" | "tags">,
  tags: Iterable<string>,
  trail: readonly string[],
): MachineView {
  const { value, context, nodes, history, output } = data;
  return { value, context, nodes, history, tags: [...tags].toSorted(), output, trail: [...trail] };
}

// --- a live actor ----------------------------------------------------------------------------------------------------

/** Time that stands still until the next timer rings. */
class RingingClock {
  nowMs = 0;
  #count = 0;
  readonly #timers = new Map<number, { readonly due: number; readonly ring: () => void }>();

  setTimeout(ring: () => void, delayMs: number): number {
    this.#count += 1;
    this.#timers.set(this.#count, { due: this.nowMs + delayMs, ring });
    return this.#count;
  }

  clearTimeout(id: number): void {
    this.#timers.delete(id);
  }

  get dues(): readonly number[] {
    return this.#sorted().map(([, { due }]) => due);
  }

  ringNext(): void {
    const [first] = this.#sorted();
    if (first === undefined) return;
    const [id, { due, ring }] = first;
    this.#timers.delete(id);
    this.nowMs = due;
    ring();
  }

  #sorted(): [number, { readonly due: number; readonly ring: () => void }][] {
    return [...this.#timers].toSorted(([idOne, one], [idOther, other]) => one.due - other.due || idOne - idOther);
  }
}

interface Work {
  readonly id: string;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
}

function startLive(spec: MachineSpec): Live | undefined {
  try {
    return new Live(spec);
  } catch {
    return undefined;
  }
}

class Live {
  isFailed = false;
  readonly #clock = new RingingClock();
  readonly #trails = new Map<string, string[]>([
    ["m", []],
    ["child", []],
  ]);
  readonly #emitted: unknown[] = [];
  #works: Work[] = [];
  readonly #actor: AnyActor;

  /** @throws what XState has against the machine. */
  constructor(spec: MachineSpec) {
    const into = (name: string) => (what: string) => void this.#trails.get(name)?.push(what);
    const work = (id: string, settle: Omit<Work, "id">): void => void this.#works.push({ id, ...settle });
    const machine = buildMachine(spec, { act: into("m"), work }, { act: into("child"), work });
    const logger = (...logged: unknown[]): void => into("m")(String(logged.at(-1)));
    this.#actor = createActor(machine, { clock: this.#clock as never, logger });
    replaceTimers(this.#actor);
    this.#actor.subscribe({ error: () => (this.isFailed = true) });
    this.#actor.on("*", (event) => this.#emitted.push(event));
  }

  async act(deed: Deed | undefined): Promise<void> {
    if (deed === undefined) this.#start();
    else if (deed.kind === "event") this.#actor.send({ type: deed.type });
    else if (deed.kind === "time") this.#clock.ringNext();
    else this.#settle(deed);
    // A result comes by some microtasks.
    for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
    this.isFailed ||= this.#actor.getSnapshot().status === "error";
  }

  #start(): void {
    try {
      this.#actor.start();
    } catch {
      this.isFailed = true;
    }
  }

  #settle({ which, ok }: Extract<Deed, { kind: "settle" }>): void {
    const running = this.#running();
    const work = which === "first" ? running[0] : running.at(-1);
    if (work === undefined) return;
    this.#works = this.#works.filter((one) => one !== work);
    if (ok) work.resolve({ of: work.id });
    else work.reject(new Error(`of ${work.id}`));
  }

  /** The last that began under an id is the one that runs, if its child is there. */
  #running(): Work[] {
    const children = this.#actor.getSnapshot().children as { readonly [id: string]: AnyActorRef | undefined };
    return this.#works.filter(
      (work, index) =>
        children[work.id]?.getSnapshot().status === "active" &&
        !this.#works.slice(index + 1).some(({ id }) => id === work.id),
    );
  }

  view(): View {
    const snapshot = this.#actor.getSnapshot();
    const machines: { [id: string]: MachineView } = { m: liveView(snapshot, this.#trails.get("m") ?? []) };
    for (const [id, child] of Object.entries(snapshot.children as { readonly [id: string]: AnyActorRef })) {
      const inner = child.getSnapshot();
      if (id.startsWith("child:") && inner.status === "active") machines[id] = liveView(inner, []);
    }
    const isActive = snapshot.status === "active";
    return {
      status: snapshot.status,
      machines,
      timers: isActive ? this.#clock.dues : [],
      works: isActive ? this.#running().map(({ id }) => id) : [],
      emitted: [...this.#emitted],
      trailOfChildren: (this.#trails.get("child") ?? []).toSorted(),
    };
  }

  stop(): void {
    this.#actor.stop();
  }
}

/** A live actor lets two timers of one id run, where a state is entered again without an exit; the engine's is replaced. */
function replaceTimers({ system }: AnyActor): void {
  const { scheduler } = system as unknown as {
    readonly scheduler: { schedule: (...call: unknown[]) => void; cancel: (source: unknown, id: unknown) => void };
  };
  const schedule = scheduler.schedule.bind(scheduler);
  scheduler.schedule = (...call: unknown[]): void => {
    const [source, , , , id] = call;
    if (id !== undefined) scheduler.cancel(source, id);
    schedule(...call);
  };
}

function liveView(snapshot: unknown, trail: readonly string[]): MachineView {
  const { value, context, output, _nodes, historyValue, tags } = snapshot as {
    readonly value: unknown;
    readonly context: unknown;
    readonly output: unknown;
    readonly _nodes: readonly { readonly id: string }[];
    readonly historyValue: { readonly [id: string]: readonly { readonly id: string }[] };
    readonly tags: Iterable<string>;
  };
  const history = Object.fromEntries(
    Object.entries(historyValue).map(([id, held]) => [id, held.map((node) => node.id)]),
  );
  return machineView({ value, context, nodes: _nodes.map(({ id }) => id), history, output }, tags, trail);
}

// --- the engine ------------------------------------------------------------------------------------------------------

/** An agent as a host would keep it: bytes, and what is let out. */
interface Agent {
  readonly id: string;
  readonly address: Address;
  readonly machine: PreparedMachine;
  readonly parent: Address | undefined;
  seq: number;
  stored: Uint8Array;
}

interface Timer {
  readonly agent: Address;
  readonly id: string;
  readonly due: number;
  readonly order: number;
  readonly event: EventData;
  readonly to: string;
}

const me = "fuzz/one" as Address;
/** Between machines, in one case. */
const messagesMax = 400;

class Ours {
  isOver = false;
  #nowMs = 0;
  #order = 0;
  readonly #root: PreparedMachine;
  readonly #agents = new Map<string, Agent>();
  #timers: Timer[] = [];
  #works: { readonly id: string; readonly address: Address }[] = [];
  #queue: (() => void)[] = [];
  #taken = 0;
  #hasChildFailed = false;
  readonly #unborn = new Set<Address>();
  readonly #trails = new Map<string, string[]>([
    ["m", []],
    ["child", []],
  ]);
  readonly #emitted: unknown[] = [];

  /** @throws what the engine refuses. */
  constructor(spec: MachineSpec) {
    const into = (name: string) => ({ act: (what: string) => void this.#trails.get(name)?.push(what) });
    this.#root = prepare(buildMachine(spec, into("m"), into("child")), { type: "fuzz", version: 1 });
  }

  /** A step that throws leaves nothing (D9); a live actor has acted until then. */
  get parts(): readonly (keyof View)[] {
    const parts = ["status", "machines", "timers", "works", "emitted"] as const;
    return this.#hasChildFailed ? parts : [...parts, "trailOfChildren"];
  }

  /** A machine and a child that it begins again and again send to each other for ever: on a live actor that is a hang. */
  get isEndless(): boolean {
    return this.#taken >= messagesMax;
  }

  /** What it failed with, if it did. */
  async attempt(deed: Deed | undefined): Promise<unknown> {
    try {
      if (deed === undefined) this.#begin({ id: "m", address: me, machine: this.#root, parent: undefined }, undefined);
      else if (deed.kind === "event") this.#step(me, { type: deed.type });
      else if (deed.kind === "time") this.#ring();
      else this.#settle(deed);
      for (
        let next = this.#queue.shift();
        next !== undefined && this.#taken < messagesMax;
        next = this.#queue.shift()
      ) {
        this.#taken += 1;
        next();
      }
      return this.#data(me).status === "error" ? this.#data(me).error : undefined;
    } catch (error) {
      return error ?? new Error("nothing was thrown");
    }
  }

  #begin(made: Omit<Agent, "seq" | "stored">, input: unknown): void {
    const agent: Agent = { ...made, seq: 1, stored: new Uint8Array() };
    const begin = (): EngineResult => init(agent.machine, input, this.#context(agent));
    this.#agents.set(agent.address, agent);
    this.#orEnd(agent, () => this.#store(agent, undefined, begin(), begin()));
  }

  #step(to: string, event: EventData): void {
    const agent = this.#agents.get(to);
    if (agent === undefined) return;
    const before = decodeValue(agent.stored) as MachineData;
    if (before.status !== "active") return;
    agent.seq += 1;
    const take = (data: MachineData): EngineResult =>
      step(agent.machine, decode(agent.machine, data), event, this.#context(agent));
    // The second time from a copy of its own: what a step changes in place would show.
    this.#orEnd(agent, () => this.#store(agent, before, take(before), take(decodeValue(agent.stored) as MachineData)));
  }

  /** A child whose code throws ends, and its parent hears of it. */
  #orEnd(agent: Agent, take: () => void): void {
    const { id, parent } = agent;
    try {
      take();
    } catch (error) {
      if (parent === undefined || error instanceof Differing) throw error;
      this.#hasChildFailed = true;
      this.#stop(agent.address);
      this.#queue.push(() => this.#step(parent, errorEvent(id, error)));
    }
  }

  /** Stores the change, as a journal does, and the state, as a head does: both must tell the same. */
  #store(agent: Agent, before: MachineData | undefined, result: EngineResult, again: EngineResult): void {
    const data = encode(result.next);
    const stored = encodeValue(data);
    if (!isEqual(stored, encodeValue(encode(again.next))))
      throw new Differing("the same step twice gives other states");
    if (!isEqual(encodeWays(result.waysOut), encodeWays(again.waysOut)))
      throw new Differing("the same step twice gives other ways out");
    const delta = diff(before, data);
    const patched = delta === undefined ? before : patch(before, decodeValue(encodeValue(delta)) as Delta);
    // Not by bytes: what a state holds twice is one object in one of them (delta.ts, E2).
    if (!isSame(patched, decodeValue(stored))) throw new Differing("the change leads to another state");
    agent.stored = stored;
    for (const way of result.waysOut) this.#letOut(agent, way);
    this.#checkEnd(agent, data);
  }

  #checkEnd(agent: Agent, { status, output, error }: MachineData): void {
    if (status === "active") return;
    this.#timers = this.#timers.filter((timer) => timer.agent !== agent.address);
    if (agent.parent === undefined) this.isOver = true;
    const { parent } = agent;
    if (parent === undefined) return;
    this.#agents.delete(agent.address);
    this.#queue.push(() =>
      this.#step(parent, status === "done" ? doneEvent(agent.id, output) : errorEvent(agent.id, error)),
    );
  }

  #letOut(agent: Agent, way: WayOut): void {
    const trail = this.#trails.get(agent.parent === undefined ? "m" : "child");
    switch (way.kind) {
      case "action":
        way.run();
        return;
      case "log":
        trail?.push(String(way.value));
        return;
      case "emit":
        if (agent.parent === undefined) this.#emitted.push(way.event);
        return;
      case "send":
        this.#queue.push(() => this.#step(way.to, way.event));
        return;
      case "timer":
        this.#arm(agent, way);
        return;
      case "cancel-timer":
        this.#disarm(agent.address, way.id);
        return;
      case "start-effect":
        this.#works.push({ id: way.id, address: way.address });
        return;
      case "start-child":
        this.#bear(agent, way);
        return;
      case "stop":
        // Behind what was sent to it before.
        if (this.#works.some(({ address }) => address === way.address)) this.#stop(way.address);
        else this.#queue.push(() => this.#stop(way.address));
        return;
      case "reply":
      case "reply-to":
        throw new Error("nobody asked");
    }
  }

  #arm({ address }: Agent, { id, delayMs, event, to }: Extract<WayOut, { kind: "timer" }>): void {
    this.#disarm(address, id);
    this.#order += 1;
    this.#timers.push({
      agent: address,
      id,
      due: this.#nowMs + delayMs,
      order: this.#order,
      event: decodeValue(encodeValue(event)) as EventData,
      to: to ?? address,
    });
  }

  #disarm(agent: Address, id: string): void {
    this.#timers = this.#timers.filter((timer) => timer.agent !== agent || timer.id !== id);
  }

  #bear(parent: Agent, { id, address, src, input }: Extract<WayOut, { kind: "start-child" }>): void {
    const machine = parent.machine.child(src);
    if (machine === undefined) throw new Error(`no machine of the child ${src}`);
    this.#unborn.add(address);
    this.#queue.push(() => {
      if (this.#unborn.delete(address)) this.#begin({ id, address, machine, parent: parent.address }, input);
    });
  }

  #stop(address: Address): void {
    this.#unborn.delete(address);
    this.#agents.delete(address);
    this.#timers = this.#timers.filter((timer) => timer.agent !== address);
    this.#works = this.#works.filter((work) => work.address !== address);
  }

  #ring(): void {
    const [next] = this.#sortedTimers();
    if (next === undefined) return;
    this.#nowMs = next.due;
    this.#timers = this.#timers.filter((timer) => timer !== next);
    this.#step(next.to, next.event);
  }

  #sortedTimers(): Timer[] {
    return this.#timers.toSorted((one, other) => one.due - other.due || one.order - other.order);
  }

  #settle({ which, ok }: Extract<Deed, { kind: "settle" }>): void {
    const work = which === "first" ? this.#works[0] : this.#works.at(-1);
    if (work === undefined) return;
    this.#works = this.#works.filter((one) => one !== work);
    this.#step(me, ok ? doneEvent(work.id, { of: work.id }) : errorEvent(work.id, new Error(`of ${work.id}`)));
  }

  #data(address: Address): MachineData {
    return decodeValue(this.#agents.get(address)?.stored ?? new Uint8Array()) as MachineData;
  }

  #context({ id, address, seq, parent }: Agent): StepContext {
    return {
      agent: address,
      seq,
      now: this.#nowMs,
      birth: new Uint8Array(16).fill(7),
      message: { id: `m${seq}` as StepContext["message"]["id"], sentAt: 0, isAsked: false },
      ...(parent === undefined ? {} : { parent: { address: parent, id } }),
    };
  }

  view(): View {
    const root = this.#agents.get(me);
    if (root === undefined) throw new Error("the agent is there");
    const data = this.#data(me);
    const machines: { [id: string]: MachineView } = { m: this.#viewOf(root, this.#trails.get("m") ?? []) };
    for (const [id, { address, kind }] of Object.entries(data.children)) {
      const child = this.#agents.get(address);
      if (kind === "machine" && child !== undefined) machines[id] = this.#viewOf(child, []);
    }
    const isActive = data.status === "active";
    return {
      status: data.status,
      machines,
      timers: isActive ? this.#sortedTimers().map(({ due }) => due) : [],
      works: isActive ? this.#works.map(({ id }) => id) : [],
      emitted: [...this.#emitted],
      trailOfChildren: (this.#trails.get("child") ?? []).toSorted(),
    };
  }

  #viewOf({ machine, stored }: Agent, trail: readonly string[]): MachineView {
    const data = decodeValue(stored) as MachineData;
    return machineView(data, describe(decode(machine, data)).tags, trail);
  }
}

/** Of our side alone. */
class Differing extends Error {}

function encodeWays(ways: readonly WayOut[]): Uint8Array {
  return encodeValue(ways.map((way) => (way.kind === "action" ? { ...way, run: undefined } : way)));
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
