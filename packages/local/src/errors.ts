/** The errors of the local drivers: what LMDB, the file system and the socket report, in Dormouse's words. */
import { statfsSync } from "node:fs";
import { DormouseError } from "@dormouse/core/ports";

const outOfSpaceCodes: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EFBIG", 28, 122, 27]);
/** As Node names them, and as LMDB numbers them. */
const notWritableCodes: ReadonlySet<unknown> = new Set([
  "EACCES",
  "EPERM",
  "EROFS",
  "ENOTDIR",
  "EEXIST",
  "ENOENT",
  13,
  1,
  30,
  20,
  17,
]);
/** What a write that stopped half-way, as the last one on a full disk does, is for LMDB: EIO, and MDB_BAD_TXN after it. */
const halfWrittenCodes: ReadonlySet<unknown> = new Set(["EIO", 5, -30_782]);
/** With less than this a disk counts as full. */
const freeBytesMin = 1_048_576;
/** LMDB's MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_INVALID, and MDB_BAD_TXN: what one of these leaves behind. */
const corruptCodes: ReadonlySet<unknown> = new Set([-30_797, -30_796, -30_793, -30_782]);
/** LMDB's MDB_VERSION_MISMATCH. */
const versionCodes: ReadonlySet<unknown> = new Set([-30_794]);

/** What a failure of the folder means; a DormouseError stays as it is. */
export function folderError(folder: string, cause: unknown): DormouseError {
  if (cause instanceof DormouseError) return cause;
  const code: unknown = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (outOfSpaceCodes.has(code) || (halfWrittenCodes.has(code) && isFull(folder))) return storeFull(folder, cause);
  if (notWritableCodes.has(code)) return storeNotWritable(folder, cause);
  if (code === "EISDIR") return storeCorrupt(folder, "a folder stands where a file should", cause);
  if (corruptCodes.has(code)) return storeCorrupt(folder, "LMDB cannot read data.mdb", cause);
  if (versionCodes.has(code)) return storeVersion(folder, "data.mdb is of another LMDB format", cause);
  const message = `the folder did not answer; try again, and look at the disk if that does not help: folder=${folder}`;
  return new DormouseError("unavailable", "store.unavailable", message, { cause });
}

function isFull(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize < freeBytesMin;
  } catch {
    return false;
  }
}

function storeFull(folder: string, cause?: unknown): DormouseError {
  const message = `the disk is full, so nothing was stored; free some space and try again: folder=${folder}`;
  return new DormouseError("unavailable", "store.full", message, { cause });
}

function storeNotWritable(folder: string, cause?: unknown): DormouseError {
  const message =
    "cannot write to the folder; name one that this user may create files in " +
    `(a folder, not a file, on a file system that is not read-only): folder=${folder}`;
  return new DormouseError("invalid", "store.not-writable", message, { cause });
}

export function storeCorrupt(folder: string, what: string, cause?: unknown): DormouseError {
  const message =
    `the folder's data is damaged, ${what}; put a backup of the whole folder in its place, ` +
    `or move the folder away to begin with an empty one: folder=${folder}`;
  return new DormouseError("corrupt", "store.corrupt", message, { cause });
}

export function storeVersion(folder: string, what: string, cause?: unknown): DormouseError {
  const message = `this version of Dormouse cannot read the folder, ${what}; use the version that wrote it or a newer one: folder=${folder}`;
  return new DormouseError("invalid", "store.version", message, { cause });
}

export function storeClosed(folder: string): DormouseError {
  return new DormouseError("closed", "store.closed", `the folder was closed here: folder=${folder}`);
}

export function storeNoAnswer(cause: unknown): DormouseError {
  return new DormouseError("unavailable", "store.unavailable", "the store did not answer; try again", { cause });
}

export function folderMissing(folder: string): DormouseError {
  const message = `there is no Dormouse folder here yet; start a host on it once, or correct the path: folder=${folder}`;
  return new DormouseError("unavailable", "folder.missing", message);
}

export function folderInUse(folder: string, pid: number): DormouseError {
  const message =
    "another host runs on this folder, and there can be one at a time; stop that process, " +
    `connect to it as a client, or name another folder: folder=${folder} pid=${pid}`;
  return new DormouseError("conflict", "folder.in-use", message);
}

export function hostNotRunning(folder: string): DormouseError {
  const message =
    `no host runs on this folder, so nobody can answer; start one with startHost({ store: "file:${folder}" }) ` +
    "or `dormouse dev`, then ask again; messages sent meanwhile are kept for it";
  return new DormouseError("unavailable", "host.not-running", message);
}

export function mailboxNoAck(cause: unknown): DormouseError {
  const message =
    "the mailbox did not acknowledge; the message may be there or come later; send again with the same id";
  return new DormouseError("unavailable", "mailbox.no-ack", message, { cause });
}

export function mailboxNoStream(partition: number): DormouseError {
  const message = `the partition has no stream, it is made when a host first starts: partition=${partition}`;
  return new DormouseError("unavailable", "mailbox.no-ack", message);
}

export function mailboxFull(partition: number, cause?: unknown): DormouseError {
  const message = `no room for the message, it was refused; make room and send again: partition=${partition}`;
  return new DormouseError("unavailable", "mailbox.full", message, { cause });
}

/** What a reader ends with when it cannot promise any more to hand out every message (M3). */
export function mailboxInterrupted(partition: number, why: string, cause?: unknown): DormouseError {
  const message = `reading the mailbox was interrupted, ${why}; open a new reader behind a new barrier: partition=${partition}`;
  return new DormouseError("unavailable", "mailbox.interrupted", message, { cause });
}

export function mailboxClosed(): DormouseError {
  return new DormouseError("closed", "mailbox.closed", "this mailbox or reader was closed here");
}

export function membershipNoAnswer(cause: unknown): DormouseError {
  const message = "membership did not answer; try again";
  return new DormouseError("unavailable", "membership.unavailable", message, { cause });
}

export function channelNobody(subject: string): DormouseError {
  return new DormouseError("unavailable", "channel.nobody", `nobody serves this subject now: subject=${subject}`);
}

export function channelTimeout(subject: string, timeoutMs: number): DormouseError {
  const message = `no answer in time; ask again, or allow more: subject=${subject} timeoutMs=${timeoutMs}`;
  return new DormouseError("timeout", "channel.timeout", message);
}

export function channelFailed(subject: string, cause?: unknown): DormouseError {
  const message = `whoever serves this subject failed to answer; ask again: subject=${subject}`;
  return new DormouseError("unavailable", "channel.failed", message, { cause });
}
