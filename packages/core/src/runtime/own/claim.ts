/** Becoming the owner of a partition: compare-and-swap of its object. Sealing is the only fence; this names who is next. */
import type { Partition } from "../../agent/address.ts";
import type { Address } from "../../agent/address.ts";
import { DormouseError } from "../../agent/errors.ts";
import { partitionKey } from "../../format/keys.ts";
import {
  type ChainLink,
  decodePartition,
  emptyPartitionState,
  encodePartition,
  type PartitionObject,
  type PartitionState,
} from "../../format/partition.ts";
import type { Entry } from "../../format/record.ts";
import type { Etag, Mailbox } from "../../ports/index.ts";
import { insist, type World, write } from "../insist.ts";
import { type Opening, openReader } from "../reader.ts";
import { lostPartition } from "../settle/settle.ts";
import type { RecordObjects } from "../tail.ts";
import { recover, type Seals } from "./takeover.ts";

/** A partition that is ours. */
export interface Owned {
  readonly partition: Partition;
  readonly epoch: number;
  readonly etag: Etag;
  readonly chain: readonly ChainLink[];
  readonly state: PartitionState;
  readonly tails: Map<Address, Entry[]>;
  readonly records: number;
  readonly opening: Opening;
  /** Takeovers from dead owners since the last settle, this one included. */
  readonly deaths: number;
}

export interface Claimant {
  readonly world: World;
  readonly mailbox: Mailbox;
  readonly incarnation: string;
  /** The first record of ours that can hold anything of it. */
  readonly from: number;
  readonly seals: Seals;
  readonly objects: RecordObjects;
  /** Whether this owner may be sealed: it is gone, as far as anybody knows. */
  readonly mayTakeFrom: (owner: string) => Promise<boolean>;
}

/**
 * Makes this incarnation the owner; seals the journal of whoever was it. `undefined` while that one lives.
 *
 * @throws DormouseError `sealed` (`journal.sealed`): another host has taken over from this incarnation meanwhile;
 * `corrupt`: the partition object or a record it still needs cannot be read.
 */
export async function claim(claimant: Claimant, partition: Partition): Promise<Owned | undefined> {
  const { world, mailbox, incarnation, from, seals, objects, mayTakeFrom } = claimant;
  const name = partitionKey(partition);
  let incomplete: Etag | undefined;
  for (;;) {
    const found = await insist(world, () => world.store.get(name));
    const object = found === undefined ? emptyObject() : decodePartition(found.bytes, name);
    // An earlier try took effect though it seemed refused, and another host has sealed us since: to claim again would
    // seal that host for one that cannot commit.
    if (object.chain.some((link) => link.incarnation === incarnation)) throw sealedError(incarnation);
    if (object.owner !== undefined && !(await mayTakeFrom(object.owner))) return undefined;
    const recovered = await recover(partition, object, seals, objects);
    if (recovered === undefined) {
      // An owner that settles and trims meanwhile writes the object before it deletes a record.
      if (found !== undefined && found.etag === incomplete) throw recordMissing(partition);
      incomplete = found?.etag;
      objects.forget();
      continue;
    }
    const epoch = object.epoch + 1;
    const chain = [...recovered.chain, { incarnation, epoch, from, end: undefined }];
    // The settled state stays as it is: what the tail made of it is settled later, under the same names.
    const isAsFound = found === undefined || object.chain.length === 0;
    const settled = isAsFound ? object.state : decodePartition(found.bytes, name).state;
    const deaths = object.deaths + (object.owner === undefined ? 0 : 1);
    const next: PartitionObject = {
      epoch,
      owner: incarnation,
      deaths,
      nonce: world.entropy.bytes(16),
      chain,
      state: settled,
    };
    const condition = found === undefined ? ({ if: "absent" } as const) : ({ if: "match", etag: found.etag } as const);
    const { state, tails, records } = recovered;
    const bytes = encodePartition(next, world.formats.writes);
    // Meanwhile: from here on nobody consumes any of it who could commit that.
    const opening = openReader(world, mailbox, partition, state.position);
    const written = await write(world, name, bytes, condition);
    if (written.outcome === "stored") {
      return { partition, epoch, etag: written.etag, chain, state, tails, records, opening, deaths };
    }
    opening.reader.close();
  }
}

/**
 * A partition of this incarnation that stands still, since it was to be given up and one of its agents could not be settled:
 * what the store has of it, to be gone on from under the same epoch.
 *
 * @param end - The number after that of the last record that holds anything of it.
 * @throws DormouseError `sealed` (`partition.lost`): another host owns it now; `corrupt`: what it needs cannot be read.
 */
export async function takeUpAgain(
  { world, mailbox, incarnation, seals, objects }: Claimant,
  partition: Partition,
  end: number,
): Promise<Owned> {
  const name = partitionKey(partition);
  const found = await insist(world, () => world.store.get(name));
  const object = found === undefined ? emptyObject() : decodePartition(found.bytes, name);
  if (found === undefined || object.owner !== incarnation) throw lostPartition({ partition, epoch: object.epoch });
  const { epoch, chain } = object;
  const ended = chain.map((link) => ({ ...link, end: link.end ?? end }));
  const recovered = await recover(partition, { ...object, chain: ended }, seals, objects);
  if (recovered === undefined) throw recordMissing(partition);
  const opening = openReader(world, mailbox, partition, recovered.state.position);
  return { partition, epoch, etag: found.etag, ...recovered, chain, opening, deaths: 0 };
}

function recordMissing(partition: Partition): DormouseError {
  return new DormouseError(
    "corrupt",
    "record.missing",
    `a journal record that this partition needs is not there, so nobody can know what it held: partition=${partition}`,
  );
}

function sealedError(incarnation: string): DormouseError {
  return new DormouseError(
    "sealed",
    "journal.sealed",
    `another host has taken over from this one while it began; it starts again as a new incarnation: incarnation=${incarnation}`,
  );
}

function emptyObject(): PartitionObject {
  return { epoch: 0, owner: undefined, deaths: 0, nonce: new Uint8Array(0), chain: [], state: emptyPartitionState() };
}
