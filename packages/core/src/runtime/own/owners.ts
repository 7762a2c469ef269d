/** Who owns each partition, as its object says: a look for operators, which claims nothing and may be old when it is read. */
import type { Partition } from "../../agent/address.ts";
import { DormouseError, encodeError, type ErrorData } from "../../agent/errors.ts";
import { partitionKey } from "../../format/keys.ts";
import { decodePartition } from "../../format/partition.ts";
import type { ObjectStore } from "../../ports/index.ts";
import { insist, type Waiting } from "../insist.ts";

/** What one partition's object says. */
export interface PartitionOwner {
  readonly partition: Partition;
  /** An incarnation; `undefined` for one that nobody owns. */
  readonly owner: string | undefined;
  /** Why the object cannot be read. */
  readonly error: ErrorData | undefined;
}

/** An object may be some megabytes large. */
const readsAtOnceMax = 8;

/**
 * Reads the object of every partition, in their order.
 *
 * @throws DormouseError `unavailable` (`host.gave-up`): the store failed for longer than the world's patience.
 */
export async function readOwners(
  world: Waiting & { readonly store: Pick<ObjectStore, "get"> },
  partitions: number,
): Promise<readonly PartitionOwner[]> {
  const all = Array.from({ length: partitions }, (_, index) => index as Partition);
  const owners: PartitionOwner[] = [];
  while (owners.length < all.length) {
    const some = all.slice(owners.length, owners.length + readsAtOnceMax);
    owners.push(...(await Promise.all(some.map((partition) => readOwner(world, partition)))));
  }
  return owners;
}

async function readOwner(
  world: Waiting & { readonly store: Pick<ObjectStore, "get"> },
  partition: Partition,
): Promise<PartitionOwner> {
  const name = partitionKey(partition);
  try {
    const object = await insist(world, () => world.store.get(name));
    const owner = object === undefined ? undefined : decodePartition(object.bytes, name).owner;
    return { partition, owner, error: undefined };
  } catch (error) {
    // Of this partition alone.
    if (error instanceof DormouseError && error.kind === "corrupt") {
      return { partition, owner: undefined, error: encodeError(error) };
    }
    throw error;
  }
}
