/**
 * Group commit: what gathers while one record is being written is the next one.
 *
 * Owns: the open record (entries by partition, in the order they were added), and the loop that writes it.
 * Leaves to others: how a record is stored (`journal.ts`), what it causes (each entry's `release`).
 * Called by partitions: `add`, `touch`, `cut`, `isFull`, `room`; by host: `drain`.
 *
 * G1  Entries are released only when their record is durable, in the order they were added (D3).
 * G2  A part's position is read when its record closes: all that it says is decided is in this record or before it (D4).
 * G3  When the journal is sealed nothing more is released: `failed` is told, once (D5).
 */
import type { Partition } from "../agent/address.ts";
import { creditBytesMax, creditEntriesMax, recordBytesMax, recordEntriesMax } from "../agent/limits.ts";
import type { Position } from "../format/partition.ts";
import type { Entry, RecordPart } from "../format/record.ts";
import type { Clock } from "../ports/index.ts";
import type { Journal } from "./journal.ts";

/** A partition as commit sees it. */
export interface Committing {
  readonly partition: Partition;
  readonly epoch: number;
  position(): Position;
}

export interface CommittedRecord {
  readonly n: number;
  readonly entries: number;
  /** As it is stored. */
  readonly bytes: number;
}

export interface CommitOptions {
  readonly clock: Clock;
  readonly journal: Journal;
  /** How long a record waits for company when another was just written, in milliseconds; 0: not at all. */
  readonly lingerMs: number;
  readonly committed: (record: CommittedRecord, bytesAtMost: number) => void;
  readonly failed: (error: unknown) => void;
}

interface Added {
  readonly part: Committing;
  readonly entry: Entry;
  readonly bytes: number;
  readonly release: () => void;
  readonly isWithNext: boolean;
}

interface Cut {
  readonly take: (n: number) => void;
  readonly durable: (n: number | undefined) => void;
}

interface OpenPart {
  readonly part: Committing;
  readonly entries: Entry[];
}

export class Commit {
  readonly #options: CommitOptions;
  /** Added and not yet in a record that is being written. */
  #queue: Added[] = [];
  #queuedBytes = 0;
  readonly #touched = new Set<Committing>();
  #cuts: Cut[] = [];
  #isRunning = false;
  /** It failed: nothing more is taken or released. */
  #isOver = false;
  #roomWaiters: (() => void)[] = [];
  #idleWaiters: (() => void)[] = [];

  constructor(options: CommitOptions) {
    this.#options = options;
  }

  /**
   * Puts an entry into the open record.
   *
   * @param bytes - About what it takes in the record.
   * @param release - Called when it is durable; lets out what it caused, and must not throw.
   * @param isWithNext - Whether it must be in one record with the entry that is added next.
   */
  add(part: Committing, entry: Entry, bytes: number, release: () => void, isWithNext: boolean = false): void {
    if (this.#isOver) return;
    this.#queue.push({ part, entry, bytes, release, isWithNext });
    this.#queuedBytes += bytes;
    this.#run();
  }

  /** The part's position moved without an entry: it goes with the next record that is written anyway. */
  touch(part: Committing): void {
    this.#touched.add(part);
  }

  /**
   * Calls `take` when a record closes: in that moment, memory holds exactly what is in records up to it. Writes a record
   * if none is due. Resolves with its number when it is durable, with `undefined` if it never will be.
   */
  cut(take: (n: number) => void): Promise<number | undefined> {
    if (this.#isOver) return Promise.resolve(undefined);
    return new Promise((durable) => {
      this.#cuts.push({ take, durable });
      this.#run();
    });
  }

  /** Whether the open record is too full for the mailbox to be given more credit. */
  isFull(): boolean {
    return this.#queue.length >= creditEntriesMax || this.#queuedBytes >= creditBytesMax;
  }

  /**
   * Resolves when there is room for more, or nothing is taken any more. All who wait are let go together, so that each
   * can add something: else a partition with a backlog could keep the others from reading.
   */
  async room(): Promise<void> {
    while (this.isFull()) await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
  }

  /** Resolves when nothing is open and nothing is being written. */
  async drain(): Promise<void> {
    if (this.#isRunning) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  #run(): void {
    if (this.#isRunning || this.#isOver) return;
    this.#isRunning = true;
    // Not at once: what arrives in this tick goes together.
    this.#options.clock.turn(() => void this.#write());
  }

  async #write(): Promise<void> {
    let cuts: Cut[] = [];
    try {
      while (this.#queue.length > 0 || this.#cuts.length > 0) {
        const { journal } = this.#options;
        const n = journal.next;
        const added = this.#close();
        // What is left in the queue is decided in memory but in no record: positions and cuts wait for it (G2).
        const isWhole = this.#queue.length === 0;
        const parts = this.#parts(added, isWhole);
        cuts = isWhole ? this.#cuts.splice(0) : [];
        for (const { take } of cuts) take(n);
        wake(this.#roomWaiters);
        const bytes = await journal.append(parts);
        this.#options.committed({ n, entries: added.length, bytes }, sum(added));
        for (const { release } of added) release();
        for (const { durable } of cuts.splice(0)) durable(n);
        if (this.#options.lingerMs > 0 && this.#queue.length > 0) await this.#linger();
      }
    } catch (error) {
      this.#drop();
      for (const { durable } of [...cuts, ...this.#cuts.splice(0)]) durable(undefined);
      this.#options.failed(error);
    }
    this.#isRunning = false;
    wake(this.#roomWaiters);
    wake(this.#idleWaiters);
  }

  /** Nothing more is taken; what is open is not written. */
  #drop(): void {
    this.#isOver = true;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  /** Takes from the queue what fits one record; at least one entry, however large. */
  #close(): Added[] {
    let count = 0;
    let bytes = 0;
    for (const added of this.#queue) {
      const isOver = count >= recordEntriesMax || bytes + added.bytes > recordBytesMax;
      if (isOver && count > 0 && this.#queue[count - 1]?.isWithNext !== true) break;
      count += 1;
      bytes += added.bytes;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  #parts(added: readonly Added[], isWhole: boolean): RecordPart[] {
    const open = new Map<Committing, OpenPart>();
    for (const { part, entry } of added) {
      const known = open.get(part);
      if (known === undefined) open.set(part, { part, entries: [entry] });
      else known.entries.push(entry);
    }
    if (isWhole) {
      for (const part of this.#touched) if (!open.has(part)) open.set(part, { part, entries: [] });
      this.#touched.clear();
    }
    return [...open.values()].map(({ part, entries }) => ({
      partition: part.partition,
      epoch: part.epoch,
      position: isWhole ? part.position() : undefined,
      entries,
    }));
  }

  #linger(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.schedule(this.#options.lingerMs, resolve);
    });
  }
}

function sum(added: readonly Added[]): number {
  return added.reduce((total, { bytes }) => total + bytes, 0);
}

function wake(waiters: (() => void)[]): void {
  for (const waiter of waiters.splice(0)) waiter();
}
