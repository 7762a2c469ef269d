/**
 * One seeded order of everything that happens in a simulated world.
 *
 * Owns: virtual time, what is pending, which of it goes next, who is paused or has ended, the trace.
 * Leaves to others: what a call or a fault is (`simulated-wire.ts`, `faults.ts`), each party's own time
 * (`simulated-clock.ts`).
 *
 * S1  One event runs at a time; the next one starts only when no microtask is left. So between two events every promise
 *     chain of the code under test has gone as far as it can without the ports.
 * S2  Among the events due at one virtual time the seed picks. Events of one lane keep their order.
 * S3  Time moves only when nothing is ready at the present time, and then to the next event at once.
 * S4  Of a party that has ended nothing runs again; of one that is paused nothing until it resumes. What was on its way
 *     from a party that ended arrives up to a point, by the seed, lane by lane.
 * S5  Nothing but the seed and the code decides. What acts from outside (real timers, real I/O) ends the run with an error.
 */
import type { Cancel, Entropy } from "@dormouse/core/ports";
import { assert } from "./assert.ts";
import { EventQueue, type Queued } from "./event-queue.ts";
import { Random } from "./random.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { avalanche, Trace } from "./trace.ts";

export interface SchedulerOptions {
  readonly seed: number | string;
  /** Where every wall clock begins, in milliseconds since 1970. Default: 2026-01-01. */
  readonly wallStartMs?: number;
  /** A run of more events than this ends with an error. Default 20 million. */
  readonly eventsMax?: number;
  /** A run that takes more of the processor than this, in milliseconds, ends with an error: a busy machine ends none. Default 120,000. */
  readonly cpuMsMax?: number;
  /** How many of the last events `trace()` shows. Default 2,000. */
  readonly traceLinesMax?: number;
}

/** Something that will happen. */
export interface PendingEvent {
  /** What it is, for the trace and the digest: the same in every run of one seed. */
  readonly label: string;
  /** Virtual milliseconds from now; 0 is the present time. */
  readonly delayMs: number;
  /** Whose code runs in it. It waits while that party is paused, and is dropped when it has ended. */
  readonly party?: string;
  /** Who sent it, if it is on its way from a party: when that ends, it may be lost (S4). */
  readonly origin?: string;
  /** Events of one lane never overtake each other. */
  readonly lane?: string;
  /** `next`: before all else at its time; `turn`: after all else at its time. */
  readonly rank?: "next" | "turn";
  readonly run: () => void;
}

/**
 * Why a run returned: `done`, `until` held; `time`, its virtual time is over; `events`, it ran as many as were asked for;
 * `idle`, nothing is pending, so nothing will ever happen again by itself.
 */
export type RunEnd = "done" | "time" | "events" | "idle";

export interface RunLimits {
  /** Virtual milliseconds to go on for. Default: no end. */
  readonly forMs?: number;
  /** Events to run. Default: no end. */
  readonly events?: number;
  /** Looked at before every event. */
  readonly until?: () => boolean;
}

/**
 * Why a run could not go on. `idle`: what was waited for can never come; `too-many-events` and `too-long`: a guard;
 * `threw`: an event threw, or a promise was rejected with nobody to hear it; `outside`: something acted that the
 * scheduler does not know (S5).
 */
export type SimulationErrorReason = "idle" | "too-many-events" | "too-long" | "threw" | "outside";

export class SimulationError extends Error {
  override readonly name: string = "SimulationError";
  readonly reason: SimulationErrorReason;

  constructor(reason: SimulationErrorReason, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}

interface QueuedEvent extends Queued {
  readonly label: string;
  readonly party: Party | undefined;
  readonly origin: string | undefined;
  readonly lane: string | undefined;
  readonly rank: "next" | "turn" | undefined;
  readonly run: () => void;
}

interface Party {
  readonly name: string;
  readonly clock: SimulatedClock;
  resumesAtMs: number;
  isEnded: boolean;
}

interface Lane {
  readonly salt: number;
  lastDueMs: number;
}

const wallStartMsDefault = Date.UTC(2026, 0, 1);
const eventsMaxDefault = 20_000_000;
const cpuMsMaxDefault = 120_000;
const traceLinesMaxDefault = 2_000;
/** Events between two looks at the real world: its time, its rejections, its own event loop. */
const eventsPerBreath = 2_048;
/** Turns of the real event loop that an idle world is given to show that something outside acts on it. */
const breathsWhenIdle = 3;

/**
 * Runs a simulated world.
 *
 * @example
 * ```ts
 * const scheduler = new Scheduler({ seed: 7 });
 * const clock = scheduler.clockFor("host-1");
 * clock.schedule(1_000, () => scheduler.note("a second later"));
 * await scheduler.run(); // "idle", in microseconds
 * ```
 * @see DESIGN.md, section 14
 */
export class Scheduler {
  readonly #random: Random;
  readonly #choices: Random;
  readonly #wallStartMs: number;
  readonly #eventsMax: number;
  readonly #cpuMsMax: number;
  readonly #trace: Trace;
  readonly #queue = new EventQueue<QueuedEvent>();
  readonly #parties = new Map<string, Party>();
  readonly #lanes = new Map<string, Lane>();
  readonly #endings = new Set<(party: string) => void>();
  #nowMs = 0;
  #nextId = 0;
  #eventsRun = 0;
  #running: Party | undefined;
  #phase: "rest" | "event" | "breath" = "rest";
  #intruder: string | undefined;

  constructor(options: SchedulerOptions) {
    this.#random = new Random(options.seed);
    this.#choices = this.#random.fork("scheduler");
    this.#wallStartMs = options.wallStartMs ?? wallStartMsDefault;
    this.#eventsMax = options.eventsMax ?? eventsMaxDefault;
    this.#cpuMsMax = options.cpuMsMax ?? cpuMsMaxDefault;
    this.#trace = new Trace(options.traceLinesMax ?? traceLinesMaxDefault);
  }

  /** Virtual milliseconds since the start. */
  now(): number {
    return this.#nowMs;
  }

  /** How many events have run. */
  get eventsRun(): number {
    return this.#eventsRun;
  }

  /** How many events are pending. */
  get pendingCount(): number {
    return this.#queue.size;
  }

  /** Whose event is running now; undefined: nobody's. */
  get running(): string | undefined {
    return this.#running?.name;
  }

  /**
   * Runs events until a limit is met or nothing is pending.
   *
   * @throws SimulationError
   */
  async run(limits: RunLimits = {}): Promise<RunEnd> {
    assert(this.#phase === "rest", "this scheduler is running already");
    const guard = new RunGuard(this.#eventsRun + this.#eventsMax, this.#cpuMsMax);
    const endMs = this.#nowMs + (limits.forMs ?? Number.POSITIVE_INFINITY);
    const eventsEnd = this.#eventsRun + (limits.events ?? Number.POSITIVE_INFINITY);
    this.#phase = "event";
    try {
      await microtasksDone();
      for (;;) {
        if (limits.until?.() === true) return "done";
        if (this.#eventsRun >= eventsEnd) return "events";
        const event = this.#take(endMs);
        if (event === undefined) {
          await this.#breathe(guard, breathsWhenIdle);
          if (Number.isFinite(endMs)) this.#nowMs = endMs;
          return this.#queue.size === 0 ? "idle" : "time";
        }
        this.#execute(event);
        await microtasksDone();
        this.#running = undefined;
        if (this.#eventsRun >= guard.eventsEnd) guard.check(this.#eventsRun);
        if (this.#eventsRun % eventsPerBreath === 0) await this.#breathe(guard, 1);
      }
    } catch (error) {
      throw this.#withPlace(error);
    } finally {
      this.#phase = "rest";
      this.#running = undefined;
      guard.close();
    }
  }

  /**
   * Runs events until `promise` settles, and gives its outcome.
   *
   * @throws SimulationError `idle`, if nothing is pending or the limits are met and it has not settled.
   */
  async complete<T>(promise: Promise<T>, limits: Omit<RunLimits, "until"> = {}): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    const end = await this.run({ ...limits, until: () => isSettled });
    if (end === "done") return promise;
    throw this.#withPlace(new SimulationError("idle", `what was waited for has not settled: end=${end}`));
  }

  /** Makes an event pending; returns how to cancel it. */
  add(event: PendingEvent): Cancel {
    const party = event.party === undefined ? undefined : this.#party(event.party);
    if (party?.isEnded === true) return () => undefined;
    if (this.#phase === "breath") this.#intruder ??= `${event.party ?? "-"}: ${event.label}`;
    const queued: QueuedEvent = {
      id: (this.#nextId += 1),
      dueMs: Math.max(this.#nowMs + event.delayMs, this.#lanes.get(event.lane ?? "")?.lastDueMs ?? 0),
      order: 0,
      isCancelled: false,
      label: event.label,
      party,
      origin: event.origin,
      lane: event.lane,
      rank: event.rank,
      run: event.run,
    };
    this.#enqueue(queued);
    return () => {
      if (!queued.isCancelled) this.#queue.cancel(queued);
    };
  }

  /** Sets a line of the caller's in the trace and the digest: what the outside world saw. */
  note(label: string, party: string | undefined = this.running): void {
    this.#trace.add({ atMs: this.#nowMs, party, label });
  }

  /** The clock of a party: the same one for the same name. */
  clockFor(party: string): SimulatedClock {
    return this.#party(party).clock;
  }

  /** Randomness for a party's names. */
  entropyFor(party: string): Entropy {
    return this.#random.fork(`entropy/${party}`);
  }

  /** A generator of this run for whatever `label` names: faults, a workload. */
  randomFor(label: string): Random {
    return this.#random.fork(label);
  }

  /** Stops a party for `ms`: SIGSTOP, a long garbage collection, a suspended machine. Then it goes on as if nothing was. */
  pause(party: string, ms: number): void {
    const paused = this.#party(party);
    paused.resumesAtMs = Math.max(paused.resumesAtMs, this.#nowMs + ms);
    this.note(`paused for ${ms}ms`, party);
  }

  /** Ends a party for good, as SIGKILL does. Whatever it still does in the event now running reaches nobody. */
  end(party: string): void {
    const ended = this.#party(party);
    if (ended.isEnded) return;
    ended.isEnded = true;
    this.note("ended", party);
    this.#loseSome(party);
    for (const ending of this.#endings) ending(party);
  }

  hasEnded(party: string): boolean {
    return this.#parties.get(party)?.isEnded === true;
  }

  isPaused(party: string): boolean {
    return (this.#parties.get(party)?.resumesAtMs ?? 0) > this.#nowMs;
  }

  /** Calls `ending` whenever a party has ended; returns how to stop that. */
  onEnd(ending: (party: string) => void): () => void {
    this.#endings.add(ending);
    return () => void this.#endings.delete(ending);
  }

  /** A hash over every event and note so far: two runs with one digest did the same. */
  digest(): string {
    return this.#trace.digest();
  }

  /** The last events and notes, one a line. */
  trace(): readonly string[] {
    return this.#trace.lines();
  }

  /** The next event that may run, with time moved to it; undefined if there is none up to `endMs`. */
  #take(endMs: number): QueuedEvent | undefined {
    for (;;) {
      const event = this.#queue.peek();
      if (event === undefined || event.dueMs > endMs) return undefined;
      this.#queue.pop();
      if (event.party?.isEnded === true) {
        event.isCancelled = true; // It has left the queue: cancelling it from now on does nothing.
      } else if (event.party !== undefined && event.party.resumesAtMs > event.dueMs) {
        event.dueMs = event.party.resumesAtMs;
        this.#enqueue(event);
      } else {
        event.isCancelled = true;
        this.#nowMs = event.dueMs;
        return event;
      }
    }
  }

  #execute(event: QueuedEvent): void {
    this.#eventsRun += 1;
    this.#running = event.party;
    this.#trace.add({ atMs: event.dueMs, party: event.party?.name, label: event.label });
    try {
      event.run();
    } catch (cause) {
      throw new SimulationError("threw", `an event threw: party=${event.party?.name ?? "-"} event=${event.label}`, {
        cause,
      });
    }
  }

  /**
   * Gives an event its order among those due at its time, and queues it. Those that must keep their order share one that
   * follows from their lane and time alone, and so go by id; the others draw theirs.
   */
  #enqueue(event: QueuedEvent): void {
    if (event.lane !== undefined) {
      const lane = this.#lane(event.lane);
      lane.lastDueMs = Math.max(lane.lastDueMs, event.dueMs);
      event.order = avalanche(lane.salt ^ event.dueMs);
    } else if (event.rank === "next") event.order = -1;
    else if (event.rank === "turn") event.order = 2 ** 32 + avalanche(textHash(event.party?.name ?? "") ^ event.dueMs);
    else event.order = this.#choices.uint32();
    this.#queue.push(event);
  }

  /** Of each lane from a party that ended, an end piece of seeded length is lost; of the rest, each by itself (S4). */
  #loseSome(party: string): void {
    const onTheirWay = this.#queue.pending().filter((event) => event.origin === party);
    const byLane = Map.groupBy(
      onTheirWay.toSorted((left, right) => left.id - right.id),
      (event) => event.lane ?? event.id,
    );
    for (const events of byLane.values()) {
      const keptCount = this.#choices.int(events.length + 1);
      for (const lost of events.slice(keptCount)) this.#queue.cancel(lost);
    }
  }

  /** Lets the real world run for a moment, and looks at what it did. */
  async #breathe(guard: RunGuard, turns: number): Promise<void> {
    this.#phase = "breath";
    for (let turn = 0; turn < turns; turn += 1) await new Promise<void>((resolve) => void setImmediate(resolve));
    this.#phase = "event";
    guard.check(this.#eventsRun);
    if (this.#intruder !== undefined) {
      const message = `something acted that no event led to, such as a real timer or real I/O: event=${this.#intruder}`;
      throw new SimulationError("outside", message);
    }
    // A lane that lies in the past orders nothing any more.
    for (const [name, lane] of this.#lanes) if (lane.lastDueMs < this.#nowMs) this.#lanes.delete(name);
  }

  #party(name: string): Party {
    const known = this.#parties.get(name);
    if (known !== undefined) return known;
    const clock = new SimulatedClock(this, name, this.#wallStartMs);
    const party: Party = { name, clock, resumesAtMs: 0, isEnded: false };
    this.#parties.set(name, party);
    return party;
  }

  #lane(name: string): Lane {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    const lane: Lane = { salt: textHash(name), lastDueMs: 0 };
    this.#lanes.set(name, lane);
    return lane;
  }

  #withPlace(error: unknown): unknown {
    if (!(error instanceof SimulationError)) return error;
    const last = this.trace().slice(-12).join("\n");
    error.message += ` atMs=${this.#nowMs} events=${this.#eventsRun} pending=${this.#queue.size}\n${last}`;
    return error;
  }
}

/** What must not happen to a run however wrong the code under test is: that it never ends, or that a rejection is lost. */
class RunGuard {
  readonly eventsEnd: number;
  readonly #cpuMsMax: number;
  readonly #startedAt = process.cpuUsage();
  readonly #rejections: unknown[] = [];
  readonly #onRejection = (cause: unknown): void => void this.#rejections.push(cause);

  constructor(eventsEnd: number, cpuMsMax: number) {
    this.eventsEnd = eventsEnd;
    this.#cpuMsMax = cpuMsMax;
    process.on("unhandledRejection", this.#onRejection);
  }

  check(eventsRun: number): void {
    if (this.#rejections.length > 0) {
      const [cause] = this.#rejections;
      throw new SimulationError("threw", "a promise was rejected and nobody handled it, not long ago", { cause });
    }
    if (eventsRun >= this.eventsEnd) throw new SimulationError("too-many-events", "the run does not come to an end");
    const { user, system } = process.cpuUsage(this.#startedAt);
    if ((user + system) / 1_000 < this.#cpuMsMax) return;
    throw new SimulationError("too-long", `the run takes too much of the processor: cpuMsMax=${this.#cpuMsMax}`);
  }

  close(): void {
    process.off("unhandledRejection", this.#onRejection);
  }
}

/**
 * Resolves when no microtask is left. Node runs the next-tick queue only when the microtask queue is empty, and a tick
 * set from inside a microtask therefore comes after all of them, however long the chain: four times as fast as a turn of
 * the event loop, and as sure.
 */
function microtasksDone(): Promise<void> {
  return new Promise((resolve) => queueMicrotask(() => process.nextTick(resolve)));
}

/** FNV-1a, 32 bits, over UTF-16 units. */
function textHash(text: string): number {
  let hash = 0x811c_9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193);
  return hash >>> 0;
}
