/**
 * Folding committed steps into heads and the partition object, so that mailbox and journal can be trimmed.
 *
 * F1  A settle has a cut, a record number: every agent with an entry up to it gets a head that covers it, and the
 *     partition object says what memory held exactly at the cut.
 * F2  Heads before the partition object, the partition object before anything is trimmed: a crash in between leaves heads
 *     ahead, and who reads the tail skips what a head covers (DESIGN.md section 11).
 * F3  Nothing trusts that its writer is still the owner: heads and partition objects change by compare-and-swap.
 * F4  A partition one of whose agents cannot be settled is not settled: its journals hold what that agent's head lacks. The
 *     agent is set aside, and no other (D9).
 */
import { DormouseError } from "../../agent/errors.ts";
import { encodeHead } from "../../format/head.ts";
import { bucketKey, headKey, partitionKey } from "../../format/keys.ts";
import { type ChainLink, decodePartition, encodePartition, type Position } from "../../format/partition.ts";
import type { Etag, StoredObject } from "../../ports/index.ts";
import type { AgentState } from "../../step/state.ts";
import { type Activation, asRead, lostHead, type ReadHead, unknownHead } from "../activations.ts";
import type { Commit } from "../commit.ts";
import { insist, type World, write } from "../insist.ts";
import type { PartitionLoop } from "../partition.ts";
import { captureFar, type FarWakeUps, settleFar } from "./far.ts";
import { emptyRun, foldRun, grow, type Grown, type Kept } from "../run.ts";

export interface Settling {
  readonly world: World;
  readonly incarnation: string;
  readonly commit: Commit;
  /** The next number of this incarnation's objects. */
  readonly nextNumber: () => number;
  /** Whether new bases are compared with what their runs fold to. */
  readonly isChecked: boolean;
}

const headsAtOnce = 64;

/** The partition object as it was written last. */
export interface SettledObject {
  readonly etag: Etag;
  readonly chain: readonly ChainLink[];
}

/** A partition to be settled. */
export interface Unsettled {
  readonly loop: PartitionLoop;
  readonly object: SettledObject;
}

export interface Settled extends SettledObject {
  readonly loop: PartitionLoop;
  readonly heads: number;
  /** Journals that this partition needs no more. */
  readonly freed: readonly ChainLink[];
  readonly position: Position;
}

interface Captured {
  readonly far: FarWakeUps;
  readonly loop: PartitionLoop;
  readonly last: SettledObject;
  readonly agents: readonly Activation[];
  readonly position: Position;
  readonly bytes: Uint8Array;
  /** Entries that the settle covers. */
  readonly entries: number;
  readonly isLast: boolean;
}

/**
 * Settles these partitions at one cut, but for those of which it cannot settle an agent (F4); gives its number too.
 * `undefined` when the host ended meanwhile.
 *
 * @param isLast - They stand still from the cut on, and with this they are nobody's: each may be claimed at once.
 * @throws DormouseError `sealed` (`partition.lost`): another host owns one of them now.
 */
export async function settle(
  settling: Settling,
  unsettled: readonly Unsettled[],
  isLast: boolean = false,
): Promise<{ readonly cut: number; readonly settled: readonly Settled[] } | undefined> {
  const { incarnation, commit } = settling;
  const areReadable = await Promise.all(unsettled.map(({ loop }) => loop.activateTails()));
  const readable = unsettled.filter((_, index) => areReadable[index]);
  let captured: readonly Captured[] = [];
  const cut = await commit.cut((n) => {
    // Only now: while an earlier record is being written they run on.
    if (isLast) for (const { loop } of readable) loop.close();
    captured = readable.map(({ loop, object }) =>
      capture(settling, loop, object, isLast ? undefined : chainFrom(incarnation, loop, n + 1)),
    );
  });
  if (cut === undefined) return undefined;
  // Partitions that stand still wait for nobody; while they run there is no hurry, and the store has other work.
  const all: (Settled | undefined)[] = [];
  if (isLast) all.push(...(await Promise.all(captured.map((one) => settleCaptured(settling, one, cut)))));
  else for (const one of captured) all.push(await settleCaptured(settling, one, cut));
  return { cut, settled: all.filter((one) => one !== undefined) };
}

/** `undefined` when one of its agents could not be settled: then memory is as unsettled as before (F4). */
async function settleCaptured(settling: Settling, captured: Captured, cut: number): Promise<Settled | undefined> {
  const { world, incarnation } = settling;
  const { loop, agents, last, position, far, entries } = captured;
  if (!(await settleAgents(settling, loop, agents))) {
    loop.takenBuckets.unshift(...far.taken);
    loop.unsettled(entries);
    return undefined;
  }
  for (const { name, bytes } of far.objects) await write(world, name, bytes, { if: "absent" });
  const etag = await writeObject(settling, captured);
  settleFar(loop, far);
  if (far.taken.length > 0) await insist(world, () => world.store.delete(far.taken));
  const freed = last.chain.filter((link) => link.incarnation !== incarnation);
  return { loop, etag, chain: chainFrom(incarnation, loop, cut + 1), heads: agents.length, freed, position };
}

/** What memory holds at the cut (F1). @param chain - `undefined`: the partition is nobody's from now on. */
function capture(
  { world, incarnation, nextNumber }: Settling,
  loop: PartitionLoop,
  last: SettledObject,
  chain: readonly ChainLink[] | undefined,
): Captured {
  const agents = [...loop.activations.values()].filter((one) => one.isUnsettled || one.uncommitted > 0);
  const position = loop.position();
  const far = captureFar(loop, world, (bucket) => bucketKey(loop.partition, bucket, incarnation, nextNumber()));
  const state = { ...loop.state, position, wakeUps: far.near, buckets: far.buckets };
  const object = {
    epoch: loop.epoch,
    owner: chain === undefined ? undefined : incarnation,
    deaths: 0,
    nonce: world.entropy.bytes(16),
    chain: chain ?? [],
    state,
  };
  const bytes = encodePartition(object, world.formats.writes);
  const entries = loop.entriesUnsettled;
  loop.settledUpToNow();
  return { far, loop, last, agents, position, bytes, entries, isLast: chain === undefined };
}

function chainFrom(incarnation: string, { epoch }: PartitionLoop, from: number): readonly ChainLink[] {
  return [{ incarnation, epoch, from, end: undefined }];
}

async function writeObject({ world }: Settling, { loop, last, bytes, isLast }: Captured): Promise<Etag> {
  const name = partitionKey(loop.partition);
  const written = await write(world, name, bytes, { if: "match", etag: last.etag });
  if (written.outcome === "stored") return written.etag;
  const { found } = written;
  // Given up by a try whose answer was lost, and another's since; or taken from us, as the next record will show. Either
  // way it is no more ours, and nothing of it is in no record.
  if (isLast && found !== undefined && decodePartition(found.bytes, name).epoch > loop.epoch) return found.etag;
  throw lostPartition(loop);
}

export function lostPartition({ partition, epoch }: Pick<PartitionLoop, "partition" | "epoch">): DormouseError {
  return new DormouseError(
    "sealed",
    "partition.lost",
    `another host owns this partition now: partition=${partition} epoch=${epoch}`,
  );
}

/** Writes the heads of these agents, as they are committed now; whether all could be: of the others, the store is damaged. */
export async function settleAgents(
  settling: Settling,
  loop: PartitionLoop,
  activations: readonly Activation[],
): Promise<boolean> {
  const areSettled: boolean[] = [];
  for (let start = 0; start < activations.length; start += headsAtOnce) {
    const some = activations.slice(start, start + headsAtOnce);
    areSettled.push(...(await Promise.all(some.map((activation) => settleAgent(settling, loop, activation)))));
  }
  return !areSettled.includes(false);
}

async function settleAgent(settling: Settling, loop: PartitionLoop, activation: Activation): Promise<boolean> {
  try {
    await writeHead(settling, loop.epoch, activation);
    return true;
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    loop.setAsideDamaged(activation.agent, error);
    return false;
  }
}

function isCorrupt(error: unknown): error is DormouseError {
  return error instanceof DormouseError && error.kind === "corrupt";
}

async function writeHead(settling: Settling, epoch: number, activation: Activation): Promise<void> {
  const { world } = settling;
  const name = headKey(activation.agent);
  for (;;) {
    const { committed: state, head, lives, steps } = activation;
    const written = steps.length;
    const seq = state?.seq ?? activation.committedSeqBefore;
    let grown: Grown | undefined;
    try {
      grown = state === undefined ? undefined : await growRun(settling, activation, state);
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      // Merged meanwhile by an owner that is late: missing only if a fresh head still names it (DESIGN.md section 11).
      const found = await insist(world, () => world.store.get(name));
      if (found?.etag === head?.etag) throw error;
      takeUpFound(world, activation, found, name, epoch);
      continue;
    }
    const nonce = world.entropy.bytes(16);
    const bytes = encodeHead({ epoch, nonce, seq, run: grown?.run, chapter: grown?.chapter }, world.formats.writes);
    const condition = head === undefined ? ({ if: "absent" } as const) : ({ if: "match", etag: head.etag } as const);
    const answer = await write(world, name, bytes, condition);
    if (answer.outcome === "stored") {
      activation.head = { etag: answer.etag, epoch, seq, kept: grown };
      activation.headLife = lives;
      if (activation.lives === lives) {
        activation.settled = state;
        activation.steps = activation.steps.slice(written);
      }
      activation.isUnsettled = activation.lives !== lives || activation.steps.length > 0;
      // Only now: a superseded object may go when the swap that superseded it is known to have succeeded.
      if (grown !== undefined && grown.superseded.length > 0) {
        await insist(world, () => world.store.delete(grown.superseded));
      }
      return;
    }
    takeUpFound(world, activation, answer.found, name, epoch);
  }
}

function growRun(settling: Settling, activation: Activation, state: AgentState): Promise<Grown> {
  const { agent, head, headLife, lives, committedSeqBefore, steps } = activation;
  const isSameLife = headLife === lives && head?.kept !== undefined;
  const kept: Kept = isSameLife ? head.kept : { run: emptyRun(committedSeqBefore), chapter: undefined };
  return grow({ ...settling, agent }, kept, steps, state);
}

/**
 * An earlier owner was late: what it wrote covers less than what we hold, and ours is built on it.
 *
 * @throws DormouseError `corrupt`: nobody who wrote in turn left it so, and the run that ours grows from is not there.
 */
function takeUpFound(
  world: World,
  activation: Activation,
  found: StoredObject | undefined,
  name: string,
  epoch: number,
): void {
  const isSameLife = activation.headLife === activation.lives;
  const head = found === undefined ? undefined : asFound(world, found, name, isSameLife);
  if (head !== undefined && head.epoch > epoch) {
    throw new DormouseError(
      "sealed",
      "partition.lost",
      `another host owns this agent's partition now: agent=${activation.agent}`,
    );
  }
  const { head: known } = activation;
  if (isSameLife && known?.kept !== undefined && (head?.seq ?? 0) < known.seq) throw lostHead(name, known.seq, head);
  activation.head = head;
  if (head !== undefined && isSameLife) {
    activation.settled = foldRun(
      activation.settled,
      activation.steps.filter(({ seq }) => seq <= head.seq),
    );
    activation.steps = activation.steps.filter(({ seq }) => seq > head.seq);
  }
}

/** Of an agent that was removed since, the head need not be readable. */
function asFound(world: World, found: StoredObject, name: string, isSameLife: boolean): ReadHead {
  try {
    return asRead(found, name);
  } catch (error) {
    if (isSameLife) throw error;
    return unknownHead(world, found);
  }
}
