/**
 * A partition's state, from its settled object and the sealed journals that hold what was not settled.
 *
 * K1  Only a sealed journal is read: before the seal its owner may still commit (D5).
 * K2  Entries count only up to the seal. They are of the epoch that their chain link names: whoever gives a partition up
 *     takes nothing of it down any more, and a link of one that comes back begins after all that was taken down (D5).
 */
import type { Address, Partition } from "../../agent/address.ts";
import { assert } from "../../agent/assert.ts";
import type { ChainLink, PartitionObject, PartitionState } from "../../format/partition.ts";
import type { Entry, JournalRecord } from "../../format/record.ts";
import { fold, foldPosition } from "../../step/fold.ts";
import type { World } from "../insist.ts";
import { readTail, type RecordObjects, sealJournal } from "../journal.ts";

export interface Recovered {
  readonly state: PartitionState;
  /** The chain, with an end for every journal. */
  readonly chain: readonly ChainLink[];
  /** What agents did that their heads may not cover, in order. */
  readonly tails: Map<Address, Entry[]>;
  readonly records: number;
}

/** Seals each journal once, for all the partitions of one takeover. */
export class Seals {
  readonly #world: World;
  readonly #by: string;
  readonly #ends = new Map<string, Promise<number>>();

  constructor(world: World, by: string) {
    this.#world = world;
    this.#by = by;
  }

  /** Whose journals were to be sealed. */
  get incarnations(): readonly string[] {
    return [...this.#ends.keys()];
  }

  /** The number of the journal's seal. */
  seal(incarnation: string, from: number): Promise<number> {
    const known = this.#ends.get(incarnation);
    if (known !== undefined) return known;
    const end = sealJournal(this.#world, incarnation, from, this.#by);
    this.#ends.set(incarnation, end);
    return end;
  }
}

/** `undefined`: someone settled and trimmed meanwhile; read the partition object again. */
export async function recover(
  partition: Partition,
  object: PartitionObject,
  seals: Seals,
  objects: RecordObjects,
): Promise<Recovered | undefined> {
  const { state } = object;
  const tails = new Map<Address, Entry[]>();
  const chain: ChainLink[] = [];
  let count = 0;
  for (const link of object.chain) {
    const end = link.end ?? (await seals.seal(link.incarnation, link.from));
    const records = await readTail(link.incarnation, link.from, end, objects);
    if (records === undefined) return undefined;
    chain.push({ ...link, end });
    for (const record of records) count += apply(state, tails, record, partition, link.epoch);
  }
  return { state, chain, tails, records: count };
}

function apply(
  state: PartitionState,
  tails: Map<Address, Entry[]>,
  record: JournalRecord,
  partition: Partition,
  epoch: number,
): number {
  const part = record.parts.find((one) => one.partition === partition);
  if (part === undefined) return 0;
  assert(part.epoch === epoch, "a chain link begins after what its incarnation wrote under other epochs (K2)");
  for (const entry of part.entries) {
    fold(state, entry);
    if (entry.kind !== "step" && entry.kind !== "remove") continue;
    const tail = tails.get(entry.agent);
    if (tail === undefined) tails.set(entry.agent, [entry]);
    else tail.push(entry);
  }
  if (part.position !== undefined) foldPosition(state, part.position);
  return 1;
}
