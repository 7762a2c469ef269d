/**
 * The partitions of one host: a loop for each that it owns, a refusal for each that nobody can read.
 *
 * Owns: the loops and what serves their readers, from the claim until they are given up.
 * Leaves to others: which partitions are owned (`own/keeper.ts`), what happens in one (`partition.ts`), when one is settled
 * (`settle/settler.ts`, through `added` in its options).
 * Called by host; by keeper, through it: `own`, `refuse`, `stopRefusing`; by settler, through it: `letGo`.
 */
import { type Address, parseAddress, type Partition, partitionOf } from "../agent/address.ts";
import { type DormouseError, encodeError } from "../agent/errors.ts";
import { laneTo } from "../format/partition.ts";
import type { Known } from "../step/registry.ts";
import type { Owned } from "./own/claim.ts";
import { serveStopped } from "./own/stopped.ts";
import type { World } from "./insist.ts";
import { PartitionLoop, type PartitionOptions } from "./partition.ts";
import { serveReads } from "./reads.ts";
import { decodeTaken, publishFreed, publishTakenUp, takenSubject } from "./release/reply.ts";

export interface PartitionsOptions extends Omit<PartitionOptions, keyof Owned | "world"> {
  /** Its signal is the host's. */
  readonly world: World;
  /** A loop is there, and not started yet. */
  readonly added: (loop: PartitionLoop, owned: Owned) => void;
}

/** What a host tells of its partitions. */
export interface PartitionsCounts {
  readonly owned: number;
  /** Those that read what waited for them. */
  readonly behind: number;
  /** Those whose next message is in a newer format. */
  readonly still: number;
  /** Those that cannot be read. */
  readonly refused: number;
  /** Agents in memory. */
  readonly agents: number;
  readonly quarantined: number;
  /** Messages kept for agents that cannot step. */
  readonly shelved: number;
}

/** A partition of this host: its loop, until it is given up. */
interface Held {
  readonly loop: PartitionLoop;
  readonly life: AbortController;
  readonly stops: readonly (() => void)[];
  isCaughtUp: boolean;
}

/** Agents that a notice of a hand-over names. */
const freedAgentsMax = 64;

export class Partitions {
  readonly #options: PartitionsOptions;
  readonly #held = new Map<Partition, Held>();
  /** Partitions that cannot be read: what refuses whoever asks. */
  readonly #refusals = new Map<Partition, () => void>();
  readonly #catchingUp = new Set<Promise<void>>();

  constructor(options: PartitionsOptions) {
    this.#options = options;
  }

  /** These are ours from now on, all at once; of their agents, those that are likely to be needed at once. */
  own(claims: readonly Owned[], agents: readonly Address[]): void {
    const all = claims.map((owned) => this.#hold(owned));
    for (const { loop } of all) {
      for (const agent of agents.slice(0, freedAgentsMax)) if (this.#isOf(agent, loop.partition)) loop.activate(agent);
    }
    for (const held of all) {
      const catchingUp = this.#catchUp(held);
      this.#catchingUp.add(catchingUp);
      void catchingUp.finally(() => this.#catchingUp.delete(catchingUp));
    }
  }

  /** A notice may name anything. */
  #isOf(agent: Address, partition: Partition): boolean {
    try {
      return partitionOf(agent, this.#options.app.partitions) === partition;
    } catch {
      return false;
    }
  }

  /** Resolves when all that are owned now have caught up. */
  async caughtUp(): Promise<void> {
    await Promise.all(this.#catchingUp);
  }

  async #catchUp(held: Held): Promise<void> {
    await held.loop.start();
    held.isCaughtUp = true;
    const { channel, app } = this.#options;
    publishTakenUp(channel, app, { partition: held.loop.partition });
  }

  #hold(owned: Owned): Held {
    const { channel, app, world, observe, registry, added } = this.#options;
    const { partition, epoch, state, tails, opening } = owned;
    // One that stands still.
    this.#drop(partition);
    const life = new AbortController();
    const loop = new PartitionLoop({
      ...this.#options,
      world: { ...world, signal: life.signal },
      partition,
      epoch,
      state,
      tails,
      opening,
    });
    // What was read of journals is in none of its objects yet.
    loop.unsettled(owned.records);
    const stops = [
      serveReads(channel, app, world, registry, loop),
      channel.subscribe(takenSubject(`${app.birth}/${partition}`), (bytes) => {
        const taken = decodeTaken(bytes);
        if (taken === undefined) return;
        const { app: other, by, upTo } = taken;
        loop.confirmed(other === undefined ? by : laneTo(other, by), upTo);
      }),
    ];
    const held = { loop, life, stops, isCaughtUp: false };
    this.#held.set(partition, held);
    added(loop, owned);
    observe({ kind: "claimed", partition, epoch, records: owned.records });
    return held;
  }

  /** A partition is another's, or nobody's, from now on. */
  letGo(partition: Partition): void {
    const agents = this.#held.get(partition)?.loop.activations.newest(freedAgentsMax) ?? [];
    if (!this.#drop(partition)) return;
    const { channel, app, observe } = this.#options;
    publishFreed(channel, app, { partition, agents });
    observe({ kind: "handed-over", partition });
  }

  #drop(partition: Partition): boolean {
    const held = this.#held.get(partition);
    held?.life.abort();
    for (const stop of held?.stops ?? []) stop();
    return this.#held.delete(partition);
  }

  /**
   * Nobody can know what a partition held whose object or records cannot be read: it stops, and no other (D9). A host that
   * cannot read any does not start.
   */
  refuse(partition: Partition, cause: DormouseError): void {
    const { world, mailbox, channel, app, observe } = this.#options;
    this.#refusals.set(partition, serveStopped({ world, mailbox, channel, app, partition, cause }));
    if (this.#refusals.size === app.partitions) throw cause;
    const why = "this partition cannot be read and stops";
    observe({ kind: "skipped", partition, why, error: encodeError(cause) });
  }

  stopRefusing(partition: Partition): void {
    this.#refusals.get(partition)?.();
    this.#refusals.delete(partition);
  }

  owned(): readonly Partition[] {
    return [...this.#held.keys()];
  }

  loopOf(agent: Address): PartitionLoop | undefined {
    return this.#held.get(partitionOf(agent, this.#options.app.partitions))?.loop;
  }

  /** The machine that runs an agent, by its committed state. */
  knownOf(agent: Address): Known | undefined {
    const path = this.loopOf(agent)?.activations.get(agent)?.committed?.path ?? [];
    return this.#options.registry.find(parseAddress(agent).type, path);
  }

  counts(): PartitionsCounts {
    const held = [...this.#held.values()];
    let quarantined = 0;
    let shelved = 0;
    for (const { loop } of held) {
      quarantined += loop.state.quarantine.size;
      for (const envelopes of loop.state.shelf.values()) shelved += envelopes.length;
    }
    return {
      owned: held.length,
      behind: held.filter(({ isCaughtUp }) => !isCaughtUp).length,
      still: held.filter(({ loop }) => loop.standsStill !== undefined).length,
      refused: this.#refusals.size,
      agents: held.reduce((sum, { loop }) => sum + loop.activations.size, 0),
      quarantined,
      shelved,
    };
  }

  /** Gives up for good what is still owned (P4). */
  close(): void {
    for (const { loop } of this.#held.values()) loop.close();
  }

  /** The host ends. */
  stop(): void {
    for (const { loop, life, stops } of this.#held.values()) {
      loop.stop();
      life.abort();
      for (const stop of stops) stop();
    }
    for (const partition of this.#refusals.keys()) this.stopRefusing(partition);
  }
}
