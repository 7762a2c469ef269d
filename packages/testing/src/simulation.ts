/**
 * A whole system in one process: hosts, clients and their world under one seeded scheduler, with checkers outside.
 *
 * `simulate` is the story, in order:
 *
 * 1. **World.** One `Scheduler` of the seed; `Faults`; a `SimulatedWire`; one `MemoryWorld` on the clock of the party
 *    `servers`; a `Witness`, which sees every effect the servers take.
 * 2. **Hosts** (`simulated-hosts.ts`): the runtime's own `startIncarnation`, one process after the other, now and then two.
 * 3. **Clients** (`simulated-clients.ts`): what the workloads draw, through the real client.
 * 4. **Faults** for `durationMs`: those of `faults.ts`, and spells with the world's hands (`worldSpells`).
 * 5. **Calm.** Faults stop, a host lives; within `calmMsMax` of virtual time every operation returns, every book is
 *    complete, every agent leaves memory.
 * 6. **Verdict** of every checker, and of every workload on its own agents.
 *
 * A run ends in one of three ways, kept apart: it finished, with or without violations; it threw (`SimulationError`: a
 * crash or stall of the code under test); its process died.
 *
 * Does not simulate: torn local writes, which `packages/local` tries one by one.
 */
import type { AnyAgentDefinition, Settings } from "@dormouse/core";
import type { App } from "@dormouse/core/protocol";
import { type Call, MemoryWorld } from "@dormouse/local";
import type { Checker, Violation } from "./checkers/checker.ts";
import { OrderChecker } from "./checkers/d1-order.ts";
import { RestChecker } from "./checkers/d10-rest.ts";
import { AgainChecker, stateBytesMax, type StepAgain } from "./checkers/d2-again.ts";
import { DurableChecker } from "./checkers/d3-durable.ts";
import { ElsewhereChecker } from "./checkers/d4-elsewhere.ts";
import { OnceChecker } from "./checkers/d4-once.ts";
import { OwnersChecker } from "./checkers/d5-owners.ts";
import { CallsChecker } from "./checkers/d7-calls.ts";
import { EffectsChecker } from "./checkers/d7-effects.ts";
import { BundlesChecker } from "./checkers/d3-bundles.ts";
import { BytesChecker } from "./checkers/d8-bytes.ts";
import { HistoryChecker } from "./checkers/history.ts";
import { Damager } from "./damage.ts";
import { type CallFault, drawFaults, Faults, type FaultSettings } from "./faults.ts";
import { OtherApp } from "./other-app.ts";
import type { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { Auditor, type Player, SimulatedClients } from "./simulated-clients.ts";
import { SimulatedHosts } from "./simulated-hosts.ts";
import { SimulatedWire } from "./simulated-wire.ts";
import { Witness } from "./witness.ts";
import { alarm } from "./workloads/alarm.ts";
import { bank } from "./workloads/bank.ts";
import { counter } from "./workloads/counter.ts";
import { desk } from "./workloads/desk.ts";
import { family } from "./workloads/family.ts";
import { guest } from "./workloads/guest.ts";
import { kitchen } from "./workloads/kitchen.ts";
import { permit } from "./workloads/permit.ts";
import { plan } from "./workloads/plan.ts";
import { scribe } from "./workloads/scribe.ts";
import { trade } from "./workloads/trade.ts";
import { worker } from "./workloads/worker.ts";
import type { Elsewhere, Workload } from "./workloads/workload.ts";

/** Faults that need the world's hands, and those of whole hosts. */
export const worldSpells = [
  "tail-lost",
  "stream-recreated",
  "readers-interrupted",
  "stream-full",
  "client-paused",
  "second-host",
  "drain",
  /** A stream is gone, and nobody but its owner makes it again. */
  "stream-removed",
  /** One step of a deploy, forwards or back, where the agents have more than one release. */
  "deploy",
  /** A stream loses its tail, and nobody's connection to it is lost. */
  "tail-lost-unheard",
] as const;

export type WorldSpell = (typeof worldSpells)[number];

export interface SimulationOptions {
  readonly seed: number | string;
  /** Makes the workloads of a run. Default: some of `workloads`, by the seed. */
  readonly workloads?: (random: Random) => readonly Workload[];
  /** Default: `drawFaults` of the seed. */
  readonly faults?: Pick<FaultSettings, "rates" | "spellsPerMinute">;
  /** How often each comes in a simulated minute. Default: by the seed. */
  readonly worldSpellsPerMinute?: { readonly [spell in WorldSpell]?: number };
  /**
   * How often an agent's object is damaged in a simulated minute, under whoever reads it next. Default: by the seed, where
   * `worldSpellsPerMinute` is too; else never.
   */
  readonly damagesPerMinute?: number;
  /** Default: by the seed. */
  readonly settings?: Settings;
  /** Virtual time with faults. Default 60,000. */
  readonly durationMs?: number;
  /** Virtual time to finish in, after faults stop. Default 600,000. */
  readonly calmMsMax?: number;
  /** Ends the faults after so many events, for finding the shortest failing prefix. */
  readonly eventsMax?: number;
  /** How many of the last events and notes the run keeps. Default 2,000. */
  readonly traceLinesMax?: number;
  /** Default: one of each invariant. */
  readonly checkers?: readonly Checker[];
  /** Makes what executes steps of these agents a second time. Without it D2 is not checked. */
  readonly stepAgain?: (agents: readonly AnyAgentDefinition[]) => StepAgain;
  /** What one client does, in the place of what the workloads draw. Faults stop when it has returned. */
  readonly script?: Script;
  /** Default: by the seed. */
  readonly shape?: Shape;
  /** Ends a host at its crash point of that number, counted from 0. */
  readonly crashAt?: number;
  /** Stops a host at the call of the store of that number, counted from 0, for so many milliseconds. */
  readonly pauseAt?: { readonly call: number; readonly ms: number };
  /** Cuts a host off from its streams, and from nothing else, from that call of the store on, for so many milliseconds. */
  readonly cutAt?: { readonly call: number; readonly ms: number };
}

/** How large a world is. */
export interface Shape {
  readonly hosts: number;
  readonly partitions: number;
  /** Whether hosts take one message at a time, as after deaths. Default: false. */
  readonly isCautious?: boolean;
}

/** What a script does, one thing after the other. */
export type Script = (stage: Stage) => Promise<void>;

/** What a script can do with a world. */
export interface Stage extends Player {
  readonly workloads: readonly Workload[];
  /** Asks a host that is up to end cleanly. */
  readonly drain: () => void;
  /** Begins another host. */
  readonly addHost: () => void;
  /** Makes the next call that `matches` meet a fault. */
  readonly meet: (fault: CallFault, matches: (call: Call) => boolean) => void;
  /** Makes the next call that `matches` take so much longer on its way there. */
  readonly hold: (ms: number, matches: (call: Call) => boolean) => void;
  /** A stream loses its last messages, and all who are connected to it their connections. */
  readonly loseTail: (partition: number, count: number) => void;
}

export interface Run {
  readonly seed: number | string;
  /** Equal for equal seeds of equal code. */
  readonly digest: string;
  readonly events: number;
  /** Events up to the end of the faults. */
  readonly eventsOfFaults: number;
  readonly virtualMs: number;
  readonly operations: number;
  /** How often each fault happened. */
  readonly coverage: { readonly [fault: string]: number };
  /** How often a host died at each point of each method of a port: before the call, after its effect, after its answer. */
  readonly crashes: { readonly [point: string]: number };
  /** How many crash points hosts passed, up to the end of the faults. */
  readonly crashPoints: number;
  /** How many calls of the store hosts made, up to the end of the faults. */
  readonly calls: number;
  /** What checkers counted. */
  readonly figures: { readonly [figure: string]: number };
  readonly violations: readonly Violation[];
  /** The last events and notes. */
  readonly trace: readonly string[];
}

export const workloads: readonly ((random: Random) => Workload)[] = [
  counter,
  bank,
  family,
  worker,
  alarm,
  desk,
  scribe,
  guest,
  trade,
  plan,
  kitchen,
  permit,
];

const durationMsDefault = 60_000;
const calmMsMaxDefault = 600_000;
/** The first pause between two looks; later ones are longer. */
const calmRoundMs = 3_000;
/** No agent of the workloads stays in memory for longer; but a settle may come late, and bring all back once more. */
const restRoundMs = 40_000;
const restMsMax = 300_000;
/** Clocks may be an hour apart: nothing but timers goes by them. */
const clockStepMsMax = 3_600_000;
const hostsMost = 5;

/**
 * Runs one seed.
 *
 * @throws SimulationError
 * @example
 * ```ts
 * const { violations, digest } = await simulate({ seed: 7 });
 * ```
 * @see DESIGN.md, section 14
 */
export async function simulate(options: SimulationOptions): Promise<Run> {
  const simulation = new Simulation(options);
  await simulation.disturb();
  return simulation.conclude();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #world: MemoryWorld;
  readonly #witness: Witness;
  readonly #hosts: SimulatedHosts;
  readonly #clients: SimulatedClients;
  readonly #auditor: Auditor;
  readonly #damager: Damager;
  readonly #other: OtherApp | undefined;
  readonly #workloads: readonly Workload[];
  readonly #checkers: readonly Checker[];
  #app: App | undefined;
  #hostsWanted = 1;
  #haveClientsEnded = false;
  #eventsOfFaults = 0;
  #crashPoints = 0;
  #calls = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const { seed, traceLinesMax = 2_000 } = options;
    this.#scheduler = new Scheduler({ seed, traceLinesMax, cpuMsMax: 30_000, eventsMax: 5_000_000 });
    const scheduler = this.#scheduler;
    const random = scheduler.randomFor("simulation");
    this.#faults = new Faults(scheduler, {
      ...(options.faults ?? drawFaults(random.fork("faults"))),
      clockStepMsMax,
      strikes: isHost,
    });
    this.#faults.expect("store-refused", "host-restarted", "type-missing", "app-late", "app-missing");
    this.#faults.expect("release-rolled", "release-rolled-back", "stream-changed-unheard");
    if (options.crashAt !== undefined) this.#faults.crashAt(options.crashAt);
    if (options.pauseAt !== undefined) this.#faults.pauseAt(options.pauseAt.call, options.pauseAt.ms);
    if (options.cutAt !== undefined) this.#faults.cutAt(options.cutAt.call, options.cutAt.ms);
    const wire = new SimulatedWire(scheduler, this.#faults, {
      observe: ({ call, result }) => {
        if (isRefusal(call.operation, result)) this.#faults.count("store-refused");
      },
    });
    this.#world = new MemoryWorld(scheduler.clockFor("servers"), { everyMs: 3_000, suspectedMs: 15_000 });
    this.#workloads = (options.workloads ?? ((drawn) => drawWorkloads(drawn)))(random.fork("workloads"));
    const agents = this.#workloads.flatMap((workload) => workload.agents);
    const next = this.#workloads.flatMap((workload) => workload.next ?? workload.agents);
    const isDeployed = this.#workloads.some((workload) => workload.next !== undefined);
    this.#checkers = options.checkers ?? [
      new OrderChecker(),
      ...(options.stepAgain === undefined
        ? []
        : [new AgainChecker(options.stepAgain([...new Set([...agents, ...next])]))]),
      new DurableChecker(),
      new OnceChecker((agent) => this.#damager.wasDamaged(agent)),
      new ElsewhereChecker(),
      new OwnersChecker(),
      new EffectsChecker(),
      new CallsChecker(),
      new BytesChecker(),
      new BundlesChecker(),
      new HistoryChecker(),
      new RestChecker(),
    ];
    const witness = new Witness({
      scheduler,
      world: this.#world,
      wire,
      checkers: this.#checkers,
      elsewhere: (app) => (app === this.#elsewhere?.app ? this.#other?.witness : undefined),
    });
    this.#witness = witness;
    this.#damager = new Damager(scheduler, this.#world);
    const { shape = drawShape(random), script } = options;
    this.#hostsWanted = shape.hosts;
    this.#hosts = new SimulatedHosts({
      scheduler,
      world: this.#world,
      witness,
      releases: isDeployed ? [agents, next] : [agents],
      actors: (outside) => Object.assign({}, ...this.#workloads.map((workload) => workload.actors?.(outside) ?? {})),
      settings: options.settings ?? drawSettings(random.fork("settings")),
      partitions: shape.partitions,
      isCautious: shape.isCautious ?? false,
      count: shape.hosts,
      restarted: () => this.#faults.count("host-restarted"),
      lacking: () => this.#faults.count("type-missing"),
      damaged: (agent, message) => {
        this.#faults.count("damage-found");
        this.#damager.setAside(agent, message);
      },
    });
    const count = random.between(1, 4);
    const pauseMsMax = random.pick([200, 1_000, 3_000]);
    const parts = { scheduler, witness, workloads: this.#workloads };
    const staged = script === undefined ? {} : { script: (player: Player) => script(this.#stageFor(player)) };
    this.#clients = new SimulatedClients({ ...parts, count, pauseMsMax, ...staged });
    this.#auditor = new Auditor({
      scheduler,
      witness,
      party: "auditor",
      addresses: this.#workloads.flatMap((workload) => workload.addresses),
      tell: (agent, book) => witness.observe({ type: "final", agent, book }),
    });
    this.#other = this.#makeOther(wire, witness);
  }

  get #elsewhere(): Elsewhere | undefined {
    return this.#workloads.find((workload) => workload.elsewhere !== undefined)?.elsewhere;
  }

  #makeOther(wire: SimulatedWire, witness: Witness): OtherApp | undefined {
    const elsewhere = this.#elsewhere;
    if (elsewhere === undefined) return undefined;
    const { settings, stepAgain, durationMs = durationMsDefault } = this.#options;
    const random = this.#scheduler.randomFor("other-app");
    return new OtherApp({
      scheduler: this.#scheduler,
      random,
      beside: this.#world,
      wire,
      elsewhere,
      settings: settings ?? drawSettings(random.fork("settings")),
      stepAgain: stepAgain?.(elsewhere.agents),
      watches: () => witness,
      lateMsMax: durationMs,
      count: (fault) => this.#faults.count(fault),
    });
  }

  #stageFor(player: Player): Stage {
    const random = this.#scheduler.randomFor("script");
    return {
      ...player,
      workloads: this.#workloads,
      drain: () => void this.#hosts.drain(random),
      addHost: () => this.#hosts.begin(),
      meet: (fault, matches) => this.#faults.once(fault, matches),
      hold: (ms, matches) => this.#faults.hold(ms, matches),
      loseTail: (partition, count) => this.#loseTail(this.#sites()[0], partition, count, "lost"),
    };
  }

  /** Hosts, clients and faults, until their time is over. */
  async disturb(): Promise<void> {
    const { durationMs = durationMsDefault, eventsMax, script } = this.#options;
    this.#startSpells();
    for (let count = 0; count < this.#hostsWanted; count += 1) this.#hosts.begin();
    this.#other?.begin();
    void this.#hosts.app.then((app) => (this.#app = app));
    const ended = this.#clients.run(this.#hosts.app);
    void ended.then(() => (this.#haveClientsEnded = true));
    await this.#scheduler.run({
      forMs: durationMs,
      ...(eventsMax === undefined ? {} : { events: eventsMax }),
      ...(script === undefined ? {} : { until: () => this.#haveClientsEnded }),
    });
    this.#eventsOfFaults = this.#scheduler.eventsRun;
    this.#crashPoints = this.#faults.crashPointsSeen;
    this.#calls = this.#faults.callsSeen;
  }

  /** Calm, and the verdict. */
  async conclude(): Promise<Run> {
    const scheduler = this.#scheduler;
    this.#faults.stop();
    this.#damager.mendAll();
    for (const { world } of this.#sites()) {
      for (const partition of world.streamPartitions()) world.refuseAppends(partition, false);
    }
    this.#hosts.calm();
    this.#other?.calm();
    this.#clients.stop();
    const { calmMsMax = calmMsMaxDefault } = this.#options;
    await scheduler.run({ forMs: calmMsMax, until: () => this.#haveClientsEnded });
    const endMs = scheduler.now() + calmMsMax;
    let violations = await this.#look();
    for (
      let waitMs = calmRoundMs;
      violations.some(({ mayPass }) => mayPass) && scheduler.now() < endMs;
      waitMs *= 1.5
    ) {
      await scheduler.run({ forMs: Math.ceil(waitMs) });
      violations = await this.#look();
    }
    if (violations.length === 0) violations = await this.#lookAtRest();
    return {
      seed: this.#options.seed,
      digest: scheduler.digest(),
      events: scheduler.eventsRun,
      eventsOfFaults: this.#eventsOfFaults,
      virtualMs: scheduler.now(),
      operations: this.#clients.operations,
      coverage: this.#faults.coverage(),
      crashes: this.#faults.crashes(),
      crashPoints: this.#crashPoints,
      calls: this.#calls,
      figures: Object.assign({}, ...this.#checkers.map((checker) => checker.report?.() ?? {})),
      violations,
      trace: scheduler.trace(),
    };
  }

  /** What is broken or unfinished now. */
  async #look(): Promise<readonly Violation[]> {
    const scheduler = this.#scheduler;
    const atMs = scheduler.now();
    const app = this.#app;
    if (app === undefined) return [{ invariant: "liveness", message: "no host came up", atMs, mayPass: true }];
    let contexts: ReadonlyMap<string, unknown> | undefined;
    const looking = Promise.all([this.#auditor.look(app), this.#other?.look() ?? []]);
    void looking.then(([here, there]) => (contexts = new Map([...here, ...there])));
    await scheduler.run({ forMs: calmMsMaxDefault, until: () => contexts !== undefined });
    if (contexts === undefined)
      return [{ invariant: "liveness", message: "agents cannot be read", atMs, mayPass: true }];
    const read = contexts;
    return [
      ...this.#finish(),
      ...this.#workloads.flatMap((workload) =>
        (workload.check?.(read) ?? []).map((finding) => ({ invariant: "D4" as const, atMs, ...finding })),
      ),
    ];
  }

  /** Nobody does anything, until no agent is held or the time for that is over. */
  async #lookAtRest(): Promise<readonly Violation[]> {
    for (let waitedMs = 0; ; waitedMs += restRoundMs) {
      await this.#scheduler.run({ forMs: restRoundMs });
      for (const { hosts, witness } of this.#sites()) {
        for (const rest of hosts.atRest()) witness.observe({ type: "at-rest", ...rest });
      }
      const violations = this.#finish();
      if (waitedMs >= restMsMax || !violations.some(({ mayPass }) => mayPass)) return violations;
    }
  }

  #finish(): readonly Violation[] {
    return [
      ...this.#checkers.flatMap((checker) => checker.finish()),
      ...(this.#other?.finish() ?? []),
      ...this.#damager.finish(),
    ];
  }

  /** The apps of the world. */
  #sites(): readonly [Site, ...Site[]] {
    const main = { world: this.#world, witness: this.#witness, hosts: this.#hosts };
    return this.#other === undefined ? [main] : [main, this.#other];
  }

  #startSpells(): void {
    const { worldSpellsPerMinute = drawWorldSpells(this.#scheduler.randomFor("world-spells")) } = this.#options;
    this.#faults.startSpells(() => [
      ...this.#sites().flatMap(({ hosts }) => hosts.living()),
      ...this.#clients.parties(),
    ]);
    const { damagesPerMinute = this.#drawDamages() } = this.#options;
    this.#faults.expect("object-flipped", "object-truncated", "damage-found");
    if (damagesPerMinute > 0) {
      this.#faults.addSpell("object-damaged", damagesPerMinute, (random) => this.#castDamage(random));
    }
    for (const spell of worldSpells) {
      this.#faults.addSpell(spell, worldSpellsPerMinute[spell] ?? 0, (random) => this.#cast(spell, random));
    }
  }

  /** Seldom: an agent that is set aside does nothing for a while, and what is wrong with others shows all the same. */
  #drawDamages(): number {
    if (this.#options.worldSpellsPerMinute !== undefined) return 0;
    const random = this.#scheduler.randomFor("damages");
    return random.chance(1 / 3) ? random.pick([1, 2, 4]) : 0;
  }

  #cast(spell: WorldSpell, random: Random): boolean {
    const scheduler = this.#scheduler;
    if (spell === "client-paused") {
      scheduler.pause(random.pick(this.#clients.parties()), random.skewed(10, 20_000));
      return true;
    }
    if (spell === "deploy") return this.#castDeploy(random);
    const site = random.pick(this.#sites());
    const { world, witness, hosts } = site;
    if (spell === "drain") return hosts.drain(random);
    if (spell === "second-host") return this.#castSecondHost(hosts, random);
    const partitions = world.streamPartitions();
    if (partitions.length === 0) return false;
    const partition = random.pick(partitions);
    switch (spell) {
      case "tail-lost":
      case "tail-lost-unheard": {
        const messages = world.stream(partition)?.messages ?? [];
        if (messages.length === 0) return false;
        const count = random.between(1, Math.min(20, messages.length));
        this.#loseTail(site, partition, count, spell === "tail-lost" ? "lost" : "kept");
        return true;
      }
      case "stream-recreated":
        scheduler.note(`stream ${partition} is made anew`);
        witness.observe({ type: "tail-lost", partition, from: 0 });
        witness.goesBackwards(partition, this.#drawConnections(random));
        world.recreateStream(partition);
        return true;
      case "stream-removed":
        scheduler.note(`stream ${partition} is removed`);
        witness.observe({ type: "tail-lost", partition, from: 0 });
        witness.goesBackwards(partition, this.#drawConnections(random));
        world.removeStream(partition);
        return true;
      case "readers-interrupted":
        world.interruptReaders(partition);
        return true;
      case "stream-full": {
        world.refuseAppends(partition, true);
        // The stream may be gone by then.
        const again = (): void => {
          if (world.stream(partition) !== undefined) world.refuseAppends(partition, false);
        };
        scheduler.add({ label: `stream ${partition} has room`, delayMs: random.skewed(10, 10_000), run: again });
        return true;
      }
    }
  }

  #loseTail({ world, witness }: Site, partition: number, count: number, connections: "lost" | "kept"): void {
    const from = world.stream(partition)?.messages.at(-count)?.sequence ?? 0;
    this.#scheduler.note(`stream ${partition} loses its tail from ${from} on`);
    witness.observe({ type: "tail-lost", partition, from });
    witness.goesBackwards(partition, connections);
    world.loseTail(partition, count);
  }

  /** An operator's hand leaves connections as they are; a disk that is gone does not. */
  #drawConnections(random: Random): "lost" | "kept" {
    if (random.chance(0.5)) return "lost";
    this.#faults.count("stream-changed-unheard");
    return "kept";
  }

  /** Another process begins though one lives, as when a host is thought dead; often because it stands still. */
  #castSecondHost(hosts: SimulatedHosts, random: Random): boolean {
    const living = hosts.living();
    const [first] = living;
    if (first === undefined || living.length > hostsMost) return false;
    if (random.chance(0.5)) this.#scheduler.pause(first, random.skewed(10, 60_000));
    hosts.begin();
    return true;
  }

  /** Counts as a fault what it was. */
  #castDamage(random: Random): boolean {
    const done = this.#damager.damage(random);
    if (done !== undefined) this.#faults.count(done);
    return done !== undefined;
  }

  /** Counts as a fault which way it went. */
  #castDeploy(random: Random): boolean {
    const done = this.#hosts.roll(random);
    if (done !== undefined) this.#faults.count(done);
    return done !== undefined;
  }
}

/** One app of the world, for those who bring faults over it. */
interface Site {
  readonly world: MemoryWorld;
  readonly witness: Witness;
  readonly hosts: SimulatedHosts;
}

/** Whether a store answers 412: the condition of a put did not hold. */
function isRefusal(operation: string, result: object): boolean {
  if (operation !== "put" || !("value" in result)) return false;
  return (result.value as { readonly outcome: string }).outcome === "refused";
}

function isHost(party: string): boolean {
  return party.startsWith("host-");
}

/** Some of `makers`, each with a fork of its own. */
export function drawWorkloads(
  random: Random,
  makers: readonly ((random: Random) => Workload)[] = workloads,
): readonly Workload[] {
  const drawn = makers.filter(() => random.chance(0.4));
  return (drawn.length === 0 ? [random.pick(makers)] : drawn).map((make, index) => make(random.fork(String(index))));
}

function drawShape(random: Random): Shape {
  return {
    partitions: random.pick([1, 2, 3, 4]),
    isCautious: random.chance(0.3),
    hosts: random.pick([1, 1, 2, 3, 4]),
  };
}

function drawWorldSpells(random: Random): { readonly [spell in WorldSpell]?: number } {
  const mostly: { readonly [spell in WorldSpell]: number } = {
    "tail-lost": 4,
    "stream-recreated": 1,
    "readers-interrupted": 8,
    "stream-full": 4,
    "client-paused": 2,
    "second-host": 3,
    drain: 2,
    "stream-removed": 1,
    deploy: 12,
    "tail-lost-unheard": 4,
  };
  return Object.fromEntries(
    worldSpells.map((spell) => [spell, random.chance(0.5) ? mostly[spell] / 2 ** random.int(3) : 0]),
  );
}

function drawSettings(random: Random): Settings {
  return {
    commitLingerMs: random.pick([0, 0, 5, 20]),
    effectsRunningMax: random.pick([1, 2, 256]),
    settleBytes: random.pick([2_000, 20_000, 1_000_000]),
    settleMs: random.pick([1_000, 10_000, 120_000]),
    settleRoundMs: random.pick([300, 2_000, 5_000]),
    outboxRepeatMs: random.pick([300, 3_000, 30_000]),
    drainMs: random.pick([0, 500, 10_000]),
    parkMs: random.pick([0, 200, 10_000]),
    stateBytesMax,
    // Last: what is drawn before stays what it was.
    bundleRecords: random.pick([0, 3, 8, 64]),
  };
}
