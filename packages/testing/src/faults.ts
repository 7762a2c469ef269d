/**
 * What goes wrong in a simulated world, and how often: decided by the seed, counted when it happens.
 *
 * Owns: the rates, the chances, what is cut or unavailable now, the counters.
 * Leaves to others: carrying calls (`simulated-wire.ts`), faults that need the world's hands, which are given as spells.
 *
 * F1  No fault breaks what a port promises: the channel keeps its order and delivers once (C1), a reader never skips (M3).
 * F2  Each fault draws from a generator of its own, so a rate that changes leaves the other faults' draws as they were.
 * F3  After `stop` nothing new goes wrong, and what was cut or unavailable is whole again. What is on its way stays late.
 */
import type { Call } from "@dormouse/local";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

/** Faults of one call or push. */
export const callFaults = [
  /** The call never arrives; the caller gives up after a while. */
  "call-lost",
  /** The call takes effect, and the caller never hears of it. */
  "answer-lost",
  /** The caller gives up first; the call takes effect after that. */
  "effect-late",
  /** One way takes very long. All behind it on the same lane wait too. */
  "delayed",
  /** A look for another app takes very long. */
  "lookup-delayed",
  /** What is known of an agent takes very long to read, so that it is cold for long. */
  "head-delayed",
  /** An append overtakes those before it, as on another connection. */
  "reordered",
  "push-lost",
  /** A push takes very long. */
  "push-late",
  /** A notice comes twice. */
  "push-repeated",
  /** A put is answered 409, and not done. */
  "conflict",
  /** A listing is of a moment ago: it lacks what was put since, and has what was deleted since. */
  "list-stale",
  /** The caller dies; the call is never sent. */
  "crash-before-effect",
  /** The caller dies when its call has taken effect; the answer finds nobody. */
  "crash-after-effect",
  /** The caller dies when it has taken the answer and done what it does upon it. */
  "crash-after-answer",
] as const;

export type CallFault = (typeof callFaults)[number];

/** Faults that come over the world for a while. */
export const spellFaults = [
  /** A party and one port or several, or two parties, cannot reach each other, one way or both. */
  "cut",
  /** A port answers nobody. */
  "outage",
  /** A party is stopped, for up to `pauseMsMax`, and goes on. */
  "pause",
  /** A party's wall clock jumps. */
  "clock-step",
  /** A party's clock runs too fast or too slow from now on. */
  "clock-drift",
  /** A party dies at any moment. */
  "crash",
  /** A party dies at one crash point of one method of a port, drawn among all: what is called seldom as often as the rest. */
  "crash-at-point",
] as const;

export type SpellFault = (typeof spellFaults)[number];

/** What else is counted of spells: their kinds, and the calls that they stop. */
const variants = [
  "cut-one-way",
  "cut-both-ways",
  "cut-from-streams",
  "pause-past-timeouts",
  "stopped-by-cut",
  "stopped-by-outage-of-mailbox",
  "stopped-by-outage-of-store",
  "stopped-by-outage-of-channel",
] as const;

export type PortName = Call["port"];

const portNames = ["mailbox", "store", "membership", "channel"] as const satisfies readonly PortName[];

/** What a NATS server that reaches no other has not: its streams. It still carries what its own clients say to each other. */
const streamPorts = ["mailbox", "membership"] as const satisfies readonly PortName[];
/** Of cuts, those from the streams alone: whoever is replaced then goes on to answer readers. */
const streamCutShare = 0.2;

export interface FaultSettings {
  /** For each fault of a call: how likely it is for one call that it can happen to, 0 to 1. Default: 0. */
  readonly rates?: { readonly [fault in CallFault]?: number };
  /** For each spell: how often it comes in a simulated minute, on average. Default: 0. */
  readonly spellsPerMinute?: { readonly [fault in SpellFault]?: number };
  /** Whom crashes, pauses and clock faults may meet. Default: every party. */
  readonly strikes?: (party: string) => boolean;
  /** The longest pause. Default 60,000: past every timeout. */
  readonly pauseMsMax?: number;
  /** The longest jump of a wall clock, either way. Default 3,600,000. */
  readonly clockStepMsMax?: number;
  /** The longest cut or outage. Default 45,000. */
  readonly cutMsMax?: number;
  /** The longest delay of a call or push, and of an effect after its caller gave up. Default 20,000. */
  readonly delayMsMax?: number;
  /** How long a caller waits for an answer at most. Default 5,000. */
  readonly patienceMs?: number;
  /** One way of a call or push, from and to, both included. Default: 0 to 3; to the store 1 to 12. */
  readonly latencyMs?: { readonly [port in PortName]?: readonly [low: number, high: number] };
}

/** What hosts do with each port, and what each port brings them. */
const methods: { readonly [port in PortName]: readonly string[] } = {
  mailbox: ["create", "append", "barrier", "trim", "read", "wake"],
  store: ["get", "put", "list", "delete"],
  membership: ["announce", "leave", "stateOf", "alive", "beat", "changed"],
  channel: ["publish", "serve", "deliver"],
};

/** What is sent or brought without an answer; and whoever has left does nothing upon the answer. */
const unanswered: ReadonlySet<string> = new Set(["publish", "wake", "serve", "changed", "deliver", "answer", "leave"]);

/** What becomes of one call, decided when it is made. */
export interface CallFate {
  readonly thereMs: number;
  readonly backMs: number;
  /** When the caller gives up, if it does. */
  readonly givesUpMs: number;
  /** How long after that a late effect comes. */
  readonly lateMs: number;
  readonly keepsOrder: boolean;
  readonly outcome: "answered" | "call-lost" | "answer-lost" | "effect-late";
  readonly crash: CrashPoint | undefined;
}

export type CrashPoint = "crash-before-effect" | "crash-after-effect" | "crash-after-answer";

const crashPoints = [
  "crash-before-effect",
  "crash-after-effect",
  "crash-after-answer",
] as const satisfies readonly CrashPoint[];

/** One point at which callers of one method of a port die: `store.put crash-after-effect`. */
interface MethodPoint {
  readonly method: string;
  readonly point: CrashPoint;
}

const methodPoints: readonly MethodPoint[] = portNames.flatMap((port) =>
  methods[port].flatMap((operation) => pointsOf(operation).map((point) => ({ method: `${port}.${operation}`, point }))),
);

/** What becomes of one push: when each of its copies arrives, if any does. */
export interface PushFate {
  readonly arrivalsMs: readonly number[];
}

/** What is to happen to whoever makes the call of that number, and for how long. */
interface AtCall {
  readonly call: number;
  readonly ms: number;
}

interface ForcedFault {
  readonly fault: CallFault;
  readonly matches: (call: Call) => boolean;
}

interface Hold {
  readonly ms: number;
  readonly matches: (call: Call) => boolean;
}

const latencyMsDefault = { mailbox: [0, 3], store: [1, 12], membership: [0, 3], channel: [0, 3] } as const;
const clockStepMsMaxDefault = 3_600_000;
const driftMax = 0.01;
/** No host's silence is borne for longer (DESIGN.md section 9). */
const timeoutMsMost = 20_000;
const msPerMinute = 60_000;

/**
 * Decides what goes wrong.
 *
 * @example
 * ```ts
 * const faults = new Faults(scheduler, { rates: { "answer-lost": 0.01 }, spellsPerMinute: { pause: 2 } });
 * faults.startSpells(() => livingHosts);
 * faults.once("crash-after-effect", (call) => call.operation === "put" && call.about.startsWith("journal/"));
 * ```
 */
export class Faults {
  readonly #scheduler: Scheduler;
  readonly #settings: FaultSettings;
  readonly #random: Random;
  readonly #streamCuts: Random;
  readonly #chances: { readonly [fault in CallFault]: Random };
  readonly #counts = new Map<string, number>();
  readonly #forced: ForcedFault[] = [];
  readonly #holds: Hold[] = [];
  /** From whom to whom nothing gets through, and until when. */
  readonly #cuts = new Map<string, number>();
  readonly #outages = new Map<PortName, number>();
  readonly #crashes = new Map(methodPoints.map((one) => [nameOfPoint(one), 0]));
  /** Where the next callers die, by a spell. */
  readonly #armed: MethodPoint[] = [];
  #crashPointsSeen = 0;
  #crashPointWanted: number | undefined;
  #callsSeen = 0;
  #pauseWanted: AtCall | undefined;
  #cutWanted: AtCall | undefined;
  #isOn = true;

  constructor(scheduler: Scheduler, settings: FaultSettings = {}) {
    this.#scheduler = scheduler;
    this.#settings = settings;
    this.#random = scheduler.randomFor("faults");
    this.#streamCuts = this.#random.fork("stream-cuts");
    this.#chances = fromEntriesOf(callFaults, (fault) => this.#random.fork(fault));
    this.expect(...callFaults, ...spellFaults, ...variants);
  }

  /** Names faults that may happen, so that one that never does is seen to be missing. */
  expect(...faults: readonly string[]): void {
    for (const fault of faults) if (!this.#counts.has(fault)) this.#counts.set(fault, 0);
  }

  /** How often each fault happened, by name; 0 for one that never did. */
  coverage(): { readonly [fault: string]: number } {
    return Object.fromEntries(this.#counts);
  }

  /** Counts a fault that happened. */
  count(fault: string): void {
    this.#counts.set(fault, (this.#counts.get(fault) ?? 0) + 1);
  }

  /** How often a caller died at each point of each method of a port, by name: `store.put crash-after-effect`; 0 for never. */
  crashes(): { readonly [point: string]: number } {
    return Object.fromEntries(this.#crashes);
  }

  /** Counts a crash that came. */
  countCrash(call: Call, point: CrashPoint): void {
    const name = nameOfPoint({ method: methodOf(call), point });
    this.count(point);
    this.#crashes.set(name, (this.#crashes.get(name) ?? 0) + 1);
  }

  /** Makes the next call that `matches` meet `fault`, also after `stop`. */
  once(fault: CallFault, matches: (call: Call) => boolean): void {
    this.#forced.push({ fault, matches });
  }

  /** Makes the next call that `matches` take `ms` longer on its way there; all behind it on the same lane wait too. */
  hold(ms: number, matches: (call: Call) => boolean): void {
    this.#holds.push({ ms, matches });
  }

  /** How many crash points the calls so far had, of parties that crashes may strike: three each, and two where nothing is answered. */
  get crashPointsSeen(): number {
    return this.#crashPointsSeen;
  }

  /** Ends the caller at its crash point of that number, counted from 0: for trying them all, one run each. */
  crashAt(crashPoint: number): void {
    this.#crashPointWanted = crashPoint;
  }

  /** How many calls of the store were made so far by parties that pauses may strike. */
  get callsSeen(): number {
    return this.#callsSeen;
  }

  /** Stops the caller for `ms` when it has made the call of the store of that number, counted from 0: what is answered, it hears after. */
  pauseAt(call: number, ms: number): void {
    this.#pauseWanted = { call, ms };
  }

  /** Cuts the caller off from its streams for `ms`, when it makes the call of the store of that number, and stops it not. */
  cutAt(call: number, ms: number): void {
    this.#cutWanted = { call, ms };
  }

  /** Lets nothing through from one party or port to another for `ms`. Both ways: twice. */
  cut(from: string, to: string, ms: number): void {
    const key = cutKey(from, to);
    this.#cuts.set(key, Math.max(this.#cuts.get(key) ?? 0, this.#scheduler.now() + ms));
    this.#scheduler.note(`cut off from ${to} for ${ms}ms`, from);
  }

  /** Makes a port answer nobody for `ms`. */
  makeUnavailable(port: PortName, ms: number): void {
    this.#outages.set(port, Math.max(this.#outages.get(port) ?? 0, this.#scheduler.now() + ms));
    this.#scheduler.note(`${port} unavailable for ${ms}ms`, undefined);
  }

  /** Mends every cut and outage, and begins no new fault (F3). */
  stop(): void {
    this.#isOn = false;
    this.#cuts.clear();
    this.#outages.clear();
    this.#armed.length = 0;
    this.#scheduler.note("faults stop", undefined);
  }

  /** Begins the spells of the settings. `parties` gives those that live now; a cut may part any two, or one from a port. */
  startSpells(parties: () => readonly string[]): void {
    const { spellsPerMinute = {}, strikes = () => true } = this.#settings;
    const victims = (): readonly string[] => parties().filter(strikes);
    for (const fault of spellFaults) {
      const random = this.#random.fork(`${fault}-spell`);
      this.addSpell(fault, spellsPerMinute[fault] ?? 0, () => this.#castSpell(fault, random, parties(), victims()));
    }
  }

  /**
   * Lets a fault of the caller's own come over the world now and then, such as a stream that loses its tail.
   *
   * @param cast - Does it, and says whether anything was done, so that it counts.
   */
  addSpell(fault: string, perMinute: number, cast: (random: Random) => boolean): void {
    this.expect(fault);
    if (perMinute <= 0) return;
    const random = this.#random.fork(`spell/${fault}`);
    const arm = (): void => {
      const delayMs = 1 + random.int(Math.ceil((2 * msPerMinute) / perMinute));
      this.#scheduler.add({
        label: `spell ${fault}`,
        delayMs,
        run: () => {
          if (!this.#isOn) return;
          if (cast(random)) this.count(fault);
          arm();
        },
      });
    };
    arm();
  }

  /** Decides one call. A crash counts when it comes (`countCrash`), everything else here. */
  decideCall(call: Call): CallFate {
    const crash = this.#decideCrash(call);
    if (call.port === "store" && this.#strikes(call)) this.#countCall(call);
    const outcome = this.#decideOutcome(call);
    const isOrdered = call.port === "mailbox" && (call.operation === "append" || call.operation === "barrier");
    const slow = slowReadOf(call);
    const isDelayed = this.#meets("delayed", call) || (slow !== undefined && this.#meets(slow, call));
    const isDelayedThere = isDelayed && this.#random.chance(0.5);
    return {
      thereMs: this.#latencyMs(call.port) + (isDelayedThere ? this.#delayMs() : 0) + this.#heldMs(call),
      backMs: this.#latencyMs(call.port) + (isDelayed && !isDelayedThere ? this.#delayMs() : 0),
      givesUpMs: this.patienceMs(),
      lateMs: this.#delayMs(),
      keepsOrder: isOrdered && !this.#meets("reordered", call),
      outcome,
      crash,
    };
  }

  /** Decides one push. */
  decidePush(call: Call): PushFate {
    if (this.#meets("push-lost", call)) return { arrivalsMs: [] };
    const lateMs = this.#meets("push-late", call) ? this.#delayMs() : 0;
    const arrivalsMs = [this.#latencyMs(call.port) + lateMs];
    // The channel delivers at most once (C1); a wake-up or a notice of change may come twice.
    if (call.port !== "channel" && this.#meets("push-repeated", call)) arrivalsMs.push(this.#delayMs());
    return { arrivalsMs };
  }

  /** Of how long ago a listing is. */
  decideListAgeMs(call: Call): number {
    return this.#meets("list-stale", call) ? this.#delayMs() : 0;
  }

  /** Decides whether who sends what is not answered, or is brought it, dies there. */
  decideUnanswered(call: Call): CrashPoint | undefined {
    return this.#strikes(call) ? this.#chosenPoint(call) : undefined;
  }

  /** Decides whether a put that was about to be sent is answered 409. */
  decideConflict(call: Call): boolean {
    return this.#meets("conflict", call);
  }

  /** How long a caller that hears nothing waits: a broken connection is known soon, a silent one at the time-out. */
  patienceMs(): number {
    const patienceMs = this.#settings.patienceMs ?? 5_000;
    return this.#random.chance(0.5) ? patienceMs : 1 + this.#random.int(Math.min(50, patienceMs));
  }

  /** Whether something from one party or port to another is stopped now; counts it if so. */
  isStopped(from: string | undefined, to: string, port: PortName): boolean {
    const nowMs = this.#scheduler.now();
    if ((this.#outages.get(port) ?? 0) > nowMs) {
      this.count(`stopped-by-outage-of-${port}`);
      return true;
    }
    if (this.#cuts.size === 0 || from === undefined) return false;
    const isCut = (left: string, right: string): boolean => (this.#cuts.get(cutKey(left, right)) ?? 0) > nowMs;
    if (!isCut(from, to) && !isCut(from, port) && !isCut(port, to)) return false;
    this.count("stopped-by-cut");
    return true;
  }

  #decideCrash(call: Call): CrashPoint | undefined {
    if (!this.#strikes(call)) return undefined;
    return this.#chosenPoint(call) ?? pointsOf(call.operation).find((point) => this.#draws(point, call));
  }

  #countCall({ party }: Call): void {
    const call = this.#callsSeen;
    this.#callsSeen += 1;
    if (this.#pauseWanted?.call === call) {
      this.count("pause");
      this.#scheduler.pause(party, this.#pauseWanted.ms);
    }
    if (this.#cutWanted?.call !== call) return;
    this.count("cut-from-streams");
    for (const port of streamPorts) {
      this.cut(party, port, this.#cutWanted.ms);
      this.cut(port, party, this.#cutWanted.ms);
    }
  }

  #strikes({ party }: Call): boolean {
    const { strikes = () => true } = this.#settings;
    return strikes(party);
  }

  /** The point of this call that was asked for by its number, or by a spell. */
  #chosenPoint(call: Call): CrashPoint | undefined {
    const points = pointsOf(call.operation);
    const wanted = (this.#crashPointWanted ?? -1) - this.#crashPointsSeen;
    this.#crashPointsSeen += points.length;
    if (wanted >= 0 && wanted < points.length) return points[wanted];
    const method = methodOf(call);
    const index = this.#armed.findIndex((one) => one.method === method);
    return index < 0 ? undefined : this.#armed.splice(index, 1)[0]?.point;
  }

  #decideOutcome(call: Call): CallFate["outcome"] {
    if (this.#meets("call-lost", call)) return "call-lost";
    if (this.#meets("answer-lost", call)) return "answer-lost";
    return this.#meets("effect-late", call) ? "effect-late" : "answered";
  }

  #heldMs(call: Call): number {
    const index = this.#holds.findIndex(({ matches }) => matches(call));
    return index < 0 ? 0 : (this.#holds.splice(index, 1)[0]?.ms ?? 0);
  }

  #meets(fault: CallFault, call: Call): boolean {
    if (!this.#draws(fault, call)) return false;
    this.count(fault);
    return true;
  }

  #draws(fault: CallFault, call: Call): boolean {
    const forced = this.#forced.findIndex((wanted) => wanted.fault === fault && wanted.matches(call));
    if (forced !== -1) this.#forced.splice(forced, 1);
    const isDrawn = this.#isOn && this.#chances[fault].chance(this.#settings.rates?.[fault] ?? 0);
    return forced !== -1 || isDrawn;
  }

  #latencyMs(port: PortName): number {
    const [low, high] = this.#settings.latencyMs?.[port] ?? latencyMsDefault[port];
    return this.#random.between(low, high);
  }

  #delayMs(): number {
    return this.#random.skewed(10, this.#settings.delayMsMax ?? 20_000);
  }

  #castSpell(fault: SpellFault, random: Random, parties: readonly string[], victims: readonly string[]): boolean {
    if (fault === "outage") {
      this.makeUnavailable(random.pick(portNames), this.#spanMs(random));
      return true;
    }
    if (fault === "cut") return this.#castCut(random, parties);
    if (victims.length === 0) return false;
    const victim = random.pick(victims);
    const clock = this.#scheduler.clockFor(victim);
    switch (fault) {
      case "pause": {
        const pauseMs = random.skewed(10, this.#settings.pauseMsMax ?? 60_000);
        if (pauseMs >= timeoutMsMost) this.count("pause-past-timeouts");
        this.#scheduler.pause(victim, pauseMs);
        return true;
      }
      case "clock-step":
        clock.step(
          (random.chance(0.5) ? 1 : -1) * random.skewed(1, this.#settings.clockStepMsMax ?? clockStepMsMaxDefault),
        );
        return true;
      case "clock-drift":
        clock.drift(1 + (random.between(-1_000, 1_000) / 1_000) * driftMax);
        return true;
      case "crash":
        this.#scheduler.end(victim);
        return true;
      case "crash-at-point":
        this.#armed.push(random.pick(methodPoints));
        return true;
    }
  }

  #castCut(random: Random, parties: readonly string[]): boolean {
    if (parties.length === 0) return false;
    const party = random.pick(parties);
    const others: readonly string[] = [...portNames, ...parties.filter((other) => other !== party)];
    // A third of the cuts part a party from every port: it lives, and the world does not hear it, nor it the world.
    const drawn = random.chance(1 / 3) ? portNames : [random.pick(others)];
    const cutFrom = this.#streamCuts.chance(streamCutShare) ? streamPorts : drawn;
    const ms = this.#spanMs(random);
    const ways = random.pick(["out", "in", "both"] as const);
    this.count(ways === "both" ? "cut-both-ways" : "cut-one-way");
    if (cutFrom === streamPorts) this.count("cut-from-streams");
    for (const other of cutFrom) {
      if (ways !== "in") this.cut(party, other, ms);
      if (ways !== "out") this.cut(other, party, ms);
    }
    return true;
  }

  #spanMs(random: Random): number {
    return random.skewed(50, this.#settings.cutMsMax ?? 45_000);
  }
}

/**
 * Rates drawn at random: about half of the faults, each on a scale of its own. Runs with few faults of one kind, and many
 * of another, meet states that runs with some of all never reach.
 */
export function drawFaults(random: Random): Pick<FaultSettings, "rates" | "spellsPerMinute"> {
  const rate = (mostly: number): number => (random.chance(0.5) ? mostly / 2 ** random.int(6) : 0);
  const points = random.fork("crash-at-point");
  const seldom = (mostly: number): number => (points.chance(0.3) ? mostly / 2 ** points.int(4) : 0);
  return {
    rates: fromEntriesOf(callFaults, (fault) => drawRate(random, fault, rate)),
    spellsPerMinute: fromEntriesOf(spellFaults, (fault) => (fault === "crash-at-point" ? seldom(16) : rate(8))),
  };
}

function pointsOf(operation: string): readonly CrashPoint[] {
  return unanswered.has(operation) ? crashPoints.slice(0, 2) : crashPoints;
}

/** A put that is answered 409 is a put. */
function methodOf({ port, operation }: Call): string {
  return `${port}.${operation === "put-conflict" ? "put" : operation}`;
}

function nameOfPoint({ method, point }: MethodPoint): string {
  return `${method} ${point}`;
}

/** The fault of its own that a read of the store may meet. */
function slowReadOf({ port, operation, about }: Call): "lookup-delayed" | "head-delayed" | undefined {
  if (port !== "store" || operation !== "get") return undefined;
  if (about.endsWith("/app.json")) return "lookup-delayed";
  return about.startsWith("agents/") && about.endsWith("/head") ? "head-delayed" : undefined;
}

/** Where lookups of apps are slow, nearly all are: else hardly anything ever waits for one. */
function drawRate(random: Random, fault: CallFault, rate: (mostly: number) => number): number {
  if (fault === "lookup-delayed") return random.chance(0.5) ? 0.9 : 0;
  if (fault === "head-delayed") return rate(0.5);
  // Drawn apart, so that the other rates of a seed stay as they are.
  if (fault === "list-stale") return random.fork(fault).chance(0.5) ? 0.5 : 0;
  return rate(fault.startsWith("crash") ? 0.002 : 0.1);
}

function cutKey(from: string, to: string): string {
  return `${from} > ${to}`;
}

function fromEntriesOf<K extends string, V>(keys: readonly K[], valueOf: (key: K) => V): { readonly [key in K]: V } {
  return Object.fromEntries(keys.map((key) => [key, valueOf(key)])) as { readonly [key in K]: V };
}
