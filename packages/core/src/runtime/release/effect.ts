/**
 * Work outside the step: promises that run on the owner after their commit, and come back as messages.
 *
 * Owns: what runs on this host now, bounded in number, in the order it was asked for.
 * Leaves to others: which effects there are (the agent's committed state), what a result does (`under-way.ts`).
 *
 * E1  An effect runs while its agent's committed state names it with that attempt: what is not named any more is
 *     aborted, and what it still says is dropped (D6, D7).
 * E2  Places go round: an agent that has been given one is behind all others who wait, however many effects it asks for.
 * E3  One that rested hears of what it waited for when it has a place again: however many waits end at once, no more run
 *     than may.
 */
import type { Address, Partition } from "../../agent/address.ts";
import { encodeError } from "../../agent/errors.ts";
import type { Effect, EffectResult } from "../../step/state.ts";
import { supervise } from "../supervise.ts";

export interface EffectCall {
  readonly agent: Address;
  /** Unique for all time, and the same for every attempt: the idempotency key. */
  readonly address: string;
  readonly effect: Effect;
  readonly signal: AbortSignal;
}

/** A running effect as the work it does knows it. */
export interface EffectRun {
  /** Calls `told` with the effect as it is committed, each time that it changes; one that rests, when it has a place again. */
  onChange(told: (effect: Effect) => void): void;
  /** It only waits: its place is another's. */
  rest(): void;
  /** It goes on by itself, at once and without asking. */
  work(): void;
}

/** @property of - The same for all that share the bound. */
export interface Bound {
  readonly of: object;
  readonly most: number;
}

export interface EffectsOptions {
  readonly placeOf: (agent: Address) => Partition;
  /** How many run at once on this host. */
  readonly runningMax: number;
  /** What a call's code bounds by itself: how many of it run at once on this host. */
  readonly boundOf: (call: EffectCall) => Bound | undefined;
  readonly run: (call: EffectCall, running: EffectRun) => Promise<unknown>;
  /** @param thrown - By one that failed: what its error was made of, which is kept nowhere else. */
  readonly ended: (call: EffectCall, result: EffectResult, thrown: unknown) => void;
  readonly started: (call: EffectCall) => void;
  /** What no one can go on from: the host ends. */
  readonly failed: (error: unknown) => void;
}

interface Running {
  readonly call: EffectCall;
  readonly bound: Bound | undefined;
  readonly controller: AbortController;
  /** Whether it has a place among those that run at once. */
  isStarted: boolean;
  isEnded: boolean;
  isResting: boolean;
  /** Whether it waits for a place: its first, or after a rest, to hear what has changed. */
  isWaiting: boolean;
  /** As it was last committed. */
  newest: Effect;
  told: ((effect: Effect) => void) | undefined;
}

/** The effects of one host; shared by its partitions, so that the bound is the host's. */
export class Effects {
  readonly #options: EffectsOptions;
  readonly #byAgent = new Map<Address, Map<string, Running>>();
  /** By agent, in the order in which they are given places (E2). */
  readonly #waiting = new Map<Address, Running[]>();
  readonly #bounded = new Map<object, number>();
  /** How many wait for a place under each bound, or under none: not all who wait are looked at to find that none may start. */
  readonly #waitingUnder = new Map<Bound | undefined, number>();
  #held: ReadonlySet<Partition> = new Set();
  #running = 0;
  #isStopped = false;
  readonly #endWaiters: (() => void)[] = [];

  constructor(options: EffectsOptions) {
    this.#options = options;
  }

  get size(): number {
    let waiting = 0;
    for (const { length } of this.#waiting.values()) waiting += length;
    return this.#running + waiting;
  }

  /** What is at work, or waits for its turn, and is named by its agent's committed state (E1). */
  *calls(): IterableIterator<EffectCall> {
    for (const running of this.#byAgent.values()) {
      for (const { call, isEnded, isResting, isWaiting } of running.values()) {
        if (!isEnded && (!isResting || isWaiting)) yield call;
      }
    }
  }

  /** Makes what runs for an agent what its committed state names (E1). */
  reconcile(agent: Address, effects: { readonly [address: string]: Effect }): void {
    let running = this.#byAgent.get(agent);
    if (running !== undefined) {
      for (const [address, one] of running) {
        const effect = effects[address];
        if (effect?.attempt !== one.call.effect.attempt) this.#drop(running, address, one);
        else if (effect.durable?.rest === "parked") {
          one.told?.(effect);
          this.#leave(running, address, one);
        } else if (effect.durable?.rest !== undefined) this.#drop(running, address, one);
        else if (effect !== one.newest) {
          // A durable function hears of it in its own time.
          if (effect.cancelled !== undefined && effect.durable === undefined) one.controller.abort();
          one.newest = effect;
          if (one.isResting) this.#wait(one);
          else one.told?.(effect);
        }
      }
    }
    for (const address in effects) {
      const effect = effects[address];
      if (effect === undefined || effect.durable?.rest !== undefined || running?.has(address) === true) continue;
      if (running === undefined) {
        running = new Map();
        this.#byAgent.set(agent, running);
      }
      const controller = new AbortController();
      const call = { agent, address, effect, signal: controller.signal };
      const one: Running = {
        call,
        bound: this.#options.boundOf(call),
        controller,
        isStarted: false,
        isEnded: false,
        isResting: false,
        isWaiting: false,
        newest: effect,
        told: undefined,
      };
      running.set(address, one);
      this.#wait(one);
    }
    if (running?.size === 0) this.#byAgent.delete(agent);
    this.#wakeEndWaiters();
    this.#start();
  }

  /** Resolves when nothing of an agent runs or waits to; what it came to may not be taken yet. */
  async ended(agent: Address): Promise<void> {
    const isUnderWay = (): boolean => [...(this.#byAgent.get(agent)?.values() ?? [])].some(({ isEnded }) => !isEnded);
    while (isUnderWay()) await new Promise<void>((resolve) => this.#endWaiters.push(resolve));
  }

  /** Of agents of these partitions starts no more, of others again. */
  hold(partitions: ReadonlySet<Partition>): void {
    this.#held = partitions;
    this.#start();
  }

  /** Whether anything of a partition's agents runs whose result is still wanted. */
  isRunning(partition: Partition): boolean {
    return this.#of(partition).some(([, running]) =>
      [...running.values()].some(({ isStarted, isEnded, isResting }) => isStarted && !isEnded && !isResting),
    );
  }

  /** Aborts all of a partition's agents: they go on elsewhere. */
  abort(partition: Partition): void {
    for (const [agent] of this.#of(partition)) this.reconcile(agent, {});
  }

  #of(partition: Partition): readonly [Address, Map<string, Running>][] {
    return [...this.#byAgent].filter(([agent]) => this.#options.placeOf(agent) === partition);
  }

  /** Aborts all and starts no more: the host ends. */
  stop(): void {
    this.#isStopped = true;
    this.#waiting.clear();
    this.#waitingUnder.clear();
    for (const running of this.#byAgent.values()) for (const { controller } of running.values()) controller.abort();
    this.#byAgent.clear();
  }

  #drop(running: Map<string, Running>, address: string, one: Running): void {
    one.controller.abort();
    this.#leave(running, address, one);
  }

  /** It waits, and is not aborted: it goes on by another run. */
  #leave(running: Map<string, Running>, address: string, one: Running): void {
    running.delete(address);
    one.told = undefined;
    this.#giveBack(one);
  }

  /** One that was dropped leaves its place to another at once, even if it never ends: what it still does is nobody's. */
  #giveBack(one: Running): void {
    this.#unwait(one);
    if (!one.isStarted || one.isEnded) return;
    one.isEnded = true;
    if (!one.isResting) this.#count(one, -1);
  }

  #count({ bound }: Running, change: 1 | -1): void {
    this.#running += change;
    if (bound !== undefined) this.#bounded.set(bound.of, (this.#bounded.get(bound.of) ?? 0) + change);
  }

  #rest(one: Running, isResting: boolean): void {
    if (one.isEnded || one.isResting === isResting) return;
    one.isResting = isResting;
    this.#count(one, isResting ? -1 : 1);
    if (isResting) this.#start();
  }

  /** Its own code went on: it need not wait for a place to hear what has changed. */
  #work(one: Running): void {
    const isUntold = one.isWaiting;
    this.#unwait(one);
    this.#rest(one, false);
    // Later: now it is in the middle of a call.
    if (isUntold) void Promise.resolve().then(() => one.told?.(one.newest));
  }

  #start(): void {
    while (!this.#isStopped && this.#running < this.#options.runningMax) {
      const one = this.#nextWaiting();
      if (one === undefined) return;
      if (one.isResting) {
        this.#rest(one, false);
        one.told?.(one.newest);
        continue;
      }
      this.#count(one, 1);
      one.isStarted = true;
      void supervise(() => this.#run(one), this.#options.failed);
    }
  }

  #nextWaiting(): Running | undefined {
    if (!this.#isRoomForAny()) return undefined;
    for (const [agent, waiting] of this.#waiting) {
      if (this.#held.size > 0 && this.#held.has(this.#options.placeOf(agent))) continue;
      const one = waiting.find(({ bound }) => this.#isRoom(bound));
      if (one === undefined) continue;
      this.#unwait(one);
      return one;
    }
    return undefined;
  }

  #isRoomForAny(): boolean {
    for (const [bound, count] of this.#waitingUnder) if (count > 0 && this.#isRoom(bound)) return true;
    return false;
  }

  #isRoom(bound: Bound | undefined): boolean {
    return bound === undefined || (this.#bounded.get(bound.of) ?? 0) < bound.most;
  }

  #countWaiting({ bound }: Running, change: 1 | -1): void {
    const count = (this.#waitingUnder.get(bound) ?? 0) + change;
    if (count === 0) this.#waitingUnder.delete(bound);
    else this.#waitingUnder.set(bound, count);
  }

  #wait(one: Running): void {
    if (one.isWaiting) return;
    one.isWaiting = true;
    this.#countWaiting(one, 1);
    const { agent } = one.call;
    const waiting = this.#waiting.get(agent);
    if (waiting === undefined) this.#waiting.set(agent, [one]);
    else waiting.push(one);
  }

  /** Its agent, if more of it waits, is the last from now on (E2). */
  #unwait(one: Running): void {
    if (!one.isWaiting) return;
    one.isWaiting = false;
    this.#countWaiting(one, -1);
    const { agent } = one.call;
    const left = this.#waiting.get(agent)?.filter((waiting) => waiting !== one);
    if (left === undefined) return;
    this.#waiting.delete(agent);
    if (left.length > 0) this.#waiting.set(agent, left);
  }

  async #run(one: Running): Promise<void> {
    const { call } = one;
    this.#options.started(call);
    let result: EffectResult;
    let thrown: unknown;
    try {
      const running: EffectRun = {
        onChange: (told) => {
          one.told = told;
          if (one.newest !== call.effect) told(one.newest);
        },
        rest: () => this.#rest(one, true),
        work: () => this.#work(one),
      };
      result = { ok: true, output: await this.#options.run(call, running) };
    } catch (error) {
      thrown = error;
      result = { ok: false, error: encodeError(error) };
    }
    this.#giveBack(one);
    const running = this.#byAgent.get(call.agent);
    // One that was dropped or replaced meanwhile has nothing to say any more (E1).
    if (running?.get(call.address) === one) this.#options.ended(call, result, thrown);
    this.#wakeEndWaiters();
    this.#start();
  }

  #wakeEndWaiters(): void {
    if (this.#endWaiters.length === 0) return;
    for (const end of this.#endWaiters.splice(0)) end();
  }
}
