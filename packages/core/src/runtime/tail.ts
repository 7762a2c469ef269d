/**
 * The records of a sealed journal that a takeover reads: each once for all partitions of it, from bundles where there are.
 *
 * Called by takeover: `readTail`; by whoever claims: `RecordObjects`.
 */
import { DormouseError } from "../agent/errors.ts";
import { type BundleRange, recordKey } from "../format/keys.ts";
import { decodeJournalObject, type JournalRecord, recordHash } from "../format/record.ts";
import { listBundles, readBundle } from "./bundles.ts";
import { insist, type World } from "./insist.ts";
import { type FoundTrimMark, readTrimMark } from "./journal.ts";

/** Records, or bundles, that are read at once. */
const readAtOnce = 64;

/**
 * The records of a sealed journal from `from` (or its trim mark, if that is higher) up to its seal at `end`, in order.
 * `undefined` when one is missing: its owner has settled and trimmed meanwhile, so read the partition object again.
 *
 * @throws DormouseError `corrupt`, naming the object: what it held nobody can know, so its partitions stop.
 */
export async function readTail(
  incarnation: string,
  from: number,
  end: number,
  objects: RecordObjects,
): Promise<readonly JournalRecord[] | undefined> {
  const [below] = await Promise.all([objects.trimmedBelow(incarnation), objects.bundles(incarnation)]);
  const first = Math.max(from, below);
  await objects.unbundle(incarnation, first, end);
  const names = Array.from({ length: Math.max(0, end - first) }, (_, index) => recordKey(incarnation, first + index));
  const records: JournalRecord[] = [];
  let previous: Uint8Array | undefined;
  for (let start = 0; start < names.length; start += readAtOnce) {
    const read = await Promise.all(names.slice(start, start + readAtOnce).map((name) => objects.get(name)));
    for (const [index, found] of read.entries()) {
      if (found === undefined) return undefined;
      if (found.record === undefined) return records;
      checkLink(found.record, previous, names[start + index] ?? "");
      previous = found.hash;
      records.push(found.record);
    }
  }
  return records;
}

interface ReadRecord {
  /** `undefined` of a seal. */
  readonly record: JournalRecord | undefined;
  readonly hash: Uint8Array;
}

/**
 * Records read and decoded once for all the partitions of one takeover: each holds parts of many. And bundles, and trim marks:
 * one that has risen since only means that a record is found missing.
 */
export class RecordObjects {
  readonly #world: World;
  readonly #read = new Map<string, Promise<ReadRecord | undefined>>();
  readonly #marks = new Map<string, Promise<FoundTrimMark>>();
  readonly #listed = new Map<string, Promise<readonly BundleRange[]>>();
  readonly #unbundled = new Map<BundleRange, Promise<void>>();

  constructor(world: World) {
    this.#world = world;
  }

  /** @throws DormouseError `corrupt`, naming the object. */
  get(name: string): Promise<ReadRecord | undefined> {
    return known(this.#read, name, () => this.#get(name));
  }

  async trimmedBelow(incarnation: string): Promise<number> {
    const mark = await known(this.#marks, incarnation, () => readTrimMark(this.#world, incarnation));
    return mark.below;
  }

  /** The bundles of a journal. */
  bundles(incarnation: string): Promise<readonly BundleRange[]> {
    return known(this.#listed, incarnation, () => listBundles(this.#world, incarnation));
  }

  /** Reads the bundles that hold any of these records. */
  async unbundle(incarnation: string, first: number, end: number): Promise<void> {
    const bundles = await this.bundles(incarnation);
    const needed = bundles.filter((range) => range.first < end && range.last >= first);
    for (let start = 0; start < needed.length; start += readAtOnce) {
      const some = needed.slice(start, start + readAtOnce);
      await Promise.all(some.map((range) => known(this.#unbundled, range, () => this.#unbundle(incarnation, range))));
    }
  }

  async #unbundle(incarnation: string, range: BundleRange): Promise<void> {
    for (const [name, bytes] of await readBundle(this.#world, incarnation, range)) {
      if (!this.#read.has(name)) this.#read.set(name, Promise.resolve(readRecord(bytes, name)));
    }
  }

  async #get(name: string): Promise<ReadRecord | undefined> {
    const object = await insist(this.#world, () => this.#world.store.get(name));
    return object === undefined ? undefined : readRecord(object.bytes, name);
  }

  /** One that was missing may be there after its owner is sealed: read it anew. */
  forget(): void {
    for (const read of [this.#read, this.#marks, this.#listed, this.#unbundled]) read.clear();
  }
}

function known<K, V>(all: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const found = all.get(key) ?? make();
  all.set(key, found);
  return found;
}

/** @throws DormouseError `corrupt`, naming the object. */
function readRecord(bytes: Uint8Array, name: string): ReadRecord {
  const decoded = decodeJournalObject(bytes, name);
  return { record: decoded.kind === "seal" ? undefined : decoded.record, hash: recordHash(bytes) };
}

function checkLink(record: JournalRecord, previous: Uint8Array | undefined, name: string): void {
  if (previous === undefined || previous.every((byte, index) => byte === record.previous[index])) return;
  throw new DormouseError(
    "corrupt",
    "record.chain",
    `a journal record does not follow the one before it; one of the two is not what was written: object=${name}`,
  );
}
