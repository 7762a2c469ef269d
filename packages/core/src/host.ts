/**
 * One incarnation of a host: put together, start, drain, stop.
 *
 * Owns: the incarnation's journal, its commit, and its end.
 * Leaves to others: everything that happens to a message (`runtime/partition.ts` is where to start reading), the partitions
 * that it owns (`runtime/partitions.ts`) and which these should be (`runtime/own/keeper.ts`).
 * Called by sdk and testing: `startIncarnation`.
 *
 * H1  When anything fails that no one can go on from (the journal is sealed, a partition is lost, a bug), the whole
 *     incarnation ends: nothing more is released, and memory is dropped (D5).
 */
import type { AnyAgentDefinition } from "./agent/definition.ts";
import { type Address, checkName, parseAddress, partitionOf } from "./agent/address.ts";
import { DormouseError, encodeError } from "./agent/errors.ts";
import { type App, encodeApp } from "./format/app.ts";
import { formatNewest, formatOldest } from "./format/codec/formats.ts";
import { guarded, type Observe } from "./observe.ts";
import type { Ports } from "./ports/index.ts";
import { resolveSettings, type ResolvedSettings, type Settings } from "./settings.ts";
import { type ActorOverrides, Registry } from "./step/registry.ts";
import { openApp } from "./runtime/app.ts";
import { Caution } from "./runtime/caution.ts";
import { Commit } from "./runtime/commit.ts";
import { makeIds } from "./runtime/ids.ts";
import { insist, type World } from "./runtime/insist.ts";
import { Journal } from "./runtime/journal.ts";
import type { Owned } from "./runtime/own/claim.ts";
import { type HostStatus, serveControl } from "./runtime/own/control.ts";
import { HostFormats } from "./runtime/own/host-formats.ts";
import { Keeper } from "./runtime/own/keeper.ts";
import { probeStore } from "./runtime/own/probe.ts";
import { OtherApps } from "./runtime/other-apps.ts";
import { Partitions, type PartitionsCounts } from "./runtime/partitions.ts";
import { HostPatience } from "./runtime/patience.ts";
import { Effects } from "./runtime/release/effect.ts";
import { boundOf, type EffectWorld, runEffect } from "./runtime/release/run-effect.ts";
import { Settler } from "./runtime/settle/settler.ts";
import { supervise } from "./runtime/supervise.ts";

export interface IncarnationOptions {
  readonly agents: readonly AnyAgentDefinition[];
  readonly ports: Ports;
  /** Default `"default"`. */
  readonly app?: string;
  /** What people know it by, such as the machine's name. Default: none. */
  readonly name?: string;
  /** Partitions of a new app; one that is there must have as many. Default: as many as it has. */
  readonly partitions?: number;
  /** Partitions of a new app, where `partitions` does not say. Default 8. */
  readonly partitionsDefault?: number;
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
  /** How it is now: whether it is ready, and why not. */
  status(): HostStatus;
  /** Whether it was told to drain, by whomever: then it is over however it ended. */
  readonly isDraining: boolean;
  /** The incarnation that sealed it, of one that ended as `sealed`, where that is known. */
  readonly sealedBy: string | undefined;
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

/**
 * Starts one incarnation. It resolves when it has caught up with every partition that is placed on it, but for those that
 * other hosts are still to hand over.
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
  const patience = new HostPatience(options.ports.clock, observe);
  const { clock } = options.ports;
  const formats = new HostFormats({
    clock,
    waitMs: settings.settleRoundMs,
    oldest: formatOldest,
    newest: formatNewest,
  });
  const world: World = { ...options.ports, signal: life.signal, patience, formats };
  const newId = makeIds(options.ports);
  const id = newId();
  await probeStore(world, id);
  const { partitions, partitionsDefault = 8 } = options;
  const prepare = (count: number): Promise<void> => insist(world, () => options.ports.mailbox.create(count));
  const app = await openApp(world, { name, birth: newId(), partitions, partitionsDefault, prepare });
  await prepare(app.partitions);
  const { ports, restoreEveryStep = false, isCautious = true } = options;
  const made = {
    id,
    name: options.name ?? "",
    app,
    ports,
    world,
    life,
    patience,
    formats,
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

interface HostOptions {
  readonly id: string;
  readonly name: string;
  readonly app: App;
  readonly ports: Ports;
  readonly world: World;
  readonly life: AbortController;
  readonly patience: HostPatience;
  readonly formats: HostFormats;
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
  readonly #keeper: Keeper;
  readonly #caution: Caution;
  readonly #partitions: Partitions;
  #state: HostStatus["state"] = "starting";
  #stopControl: () => void = () => undefined;
  #drained: Promise<void> | undefined;
  #end: (error: DormouseError | undefined) => void = () => undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.id = options.id;
    this.app = options.app;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    const { world, ports, settings, observe, registry } = options;
    const failed = (error: unknown): void => this.#fail(error);
    this.#journal = new Journal(world, options.id);
    this.#commit = new Commit({
      clock: world.clock,
      journal: this.#journal,
      lingerMs: settings.commitLingerMs,
      committed: (record, bytesAtMost) => {
        observe({ kind: "committed", ...record });
        this.#settler.committed(record.bytes, bytesAtMost);
      },
      failed,
    });
    this.#caution = new Caution(failed);
    this.#effects = new Effects({
      placeOf: (agent) => partitionOf(agent, this.app.partitions),
      runningMax: settings.effectsRunningMax,
      boundOf: (call) => boundOf(this.#partitions.knownOf(call.agent), call),
      run: (call, running) => {
        const { agent } = call;
        const known = this.#partitions.knownOf(agent);
        if (known === undefined) throw new Error(`no machine runs this agent here: agent=${agent}`);
        const { clock, entropy } = world;
        const tell: EffectWorld["tell"] = (news) => this.#partitions.loopOf(agent)?.effectTells(call, news);
        return runEffect(known, call, running, { clock, entropy, parkMs: settings.parkMs, tell });
      },
      started: ({ agent, address, effect: { src, attempt } }) =>
        observe({ kind: "effect-started", agent, address, src, attempt }),
      ended: (call, result, thrown) => {
        const { agent, address, effect } = call;
        const why = result.ok ? {} : { error: result.error, thrown };
        observe({ kind: "effect-ended", agent, address, src: effect.src, isOk: result.ok, ...why });
        this.#partitions.loopOf(call.agent)?.effectEnded(call, result);
      },
      failed,
    });
    this.#settler = new Settler({
      world,
      incarnation: options.id,
      app: options.app,
      journal: this.#journal,
      commit: this.#commit,
      mailbox: ports.mailbox,
      settings,
      observe,
      gone: (loop) => this.#partitions.letGo(loop.partition),
      takeUpAgain: (partition, end) => this.#keeper.takeUpAgain(partition, end),
      failed,
      passivateAfterMs: (agent) => registry.find(parseAddress(agent).type, [])?.definition.passivateAfterMs ?? 30_000,
    });
    this.#partitions = new Partitions({
      ...options,
      ...ports,
      commit: this.#commit,
      effects: this.#effects,
      caution: this.#caution,
      apps: new OtherApps({ world, elsewhere: ports.elsewhere }),
      added: (loop, { etag, chain, records }) => this.#settler.add(loop, { etag, chain }, records),
      failed,
    });
    this.#keeper = new Keeper({
      world,
      membership: ports.membership,
      mailbox: ports.mailbox,
      channel: ports.channel,
      incarnation: options.id,
      app: options.app,
      journal: this.#journal,
      facts: { name: options.name, types: registry.versions(), app: encodeApp(options.app) },
      formats: options.formats,
      roundMs: settings.settleRoundMs,
      graceMs: settings.drainMs,
      owned: () => this.#partitions.owned(),
      own: (claims, agents) => this.#own(claims, agents),
      stopped: (partition, cause) => this.#partitions.refuse(partition, cause),
      forget: (partition) => this.#partitions.stopRefusing(partition),
      holdEffects: (partitions) => this.#effects.hold(partitions),
      hasEffects: (partition) => this.#effects.isRunning(partition),
      handOver: (partitions) => this.#settler.handOver(partitions),
      failed,
    });
  }

  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      this.kill();
      throw error;
    }
    // It may have been told to drain meanwhile.
    if (this.#state !== "starting") return;
    this.#options.patience.lift();
    this.#state = "running";
    this.#settler.start();
  }

  async #start(): Promise<void> {
    const { app, life, ports } = this.#options;
    this.#stopControl = serveControl(ports.channel, app, this.id, {
      status: () => this.status(),
      drain: () => void this.drain(),
    });
    const isStarted = this.#keeper.start().then(() => this.#partitions.caughtUp());
    // It may be sealed while it catches up: nobody would tell its starter.
    const error = await Promise.race([isStarted.then(() => undefined), this.ended]);
    if (life.signal.aborted) {
      throw error ?? new DormouseError("closed", "host.closed", "the host has ended; start another");
    }
  }

  /** These are ours from now on, all at once: deaths of their owners are held against what was under way in any. */
  #own(claims: readonly Owned[], agents: readonly Address[]): void {
    const { isCautious, life } = this.#options;
    if (life.signal.aborted || claims.length === 0) return;
    const deaths = isCautious ? Math.max(...claims.map((one) => one.deaths)) : 0;
    if (this.#caution.begin(deaths)) {
      this.#say(`${deaths} hosts in a row died here: what was under way is taken up one by one`);
    }
    this.#partitions.own(claims, agents);
    if (this.#caution.isOn)
      void supervise(
        () => this.#endCaution(),
        (error) => this.#fail(error),
      );
  }

  /** A settle after all that was under way shows that the host can live with it. */
  async #endCaution(): Promise<void> {
    await this.#partitions.caughtUp();
    await this.#caution.idle();
    if (this.#options.life.signal.aborted) return;
    await this.#settler.settleAll();
    if (!this.#caution.end()) return;
    this.#say("all that was under way when hosts died is done");
  }

  #say(text: string): void {
    this.#options.observe({ kind: "warned", about: "caution", text });
  }

  status(): HostStatus {
    const { app, id, name } = this.#options;
    const counts = this.#partitions.counts();
    const { owned, agents, quarantined, shelved } = counts;
    const reason = this.#whyNotReady(counts);
    return {
      state: this.#state,
      incarnation: id,
      name,
      isReady: reason === undefined,
      reason,
      partitions: { owned, wanted: this.#keeper.wanted, total: app.partitions },
      agents,
      effects: this.#effects.size,
      quarantined,
      shelved,
    };
  }

  #whyNotReady({ behind, still, refused }: PartitionsCounts): string | undefined {
    if (this.#state !== "running") return `the host is ${this.#state}`;
    if (behind > 0) return `it reads what waited in ${behind} partitions`;
    if (still > 0) return `${still} partitions hold messages in a newer format than this host reads; update it`;
    if (this.#keeper.awaited > 0) return `other hosts are still to hand over ${this.#keeper.awaited} partitions`;
    if (refused > 0) return `${refused} partitions cannot be read`;
    return this.#options.patience.reason();
  }

  get isDraining(): boolean {
    return this.#drained !== undefined;
  }

  get sealedBy(): string | undefined {
    return this.#journal.sealedBy;
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain().catch((thrown: unknown) => this.#fail(thrown));
    return this.#drained;
  }

  async #drain(): Promise<void> {
    const { world, ports, life, patience } = this.#options;
    if (life.signal.aborted) return;
    patience.limit();
    this.#state = "draining";
    await this.#keeper.leave();
    // Those that nobody could settle are left to whoever seals this journal.
    this.#partitions.close();
    this.#settler.stop();
    await this.#commit.drain();
    await insist(world, () => ports.membership.leave(this.id));
    this.#stop(undefined);
  }

  kill(): void {
    this.#stop(undefined);
  }

  activity(): Activity {
    const awaited = Array.from(this.#effects.calls(), ({ agent, address, effect: { src, attempt } }) => ({
      agent,
      src,
      address,
      attempt,
    }));
    return { agents: this.#partitions.counts().agents, effects: this.#effects.size, awaited };
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
    // For speed alone: who is not told finds it silent.
    this.#options.ports.membership.leave(this.id).catch(() => undefined);
    this.#stop(error);
  }

  #stop(error: DormouseError | undefined): void {
    this.#state = "ended";
    this.#options.life.abort();
    this.#partitions.stop();
    this.#keeper.stop();
    this.#effects.stop();
    this.#settler.stop();
    this.#stopControl();
    this.#end(error);
  }
}
