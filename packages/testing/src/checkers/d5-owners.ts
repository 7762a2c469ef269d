/**
 * D5: two hosts that both believe they own a partition cannot both commit to it.
 *
 * By what is stored, in the order in which it was:
 * - a journal's records are numbered without gaps, each name is used once, and none comes after a seal that stands
 * - partition objects: epochs never fall, each epoch has one owner, and who takes over from an owner has its journal
 *   sealed, where the chain says
 * - who ends because its journal is sealed is right: it is
 * - a record speaks only of partitions that its incarnation owns then, at that epoch
 * - heads, marks and partition objects change by compare-and-swap alone; all else is written once
 * - a mark only rises, and passes a record before that is deleted; no record is deleted of which a partition object
 *   still needs an entry
 *
 * Does not verify that what is settled is right: books would show it (D4).
 */
import type { Checker, Observation, Violation } from "./checker.ts";
import {
  journalKindOf,
  readPartition,
  readRecord,
  readTrimMark,
  type StoredPartition,
  type StoredRecord,
} from "./stored.ts";

interface Journal {
  readonly records: Map<number, StoredRecord>;
  next: number;
  /** Where a seal stands that is above the mark. */
  seal: number | undefined;
  mark: number;
}

const swappedOnly = /^(?:partitions\/\d+|agents\/.*\/head|journal\/[^/]+\/trim)$/;

export class OwnersChecker implements Checker {
  readonly name = "D5 owners";
  readonly #violations: Violation[] = [];
  readonly #journals = new Map<string, Journal>();
  readonly #partitions = new Map<number, StoredPartition>();
  /** By partition and epoch. */
  readonly #owners = new Map<string, string>();
  readonly #names = new Set<string>();
  /** By party. */
  readonly #incarnations = new Map<string, string>();
  #atMs = 0;

  observe(observation: Observation): void {
    this.#atMs = observation.atMs;
    if (observation.type === "deleted") this.#delete(observation.name);
    if (observation.type === "host-ended" && observation.why.is === "sealed") this.#checkSealed(observation.party);
    if (observation.type !== "stored") return;
    const { name, bytes, condition, party } = observation;
    this.#checkCondition(name, condition, party);
    const [room = "", middle = "", last = ""] = name.split("/");
    if (room === "probe") this.#begin(party, middle);
    if (room === "partitions" && last === "") this.#swap(Number(middle), readPartition(bytes), party);
    if (room !== "journal") return;
    const journal = this.#journal(middle);
    switch (journalKindOf(bytes)) {
      case "record":
        return this.#append(journal, middle, Number(last), readRecord(bytes));
      case "seal":
        // A seal below the mark is void: its name was a record's that is deleted.
        if (Number(last) >= journal.mark) journal.seal ??= Number(last);
        return;
      case "trim": {
        const { below } = readTrimMark(bytes);
        if (below < journal.mark) this.#broken(`the mark of ${middle} falls from ${journal.mark} to ${below}`);
        journal.mark = Math.max(journal.mark, below);
      }
    }
  }

  finish(): readonly Violation[] {
    return this.#violations;
  }

  /** An incarnation probes the store before all else, under its own name; a process begins another when it is sealed. */
  #begin(party: string, incarnation: string): void {
    if (this.#incarnations.get(party) === incarnation) return;
    this.#checkSealed(party);
    this.#incarnations.set(party, incarnation);
  }

  #checkSealed(party: string): void {
    const incarnation = this.#incarnations.get(party);
    if (incarnation === undefined || this.#journal(incarnation).seal !== undefined) return;
    this.#broken(`${party} ends as sealed, and the journal of ${incarnation} is not`);
  }

  #append(journal: Journal, incarnation: string, n: number, record: StoredRecord): void {
    // One that lands late on the name of a deleted record is void: nobody reads below the mark.
    if (n < journal.mark) return;
    const name = `record ${n} of ${incarnation}`;
    if (record.incarnation !== incarnation || record.n !== n) this.#broken(`${name} says that it is another`);
    if (n !== journal.next) this.#broken(`${name} is stored where ${journal.next} was due`);
    if (journal.seal !== undefined) this.#broken(`${name} is stored though the journal was sealed at ${journal.seal}`);
    journal.next = n + 1;
    journal.records.set(n, record);
    for (const { partition, epoch } of record.parts) {
      const owner = this.#owners.get(`${partition} ${epoch}`);
      if (owner !== incarnation) {
        this.#broken(`${name} speaks of partition ${partition} at epoch ${epoch}, which is ${owner ?? "nobody"}'s`);
      }
      const { epoch: newest } = this.#partitions.get(partition) ?? { epoch: 0 };
      if (newest > epoch) {
        this.#broken(`${name} speaks of partition ${partition} at epoch ${epoch}, which is at ${newest}`);
      }
    }
  }

  #swap(partition: number, object: StoredPartition, party: string): void {
    const before = this.#partitions.get(partition);
    this.#partitions.set(partition, object);
    const { epoch, owner, chain } = object;
    const name = `partition ${partition}`;
    if (before !== undefined && epoch < before.epoch) {
      this.#broken(`${party} puts ${name} back from epoch ${before.epoch} to ${epoch}`);
    }
    if (owner === undefined) return;
    const known = this.#owners.get(`${partition} ${epoch}`);
    if (known !== undefined && known !== owner)
      this.#broken(`${name} has two owners at epoch ${epoch}: ${known}, ${owner}`);
    this.#owners.set(`${partition} ${epoch}`, owner);
    if (before?.owner !== undefined && before.owner !== owner && this.#journal(before.owner).seal === undefined) {
      this.#broken(`${owner} takes ${name} over from ${before.owner}, whose journal is not sealed`);
    }
    for (const link of chain) {
      const { seal } = this.#journal(link.incarnation);
      if (link.incarnation === owner ? link.end !== undefined : link.end !== seal) {
        this.#broken(`the chain of ${name} ends ${link.incarnation} at ${link.end}, which is sealed at ${seal}`);
      }
    }
  }

  #delete(name: string): void {
    const [room = "", incarnation = "", last = ""] = name.split("/");
    if (swappedOnly.test(name)) this.#broken(`${name} is deleted`);
    if (room !== "journal") return;
    const journal = this.#journal(incarnation);
    const n = Number(last);
    if (n >= journal.mark) this.#broken(`record ${n} of ${incarnation} is deleted above the mark ${journal.mark}`);
    if (n === journal.seal) this.#broken(`the seal ${n} of ${incarnation} is deleted`);
    for (const { partition, epoch, entries } of journal.records.get(n)?.parts ?? []) {
      if (entries.length === 0) continue;
      const link = this.#partitions
        .get(partition)
        ?.chain.find((one) => one.incarnation === incarnation && one.epoch === epoch);
      if (link === undefined || link.from > n) continue;
      this.#broken(`record ${n} of ${incarnation} is deleted, which partition ${partition} needs from ${link.from} on`);
    }
  }

  #checkCondition(name: string, condition: string, party: string): void {
    const isNew = !this.#names.has(name);
    this.#names.add(name);
    const isSwapped = swappedOnly.test(name);
    if (condition === "any" || (!isSwapped && condition === "match" && !name.startsWith("probe/"))) {
      this.#broken(`${party} writes ${name} if ${condition}`);
    }
    if (isNew || isSwapped || name.startsWith("probe/")) return;
    // A seal may land on the name of a deleted record: it is void then.
    const [room = "", incarnation = "", last = ""] = name.split("/");
    if (room === "journal" && Number(last) < this.#journal(incarnation).mark) return;
    this.#broken(`${party} writes ${name} a second time`);
  }

  #journal(incarnation: string): Journal {
    const known = this.#journals.get(incarnation);
    if (known !== undefined) return known;
    const journal: Journal = { records: new Map(), next: 0, seal: undefined, mark: 0 };
    this.#journals.set(incarnation, journal);
    return journal;
  }

  #broken(message: string): void {
    this.#violations.push({ invariant: "D5", message, atMs: this.#atMs });
  }
}
