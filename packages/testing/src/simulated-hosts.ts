/**
 * The hosts of a simulated world: as many processes as the run wants, each begun anew a while after its end.
 *
 * Owns: which processes live, when the next one begins, how each came to its end.
 * Leaves to others: what ends them (`faults.ts`), what they do (the runtime, unchanged).
 *
 * H1  Each process is a party of its own: a party that has ended never runs again.
 * H2  While faults go on, the next process begins when fewer are left than wanted, after a while. From `calm` on, at once
 *     when none is left.
 * H3  Now and then, while faults go on, a process runs without one of the agent types, as in a rolling deploy.
 * H4  A process that is sealed begins a new incarnation, or exits, as its operator has it.
 * H5  A process runs the release that is in force when it begins; from `calm` on that is the newest.
 * H6  From `calm` on the clocks of all hosts stand where the foremost would, had none been set back: what is due by it comes within the time
 *     that the world has to finish, not an hour later.
 */
import {
  type ActorOverrides,
  type AnyAgentDefinition,
  DormouseError,
  type Incarnation,
  type Observed,
  type Settings,
  startIncarnation,
} from "@dormouse/core";
import type { App } from "@dormouse/core/protocol";
import type { MemoryWorld } from "@dormouse/local";
import type { HostEnd } from "./checkers/checker.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Witness } from "./witness.ts";
import type { Outside } from "./workloads/workload.ts";

export interface SimulatedHostsOptions {
  readonly scheduler: Scheduler;
  readonly world: MemoryWorld;
  readonly witness: Witness;
  /** As each release has them, the newest last. */
  readonly releases: readonly (readonly AnyAgentDefinition[])[];
  /** The app, where it is not `default`: its processes are told from those of others by it. */
  readonly name?: string;
  readonly actors: (outside: Outside) => ActorOverrides;
  readonly settings: Settings;
  readonly partitions: number;
  readonly isCautious: boolean;
  /** How many processes live at once, as long as none has ended. */
  readonly count: number;
  /** Told when a process begins because too few were left. */
  readonly restarted?: () => void;
  /** Told when a process begins that lacks an agent type. */
  readonly lacking?: () => void;
  /** Told of an agent that is set aside since what is stored of it cannot be read. */
  readonly damaged?: (agent: string, message: string) => void;
}

interface Process {
  readonly party: string;
  incarnation: Incarnation | undefined;
  isDraining: boolean;
  readonly release: number;
  readonly agents: readonly AnyAgentDefinition[];
}

const pauseMsMax = 30_000;
const sealedPauseMsMax = 5_000;
const drainMsMax = 120_000;
const lackingShare = 0.15;
/** Of processes that end, those of which membership does not know at once. */
const silentShare = 0.3;
const exitShare = 0.3;

export class SimulatedHosts {
  /** The app, as the first process that came up found or made it. */
  readonly app: Promise<App>;
  readonly #options: SimulatedHostsOptions;
  readonly #random: Random;
  readonly #versions: Random;
  readonly #living = new Map<string, Process>();
  /** All that ever began. */
  readonly #parties = new Set<string>();
  #appFound: (app: App) => void = () => undefined;
  #begun = 0;
  #release = 0;
  #isCalm = false;

  constructor(options: SimulatedHostsOptions) {
    this.#options = options;
    const { scheduler, name = "" } = options;
    this.#random = scheduler.randomFor(`hosts${name}`);
    this.#versions = scheduler.randomFor(`versions${name}`);
    this.app = new Promise((resolve) => (this.#appFound = resolve));
    scheduler.onEnd((party) => this.#ended(party));
  }

  /** The parties of processes that live. */
  living(): readonly string[] {
    return [...this.#living.keys()];
  }

  /** What those hold that are up. */
  atRest(): readonly { readonly party: string; readonly agentsInMemory: number; readonly effects: number }[] {
    return [...this.#living.values()].flatMap(({ party, incarnation }) => {
      if (incarnation === undefined) return [];
      const { agents, effects } = incarnation.activity();
      return [{ party, agentsInMemory: agents, effects }];
    });
  }

  /** Begins a process. */
  begin(): void {
    const { scheduler, witness } = this.#options;
    const { name } = this.#options;
    const party = `host-${name === undefined ? "" : `${name}-`}${this.#begun}`;
    this.#begun += 1;
    const process: Process = {
      party,
      incarnation: undefined,
      isDraining: false,
      release: this.#release,
      agents: this.#drawAgents(),
    };
    this.#living.set(party, process);
    this.#parties.add(party);
    if (this.#isCalm) this.#setClock(party);
    scheduler.add({
      party,
      label: "begins",
      delayMs: 0,
      run: () => {
        witness.observe({ type: "host-started", party });
        void this.#live(process);
      },
    });
  }

  /** Asks a process that is up to end cleanly; whether there is one. */
  drain(random: Random): boolean {
    const up = this.#up();
    if (up.length > 0) this.#drain(random.pick(up));
    return up.length > 0;
  }

  /**
   * One step of a deploy: now and then another release comes into force, newer or older; a process that runs another
   * than that is asked to end. What was done, if anything.
   */
  roll(random: Random): "release-rolled" | "release-rolled-back" | undefined {
    const { releases } = this.#options;
    if (random.chance(0.4)) this.#release = (this.#release + 1) % releases.length;
    const old = this.#up().filter(({ release }) => release !== this.#release);
    if (old.length === 0) return undefined;
    this.#drain(random.pick(old));
    return this.#release === 0 ? "release-rolled-back" : "release-rolled";
  }

  #up(): Process[] {
    return [...this.#living.values()].filter(({ incarnation, isDraining }) => incarnation !== undefined && !isDraining);
  }

  #drain(process: Process): void {
    const { scheduler } = this.#options;
    process.isDraining = true;
    scheduler.add({
      party: process.party,
      label: "is to drain",
      delayMs: 0,
      run: () =>
        void process.incarnation?.drain().then(
          () => this.#exit(process, { is: "drained" }),
          (error: unknown) => this.#exit(process, endOf(error)),
        ),
    });
    // As an operator's machinery does: what does not end in time is killed.
    scheduler.add({
      label: `drain of ${process.party} is over`,
      delayMs: drainMsMax,
      run: () => scheduler.end(process.party),
    });
  }

  /** From now on a process lives whatever happens (H2). */
  calm(): void {
    const { scheduler, releases } = this.#options;
    this.#isCalm = true;
    this.#release = releases.length - 1;
    const newest = this.#agents();
    for (const { party, agents: known } of this.#living.values()) {
      if (newest.some((one) => !known.includes(one))) scheduler.end(party);
      else this.#setClock(party);
    }
    if (this.#living.size === 0) this.begin();
  }

  /** Sets a host's clock by the foremost (H6). */
  #setClock(party: string): void {
    const { scheduler } = this.#options;
    const clock = scheduler.clockFor(party);
    const foremost = Math.max(...[...this.#parties].map((one) => scheduler.clockFor(one).foremost()));
    clock.step(foremost - clock.now());
  }

  #agents(): readonly AnyAgentDefinition[] {
    return this.#options.releases[this.#release] ?? [];
  }

  #drawAgents(): readonly AnyAgentDefinition[] {
    const { lacking } = this.#options;
    const agents = this.#agents();
    if (this.#isCalm || !this.#versions.chance(lackingShare)) return agents;
    const missing = this.#versions.pick(agents);
    lacking?.();
    return agents.filter((known) => known !== missing);
  }

  async #live(process: Process): Promise<void> {
    for (;;) {
      let error: unknown;
      try {
        process.incarnation = await this.#start(process);
        this.#appFound(process.incarnation.app);
        error = await process.incarnation.ended;
      } catch (thrown) {
        error = thrown;
      }
      process.incarnation = undefined;
      if (process.isDraining) return;
      const isSealed = error instanceof DormouseError && error.kind === "sealed";
      if (!isSealed || this.#random.chance(exitShare)) return this.#exit(process, endOf(error));
      await this.#sleep(process.party, 1 + this.#random.int(sealedPauseMsMax));
    }
  }

  #start({ party, agents }: Process): Promise<Incarnation> {
    const { scheduler, witness, actors, settings, partitions, isCautious, name } = this.#options;
    const outside: Outside = {
      random: scheduler.randomFor(`outside/${party}`),
      sleep: (ms) => this.#sleep(party, ms),
      began: (run) => {
        witness.observe({ type: "effect-began", party, ...run });
        scheduler.note(`effect ${run.effect} attempt ${run.attempt} begins`, party);
        return () => {
          scheduler.note(`effect ${run.effect} attempt ${run.attempt} ends`, party);
          witness.observe({ type: "effect-ended", party, ...run });
        };
      },
    };
    return startIncarnation({
      ...(name === undefined ? {} : { app: name }),
      agents,
      ports: witness.open(party),
      partitions,
      settings,
      isCautious,
      actors: Object.fromEntries(Object.entries(actors(outside)).filter(([type]) => isAmong(agents, type))),
      observe: (event) => this.#note(party, event),
    });
  }

  #note(party: string, event: Observed): void {
    if (event.kind === "quarantined" && event.error.kind === "corrupt") {
      this.#options.damaged?.(event.agent, event.error.message);
    }
    const label = labelOf(event);
    if (label !== undefined) this.#options.scheduler.note(label, party);
  }

  /** The process ends by itself. */
  #exit(process: Process, why: HostEnd): void {
    const { scheduler, witness } = this.#options;
    const { party } = process;
    if (!this.#living.delete(party)) return;
    witness.observe({ type: "host-ended", party, why });
    scheduler.note(`exits: ${why.is === "failed" ? `${why.kind} ${why.code} ${why.message}` : why.is}`, party);
    scheduler.end(party);
    this.#beginNext();
  }

  /** A party was ended from outside. */
  #ended(party: string): void {
    const { world, witness } = this.#options;
    if (!this.#parties.has(party)) return;
    world.end(party, !this.#random.chance(silentShare));
    if (!this.#living.delete(party)) return;
    witness.observe({ type: "host-ended", party, why: { is: "crashed" } });
    this.#beginNext();
  }

  #beginNext(): void {
    const isEnough = (): boolean => this.#living.size >= (this.#isCalm ? 1 : this.#options.count);
    if (isEnough()) return;
    const delayMs = this.#isCalm ? 1 : this.#random.skewed(1, pauseMsMax);
    this.#options.scheduler.add({
      label: "a host is to begin",
      delayMs,
      run: () => {
        if (isEnough()) return;
        this.#options.restarted?.();
        this.begin();
      },
    });
  }

  #sleep(party: string, ms: number): Promise<void> {
    const clock = this.#options.scheduler.clockFor(party);
    return new Promise((resolve) => void clock.schedule(ms, resolve));
  }
}

function isAmong(agents: readonly AnyAgentDefinition[], wanted: string): boolean {
  return agents.some(({ type }) => type === wanted);
}

function endOf(error: unknown): HostEnd {
  if (error === undefined) return { is: "drained" };
  if (!(error instanceof DormouseError)) {
    const message = error instanceof Error ? (error.stack ?? error.message) : JSON.stringify(error);
    return { is: "failed", kind: "internal", code: "thrown", message };
  }
  if (error.kind === "sealed") return { is: "sealed" };
  const cause = error.cause instanceof Error ? `\n${error.cause.stack}` : "";
  return { is: "failed", kind: error.kind, code: error.code, message: `${error.message}${cause}` };
}

/** One line for the trace, of what a reader of it asks for. */
function labelOf(event: Observed): string | undefined {
  switch (event.kind) {
    case "claimed":
      return `owns partition ${event.partition} at epoch ${event.epoch}, ${event.records} records read`;
    case "regressed":
      return `regressed: ${event.why}`;
    case "handed-over":
      return `handed over partition ${event.partition}`;
    case "caught-up":
      return `caught up with partition ${event.partition}`;
    case "stepped":
      return `stepped ${event.agent} to ${event.seq}${event.error === undefined ? "" : ` failed: ${event.error.message}`}`;
    case "committed":
      return `committed record ${event.n}: ${event.entries} entries, ${event.bytes} bytes`;
    case "settled":
      return `settled partition ${event.partition} at ${event.cut}, ${event.heads} heads`;
    case "refused":
      return `refused ${event.id} for ${event.agent}: ${event.error.code}`;
    case "skipped":
      return `skipped in partition ${event.partition}: ${event.why}`;
    case "quarantined":
      return `set aside ${event.agent}: ${event.error.message}`;
    case "activated":
    case "passivated":
      return `${event.kind} ${event.agent} at ${event.seq}`;
    case "sealed":
      return `is sealed: ${event.incarnation}`;
    case "failed":
      return `failed: ${event.error.message}`;
    case "logged":
    case "action-failed":
    case "attempt-failed":
    case "effect-started":
    case "effect-ended":
    case "released":
    case "warned":
      return undefined;
  }
}
