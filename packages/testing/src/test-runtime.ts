/**
 * A whole runtime in one process on virtual time, for testing one's own machines.
 *
 * Owns: the world in memory, the one host that runs on it and its successors after crashes, the moving of time.
 * Leaves to others: virtual time itself (`standing-clock.ts`); everything that a host does is production code.
 *
 * The host runs by itself on turns of the event loop; no port waits for the real world, so between turns only effects can.
 *
 * Q1  The world is at rest when a turn has passed, none is to come and no effect's result is awaited. Time moves only then:
 *     what an effect does in real time takes no virtual time.
 * Q2  A crash falls between two turns. What was in the open record is lost with its host; what was durable has been let
 *     out, so nobody waits for time to pass to hear of it.
 */
import { type Client, makeClient } from "@dormouse/client";
import {
  type ActorOverrides,
  type AnyAgentDefinition,
  type AwaitedEffect,
  DormouseError,
  type Duration,
  type Incarnation,
  type Observed,
  type Settings,
  startIncarnation,
} from "@dormouse/core";
import type { Channel, Clock, Ports } from "@dormouse/core/ports";
import { checkOptions, parseDuration } from "@dormouse/core/protocol";
import { MemoryWorld } from "@dormouse/local";
import { Random } from "./random.ts";
import { oneTurn, StandingClock } from "./standing-clock.ts";

export interface TestRuntimeOptions {
  /** The agent types that it runs. */
  readonly agents: readonly AnyAgentDefinition[];
  /** Decides what is drawn: `random()`, `uuid()`, ids. Default 1. */
  readonly seed?: number;
  /**
   * Goes on from every step as one who reads it back from the store would, and lets agents sleep whenever they may: what
   * a machine changes in place, or keeps in its context without being data, shows. A variable of its module does not:
   * the process stays the same. Default: false.
   */
  readonly restoreEveryStep?: boolean;
  /** Replacements by agent type and actor name: what XState's `provide` does, without touching the definition. */
  readonly actors?: ActorOverrides;
  /** Plain data; each has a default. */
  readonly settings?: Settings;
}

/** A running world. `await using` ends it at the end of its block. */
export interface TestRuntime extends AsyncDisposable {
  /** Sends, asks, reads; it outlives crashes. What it is asked is answered without further ado, while time stands still. */
  readonly client: Client;
  /**
   * Resolves when nothing can move any more while time stands still: every message is taken, every effect has ended.
   * Says on stderr what it waits for, when that takes 5 s of real time.
   *
   * @throws DormouseError what ended the host, if it did not end by `crash`.
   */
  quiesce(): Promise<void>;
  /**
   * Lets virtual time pass: fires what comes due, each at its time and after all that went before has come to rest.
   * An effect that takes more than 1 s of real time no longer holds time up, so that a time-out can overtake it; to have
   * a slow one end first, call `quiesce`.
   *
   * @throws DormouseError as `quiesce`.
   */
  advance(duration: Duration): Promise<void>;
  /**
   * Drops the host without a goodbye, and starts another on the same store. What was acknowledged is there; effects that
   * had not ended run again, with the same idempotency key.
   */
  crash(): Promise<void>;
}

/**
 * Starts a runtime for tests, in memory. Time begins at 2026-01-01T00:00:00Z and stands still but for `advance`; effects
 * are real promises, and what they do in real time takes none of it.
 *
 * @throws DormouseError `invalid` (`machine.…`, `agent.twice`, `setting.invalid`).
 * @example
 * ```ts
 * await using runtime = await testRuntime({
 *   agents: [research],
 *   actors: { research: { write: fromPromise(async () => ({ report: "canned" })) } },
 * });
 * const acme = runtime.client.agent(research, "acme");
 * await acme.start({ topic: "dormice" });
 * await runtime.quiesce();
 * await runtime.advance("1d");
 * ```
 * @see DESIGN.md, section 15
 */
export async function testRuntime(options: TestRuntimeOptions): Promise<TestRuntime> {
  checkOptions("testRuntime", options, ["agents", "seed", "restoreEveryStep", "actors", "settings"]);
  return startTestRuntime(options, { patienceMs: 5_000, slowMs: 1_000, say: (line) => console.error(line) });
}

/** How it deals with real time. */
export interface Patience {
  /** When `quiesce` says what it waits for. */
  readonly patienceMs: number;
  /** When an effect is too slow to hold time up. */
  readonly slowMs: number;
  readonly say: (line: string) => void;
}

export async function startTestRuntime(options: TestRuntimeOptions, patience: Patience): Promise<TestRuntime> {
  const runtime = new Runtime(options, patience);
  await runtime.start();
  return runtime;
}

interface Life {
  readonly party: string;
  readonly clock: Clock & { end(): void };
  readonly incarnation: Incarnation;
}

/** Taken before a user's test can put fake timers in their place. */
const { setTimeout, clearTimeout } = globalThis;

const startMs = Date.UTC(2026, 0, 1);
/** Rounds of settling are real work; a virtual day need not hold more than these. */
const settleRoundMs = 600_000;

class Runtime implements TestRuntime {
  readonly #options: TestRuntimeOptions;
  readonly #patience: Patience;
  readonly #random: Random;
  readonly #clock = new StandingClock(startMs);
  readonly #clientClock = this.#clock.life();
  readonly #world = new MemoryWorld(this.#clientClock);
  readonly #slow = new Set<string>();
  #lives = 0;
  /** The host, when it is up: reads wait for it. */
  #life: Promise<Life> = Promise.reject(new Error("not started"));
  #client: Client | undefined;
  #failure: Error | undefined;
  #lastStepped: string | undefined;
  #isPassivating = false;

  constructor(options: TestRuntimeOptions, patience: Patience) {
    this.#options = options;
    this.#patience = patience;
    this.#random = new Random(options.seed ?? 1);
    this.#life.catch(() => undefined);
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error("this runtime has not started");
    return this.#client;
  }

  async start(): Promise<void> {
    const { incarnation } = await this.#begin();
    const ports = this.#open("client", this.#clientClock);
    const channel: Pick<Channel, "subscribe" | "request"> = {
      subscribe: (subject, handler) => ports.channel.subscribe(subject, handler),
      request: async (subject, bytes, timeoutMs) => {
        await this.#life;
        return ports.channel.request(subject, bytes, timeoutMs);
      },
    };
    this.#client = makeClient({ app: incarnation.app, ports: { ...ports, channel } });
  }

  async quiesce(): Promise<void> {
    await this.#comeToRest(isAny, this.#patience.patienceMs, (awaited) => this.#sayWaiting(awaited));
  }

  async advance(duration: Duration): Promise<void> {
    const untilMs = this.#clock.elapsedMs + parseDuration(duration);
    for (;;) {
      await this.#comeToRestButSlow();
      const dueMs = this.#clock.nextDueMs();
      if (this.#clock.elapsedMs >= untilMs) return;
      this.#clock.moveTo(Math.min(dueMs ?? untilMs, untilMs));
    }
  }

  async crash(): Promise<void> {
    const life = await this.#life;
    await oneTurn();
    this.#drop(life);
    await this.#begin();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const life = await this.#life;
    await oneTurn();
    this.#drop(life);
    await this.client.close();
    this.#world.end("client");
    this.#clientClock.end();
    this.#check();
  }

  #begin(): Promise<Life> {
    this.#life = this.#startLife();
    // A start that fails is thrown to its caller; a read that waits for it hears of it too.
    this.#life.catch(() => undefined);
    return this.#life;
  }

  async #startLife(): Promise<Life> {
    this.#lives += 1;
    const party = `host-${this.#lives}`;
    const clock = this.#clock.life();
    const { agents, actors, settings, restoreEveryStep = false } = this.#options;
    const incarnation = await startIncarnation({
      agents,
      ports: this.#open(party, clock),
      partitions: 1,
      settings: { settleRoundMs, ...settings },
      restoreEveryStep,
      isCautious: false,
      observe: (event) => this.#observe(event),
      ...(actors === undefined ? {} : { actors }),
    });
    void this.#watch(incarnation);
    return { party, clock, incarnation };
  }

  /** The world's wake-ups are never lost, so the ports need not look again after a time. */
  #open(party: string, clock: Clock): Ports {
    const entropy = this.#random.fork(`entropy/${party}`);
    const portsClock: Clock = { ...clock, schedule: () => () => undefined };
    return { ...this.#world.open(party, { clock: portsClock, entropy }), clock, entropy };
  }

  #drop({ incarnation, party, clock }: Life): void {
    incarnation.kill();
    this.#world.end(party);
    clock.end();
    this.#isPassivating = false;
  }

  // ----------------------------------------------------------------------------------------------------------------- rest

  /** Resolves when the world is at rest (Q1); after `impatientMs` of real time without that, tells once what it waits for. */
  async #comeToRest(
    isAwaited: (effect: AwaitedEffect) => boolean,
    impatientMs: number,
    impatient: (awaited: readonly AwaitedEffect[]) => void,
  ): Promise<void> {
    const sinceMs = performance.now();
    let isImpatient = false;
    for (;;) {
      const { incarnation } = await this.#life;
      await oneTurn();
      this.#check();
      const awaited = incarnation.activity().awaited.filter(isAwaited);
      if (this.#clock.isStill && awaited.length === 0) return;
      const leftMs = isImpatient ? Infinity : sinceMs + impatientMs - performance.now();
      if (leftMs <= 0) {
        isImpatient = true;
        impatient(awaited);
      } else if (this.#clock.isStill) await this.#nextStir(leftMs);
    }
  }

  #comeToRestButSlow(): Promise<void> {
    const isAwaited = (effect: AwaitedEffect): boolean => !this.#slow.has(nameOf(effect));
    return this.#comeToRest(isAwaited, this.#patience.slowMs, (awaited) => {
      for (const effect of awaited) this.#slow.add(nameOf(effect));
    });
  }

  /** Resolves when something moves, or after `waitMs` of real time. */
  #nextStir(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = Number.isFinite(waitMs) ? setTimeout(done, Math.ceil(waitMs)) : undefined;
      const forget = this.#clock.onStir(done);
      function done(): void {
        clearTimeout(timer);
        forget();
        resolve();
      }
    });
  }

  #sayWaiting(awaited: readonly AwaitedEffect[]): void {
    const { patienceMs, say } = this.#patience;
    const forWhat =
      awaited.length === 0
        ? `agents to come to rest; the last that stepped: agent=${this.#lastStepped ?? "(none)"}`
        : `effects: ${awaited.map(({ agent, src, attempt }) => `${agent} ${src} (attempt ${attempt})`).join(", ")}`;
    say(`quiesce() has waited ${patienceMs / 1_000} s of real time for ${forWhat}`);
  }

  // ---------------------------------------------------------------------------------------------------------------- events

  #observe(event: Observed): void {
    if (event.kind !== "stepped") return;
    this.#lastStepped = event.agent;
    if (this.#options.restoreEveryStep === true) void this.#passivateSoon();
  }

  /** Lets agents sleep, so that their next message finds them in the store. */
  async #passivateSoon(): Promise<void> {
    if (this.#isPassivating) return;
    this.#isPassivating = true;
    const { incarnation, clock } = await this.#life;
    clock.turn(() => {
      this.#isPassivating = false;
      incarnation.passivateAll().catch((error: unknown) => this.#fail(error));
    });
  }

  async #watch(incarnation: Incarnation): Promise<void> {
    const error = await incarnation.ended;
    if (error !== undefined) this.#fail(error);
  }

  /** The host is over, and not by our hand: nobody will answer any more. */
  #fail(error: unknown): void {
    if (error instanceof DormouseError && error.kind === "closed") return;
    this.#failure ??= error instanceof Error ? error : new Error("the host failed", { cause: error });
    void this.#client?.close();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function isAny(): boolean {
  return true;
}

function nameOf({ address, attempt }: AwaitedEffect): string {
  return `${address} ${attempt}`;
}
