/**
 * The journal of one incarnation.
 *
 * Owns: the next record number, the hash of the last record, the one PUT in flight.
 * Leaves to others: what a record means (`step/fold.ts`), when to write one (`commit.ts`), copies of many (`bundles.ts`),
 * the reading of records (`tail.ts`).
 * Called by commit: `append(parts)`; by takeover: `sealJournal`; by settle: `raiseTrimMark`, `deleteRecords`.
 *
 * J1  One PUT is in flight at a time, so one seal is enough to end the journal (D5).
 * J2  A record number is never used twice, even when its object is long deleted (D5).
 * J3  `append` resolves only when the stored bytes are known to be ours (D3).
 * J4  A seal counts only above the trim mark, read after the seal was made or found: below it, its name may have been a
 *     record's that was deleted, and it fences nothing (FACTS.md 2.1).
 */
import { assert } from "../agent/assert.ts";
import { DormouseError } from "../agent/errors.ts";
import { type BundleRange, journalPrefix, recordKey, recordNumber, trimMarkKey } from "../format/keys.ts";
import {
  decodeJournalObject,
  decodeTrimMark,
  encodeRecord,
  encodeSeal,
  encodeTrimMark,
  recordHash,
  type RecordPart,
} from "../format/record.ts";
import type { Etag, StoredObject } from "../ports/index.ts";
import { Bundles } from "./bundles.ts";
import { insist, type World, write } from "./insist.ts";

export class Journal {
  readonly incarnation: string;
  readonly #world: World;
  readonly #bundles: Bundles;
  #next = 0;
  #previous: Uint8Array = new Uint8Array(0);
  #isAppending = false;
  #isSealed = false;
  #sealedBy: string | undefined;

  /** @param bundleRecords - As the setting of that name. */
  constructor(world: World, incarnation: string, bundleRecords: number) {
    this.#world = world;
    this.incarnation = incarnation;
    this.#bundles = new Bundles(world, incarnation, bundleRecords);
  }

  /** Who sealed it, once a record was refused for that. */
  get sealedBy(): string | undefined {
    return this.#sealedBy;
  }

  /** The number of the record that the next `append` writes. */
  get next(): number {
    return this.#next;
  }

  /**
   * Writes the next record; resolves with its size when it is durable (J3).
   *
   * @throws DormouseError `sealed` (`journal.sealed`): another host has ended this journal, the incarnation is over.
   */
  async append(parts: readonly RecordPart[]): Promise<number> {
    assert(!this.#isAppending, "one record is written at a time (J1)");
    if (this.#isSealed) throw sealedError(this.incarnation, this.#next);
    this.#isAppending = true;
    const n = this.#next;
    const nonce = this.#world.entropy.bytes(16);
    const record = { incarnation: this.incarnation, n, nonce, previous: this.#previous, parts };
    const bytes = encodeRecord(record, this.#world.formats.writes);
    const written = await write(this.#world, recordKey(this.incarnation, n), bytes, { if: "absent" });
    if (written.outcome === "refused") {
      this.#isSealed = true;
      this.#sealedBy = sealerOf(written.found, recordKey(this.incarnation, n));
      throw sealedError(this.incarnation, n);
    }
    this.#previous = recordHash(bytes);
    this.#next = n + 1;
    this.#isAppending = false;
    this.#bundles.add(n, bytes);
    return bytes.length;
  }
}

/** `undefined` if it cannot be read. */
function sealerOf(found: StoredObject | undefined, name: string): string | undefined {
  try {
    const object = found === undefined ? undefined : decodeJournalObject(found.bytes, name);
    return object?.kind === "seal" ? object.seal.by : undefined;
  } catch {
    return undefined;
  }
}

function sealedError(incarnation: string, n: number): DormouseError {
  return new DormouseError(
    "sealed",
    "journal.sealed",
    `another host has taken over from this one; it stops, and starts again as a new incarnation: ` +
      `incarnation=${incarnation} record=${n}`,
  );
}

/**
 * Ends a journal for good; resolves with the number of its seal. Also when it was sealed before.
 *
 * @param from - A number at or below its end: where to look for it.
 * @param bundles - Those of its records.
 */
export async function sealJournal(
  world: World,
  incarnation: string,
  from: number,
  by: string,
  bundles: () => Promise<readonly BundleRange[]>,
): Promise<number> {
  const seal = encodeSeal({ by, nonce: world.entropy.bytes(16) }, world.formats.writes);
  const [mark, last] = await Promise.all([readTrimMark(world, incarnation), lastListed(world, incarnation, bundles)]);
  let n = Math.max(from, mark.below, last);
  for (;;) {
    const name = recordKey(incarnation, n);
    const written = await write(world, name, seal, { if: "absent" });
    const isSeal =
      written.outcome === "stored" ||
      (written.found !== undefined && decodeJournalObject(written.found.bytes, name).kind === "seal");
    if (!isSeal) {
      n += 1;
      continue;
    }
    const { below } = await readTrimMark(world, incarnation);
    if (below <= n) return n;
    n = below;
  }
}

/** A hint at the end, to save probing record by record; the probe decides. */
async function lastListed(
  world: World,
  incarnation: string,
  bundles: () => Promise<readonly BundleRange[]>,
): Promise<number> {
  let last = 0;
  for (;;) {
    const options = last === 0 ? {} : { after: recordKey(incarnation, last) };
    const names = await insist(world, () => world.store.list(journalPrefix(incarnation), options));
    for (const name of names) last = Math.max(last, recordNumber(name) ?? 0);
    if (names.length < 1_000) return last;
    // There is no need to list what is in bundles.
    for (const range of await bundles()) last = Math.max(last, range.last);
  }
}

export interface FoundTrimMark {
  readonly below: number;
  readonly etag: Etag | undefined;
}

export async function readTrimMark(world: World, incarnation: string): Promise<FoundTrimMark> {
  const name = trimMarkKey(incarnation);
  const object = await insist(world, () => world.store.get(name));
  if (object === undefined) return { below: 0, etag: undefined };
  return { below: decodeTrimMark(object.bytes, name).below, etag: object.etag };
}

/** Makes the mark at least `below`, durably: it goes before any delete (J4). */
export async function raiseTrimMark(world: World, incarnation: string, below: number): Promise<void> {
  for (;;) {
    const mark = await readTrimMark(world, incarnation);
    if (mark.below >= below) return;
    const bytes = encodeTrimMark({ below, nonce: world.entropy.bytes(16) }, world.formats.writes);
    const condition =
      mark.etag === undefined ? ({ if: "absent" } as const) : ({ if: "match", etag: mark.etag } as const);
    const written = await write(world, trimMarkKey(incarnation), bytes, condition);
    if (written.outcome === "stored") return;
  }
}

/** Deletes the records from `from` to below `below`; the mark must have passed them. */
export async function deleteRecords(world: World, incarnation: string, from: number, below: number): Promise<void> {
  const names = Array.from({ length: Math.max(0, below - from) }, (_, index) => recordKey(incarnation, from + index));
  for (let start = 0; start < names.length; start += 500) {
    await insist(world, () => world.store.delete(names.slice(start, start + 500)));
  }
}
