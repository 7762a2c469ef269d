/**
 * The wire of a simulated world: every call a few events in the scheduler's order, each with its chance to go wrong.
 *
 * Owns: the legs of a call and of a push. Leaves to others: what goes wrong (`faults.ts`), when (`scheduler.ts`), what an
 * effect does (the memory drivers).
 *
 * A call is sent, takes effect, is answered: two events and the moments between, and three points where its caller may
 * die. The effect is the servers': it runs though the caller is paused or dead. The answer is the caller's.
 *
 * V1  An effect runs at most once, whatever goes wrong.
 * V2  What one party appends to one partition arrives in order, unless `reordered` struck; likewise what one party
 *     publishes to one other on one subject, always (C1).
 * V3  A call of a party that has ended is never sent, and no answer reaches it: its promise stays as it is.
 */
import type { ObjectStore } from "@dormouse/core/ports";
import { LostAnswer, type Call, type Wire } from "@dormouse/local";
import type { CallFate, CrashPoint, Faults } from "./faults.ts";
import type { Scheduler } from "./scheduler.ts";

/** What the servers did for a call: for checkers, which look at the world at this very moment. */
export interface EffectEvent {
  readonly call: Call;
  readonly result: { readonly value: unknown } | { readonly error: unknown };
}

export interface SimulatedWireOptions {
  /** Told of every effect, right after it ran. */
  readonly observe?: (event: EffectEvent) => void;
}

export class SimulatedWire implements Wire {
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #observe: (event: EffectEvent) => void;
  /** When each object was first put since it was last deleted, and when it was last deleted. */
  readonly #putAtMs = new Map<string, number>();
  readonly #deletedAtMs = new Map<string, number>();

  constructor(scheduler: Scheduler, faults: Faults, options: SimulatedWireOptions = {}) {
    this.#scheduler = scheduler;
    this.#faults = faults;
    this.#observe = options.observe ?? (() => undefined);
  }

  carry<T>(call: Call, effect: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#scheduler.hasEnded(call.party)) return;
      this.#send(call, this.#faults.decideCall(call), effect, { resolve, reject });
    });
  }

  push(call: Call, deliver: () => void): void {
    const sender = this.#scheduler.running;
    // An ended party that still runs to the end of its event has no connection any more.
    if (sender !== undefined && this.#scheduler.hasEnded(sender)) return;
    const label = `< ${nameOf(call)}`;
    const crash = this.#faults.decideUnanswered(call);
    for (const delayMs of this.#faults.decidePush(call).arrivalsMs) {
      this.#scheduler.add({
        party: call.party,
        label,
        delayMs,
        ...(sender === undefined ? {} : { origin: sender }),
        ...(call.port === "channel" ? { lane: `${sender ?? "-"} > ${call.party} ${call.about}` } : {}),
        run: () => {
          if (this.#faults.isStopped(sender ?? call.port, call.party, call.port)) return;
          if (crash !== "crash-before-effect") deliver();
          if (crash !== undefined) this.#crash(call, crash);
        },
      });
    }
  }

  /** Carries what is sent without an answer, such as what is published: `send` hands it to the wire, push by push. */
  publish(call: Call, send: () => void): void {
    if (this.#scheduler.hasEnded(call.party)) return;
    const crash = this.#faults.decideUnanswered(call);
    if (crash !== "crash-before-effect") send();
    if (crash !== undefined) this.#crash(call, crash);
  }

  /** The store as this wire carries it to `party`, with puts that are answered 409 now and then. */
  unreliableStore(party: string, store: ObjectStore): ObjectStore {
    return {
      isRemote: true,
      get: (name) => store.get(name),
      list: async (prefix, options) => {
        const ageMs = this.#faults.decideListAgeMs({ party, port: "store", operation: "list", about: prefix });
        const names = await store.list(prefix, options);
        return ageMs === 0 ? names : this.#asOf(this.#scheduler.now() - ageMs, prefix, options?.after, names);
      },
      delete: (names) => store.delete(names),
      put: async (name, bytes, condition) => {
        const call: Call = { party, port: "store", operation: "put", about: name };
        if (condition.if === "any" || !this.#faults.decideConflict(call)) return store.put(name, bytes, condition);
        try {
          return await this.carry({ ...call, operation: "put-conflict" }, () => ({ outcome: "conflict" }) as const);
        } catch (cause) {
          return { outcome: "unknown", cause };
        }
      },
    };
  }

  #send<T>(call: Call, fate: CallFate, effect: () => T, caller: Caller<T>): void {
    if (fate.crash === "crash-before-effect") return this.#crash(call, fate.crash);
    const name = nameOf(call);
    const lane = fate.keepsOrder ? { lane: `${call.party} > ${call.port} ${call.about}` } : {};
    const send = (delayMs: number, arrive: () => void): void =>
      void this.#scheduler.add({ label: `${call.party} > ${name}`, delayMs, origin: call.party, ...lane, run: arrive });
    switch (fate.outcome) {
      case "call-lost":
        return this.#giveUp(call, "the call was lost", fate.givesUpMs, caller);
      case "effect-late":
        this.#giveUp(call, "the call is late", fate.givesUpMs, caller);
        return send(fate.givesUpMs + fate.lateMs, () => {
          if (!this.#faults.isStopped(call.party, call.port, call.port)) this.#takeEffect(call, effect);
        });
      case "answer-lost":
      case "answered":
        return send(fate.thereMs, () => this.#arrive(call, fate, effect, caller));
    }
  }

  #arrive<T>(call: Call, fate: CallFate, effect: () => T, caller: Caller<T>): void {
    if (this.#faults.isStopped(call.party, call.port, call.port)) {
      return this.#giveUp(call, "it did not get there", fate.givesUpMs, caller);
    }
    const answer = this.#takeEffect(call, effect);
    if (fate.crash === "crash-after-effect") return this.#crash(call, fate.crash);
    if (fate.outcome === "answer-lost") return this.#giveUp(call, "the answer was lost", fate.givesUpMs, caller);
    this.#scheduler.add({
      party: call.party,
      label: `= ${nameOf(call)}${"error" in answer ? " threw" : ""}`,
      delayMs: fate.backMs,
      ...(fate.keepsOrder ? { lane: `${call.party} < ${call.port} ${call.about}` } : {}),
      run: () => {
        if (this.#faults.isStopped(call.port, call.party, call.port)) {
          return this.#giveUp(call, "the answer did not get back", fate.givesUpMs, caller);
        }
        if ("error" in answer) caller.reject(answer.error);
        else caller.resolve(answer.value);
        if (fate.crash === "crash-after-answer") this.#crash(call, fate.crash);
      },
    });
  }

  /** A listing as it would have been then, of what lies within its range now: fewer names, or more, in their order. */
  #asOf(thenMs: number, prefix: string, after: string | undefined, names: readonly string[]): readonly string[] {
    const shown = new Set(names.filter((name) => (this.#putAtMs.get(name) ?? -Infinity) <= thenMs));
    for (const [name, atMs] of this.#deletedAtMs) {
      const isWithin = name.startsWith(prefix) && name > (after ?? "") && name < (names.at(-1) ?? prefix);
      if (atMs > thenMs && isWithin) shown.add(name);
    }
    return [...shown].toSorted((left, right) => (left < right ? -1 : 1));
  }

  /** What a listing of a moment ago needs to know. */
  #noteNames({ operation, about }: Call): void {
    const nowMs = this.#scheduler.now();
    if (operation === "put" && !this.#putAtMs.has(about)) this.#putAtMs.set(about, nowMs);
    if (operation !== "delete") return;
    for (const name of about.split(" ")) {
      this.#putAtMs.delete(name);
      this.#deletedAtMs.set(name, nowMs);
    }
  }

  #takeEffect<T>(call: Call, effect: () => T): { readonly value: T } | { readonly error: unknown } {
    const result = attempt(effect);
    if (call.port === "store") this.#noteNames(call);
    this.#observe({ call, result });
    return result;
  }

  #giveUp<T>(call: Call, why: string, delayMs: number, caller: Caller<T>): void {
    this.#scheduler.add({
      party: call.party,
      label: `! ${nameOf(call)}: ${why}`,
      delayMs,
      run: () => caller.reject(new LostAnswer(`no answer: ${why}: call=${nameOf(call)}`)),
    });
  }

  /** Ends the caller as the next event, when it has done all that it does in the present one. */
  #crash(call: Call, point: CrashPoint): void {
    this.#scheduler.add({
      label: `${point} ${call.party} ${nameOf(call)}`,
      delayMs: 0,
      rank: "next",
      run: () => {
        if (this.#scheduler.hasEnded(call.party)) return;
        this.#faults.countCrash(call, point);
        this.#scheduler.end(call.party);
      },
    });
  }
}

interface Caller<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

function attempt<T>(effect: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: effect() };
  } catch (error) {
    return { error };
  }
}

function nameOf(call: Call): string {
  return `${call.port}.${call.operation} ${call.about}`;
}
