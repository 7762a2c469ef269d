/**
 * Another app of a simulated world: made at once, late, or never.
 *
 * Owns: its streams and objects, its hosts, the checkers of what they do.
 * Leaves to others: what its agents are (`Workload.elsewhere`), whether each message between apps is taken once
 * (`checkers/d4-once.ts`, `checkers/d4-elsewhere.ts`, which see the agents of all apps).
 */
import type { MemoryWorld } from "@dormouse/local";
import type { Settings } from "@dormouse/core";
import type { Checker, Violation } from "./checkers/checker.ts";
import { RestChecker } from "./checkers/d10-rest.ts";
import { AgainChecker, type StepAgain } from "./checkers/d2-again.ts";
import { DurableChecker } from "./checkers/d3-durable.ts";
import { OwnersChecker } from "./checkers/d5-owners.ts";
import { BytesChecker } from "./checkers/d8-bytes.ts";
import { HistoryChecker } from "./checkers/history.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import { Auditor } from "./simulated-clients.ts";
import { SimulatedHosts } from "./simulated-hosts.ts";
import type { SimulatedWire } from "./simulated-wire.ts";
import { Witness } from "./witness.ts";
import type { Elsewhere } from "./workloads/workload.ts";

export interface OtherAppOptions {
  readonly scheduler: Scheduler;
  readonly random: Random;
  /** The world of the app that the simulation is about. */
  readonly beside: MemoryWorld;
  readonly wire: SimulatedWire;
  readonly elsewhere: Elsewhere;
  readonly settings: Settings;
  readonly stepAgain: StepAgain | undefined;
  /** Who watches the app that the simulation is about, and is told of every agent's book. */
  readonly watches: () => Witness;
  /** Within so many milliseconds it is made, if late. */
  readonly lateMsMax: number;
  readonly count: (fault: "app-late" | "app-missing" | "host-restarted") => void;
}

export class OtherApp {
  readonly world: MemoryWorld;
  readonly witness: Witness;
  readonly hosts: SimulatedHosts;
  readonly #options: OtherAppOptions;
  readonly #checkers: readonly Checker[];
  readonly #auditor: Auditor;
  readonly #hostsWanted: number;
  #isMade = false;

  constructor(options: OtherAppOptions) {
    const { scheduler, random, beside, wire, elsewhere, settings, stepAgain, watches } = options;
    const { app: name, agents, addresses } = elsewhere;
    this.#options = options;
    this.world = beside.app(name);
    this.#checkers = [
      ...(stepAgain === undefined ? [] : [new AgainChecker(stepAgain)]),
      new DurableChecker(),
      new OwnersChecker(),
      new BytesChecker(),
      new HistoryChecker(),
      new RestChecker(),
    ];
    this.witness = new Witness({
      scheduler,
      world: this.world,
      wire,
      checkers: this.#checkers,
      elsewhere: (app) => (app === "default" ? watches() : undefined),
    });
    this.#hostsWanted = random.pick([1, 1, 2]);
    this.hosts = new SimulatedHosts({
      scheduler,
      world: this.world,
      witness: this.witness,
      name,
      releases: [agents],
      actors: () => ({}),
      settings,
      partitions: random.pick([1, 2, 3]),
      isCautious: random.chance(0.3),
      count: this.#hostsWanted,
      restarted: () => options.count("host-restarted"),
    });
    this.#auditor = new Auditor({
      scheduler,
      witness: this.witness,
      party: `auditor-${name}`,
      addresses,
      tell: (agent, book) => watches().observe({ type: "final", agent: fullName(name, agent), book }),
    });
  }

  /** Its hosts begin: now, later, or not at all. */
  begin(): void {
    const { scheduler, random, lateMsMax, count } = this.#options;
    const when = random.pick(["now", "late", "late", "never"] as const);
    if (when === "never") return count("app-missing");
    if (when === "late") count("app-late");
    scheduler.add({
      label: "the other app is made",
      delayMs: when === "now" ? 0 : random.skewed(100, lateMsMax),
      run: () => {
        this.#isMade = true;
        for (let host = 0; host < this.#hostsWanted; host += 1) this.hosts.begin();
      },
    });
  }

  /** From now on what was made lives whatever happens. */
  calm(): void {
    if (this.#isMade) this.hosts.calm();
  }

  /** Reads all agents and tells their books; resolves with their contexts by full address. */
  async look(): Promise<ReadonlyMap<string, unknown>> {
    if (!this.#isMade) return new Map();
    const contexts = await this.#auditor.look(await this.hosts.app);
    const { app } = this.#options.elsewhere;
    return new Map([...contexts].map(([agent, context]) => [fullName(app, agent), context]));
  }

  finish(): readonly Violation[] {
    const { app } = this.#options.elsewhere;
    return this.#checkers
      .flatMap((checker) => checker.finish())
      .map((violation) => ({ ...violation, message: `in the app ${app}: ${violation.message}` }));
  }
}

/** An agent as other apps name it. */
function fullName(app: string, agent: string): string {
  return `/${app}/${agent}`;
}
