/**
 * Copies of small records, many in one object, so that a takeover does not read thousands one by one.
 *
 * Owns: the records since the last bundle, the one bundle that is being written.
 * Called by journal: `add`; by tail: `listBundles`, `readBundle`; by settler: `deleteBundles`.
 *
 * U1  Only records that are durable are copied, as they are. The journal's own objects decide; who finds no bundle, or one that
 *     cannot be read, reads those.
 * U2  Nobody waits for a bundle, and none is written twice: a store that is slow, or fails, has fewer.
 */
import { DormouseError } from "../agent/errors.ts";
import { bundledRecordBytesMax } from "../agent/limits.ts";
import { decodeBundle, encodeBundle } from "../format/bundle.ts";
import { bundleKey, type BundleRange, bundleRange, bundlesPrefix, recordKey } from "../format/keys.ts";
import { insist, type World } from "./insist.ts";

const deletedAtOnce = 500;

export class Bundles {
  readonly #world: World;
  readonly #incarnation: string;
  readonly #count: number;
  /** Small records in a row, the newest last. */
  #records: Uint8Array[] = [];
  #isWriting = false;

  /** @param count - So many records become one bundle; 0: none do. */
  constructor(world: World, incarnation: string, count: number) {
    this.#world = world;
    this.#incarnation = incarnation;
    this.#count = world.store.isRemote === true ? count : 0;
  }

  /** A record is durable. */
  add(n: number, bytes: Uint8Array): void {
    if (this.#count === 0) return;
    if (bytes.length > bundledRecordBytesMax) this.#records = [];
    else if (this.#records.push(bytes) === this.#count) {
      const records = this.#records;
      this.#records = [];
      if (!this.#isWriting) void this.#write({ first: n + 1 - records.length, last: n }, records);
    }
  }

  async #write(range: BundleRange, records: readonly Uint8Array[]): Promise<void> {
    const { store, formats } = this.#world;
    this.#isWriting = true;
    await store.put(bundleKey(this.#incarnation, range), encodeBundle(records, formats.writes), { if: "absent" });
    this.#isWriting = false;
  }
}

/** Which there are of a journal, as the store lists them. */
export async function listBundles(world: World, incarnation: string): Promise<readonly BundleRange[]> {
  if (world.store.isRemote !== true) return [];
  const names = await listAll(world, bundlesPrefix(incarnation));
  return names.flatMap((name) => bundleRange(name) ?? []);
}

/** The records of a bundle by their names; none if it is gone or cannot be read (U1). */
export async function readBundle(
  world: World,
  incarnation: string,
  range: BundleRange,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const name = bundleKey(incarnation, range);
  const object = await insist(world, () => world.store.get(name));
  if (object === undefined) return new Map();
  try {
    const records = decodeBundle(object.bytes, name);
    return new Map(records.map((bytes, index) => [recordKey(incarnation, range.first + index), bytes]));
  } catch (error) {
    if (error instanceof DormouseError && error.kind === "corrupt") return new Map();
    throw error;
  }
}

/** Deletes the bundles of records below `below`, which the trim mark has passed. */
export async function deleteBundles(world: World, incarnation: string, below: number): Promise<void> {
  const ranges = await listBundles(world, incarnation);
  const names = ranges.filter(({ last }) => last < below).map((range) => bundleKey(incarnation, range));
  for (let start = 0; start < names.length; start += deletedAtOnce) {
    await insist(world, () => world.store.delete(names.slice(start, start + deletedAtOnce)));
  }
}

async function listAll(world: World, prefix: string): Promise<readonly string[]> {
  const all: string[] = [];
  for (;;) {
    const after = all.at(-1);
    const names = await insist(world, () => world.store.list(prefix, after === undefined ? {} : { after }));
    all.push(...names);
    if (names.length < 1_000) return all;
  }
}
