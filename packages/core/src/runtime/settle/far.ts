/**
 * Far wake-ups: out of memory at a settle, back into it when their time comes near (D10).
 *
 * V1  A wake-up is in the partition's state or in an object that the partition object names, at every moment; in both
 *     does no harm, since an agent that finds nothing due goes back to sleep.
 * V2  An object that was taken in is deleted only when the partition object that no longer names it is written.
 */
import type { Address } from "../../agent/address.ts";
import { DormouseError, encodeError } from "../../agent/errors.ts";
import { nearMs } from "../../agent/limits.ts";
import { decodeBucket, encodeBucket } from "../../format/partition.ts";
import type { Observe } from "../../observe.ts";
import type { World } from "../insist.ts";
import type { PartitionLoop } from "../partition.ts";
import { read } from "../run.ts";

/** What a settle does about far wake-ups, as captured at its cut. */
export interface FarWakeUps {
  /** What the partition object keeps itself. */
  readonly near: Map<Address, number>;
  readonly buckets: Map<number, readonly string[]>;
  /** To be written before the partition object. */
  readonly objects: readonly { readonly name: string; readonly bytes: Uint8Array }[];
  /** In those objects now. */
  readonly moved: ReadonlyMap<Address, number>;
  readonly added: ReadonlyMap<number, string>;
  /** Taken in and not named any more: to be deleted after. */
  readonly taken: readonly string[];
}

export function captureFar(
  loop: PartitionLoop,
  { clock, formats }: Pick<World, "clock" | "formats">,
  nameOf: (bucket: number) => string,
): FarWakeUps {
  const now = clock.now();
  const near = new Map<Address, number>();
  const moved = new Map<Address, number>();
  const byBucket = new Map<number, Map<Address, number>>();
  for (const [agent, due] of loop.state.wakeUps) {
    const bucket = Math.floor(due / nearMs);
    // One for a bucket that has begun, or begins soon, is a near one: nobody would read it any more.
    if (isNear(bucket, now)) {
      near.set(agent, due);
      continue;
    }
    moved.set(agent, due);
    const wakeUps = byBucket.get(bucket);
    if (wakeUps === undefined) byBucket.set(bucket, new Map([[agent, due]]));
    else wakeUps.set(agent, due);
  }
  const buckets = new Map(loop.state.buckets);
  const added = new Map<number, string>();
  const objects = [...byBucket].map(([bucket, wakeUps]) => {
    const name = nameOf(bucket);
    added.set(bucket, name);
    buckets.set(bucket, [...(buckets.get(bucket) ?? []), name]);
    return { name, bytes: encodeBucket(wakeUps, formats.writes) };
  });
  return { near, buckets, objects, moved, added, taken: loop.takenBuckets.splice(0) };
}

/** The partition object names the buckets: what was moved leaves memory, but for what was set anew meanwhile. */
export function settleFar(loop: PartitionLoop, { moved, added }: FarWakeUps): void {
  for (const [agent, due] of moved) if (loop.state.wakeUps.get(agent) === due) loop.state.wakeUps.delete(agent);
  for (const [bucket, name] of added) {
    loop.state.buckets.set(bucket, [...(loop.state.buckets.get(bucket) ?? []), name]);
  }
}

/** Takes in the buckets whose time is near. */
export async function takeInFar(
  { world, observe }: { readonly world: World; readonly observe: Observe },
  loop: PartitionLoop,
): Promise<void> {
  const { buckets } = loop.state;
  for (const [bucket, names] of buckets) {
    if (!isNear(bucket, world.clock.now())) continue;
    for (const name of names) {
      if (loop.unreadableBuckets.has(name)) continue;
      if (await takeIn(world, loop, name, observe)) {
        loop.takenBuckets.push(name);
        // Together with the line above, and of what is named now: a settle may have come between (V1, V2).
        const left = buckets.get(bucket)?.filter((other) => other !== name) ?? [];
        if (left.length > 0) buckets.set(bucket, left);
        else buckets.delete(bucket);
      } else loop.unreadableBuckets.add(name);
    }
  }
  loop.armNear();
}

/**
 * One that cannot be read is reported, stays where it is and stays named: nobody can know whom it would have woken, and
 * it may be mended (D9). The next owner tries again.
 */
async function takeIn(world: World, loop: PartitionLoop, name: string, observe: Observe): Promise<boolean> {
  const { wakeUps } = loop.state;
  try {
    for (const [agent, due] of decodeBucket(await read(world, name), name)) {
      if (due < (wakeUps.get(agent) ?? Infinity)) wakeUps.set(agent, due);
    }
    return true;
  } catch (error) {
    if (!(error instanceof DormouseError) || error.kind !== "corrupt") throw error;
    observe({ kind: "skipped", partition: loop.partition, why: "wake-ups cannot be read", error: encodeError(error) });
    return false;
  }
}

/** Buckets are taken in up to `nearMs` before they begin. */
function isNear(bucket: number, now: number): boolean {
  return bucket * nearMs <= now + nearMs;
}
