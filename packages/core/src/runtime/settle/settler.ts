/**
 * When a host settles, passivates and trims.
 *
 * Owns: how much is unsettled, which journals are still needed, the one round of settling at a time.
 * Leaves to others: what a settle writes (`settle.ts`).
 *
 * B1  Records go only when every partition of this host has settled past them, behind a durable mark (J4).
 * B2  A mailbox is trimmed only below its anchor and its lowest gap, as the settled partition object names them.
 * B3  What a mailbox holds is settled once it is much, for that mailbox or, of messages that make no entry, as what cannot
 *     be read and repeats, at all: a full one takes no message, also none by which a settle would be due.
 */
import type { Address, Partition } from "../../agent/address.ts";
import { DormouseError } from "../../agent/errors.ts";
import type { App } from "../../format/app.ts";
import { partitionKey } from "../../format/keys.ts";
import { hasEffectAtWork } from "../../step/state.ts";
import { type ChainLink, decodePartition, type PartitionObject, type Position } from "../../format/partition.ts";
import type { Observe } from "../../observe.ts";
import type { Cancel, Mailbox } from "../../ports/index.ts";
import type { ResolvedSettings } from "../../settings.ts";
import type { Activation } from "../activations.ts";
import type { Commit } from "../commit.ts";
import { insist, pause, type World } from "../insist.ts";
import { deleteRecords, type Journal, raiseTrimMark, readTrimMark } from "../journal.ts";
import type { PartitionLoop } from "../partition.ts";
import { takeInFar } from "./far.ts";
import { settle, settleAgents, type SettledObject, type Settling, type Unsettled } from "./settle.ts";

export interface SettlerOptions {
  readonly world: World;
  readonly incarnation: string;
  readonly app: App;
  readonly journal: Journal;
  readonly commit: Commit;
  readonly mailbox: Mailbox;
  readonly settings: ResolvedSettings;
  readonly observe: Observe;
  /** A partition was handed over. */
  readonly gone: (loop: PartitionLoop) => void;
  /** One stands still that could not be: nothing of it is in records from `end` on. */
  readonly takeUpAgain: (partition: Partition, end: number) => Promise<void>;
  readonly failed: (error: unknown) => void;
  readonly passivateAfterMs: (agent: Address) => number;
}

interface Owned {
  readonly loop: PartitionLoop;
  readonly object: SettledObject;
  /** The first record of ours that it may still need. */
  from: number;
}

/** What memory holds of a record, of what it takes at most: text is taken for three times its length, and stands twice. */
const memoryShare = 0.25;
/** How long a stream is given to show its anchor before a trim, in milliseconds. */
const anchorMsMax = 5_000;

export class Settler {
  readonly #options: SettlerOptions;
  readonly #partitions = new Map<Partition, Owned>();
  #bytes = 0;
  #settledAt = 0;
  #deletedBelow = 0;
  #cancel: Cancel | undefined;
  #round: Promise<void> | undefined;
  #numbers = 0;
  readonly #settling: Settling;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.#settling = {
      ...options,
      isChecked: options.settings.freezeContexts,
      nextNumber: () => (this.#numbers += 1),
    };
  }

  /** @param records - So many were read of it from journals. */
  add(loop: PartitionLoop, object: SettledObject, records: number): void {
    // Of one that is taken up again the chain names our journal alone: as settled, its records would be trimmed, and what
    // they say it took would be taken again by its next owner (B1, D4).
    loop.unsettled(records);
    this.#partitions.set(loop.partition, { loop, object, from: object.chain.at(-1)?.from ?? 0 });
    if (this.#cancel !== undefined) this.#run(() => takeInFar(this.#options, loop));
  }

  start(): void {
    const { world } = this.#options;
    this.#settledAt = world.clock.monotonic();
    this.#run(() => this.#takeInFar());
    this.#schedule();
  }

  async #takeInFar(): Promise<void> {
    for (const { loop } of this.#partitions.values()) await takeInFar(this.#options, loop);
  }

  stop(): void {
    this.#cancel?.();
  }

  /** A record of so many bytes is durable; memory holds its steps as they were before they were compressed. */
  committed(bytes: number, bytesAtMost: number): void {
    this.#bytes += Math.max(bytes, bytesAtMost * memoryShare);
    if (this.#bytes > this.#options.settings.settleBytes) this.#run(() => this.settleAll());
  }

  /** Settles every partition that has something unsettled, and trims behind them. */
  settleAll(): Promise<void> {
    return this.#alone(() => this.#settleAll());
  }

  /** Agents idle for so long (default: as their type says) leave memory; resolves with how many. */
  passivate(idleMs?: number): Promise<number> {
    return this.#alone(() => this.#passivate(idleMs));
  }

  /** Heads are written by one at a time: two that grow one run would each believe the other an earlier owner. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #settleAll(): Promise<void> {
    const bytes = this.#bytes;
    this.#settledAt = this.#options.world.clock.monotonic();
    const unsettled = this.#unsettled();
    // Nothing of the others is in any record that is not settled, nor in one being written.
    const { next } = this.#options.journal;
    for (const one of this.#partitions.values()) if (!unsettled.includes(one)) one.from = next;
    const freed = await this.#settle(unsettled);
    this.#bytes -= bytes;
    await this.#trim(freed);
  }

  /** Those whose mailbox has grown (B3). */
  async #settleGrown(): Promise<void> {
    const grown = [...this.#partitions.values()].filter(({ loop }) => loop.isMailboxGrown);
    if (grown.length === 0) return;
    await this.#trim(await this.#settle(grown));
  }

  async #passivate(idleMs?: number): Promise<number> {
    const { observe } = this.#options;
    let count = 0;
    for (const [loop, idle] of this.#idle(idleMs)) {
      // One that is set aside waits for the next settle: its head may be damaged, and each try costs two requests.
      const { quarantine } = loop.state;
      const unsettled = idle.filter((activation) => activation.isUnsettled && !quarantine.has(activation.agent));
      await settleAgents(this.#settling, loop, unsettled);
      for (const activation of idle) {
        // It may have gone on while heads were written: an effect of one that is loaded again would be dropped.
        if (isAtRest(activation) && loop.activations.passivate(activation)) count += note(activation, observe);
      }
    }
    return count;
  }

  /** Who may leave memory: those idle for long enough, and of the rest the longest idle while there are too many. */
  #idle(idleMs: number | undefined): Map<PartitionLoop, readonly Activation[]> {
    const { world, settings, passivateAfterMs } = this.#options;
    const now = world.clock.monotonic();
    const active = [...this.#partitions.values()].flatMap(({ loop }) =>
      [...loop.activations.values()].map((activation) => ({ loop, activation })),
    );
    const able = active.filter(({ activation }) => isAtRest(activation));
    const isIdle = ({ activation }: (typeof able)[number]): boolean =>
      now - activation.usedAt >= (idleMs ?? passivateAfterMs(activation.agent));
    const idle = able.filter(isIdle);
    const excess = active.length - idle.length - settings.activationsMax;
    if (excess > 0) {
      const rest = able.filter((one) => !isIdle(one)).toSorted((a, b) => a.activation.usedAt - b.activation.usedAt);
      idle.push(...rest.slice(0, excess));
    }
    const byLoop = new Map<PartitionLoop, Activation[]>();
    for (const { loop, activation } of idle) {
      const some = byLoop.get(loop);
      if (some === undefined) byLoop.set(loop, [activation]);
      else some.push(activation);
    }
    return byLoop;
  }

  /**
   * Gives these partitions up. One of which an agent cannot be settled stays, and is taken up again if it stands still: whoever
   * seals this journal has what is not settled.
   */
  handOver(partitions: readonly Partition[]): Promise<void> {
    return this.#alone(() => this.#handOver(partitions));
  }

  async #handOver(partitions: readonly Partition[]): Promise<void> {
    const owned = partitions.map((partition) => this.#partitions.get(partition)).filter((one) => one !== undefined);
    // First while they run: little is left to be settled when they stand still.
    const rest = owned.filter((one) => !isUnsettled(one));
    const before = await settle(this.#settling, owned.filter(isUnsettled));
    if (before === undefined) return;
    const still = [...before.settled.map((one) => ({ loop: one.loop, object: one })), ...rest];
    const last = await settle(this.#settling, still, true);
    if (last === undefined) return;
    for (const { loop } of last.settled) {
      this.#partitions.delete(loop.partition);
      this.#options.gone(loop);
    }
    // None of its heads is written meanwhile, nor its object: the loop that follows is the only one to build on them.
    for (const { loop } of still) {
      if (loop.isClosed && this.#partitions.get(loop.partition)?.loop === loop)
        await this.#options.takeUpAgain(loop.partition, last.cut + 1);
    }
    await this.#trim(before.settled.flatMap(({ freed }) => freed));
  }

  #unsettled(): readonly Owned[] {
    return [...this.#partitions.values()].filter(isUnsettled);
  }

  #schedule(): void {
    const { settleRoundMs } = this.#options.settings;
    this.#cancel = this.#options.world.clock.schedule(settleRoundMs, () => {
      const { world, settings } = this.#options;
      const isDue = this.#bytes > 0 && world.clock.monotonic() - this.#settledAt >= settings.settleMs;
      this.#run(async () => {
        await this.passivate();
        await this.#takeInFar();
        if (isDue) await this.settleAll();
        else await this.#alone(() => this.#settleGrown());
      });
      // Also when another round is under way and this one is left out: it would be the last one.
      this.#schedule();
    });
  }

  /** One round at a time; what comes meanwhile is due again at the next record. */
  #run(round: () => Promise<void>): void {
    if (this.#round !== undefined) return;
    this.#round = round()
      .catch(this.#options.failed)
      .finally(() => (this.#round = undefined));
  }

  async #settle(unsettled: readonly Owned[]): Promise<readonly ChainLink[]> {
    if (unsettled.length === 0) return [];
    const result = await settle(this.#settling, unsettled);
    if (result === undefined) return [];
    const { cut, settled } = result;
    for (const one of settled) {
      const { loop, heads, position } = one;
      this.#partitions.set(loop.partition, { loop, object: one, from: cut + 1 });
      this.#options.observe({ kind: "settled", partition: loop.partition, cut, heads });
      await this.#trimMailbox(loop.partition, position);
    }
    return settled.flatMap(({ freed }) => freed);
  }

  /**
   * A trim is unconditional: of a stream that lost its tail and issues its numbers again, it would take what nobody has
   * read. So each try looks first whether the anchor is where it was; what is not trimmed now is at the next settle.
   */
  async #trimMailbox(partition: Partition, { upTo, anchor }: Position): Promise<void> {
    const { world, mailbox } = this.#options;
    const below = Math.min(upTo + 1, anchor?.sequence ?? 0);
    if (anchor === undefined || below <= 1) return;
    try {
      const isThere = await isInPlace(world, mailbox, partition, anchor);
      if (isThere && !world.signal.aborted) await mailbox.trim(partition, below);
    } catch (error) {
      if (!(error instanceof DormouseError) || error.kind !== "unavailable") throw error;
    }
  }

  async #trim(freed: readonly ChainLink[]): Promise<void> {
    const { world, incarnation } = this.#options;
    const below = Math.min(this.#options.journal.next, ...[...this.#partitions.values()].map(({ from }) => from));
    if (below > this.#deletedBelow) {
      await raiseTrimMark(world, incarnation, below);
      await deleteRecords(world, incarnation, this.#deletedBelow, below);
      this.#deletedBelow = below;
    }
    const ends = new Map(freed.map((link) => [link.incarnation, link]));
    for (const link of ends.values()) await this.#deleteIfUnnamed(link);
  }

  /** A sealed journal that no partition object names goes, but for its seal and mark. */
  async #deleteIfUnnamed({ incarnation, end }: ChainLink): Promise<void> {
    const { world, app } = this.#options;
    if (end === undefined) return;
    let from = end;
    for (let partition = 0; partition < app.partitions; partition += 1) {
      const name = partitionKey(partition as Partition);
      const object = await insist(world, () => world.store.get(name));
      if (object === undefined) continue;
      const { chain } = decodeIfReadable(object.bytes, name) ?? {};
      // One that cannot be read may name it: kept for whoever mends it.
      if (chain === undefined) return;
      for (const link of chain) {
        if (link.incarnation === incarnation) from = Math.min(from, link.from);
      }
    }
    if (from < end) return;
    const { below } = await readTrimMark(world, incarnation);
    await raiseTrimMark(world, incarnation, end);
    await deleteRecords(world, incarnation, below, end);
  }
}

function isUnsettled({ loop, object }: Unsettled): boolean {
  return loop.entriesUnsettled > 0 || object.chain.length > 1;
}

function decodeIfReadable(bytes: Uint8Array, name: string): PartitionObject | undefined {
  try {
    return decodePartition(bytes, name);
  } catch {
    return undefined;
  }
}

function isAtRest({ phase, uncommitted, state }: Activation): boolean {
  return phase === "ready" && uncommitted === 0 && (state === undefined || !hasEffectAtWork(state));
}

/** Whether a stream still holds this message, told by its number and timestamp. */
async function isInPlace(
  world: World,
  mailbox: Mailbox,
  partition: Partition,
  { sequence, at }: NonNullable<Position["anchor"]>,
): Promise<boolean> {
  const reader = mailbox.read(partition, sequence);
  try {
    const [found] = (await Promise.race([reader.next(1), pause(world, anchorMsMax)])) ?? [];
    return found?.sequence === sequence && found.at === at;
  } finally {
    reader.close();
  }
}

function note({ agent, state, seqBefore }: Activation, observe: Observe): number {
  observe({ kind: "passivated", agent, seq: state?.seq ?? seqBefore });
  return 1;
}
