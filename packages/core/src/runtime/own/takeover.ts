/**
 * A partition's state, from its settled object and the sealed journals that hold what was not settled.
 *
 * K1  Only a sealed journal is read: before the seal its owner may still commit (D5).
 * K2  Entries count only under the epoch that their chain link names, and only up to the seal (D5).
 */
import type { Address, Partition } from "../../agent/address.ts";
import type { BundleRange } from "../../format/keys.ts";
import type { ChainLink, PartitionObject, PartitionState } from "../../format/partition.ts";
import type { Entry, JournalRecord } from "../../format/record.ts";
import { fold, foldPosition } from "../../step/fold.ts";
import type { World } from "../insist.ts";
import { sealJournal } from "../journal.ts";
import { readTail, type RecordObjects } from "../tail.ts";

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
  readonly #objects: RecordObjects;
  readonly #ends = new Map<string, Promise<number>>();

  constructor(world: World, by: string, objects: RecordObjects) {
    this.#world = world;
    this.#by = by;
    this.#objects = objects;
  }

  /** Whose journals were to be sealed. */
  get incarnations(): readonly string[] {
    return [...this.#ends.keys()];
  }

  /** The number of the journal's seal. */
  seal(incarnation: string, from: number): Promise<number> {
    const known = this.#ends.get(incarnation);
    if (known !== undefined) return known;
    const bundles = (): Promise<readonly BundleRange[]> => this.#objects.bundles(incarnation);
    const end = sealJournal(this.#world, incarnation, from, this.#by, bundles);
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
  const part = record.parts.find((one) => one.partition === partition && one.epoch === epoch);
  if (part === undefined) return 0;
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
