/**
 * One incarnation of a host: put together, start, drain, stop.
 *
 * Owns: the incarnation's journal, its commit, its partitions, and its end.
 * Leaves to others: everything that happens to a message (`runtime/partition.ts` is where to start reading).
 * Called by sdk and testing: `startIncarnation`.
 *
 * H1  When anything fails that no one can go on from (the journal is sealed, a partition is lost, a bug), the whole
 *     incarnation ends: nothing more is released, and memory is dropped (D5).
 */
import type { AnyAgentDefinition } from "./agent/definition.ts";
import { type Address, checkName, parseAddress, type Partition, partitionOf } from "./agent/address.ts";
import { DormouseError, encodeError } from "./agent/errors.ts";
import type { App } from "./format/app.ts";
import { laneTo } from "./format/partition.ts";
import { guarded, type Observe } from "./observe.ts";
import type { Cancel, Clock, Ports } from "./ports/index.ts";
import { resolveSettings, type ResolvedSettings, type Settings } from "./settings.ts";
import { type ActorOverrides, Registry } from "./step/registry.ts";
import { openApp } from "./runtime/app.ts";
import { Caution } from "./runtime/caution.ts";
import { Commit } from "./runtime/commit.ts";
import { makeIds } from "./runtime/ids.ts";
import { insist, type Patience, whyFailed, type World } from "./runtime/insist.ts";
import { Journal, RecordObjects } from "./runtime/journal.ts";
import { claim, type Claimant, type Owned } from "./runtime/own/claim.ts";
import { probeStore } from "./runtime/own/probe.ts";
import { serveStopped } from "./runtime/own/stopped.ts";
import { Seals } from "./runtime/own/takeover.ts";
import { OtherApps } from "./runtime/other-apps.ts";
import { PartitionLoop } from "./runtime/partition.ts";
import { serveReads } from "./runtime/reads.ts";
import { Effects } from "./runtime/release/effect.ts";
import { decodeTaken, takenSubject } from "./runtime/release/reply.ts";
import { Settler } from "./runtime/settle/settler.ts";

export interface IncarnationOptions {
  readonly agents: readonly AnyAgentDefinition[];
  readonly ports: Ports;
  /** Default `"default"`. */
  readonly app?: string;
  /** Partitions of an app that is not there yet. Default 8. */
  readonly partitions?: number;
  readonly settings?: Settings;
  readonly observe?: Observe;
  /** Replacements by agent type and actor name, for tests. */
  readonly actors?: ActorOverrides;
  /** Goes on from every step as one who reads it back would, for tests. Default: false. */
  readonly restoreEveryStep?: boolean;
  /** Whether deaths in a row are held against what was under way; not where a test kills. Default: true. */
  readonly isCautious?: boolean;
}

export interface Incarnation {
  readonly id: string;
  readonly app: App;
  /** Resolves when it is over: with nothing after `drain` or `kill`, else with what ended it. */
  readonly ended: Promise<DormouseError | undefined>;
  /**
   * Stops reading, commits what is under way, settles, frees its partitions. Loses nothing; what hinders it, a store that
   * fails for ten seconds (`host.gave-up`) among others, `ended` says.
   */
  drain(): Promise<void>;
  /** Drops everything, as a crash does. */
  kill(): void;
  /** What it does now, for tests and shutdown: whether anything is open, running or waiting to be released. */
  activity(): Activity;
  /** Settles all partitions now. */
  settle(): Promise<void>;
  /** Drops agents that may leave memory, however short they were idle; resolves with how many left. */
  passivateAll(): Promise<number>;
  /** Drops those that were idle for long enough, or are too many: what a host does every few seconds. */
  passivateIdle(): Promise<number>;
}

export interface Activity {
  readonly agents: number;
  readonly effects: number;
  /** Effects whose results are still wanted; what was aborted is not among them, even while it runs on. */
  readonly awaited: readonly AwaitedEffect[];
}

export interface AwaitedEffect {
  readonly agent: Address;
  /** The actor's name in its machine. */
  readonly src: string;
  /** Its idempotency key. */
  readonly address: string;
  readonly attempt: number;
}

const defaultPartitions = 8;
/** How long a store or mailbox may fail while a host starts or drains, in milliseconds. */
const patienceMs = 10_000;
const failingToldMs = 5_000;

/**
 * Starts one incarnation that owns every partition of the app.
 *
 * @throws DormouseError `invalid`: a definition, setting or store is not fit; `corrupt`: something stored cannot be read;
 * `unavailable` (`host.gave-up`): the store or mailbox failed for ten seconds.
 */
export async function startIncarnation(options: IncarnationOptions): Promise<Incarnation> {
  const settings = resolveSettings(options.settings);
  const observe = guarded(options.observe ?? (() => undefined));
  const registry = new Registry(options.agents, options.actors ?? {}, (about, text) =>
    observe({ kind: "warned", about, text }),
  );
  const name = options.app ?? "default";
  checkName("app", name);
  const life = new AbortController();
  const patience = makePatience(options.ports.clock, observe);
  const world: World = { ...options.ports, signal: life.signal, patience };
  const newId = makeIds(options.ports);
  const id = newId();
  await probeStore(world, id);
  const app = await openApp(world, { name, birth: newId(), partitions: options.partitions ?? defaultPartitions });
  await insist(world, () => options.ports.mailbox.create(app.partitions));
  await insist(world, () => options.ports.membership.announce({ incarnation: id, facts: new Uint8Array(0) }));
  const { ports, restoreEveryStep = false, isCautious = true } = options;
  const made = {
    id,
    app,
    ports,
    world,
    life,
    patience,
    settings,
    observe,
    registry,
    newId,
    restoreEveryStep,
    isCautious,
  };
  const host = new Host(made);
  await host.start();
  return host;
}

/** Says every few seconds that the world does not answer: nothing else tells, while everything waits for it. */
function makePatience(clock: Clock, observe: Observe): Patience {
  let toldAt = -Infinity;
  const failing = (failedMs: number, cause: unknown): void => {
    if (clock.monotonic() - toldAt < failingToldMs) return;
    toldAt = clock.monotonic();
    const text = `the store or mailbox has failed for ${Math.round(failedMs / 1_000)} s, everything waits: ${whyFailed(cause)}`;
    observe({ kind: "warned", about: "store", text });
  };
  return { ms: patienceMs, failing };
}

interface HostOptions {
  readonly id: string;
  readonly app: App;
  readonly ports: Ports;
  readonly world: World;
  readonly life: AbortController;
  readonly patience: Patience;
  readonly settings: ResolvedSettings;
  readonly observe: Observe;
  readonly registry: Registry;
  readonly newId: () => string;
  readonly restoreEveryStep: boolean;
  readonly isCautious: boolean;
}

class Host implements Incarnation {
  readonly id: string;
  readonly app: App;
  readonly ended: Promise<DormouseError | undefined>;
  readonly #options: HostOptions;
  readonly #commit: Commit;
  readonly #journal: Journal;
  readonly #effects: Effects;
  readonly #settler: Settler;
  readonly #apps: OtherApps;
  readonly #loops = new Map<Partition, PartitionLoop>();
  readonly #stops: Cancel[] = [];
  #caution: Caution;
  #unreadable = 0;
  #drained: Promise<void> | undefined;
  #end: (error: DormouseError | undefined) => void = () => undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.id = options.id;
    this.app = options.app;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    const { world, settings, observe, registry } = options;
    this.#journal = new Journal(world, options.id);
    this.#commit = new Commit({
      clock: world.clock,
      journal: this.#journal,
      lingerMs: settings.commitLingerMs,
      committed: (record, bytesAtMost) => {
        observe({ kind: "committed", ...record });
        this.#settler.committed(record.bytes, bytesAtMost);
      },
      failed: (error) => this.#fail(error),
    });
    this.#apps = new OtherApps({ world, elsewhere: options.ports.elsewhere });
    this.#caution = new Caution(0, (error) => this.#fail(error));
    this.#effects = new Effects({
      runningMax: settings.effectsRunningMax,
      run: ({ agent, effect, address, signal }) => {
        const known = registry.find(parseAddress(agent).type, this.#pathOf(agent));
        if (known === undefined) throw new Error(`no machine runs this agent here: agent=${agent}`);
        const { src, input, attempt } = effect;
        return known.machine.runPromise(src, { agent, input, signal, attempt, idempotencyKey: address });
      },
      started: ({ agent, address, effect }) =>
        observe({ kind: "effect-started", agent, address, attempt: effect.attempt }),
      ended: (call, result) => {
        observe({ kind: "effect-ended", agent: call.agent, address: call.address, isOk: result.ok });
        this.#loopOf(call.agent)?.effectEnded(call, result);
      },
      failed: (error) => this.#fail(error),
    });
    this.#settler = new Settler({
      world,
      incarnation: options.id,
      app: options.app,
      journal: this.#journal,
      commit: this.#commit,
      mailbox: options.ports.mailbox,
      settings,
      observe,
      failed: (error) => this.#fail(error),
      passivateAfterMs: (agent) => registry.find(parseAddress(agent).type, [])?.definition.passivateAfterMs ?? 30_000,
    });
  }

  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      this.kill();
      throw error;
    }
    this.#options.patience.ms = Infinity;
    this.#settler.start();
    if (this.#caution.isOn) this.#endCaution().catch((thrown: unknown) => this.#fail(thrown));
  }

  async #start(): Promise<void> {
    const { world, app, id, isCautious, life } = this.#options;
    const partitions = Array.from({ length: app.partitions }, (_, partition) => partition as Partition);
    const claimant = {
      world,
      incarnation: id,
      from: 0,
      seals: new Seals(world, id),
      objects: new RecordObjects(world),
    };
    const claims = await Promise.all(partitions.map((partition) => this.#claim(claimant, partition)));
    const owned = claims.filter((one) => one !== undefined);
    const deaths = isCautious ? Math.max(0, ...owned.map((one) => one.deaths)) : 0;
    this.#caution = new Caution(deaths, (error) => this.#fail(error));
    if (this.#caution.isOn) this.#say(`${deaths} hosts in a row died here: what was under way is taken up one by one`);
    for (const one of owned) this.#own(one);
    const areStarted = Promise.all([...this.#loops.values()].map((loop) => loop.start()));
    // It may be sealed while it catches up: nobody would tell its starter.
    const error = await Promise.race([areStarted.then(() => undefined), this.ended]);
    if (life.signal.aborted) {
      throw error ?? new DormouseError("closed", "host.closed", "the host has ended; start another");
    }
  }

  /**
   * `undefined` for a partition whose object or records cannot be read: nobody can know what it held, so it stops, and
   * no other (D9). A host that cannot have any does not start.
   */
  async #claim(claimant: Claimant, partition: Partition): Promise<Owned | undefined> {
    const { world, ports, app, observe } = this.#options;
    try {
      return await claim(claimant, partition);
    } catch (error) {
      if (!(error instanceof DormouseError) || error.kind !== "corrupt") throw error;
      this.#unreadable += 1;
      if (this.#unreadable === app.partitions) throw error;
      observe({
        kind: "skipped",
        partition,
        why: "this partition cannot be read and stops",
        error: encodeError(error),
      });
      const { mailbox, channel } = ports;
      this.#stops.push(serveStopped({ world, mailbox, channel, app, partition, cause: error }));
      return undefined;
    }
  }

  /** A settle after all that was under way shows that the host can live with it. */
  async #endCaution(): Promise<void> {
    await this.#caution.idle();
    if (this.#options.life.signal.aborted) return;
    await this.#settler.settleAll();
    this.#caution.end();
    this.#say("all that was under way when hosts died is done");
  }

  #say(text: string): void {
    this.#options.observe({ kind: "warned", about: "caution", text });
  }

  #own(owned: Owned): void {
    const { ports, app, world, observe, registry } = this.#options;
    const { partition, epoch, state, tails } = owned;
    const loop = new PartitionLoop({
      ...this.#options,
      ...ports,
      partition,
      epoch,
      state,
      tails,
      commit: this.#commit,
      effects: this.#effects,
      caution: this.#caution,
      apps: this.#apps,
      failed: (error) => this.#fail(error),
    });
    this.#loops.set(partition, loop);
    this.#settler.add(loop, { etag: owned.etag, chain: owned.chain });
    this.#stops.push(
      serveReads(ports.channel, app, world, registry, loop),
      ports.channel.subscribe(takenSubject(`${app.birth}/${partition}`), (bytes) => {
        const taken = decodeTaken(bytes);
        if (taken === undefined) return;
        const { app: other, by, upTo } = taken;
        loop.confirmed(other === undefined ? by : laneTo(other, by), upTo);
      }),
    );
    observe({ kind: "claimed", partition, epoch, records: owned.records });
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain().catch((thrown: unknown) => this.#fail(thrown));
    return this.#drained;
  }

  async #drain(): Promise<void> {
    const { world, settings, life, patience } = this.#options;
    if (life.signal.aborted) return;
    patience.ms = patienceMs;
    for (const loop of this.#loops.values()) loop.stop();
    // What runs may end, so that it need not run again elsewhere; what takes longer goes on there.
    const grace = new Promise<void>((resolve) => this.#stops.push(world.clock.schedule(settings.drainMs, resolve)));
    await Promise.race([this.#effects.drain(), grace]);
    this.#effects.stop();
    await this.#commit.drain();
    await this.#settler.close();
    await insist(world, () => this.#options.ports.membership.leave(this.id));
    this.#stop(undefined);
  }

  kill(): void {
    this.#stop(undefined);
  }

  activity(): Activity {
    let agents = 0;
    for (const loop of this.#loops.values()) agents += loop.activations.size;
    const awaited = Array.from(this.#effects.calls(), ({ agent, address, effect: { src, attempt } }) => ({
      agent,
      src,
      address,
      attempt,
    }));
    return { agents, effects: this.#effects.size, awaited };
  }

  settle(): Promise<void> {
    return this.#settler.settleAll();
  }

  passivateAll(): Promise<number> {
    return this.#settler.passivate(0);
  }

  passivateIdle(): Promise<number> {
    return this.#settler.passivate();
  }

  #loopOf(agent: Address): PartitionLoop | undefined {
    return this.#loops.get(partitionOf(agent, this.app.partitions));
  }

  #pathOf(agent: Address): readonly string[] {
    return this.#loopOf(agent)?.activations.get(agent)?.committed?.path ?? [];
  }

  #fail(thrown: unknown): void {
    if (this.#options.life.signal.aborted) return;
    const error =
      thrown instanceof DormouseError
        ? thrown
        : new DormouseError("internal", "host.failed", `the host met a bug of its own and ends: ${String(thrown)}`, {
            cause: thrown,
          });
    const { observe } = this.#options;
    observe(
      error.kind === "sealed"
        ? { kind: "sealed", incarnation: this.id }
        : { kind: "failed", error: encodeError(error) },
    );
    this.#stop(error);
  }

  #stop(error: DormouseError | undefined): void {
    this.#options.life.abort();
    for (const loop of this.#loops.values()) loop.stop();
    this.#effects.stop();
    this.#settler.stop();
    for (const stop of this.#stops.splice(0)) stop();
    this.#end(error);
  }
}
