/**
 * Mailbox and objects in one folder: an LMDB environment that several processes may open at once.
 *
 * Owns: the environment, its databases (`objects`, `messages`, `streams`, `records`), the format marker.
 * Leaves to others: who may be the folder's host (`lock.ts`), how other processes reach it (`socket.ts`).
 *
 * L1  Every change is one LMDB transaction, committed and synced before its promise resolves. `overlappingSync` is off:
 *     with it, a commit is visible, and acknowledged, before it is on disk.
 * L2  Conditions are checked inside the transaction that writes, under LMDB's lock over all processes (O2).
 * L3  An ETag is the number of its transaction, which never comes twice, and a count within it (O3).
 * L4  A stream remembers its last number and time apart from its messages, so neither goes back when it is trimmed (M1).
 * L5  What is read is looked up in a fresh read transaction, so it includes what other processes committed (O1).
 *
 * `eventTurnBatching` is off too: with it, lmdb 3.5.6 answers a full disk with a rejection that nobody can handle, and
 * the process ends.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { chmod, link, mkdir, open as openFile, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  DormouseError,
  type Clock,
  type Entropy,
  type Etag,
  type Mailbox,
  type MailboxMessage,
  type MailboxReader,
  type ObjectStore,
  type Partition,
  type Place,
  type PutAnswer,
  type PutCondition,
} from "@dormouse/core/ports";
import { open, type Database, type RootDatabase } from "lmdb";
import { findDamage } from "./data-file.ts";
import {
  folderError,
  folderMissing,
  mailboxClosed,
  mailboxFull,
  mailboxInterrupted,
  mailboxNoAck,
  mailboxNoStream,
  storeClosed,
  storeCorrupt,
  storeVersion,
} from "./errors.ts";
import { writeBegan, writeEnded } from "./exit.ts";
import { PullReader } from "./reader.ts";

/** What a folder is opened with. */
export interface FolderOptions {
  readonly clock: Pick<Clock, "now" | "schedule">;
  readonly entropy: Entropy;
  /** Whether to make the folder if it is not there. Default: true. */
  readonly create?: boolean;
}

/** A record that processes change by compare and replace. */
export interface FolderRecord {
  read(): string | undefined;
  /** Stores `next` (or removes the record) if it still is `expected`; whether it did. */
  replace(expected: string | undefined, next: string | undefined): Promise<boolean>;
}

/** A folder's mailbox and objects. */
export interface LocalFolder {
  /** The absolute path. */
  readonly path: string;
  readonly mailbox: Mailbox;
  readonly store: ObjectStore;
  /** Who is the folder's host. */
  readonly hostRecord: FolderRecord;
  /** Waits for what is being written, then closes; readers end with `mailbox.closed`. */
  close(): Promise<void>;
}

const folderFormat = "dormouse-folder";
const folderVersion = 1;
const dataFileName = "data.mdb";
const markerFileName = "format.json";

/** Room for some 250 readers, LMDB's own default being 126. */
const lockFileBytes = 16_384;
/** What a new folder takes at first, generously. */
const beginBytes = 262_144;
const nameBytesMax = 1_024;
const listLimitMax = 1_000;
const trimMessagesMax = 2_000;
/** What one pull hands out, beyond its first message. */
const pullBytesMax = 4_194_304;
/** Only a message that another process appended while no host ran can come without a wake-up. */
const recheckMs = 1_000;
const timestampStepMs = 1 / 1_024;
const timestampBytes = 8;
const etagsPerTransaction = 4_096;

/**
 * Opens the mailbox and the objects of a folder, and makes the folder (mode 0700) if it is not there.
 *
 * Any number of processes may have it open; that only one runs a host on it is up to `openHostFolder`.
 *
 * @throws DormouseError `unavailable` (`store.full`, `folder.missing`, `store.unavailable`); `invalid`
 * (`store.not-writable`; `store.version`: a newer Dormouse wrote it); `corrupt` (`store.corrupt`).
 * @example
 * ```ts
 * const folder = await openFolder("./.dormouse", { clock: realClock, entropy: realEntropy });
 * await folder.mailbox.create(8);
 * await folder.close();
 * ```
 * @see DESIGN.md, section 5
 */
export async function openFolder(folder: string, options: FolderOptions): Promise<LocalFolder> {
  const path = resolve(folder);
  try {
    if (!existsSync(join(path, dataFileName)) && options.create === false) throw folderMissing(path);
    await makeFolder(path);
    const isMarked = await checkMarker(path);
    if (isMarked) checkDataFile(path);
    await reserveLockFile(path, options.entropy);
    const environment = openEnvironment(path);
    try {
      if (!isMarked) await writeMarker(path, options.entropy);
      return new LmdbFolder(path, environment, options);
    } catch (error) {
      await environment.close();
      throw error;
    }
  } catch (error) {
    throw folderError(path, error);
  }
}

/** A folder that was there, with something in it, keeps its mode: it may be more than ours. */
async function makeFolder(path: string): Promise<void> {
  const isNew = !existsSync(path);
  await makePath(path);
  if (isNew) await syncFolder(dirname(path));
  else if (readdirSync(path).length === 0) await chmod(path, 0o700);
}

/** Like `mkdir` with `recursive`, which never comes back from where nothing can be made, as below /proc. */
async function makePath(path: string): Promise<void> {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  if (!existsSync(dirname(path))) await makePath(dirname(path));
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    // Another process was faster.
    if (error.code !== "EEXIST" || !statSync(path).isDirectory()) throw error;
  });
}

/** Whether the folder carries our marker; it is written last, so a marked folder is a complete one. */
async function checkMarker(path: string): Promise<boolean> {
  let text: string;
  try {
    text = await readFile(join(path, markerFileName), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
  const marker = parseMarker(text);
  if (marker === undefined) throw storeCorrupt(path, `${markerFileName} cannot be read`);
  if (marker.version > folderVersion) {
    throw storeVersion(path, `it is of format ${marker.version} and this version knows ${folderVersion}`);
  }
  return true;
}

function parseMarker(text: string): { readonly version: number } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("format" in value) || !("version" in value)) return undefined;
  if (value.format !== folderFormat || typeof value.version !== "number") return undefined;
  return { version: value.version };
}

function checkDataFile(path: string): void {
  const file = join(path, dataFileName);
  if (!existsSync(file)) throw storeCorrupt(path, `${dataFileName} is missing`);
  const damage = findDamage(file);
  if (damage !== undefined) throw storeCorrupt(path, damage);
}

/**
 * LMDB maps its lock file and lets the file system fill it in later, which on a full disk ends the process by SIGBUS.
 * So it is written before; an environment that is new to LMDB takes zeros for a new lock file, of whatever size. It is
 * written larger than it stays: lmdb 3.5.6 does not survive a disk that has no room for the first pages of its data.
 */
async function reserveLockFile(path: string, entropy: Entropy): Promise<void> {
  const name = join(path, `${dataFileName}-lock`);
  if (existsSync(name)) return;
  const draft = draftName(name, entropy);
  try {
    await writeFile(draft, new Uint8Array(beginBytes), { flag: "wx", mode: 0o600 });
    await truncate(draft, lockFileBytes);
    // Not by renaming: where another process was faster, LMDB has its file open.
    await link(draft, name).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
}

function draftName(file: string, entropy: Entropy): string {
  return `${file}.${Buffer.from(entropy.bytes(6)).toString("hex")}`;
}

async function writeMarker(path: string, entropy: Entropy): Promise<void> {
  const draft = draftName(join(path, markerFileName), entropy);
  const file = await openFile(draft, "wx", 0o600);
  await file.writeFile(`${JSON.stringify({ format: folderFormat, version: folderVersion })}\n`);
  await file.sync();
  await file.close();
  await rename(draft, join(path, markerFileName));
  await syncFolder(path);
}

/** Makes new names in a folder durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await openFile(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function openEnvironment(path: string): RootDatabase {
  const environmentOptions = {
    path: join(path, dataFileName),
    noSubdir: true,
    maxDbs: 8,
    overlappingSync: false,
    eventTurnBatching: false,
    // Bytes of other agents, or of this process's memory, do not belong in unused parts of a page.
    noMemInit: false,
    permissionsMode: 0o600,
  };
  return open(environmentOptions);
}

interface StreamRecord {
  /** The stream's name for all time. */
  readonly stream: string;
  readonly lastSequence: number;
  readonly lastAt: number;
}

class LmdbFolder implements LocalFolder {
  readonly path: string;
  readonly mailbox: Mailbox;
  readonly store: ObjectStore;
  readonly hostRecord: FolderRecord;
  readonly #environment: RootDatabase;
  readonly #options: FolderOptions;
  readonly #objects: Database<Buffer, Uint8Array>;
  readonly #messages: Database<Buffer, Uint8Array>;
  readonly #streams: Database<StreamRecord, number>;
  readonly #records: Database<string, string>;
  readonly #readers = new Map<number, Set<PullReader>>();
  /** What is known of streams, as long as no other process has written since (`#transaction`). */
  readonly #known = new Map<number, StreamRecord>();
  readonly #writing = new Set<Promise<unknown>>();
  #transaction = 0;
  #etagsInTransaction = 0;
  #isClosed = false;

  constructor(path: string, environment: RootDatabase, options: FolderOptions) {
    this.path = path;
    this.#environment = environment;
    this.#options = options;
    const binary = { encoding: "binary", keyEncoding: "binary" } as const;
    this.#objects = environment.openDB({ name: "objects", ...binary, useVersions: true });
    this.#messages = environment.openDB({ name: "messages", ...binary });
    this.#streams = environment.openDB({ name: "streams", encoding: "json" });
    this.#records = environment.openDB({ name: "records", encoding: "string" });
    this.store = this.#openStore();
    this.mailbox = this.#openMailbox();
    this.hostRecord = this.#openRecord("host");
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const readers of this.#readers.values()) for (const reader of readers) reader.close();
    await Promise.allSettled(this.#writing);
    await this.#environment.close();
  }

  #openStore(): ObjectStore {
    return {
      get: async (name) => {
        this.#prepareRead();
        const entry = this.#read(() => this.#objects.getEntry(encodeName(name)));
        if (entry === undefined) return undefined;
        return { bytes: Uint8Array.from(entry.value), etag: encodeEtag(entry.version ?? 0) };
      },
      put: async (name, bytes, condition) => {
        try {
          const key = encodeName(name);
          const copy = Buffer.from(bytes);
          return await this.#write(() => this.#put(key, copy, condition));
        } catch (cause) {
          return { outcome: "unknown", cause };
        }
      },
      list: async (prefix, options = {}) => {
        this.#prepareRead();
        return this.#read(() =>
          this.#list(prefix, options.after, Math.min(options.limit ?? listLimitMax, listLimitMax)),
        );
      },
      delete: async (names) => {
        const keys = names.map(encodeName);
        await this.#write(() => {
          for (const key of keys) this.#objects.removeSync(key);
        });
      },
    };
  }

  #openMailbox(): Mailbox {
    return {
      create: (count) =>
        this.#write(() => {
          for (let partition = 0; partition < count; partition += 1) {
            if (this.#streams.get(partition) !== undefined) continue;
            const stream = Buffer.from(this.#options.entropy.bytes(16)).toString("hex");
            this.#streams.putSync(partition, { stream, lastSequence: 0, lastAt: 0 });
          }
        }).catch((cause: unknown) => {
          throw mailboxError(cause);
        }),
      append: (partition, bytes) => this.#append(partition, bytes),
      // One disk has one measure of full: a barrier finds no more room than a message does.
      barrier: (partition, bytes) => this.#append(partition, bytes),
      trim: (partition, below) => this.#trim(partition, below),
      read: (partition, from) => this.#openReader(partition, from),
    };
  }

  #openRecord(name: string): FolderRecord {
    return {
      read: () => {
        this.#prepareRead();
        return this.#read(() => this.#records.get(name));
      },
      replace: (expected, next) =>
        this.#write(() => {
          if (this.#records.get(name) !== expected) return false;
          if (next === undefined) this.#records.removeSync(name);
          else this.#records.putSync(name, next);
          return true;
        }),
    };
  }

  /** Within a transaction. */
  #put(key: Buffer, bytes: Buffer, condition: PutCondition): PutAnswer {
    if (condition.if === "absent" && this.#objects.doesExist(key)) return { outcome: "refused" };
    if (condition.if === "match") {
      const version = decodeEtag(condition.etag);
      if (version === undefined || this.#objects.getEntry(key)?.version !== version) return { outcome: "refused" };
    }
    this.#etagsInTransaction += 1;
    const version = this.#transaction * etagsPerTransaction + (this.#etagsInTransaction % etagsPerTransaction);
    this.#objects.putSync(key, bytes, version);
    return { outcome: "stored", etag: encodeEtag(version) };
  }

  #list(prefix: string, after: string | undefined, limit: number): readonly string[] {
    const prefixBytes = Buffer.from(prefix);
    const afterBytes = after === undefined ? undefined : Buffer.from(after);
    const isAfterFirst = afterBytes !== undefined && Buffer.compare(afterBytes, prefixBytes) > 0;
    const start = isAfterFirst ? afterBytes : prefixBytes;
    const names: string[] = [];
    if (limit <= 0) return names;
    for (const key of this.#objects.getKeys(start.length === 0 ? {} : { start })) {
      const bytes = Buffer.from(key);
      if (!bytes.subarray(0, prefixBytes.length).equals(prefixBytes)) break;
      if (afterBytes !== undefined && bytes.equals(afterBytes)) continue;
      names.push(bytes.toString("utf8"));
      if (names.length === limit) break;
    }
    return names;
  }

  async #append(partition: Partition, bytes: Uint8Array): Promise<Place> {
    const value = Buffer.allocUnsafe(timestampBytes + bytes.length);
    value.set(bytes, timestampBytes);
    let place: Place;
    try {
      place = await this.#write(() => this.#appendNow(partition, value));
    } catch (cause) {
      throw mailboxError(cause, partition);
    }
    for (const reader of this.#readers.get(partition) ?? []) reader.wake();
    return place;
  }

  /** Within a transaction. */
  #appendNow(partition: Partition, value: Buffer): Place {
    for (;;) {
      const known = this.#known.get(partition) ?? this.#lookUpStream(partition);
      if (known === undefined) throw mailboxNoStream(partition);
      const nowMs = this.#options.clock.now();
      const lastAt = nowMs > known.lastAt ? nowMs : known.lastAt + timestampStepMs;
      const lastSequence = known.lastSequence + 1;
      value.writeDoubleBE(lastAt, 0);
      const isNew = this.#messages.putSync(messageKey(partition, lastSequence), value, { noOverwrite: true });
      // A commit of ours that failed may have let another process in without our noticing.
      if (hasFailed(isNew)) {
        this.#known.delete(partition);
        continue;
      }
      this.#known.set(partition, { stream: known.stream, lastSequence, lastAt });
      return { sequence: lastSequence, at: lastAt, stream: known.stream };
    }
  }

  /** A stream's record, brought up to its newest message. */
  #lookUpStream(partition: number): StreamRecord | undefined {
    const record = this.#streams.get(partition);
    if (record === undefined) return undefined;
    const range = { start: messageKey(partition + 1, 0), end: messageKey(partition, 0), reverse: true, limit: 1 };
    for (const { key, value } of this.#messages.getRange(range)) {
      const lastSequence = sequenceOf(key);
      if (partitionOf(key) !== partition || lastSequence <= record.lastSequence) continue;
      return { stream: record.stream, lastSequence, lastAt: value.readDoubleBE(0) };
    }
    return record;
  }

  async #trim(partition: Partition, below: number): Promise<void> {
    const range = {
      start: messageKey(partition, 0),
      end: messageKey(partition, Math.max(0, below)),
      limit: trimMessagesMax,
    };
    try {
      for (let isDone = false; !isDone;) {
        isDone = await this.#write(() => {
          const record = this.#lookUpStream(partition);
          if (record === undefined) throw mailboxNoStream(partition);
          const keys = [...this.#messages.getKeys(range)].map((key) => Buffer.from(key));
          // Before the newest message goes, its number and time are kept apart from it (L4).
          if (keys.length > 0) this.#streams.putSync(partition, record);
          for (const key of keys) this.#messages.removeSync(key);
          return keys.length < trimMessagesMax;
        });
      }
    } catch (cause) {
      throw mailboxError(cause, partition);
    }
  }

  #openReader(partition: Partition, from: number): MailboxReader {
    const readers = this.#readers.get(partition) ?? new Set();
    this.#readers.set(partition, readers);
    const reader = new PullReader({
      from,
      recheckMs,
      clock: this.#options.clock,
      pull: async (next, messagesMax) => this.#pull(partition, next, messagesMax),
      ended: () => void readers.delete(reader),
    });
    readers.add(reader);
    if (this.#isClosed) reader.close();
    return reader;
  }

  #pull(partition: Partition, from: number, messagesMax: number): readonly MailboxMessage[] {
    if (this.#isClosed) throw mailboxClosed();
    try {
      this.#environment.resetReadTxn();
      const record = this.#streams.get(partition);
      if (record === undefined) throw mailboxInterrupted(partition, "it has no stream");
      const start = messageKey(partition, Math.max(0, from));
      const range = { start, end: messageKey(partition + 1, 0), limit: messagesMax };
      const messages: MailboxMessage[] = [];
      let bytesLeft = pullBytesMax;
      for (const { key, value } of this.#messages.getRange(range)) {
        bytesLeft -= value.length;
        if (bytesLeft < 0 && messages.length > 0) break;
        const bytes = Uint8Array.from(value.subarray(timestampBytes));
        messages.push({ sequence: sequenceOf(key), at: value.readDoubleBE(0), stream: record.stream, bytes });
      }
      return messages;
    } catch (cause) {
      if (cause instanceof DormouseError) throw cause;
      throw mailboxInterrupted(partition, "the folder did not answer", folderError(this.path, cause));
    }
  }

  #prepareRead(): void {
    if (this.#isClosed) throw storeClosed(this.path);
    this.#environment.resetReadTxn();
  }

  #read<T>(lookUp: () => T): T {
    try {
      return lookUp();
    } catch (cause) {
      throw folderError(this.path, cause);
    }
  }

  /** Runs `change` in a transaction of its own or with others, in the order of the calls; resolves when it is on disk (L1). */
  async #write<T>(change: () => T): Promise<T> {
    if (this.#isClosed) throw storeClosed(this.path);
    const writing = this.#environment.transaction(() => {
      this.#noteTransaction();
      return change();
    });
    this.#writing.add(writing);
    writeBegan(writing);
    try {
      return await writing;
    } catch (error) {
      // Nothing of this transaction is stored, so what was learnt in it is not so.
      this.#known.clear();
      throw folderError(this.path, await commitCause(error));
    } finally {
      this.#writing.delete(writing);
      writeEnded(writing);
    }
  }

  #noteTransaction(): void {
    const transaction = this.#environment.getWriteTxnId();
    if (transaction === this.#transaction) return;
    if (transaction !== this.#transaction + 1) this.#known.clear();
    this.#transaction = transaction;
    this.#etagsInTransaction = 0;
  }
}

/** Why a commit failed. lmdb reports that by a second promise, which ends the process if nobody handles it. */
async function commitCause(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !("commitError" in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (cause) {
    return cause;
  }
}

/** lmdb's declarations say `void`, its code returns whether the value was stored. */
function hasFailed(stored: unknown): boolean {
  return stored === false;
}

function mailboxError(cause: unknown, partition: number = 0): DormouseError {
  if (!(cause instanceof DormouseError)) return mailboxNoAck(cause);
  if (cause.code === "store.full") return mailboxFull(partition, cause);
  if (cause.code === "store.closed") return mailboxClosed();
  return cause.code.startsWith("mailbox.") ? cause : mailboxNoAck(cause);
}

function encodeName(name: string): Buffer {
  const bytes = Buffer.from(name);
  if (bytes.length > 0 && bytes.length <= nameBytesMax) return bytes;
  const message = `an object's name has 1 to ${nameBytesMax} bytes of UTF-8: bytes=${bytes.length}`;
  throw new DormouseError("invalid", "store.name", message);
}

function encodeEtag(version: number): Etag {
  return version.toString(36) as Etag;
}

function decodeEtag(etag: Etag): number | undefined {
  const version = Number.parseInt(etag, 36);
  return encodeEtag(version) === etag ? version : undefined;
}

/** Two bytes of partition, six of number: the order of keys is the order of messages. */
function messageKey(partition: number, sequence: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeUInt16BE(partition, 0);
  key.writeUIntBE(sequence, 2, 6);
  return key;
}

function partitionOf(key: Uint8Array): number {
  return Buffer.from(key).readUInt16BE(0);
}

function sequenceOf(key: Uint8Array): number {
  return Buffer.from(key).readUIntBE(2, 6);
}
