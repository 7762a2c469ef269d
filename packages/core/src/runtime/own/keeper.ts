/**
 * Makes what this host owns what it should own: takes up what is placed here, hands over what is placed elsewhere.
 *
 * Owns: what is wanted, which claims wait for another host, which hand-over is under way.
 * Leaves to others: who is alive (`Membership`), what is placed where (`placement.ts`), how a claim and a hand-over are
 * made (`claim.ts`, `settle/settler.ts`), what an owned partition does (`partition.ts`).
 * Called by host: `start`, `leave`, `stop`; by settler, through it: `takeUpAgain`.
 *
 * W1  What membership says decides when something is tried, never whether it is safe: a claim of a living host's
 *     partition seals that host, and loses nothing (D5).
 * W2  A host that lacks what is placed on it looks again every few seconds, and at once for those that another says it
 *     let go; once everyone has what is theirs the store is not asked (DESIGN.md section 9). Who is alive is looked at now
 *     and then all the same, since a notice of it may be lost.
 * W3  Partitions move a few at a time, since those that move together wait for each other: the next ones when these answer
 *     again, or no notice of it came in time. Those without running effects go first. One whose effects run on moves when its grace is over, and they run again where it goes (D6).
 * W4  Nothing is handed to a host of older code while this one stays: it could not go on with states that this one has made,
 *     and whoever asks their agents would wait until it is replaced too.
 */
import type { Address, Partition } from "../../agent/address.ts";
import { DormouseError } from "../../agent/errors.ts";
import { type App, decodeApp } from "../../format/app.ts";
import { decodeFacts, encodeFacts, type HostFacts } from "../../format/member.ts";
import type { Cancel, Channel, Mailbox, Membership } from "../../ports/index.ts";
import { insist, pause, type World } from "../insist.ts";
import type { Journal } from "../journal.ts";
import { RecordObjects } from "../tail.ts";
import { decodeFreed, decodeTakenUp, type FreedNotice, freedSubject, takenUpSubject } from "../release/reply.ts";
import { supervise } from "../supervise.ts";
import { claim, type Claimant, type Owned, takeUpAgain } from "./claim.ts";
import type { HostFormats } from "./host-formats.ts";
import { isOlder, placedOn } from "./placement.ts";
import { Seals } from "./takeover.ts";

export interface KeeperOptions {
  readonly world: World;
  readonly membership: Membership;
  readonly mailbox: Mailbox;
  readonly channel: Channel;
  readonly incarnation: string;
  readonly app: App;
  readonly journal: Pick<Journal, "next">;
  readonly facts: Omit<HostFacts, "isLeaving" | "reads" | "writes">;
  readonly formats: HostFormats;
  /** How often it is looked who is alive, in milliseconds, besides at each notice of it. */
  readonly roundMs: number;
  /** How long running effects may hold up a hand-over, in milliseconds. */
  readonly graceMs: number;
  /** What this host owns now. */
  readonly owned: () => readonly Partition[];
  /** These are ours; of their agents, those that are likely to be needed at once. */
  readonly own: (claims: readonly Owned[], agents: readonly Address[]) => void;
  /** It cannot be read, and nobody can know what it held. */
  readonly stopped: (partition: Partition, cause: DormouseError) => void;
  /** One that could not be read is placed elsewhere now. */
  readonly forget: (partition: Partition) => void;
  /** Of agents of these, no more effects start; of others they do again. */
  readonly holdEffects: (partitions: ReadonlySet<Partition>) => void;
  readonly hasEffects: (partition: Partition) => boolean;
  /** Resolves when they are free, or kept after all; what runs of theirs is aborted. */
  readonly handOver: (partitions: readonly Partition[]) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

/** How long an owner that membership does not know may have been overlooked, in milliseconds. */
const unknownMsMax = 20_000;
const awaitedPollMs = 2_000;
/** How often it is looked whether effects have ended. */
const effectsPollMs = 100;
/** How long it is waited for word that what was handed over answers again, in milliseconds. */
const takenUpMsMax = 300;
/** What is handed over together, of all that is to go: the more, the more at once, so that a drain does not take for ever. */
const handedAtOnceShare = 1 / 8;

export class Keeper {
  readonly #options: KeeperOptions;
  #wanted: ReadonlySet<Partition> = new Set();
  /** Placed on hosts of older code (W4). */
  #placedOnOlder: ReadonlySet<Partition> = new Set();
  #isOlderThanSome = false;
  #hasOthers = false;
  /** Those that another host holds, lives, and is to hand over. */
  #awaited: Set<Partition> = new Set();
  /** Of those, what another said it let go, while each is claimed. */
  readonly #taking = new Map<Partition, Promise<void>>();
  /** Let go while it was looked for them: to be taken after. */
  readonly #freed = new Map<Partition, FreedNotice>();
  /** Who waits to hear that a partition handed over answers again. */
  readonly #takenUp = new Map<Partition, () => void>();
  readonly #unreadable = new Set<Partition>();
  /** Owners that membership does not know, and since when. */
  readonly #unknown = new Map<string, number>();
  #isLeaving = false;
  #looking: Promise<void> | undefined;
  #isToLookAgain = false;
  #handing: Promise<void> | undefined;
  #cancelPoll: Cancel | undefined;
  readonly #stops: (() => void)[] = [];

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** How many partitions are placed here. */
  get wanted(): number {
    return this.#wanted.size;
  }

  /** How many of them other hosts still are to hand over; 0 where one of newer code may keep them for now (W4). */
  get awaited(): number {
    return this.#isOlderThanSome ? 0 : this.#awaited.size;
  }

  /**
   * Announces the host, and takes up what is placed here and free, or was a dead host's.
   *
   * @throws DormouseError `invalid` (`host.too-old`, `host.too-new`, `app.mismatch`): it cannot live beside the hosts there are.
   */
  async start(): Promise<void> {
    const { membership, channel, app } = this.#options;
    // Before anyone counts on it.
    const others = await this.#others();
    this.#options.formats.check(others);
    checkSameApp(app, others);
    await this.#announce();
    this.#stops.push(
      membership.watch(() => this.look()),
      channel.subscribe(freedSubject(app), (bytes) => {
        const freed = decodeFreed(bytes);
        if (freed !== undefined) this.#takeFreed(freed);
      }),
      channel.subscribe(takenUpSubject(app), (bytes) => {
        const taken = decodeTakenUp(bytes);
        if (taken !== undefined) this.#takenUp.get(taken.partition)?.();
      }),
    );
    await this.#look();
    this.#schedule();
  }

  /** Hands everything over and takes no more; resolves when nothing is left here. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.#announce();
    await Promise.all([this.#looking, ...this.#taking.values()]);
    this.#wanted = new Set();
    this.#placedOnOlder = new Set();
    await this.#hand();
  }

  stop(): void {
    this.#cancelPoll?.();
    for (const stop of this.#stops.splice(0)) stop();
  }

  /** Something may have changed. */
  look(): void {
    const { world, failed } = this.#options;
    if (world.signal.aborted || this.#isLeaving) return;
    if (this.#looking === undefined) void supervise(() => this.#look(), failed);
    else this.#isToLookAgain = true;
  }

  async #announce(): Promise<void> {
    const { world, membership, incarnation, facts, formats } = this.#options;
    const told = encodeFacts({ ...facts, reads: formats.reads, writes: formats.told, isLeaving: this.#isLeaving });
    await insist(world, () => membership.announce({ incarnation, facts: told }));
    formats.announced();
  }

  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined;
      const freed = [...this.#freed.values()].filter(({ partition }) => !this.#taking.has(partition));
      for (const notice of freed) {
        this.#freed.delete(notice.partition);
        this.#takeFreed(notice);
      }
      if (!this.#isToLookAgain) return;
      this.#isToLookAgain = false;
      this.look();
    });
    return this.#looking;
  }

  /** By itself: one that moves waits neither for others that do, nor for a look at all that is still held. */
  #takeFreed(notice: FreedNotice): void {
    const { world, failed } = this.#options;
    const { partition } = notice;
    if (world.signal.aborted || this.#isLeaving) return;
    // It may have been seen as held a moment ago, and not be known to be waited for.
    if (this.#looking !== undefined || this.#taking.has(partition)) this.#freed.set(partition, notice);
    else if (this.#awaited.has(partition)) {
      const taking = supervise(() => this.#take(notice), failed).finally(() => {
        this.#taking.delete(partition);
        const again = this.#freed.get(partition);
        this.#freed.delete(partition);
        if (again !== undefined) this.#takeFreed(again);
      });
      this.#taking.set(partition, taking);
    }
  }

  async #take({ partition, agents }: FreedNotice): Promise<void> {
    const { world, own, failed } = this.#options;
    const claims = await this.#claim([partition]);
    if (world.signal.aborted) return;
    own(claims, agents);
    if (claims.length > 0 || this.#unreadable.has(partition)) this.#awaited.delete(partition);
    // It may have been placed elsewhere meanwhile.
    void supervise(() => this.#hand(), failed);
  }

  async #lookOnce(): Promise<void> {
    const { world, incarnation, app, owned, own, forget } = this.#options;
    this.#cancelPoll?.();
    const others = await this.#others();
    if (this.#isLeaving) return;
    if (this.#options.formats.look(others)) await this.#announce();
    // A host counts itself, whatever others say of it.
    const staying = others.filter(({ facts }) => !facts.isLeaving);
    const hosts = [incarnation, ...staying.map((other) => other.incarnation)];
    this.#wanted = new Set(placedOn(incarnation, hosts, app.partitions));
    const { types } = this.#options.facts;
    this.#hasOthers = staying.length > 0;
    this.#isOlderThanSome = staying.some(({ facts }) => isOlder(types, facts.types));
    const older = staying.filter(({ facts }) => isOlder(facts.types, types));
    this.#placedOnOlder = new Set(older.flatMap((other) => placedOn(other.incarnation, hosts, app.partitions)));
    for (const partition of this.#unreadable) {
      if (this.#wanted.has(partition)) continue;
      this.#unreadable.delete(partition);
      forget(partition);
    }
    const missing = (): readonly Partition[] => {
      const held = new Set(owned());
      return [...this.#wanted].filter((partition) => !held.has(partition));
    };
    // Those that could not be read too: someone may have mended the store.
    const claims = await this.#claim(missing().filter((partition) => !this.#taking.has(partition)));
    if (world.signal.aborted) return;
    own(claims, []);
    this.#awaited = new Set(missing().filter((partition) => !this.#unreadable.has(partition)));
    void supervise(() => this.#hand(), this.#options.failed);
    this.#schedule();
  }

  #schedule(): void {
    const { world } = this.#options;
    this.#cancelPoll?.();
    if (this.#isLeaving || world.signal.aborted) return;
    const delayMs = this.#awaited.size > 0 ? awaitedPollMs : this.#options.roundMs;
    this.#cancelPoll = world.clock.schedule(delayMs, () => this.look());
  }

  /** The other hosts that live. */
  async #others(): Promise<readonly { readonly incarnation: string; readonly facts: HostFacts }[]> {
    const { world, membership, incarnation: own } = this.#options;
    const members = await insist(world, () => membership.alive());
    const others = members.filter(({ incarnation }) => incarnation !== own);
    return others.map(({ incarnation, facts }) => ({ incarnation, facts: decodeFacts(facts) }));
  }

  async #claim(partitions: readonly Partition[]): Promise<readonly Owned[]> {
    const claimant = this.#claimant();
    const claims = await Promise.all(
      partitions.map((partition) => this.#orRefused(partition, () => claim(claimant, partition))),
    );
    for (const sealed of claimant.seals.incarnations) this.#announceEnd(sealed);
    return claims.filter((owned) => owned !== undefined);
  }

  #claimant(): Claimant {
    const { world, mailbox, incarnation, journal } = this.#options;
    const objects = new RecordObjects(world);
    return {
      world,
      mailbox,
      incarnation,
      from: journal.next,
      seals: new Seals(world, incarnation, objects),
      objects,
      mayTakeFrom: (owner) => this.#mayTakeFrom(owner),
    };
  }

  /**
   * One that is sealed is over, whatever its process does. A host that starts later would believe it alive for seconds, and
   * not take what others hand to it. For speed alone: whoever is not told finds it silent (W1).
   */
  #announceEnd(sealed: string): void {
    this.#options.membership.leave(sealed).catch(() => undefined);
  }

  /**
   * Goes on with a partition that stands still and could not be given up; one that is leaving leaves it to whoever seals its
   * journal.
   *
   * @param end - The number after that of the last record that holds anything of it.
   */
  async takeUpAgain(partition: Partition, end: number): Promise<void> {
    if (this.#isLeaving) return;
    const claimant = this.#claimant();
    const owned = await this.#orRefused(partition, () => takeUpAgain(claimant, partition, end));
    if (owned !== undefined && !this.#options.world.signal.aborted) this.#options.own([owned], []);
  }

  /** What the work gives; nothing of a partition that cannot be read. */
  async #orRefused(partition: Partition, work: () => Promise<Owned | undefined>): Promise<Owned | undefined> {
    try {
      const owned = await work();
      if (this.#unreadable.delete(partition)) this.#options.forget(partition);
      return owned;
    } catch (error) {
      if (!(error instanceof DormouseError) || error.kind !== "corrupt") throw error;
      if (this.#unreadable.has(partition)) return undefined;
      this.#unreadable.add(partition);
      this.#options.stopped(partition, error);
      return undefined;
    }
  }

  /** Whether an owner is gone, as far as membership knows (W1). */
  async #mayTakeFrom(owner: string): Promise<boolean> {
    const { world, membership } = this.#options;
    const state = await insist(world, () => membership.stateOf(owner));
    if (state !== "unknown") this.#unknown.delete(owner);
    if (state !== "unknown") return state !== "alive";
    const now = world.clock.monotonic();
    const since = this.#unknown.get(owner) ?? now;
    this.#unknown.set(owner, since);
    return now - since >= unknownMsMax;
  }

  /** All that is placed elsewhere; also what comes to be while it is at it. */
  #hand(): Promise<void> {
    this.#handing ??= Promise.resolve().then(() => this.#handOver());
    return this.#handing;
  }

  #isToLeave(partition: Partition): boolean {
    return !this.#wanted.has(partition) && !this.#placedOnOlder.has(partition);
  }

  /** Until nothing that is placed elsewhere is left, but for what cannot be settled (W3). */
  async #handOver(): Promise<void> {
    const { world, owned, holdEffects, hasEffects, handOver, graceMs } = this.#options;
    const since = new Map<Partition, number>();
    const kept = new Set<Partition>();
    for (;;) {
      const now = world.clock.monotonic();
      const leaving = owned().filter((partition) => this.#isToLeave(partition) && !kept.has(partition));
      holdEffects(new Set(leaving));
      if (leaving.length === 0 || world.signal.aborted) break;
      for (const partition of leaving) if (!since.has(partition)) since.set(partition, now);
      const isDue = (partition: Partition): boolean =>
        !hasEffects(partition) || now - (since.get(partition) ?? now) >= graceMs;
      const due = leaving.filter(isDue).slice(0, Math.max(1, Math.floor(leaving.length * handedAtOnceShare)));
      if (due.length === 0) {
        await pause(world, effectsPollMs);
        continue;
      }
      const areTakenUp = due.map((partition) => new Promise<void>((resolve) => this.#takenUp.set(partition, resolve)));
      await handOver(due);
      const still = new Set(owned());
      // What cannot be settled, since an agent of it cannot be read, stays: whoever seals this journal has it.
      for (const partition of due) if (still.has(partition)) kept.add(partition);
      const isMore = owned().some((partition) => this.#isToLeave(partition));
      if (isMore && this.#hasOthers) await Promise.race([Promise.all(areTakenUp), pause(world, takenUpMsMax)]);
      for (const partition of due) this.#takenUp.delete(partition);
    }
    this.#handing = undefined;
  }
}

/** A host that took another number of partitions for the app's would give its agents second lives (D5). */
function checkSameApp(
  app: App,
  others: readonly { readonly incarnation: string; readonly facts: Pick<HostFacts, "name" | "app"> }[],
): void {
  for (const { incarnation, facts } of others) {
    if (facts.app === undefined) continue;
    const { birth, partitions } = decodeApp(facts.app, `of host ${incarnation}`);
    if (birth === app.birth && partitions === app.partitions) continue;
    throw new DormouseError(
      "invalid",
      "app.mismatch",
      `this host read other settings of the app than the hosts that run: it has another store, or app.json was changed by ` +
        `hand; put that right, then start again: app=${app.name} partitions=${app.partitions} host=${facts.name} ` +
        `incarnation=${incarnation} its=${partitions}${birth === app.birth ? "" : ", another birth"}`,
    );
  }
}
