/**
 * One host per folder.
 *
 * Owns: the folder's host record, the socket that proves its holder alive, and the lock file that names both.
 * Leaves to others: what is spoken over the socket (`socket.ts`).
 *
 * K1  The holder listens on its socket before the record names it, and as long as it lives: the kernel closes the socket
 *     with the process, however that ends. So a record whose socket refuses belongs to a process that has ended.
 * K2  The record changes hands by compare and replace in one LMDB transaction: of any number of starters, one wins.
 * K3  A socket's name is never used twice, so one that was found dead stays dead.
 * K4  In doubt the holder is alive: refusing to start harms nobody.
 *
 * The lock file tells other processes and people where the host is; who holds the lock is the record's to say.
 */
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, rename, rm, rmdir, unlink, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Entropy } from "@dormouse/core/ports";
import { folderError, folderInUse } from "./errors.ts";
import type { FolderRecord } from "./lmdb.ts";

/** Who holds a folder, as the record and the lock file have it. */
export interface Holder {
  readonly pid: number;
  readonly socket: string;
  /** Names the boot of the machine, where that can be known: process ids start anew with it. */
  readonly boot: string;
}

export interface FolderLock {
  readonly holder: Holder;
  /** Takes over what connects to the socket; until then connections are closed at once. */
  onConnection(accept: (socket: Socket) => void): void;
  /** Gives the folder up: another host may start. */
  release(): Promise<void>;
}

/** What a lock is taken on. */
export interface LockOptions {
  /** The folder's absolute path. */
  readonly path: string;
  readonly hostRecord: FolderRecord;
  readonly entropy: Entropy;
}

const lockFileName = "host.json";
/** The shortest limit of the platforms is 104 bytes with the closing zero. */
const socketPathBytesMax = 100;
const temporaryPrefix = "dormouse-";
const probeMsMax = 2_000;

/**
 * Takes the folder for this process.
 *
 * @throws DormouseError `conflict` (`folder.in-use`): a host runs on it; `unavailable` and `invalid` as `openFolder`.
 */
export async function lockFolder(options: LockOptions): Promise<FolderLock> {
  const { path, hostRecord } = options;
  let accept = refuseConnection;
  const server = createServer({ pauseOnConnect: true }, (socket) => accept(socket));
  const socket = await listen(server, path, options.entropy).catch((error: unknown) => {
    throw folderError(path, error);
  });
  const holder: Holder = { pid: process.pid, socket, boot: bootName() };
  const record = JSON.stringify(holder);
  try {
    await claim(options, record);
    await writeLockFile(options, record);
  } catch (error) {
    await closeServer(server);
    await removeSocket(socket);
    throw folderError(path, error);
  }
  return {
    holder,
    onConnection(taker) {
      accept = taker;
    },
    async release() {
      accept = refuseConnection;
      await unlinkLockFile(path, record);
      // A full disk refuses even this; the socket's end says the same (K1).
      await hostRecord.replace(record, undefined).catch(() => undefined);
      await closeServer(server);
      await removeSocket(socket);
    },
  };
}

function refuseConnection(socket: Socket): void {
  socket.destroy();
}

/** The host that the folder's lock file names, whether it still lives or not. */
export function readLockFile(folder: string): Holder | undefined {
  try {
    return decodeHolder(readFileSync(join(folder, lockFileName), "utf8"));
  } catch {
    return undefined;
  }
}

/** Replaces a dead holder, or nobody, until one of the starters has won (K2). */
async function claim({ path, hostRecord }: LockOptions, record: string): Promise<void> {
  for (;;) {
    const current = hostRecord.read();
    const holder = current === undefined ? undefined : decodeHolder(current);
    if (holder !== undefined && (await isAlive(holder))) throw folderInUse(path, holder.pid);
    if (!(await hostRecord.replace(current, record))) continue;
    if (holder !== undefined) await removeSocket(holder.socket);
    return;
  }
}

async function isAlive(holder: Holder): Promise<boolean> {
  const answer = await probe(holder.socket);
  if (answer !== "gone") return answer === "alive";
  // The name was removed, by a cleaner of temporary folders perhaps; the process may be there all the same (K4).
  return holder.boot === bootName() && isProcessAlive(holder.pid);
}

/** Connecting is proof enough: a process that is stopped, or busy, still has its socket. */
function probe(path: string): Promise<"alive" | "dead" | "gone"> {
  return new Promise((settle) => {
    const socket = connect(path);
    socket.setTimeout(probeMsMax, () => finish("alive"));
    socket.once("connect", () => finish("alive"));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") finish("dead");
      else finish(error.code === "ENOENT" ? "gone" : "alive");
    });
    function finish(answer: "alive" | "dead" | "gone"): void {
      socket.destroy();
      settle(answer);
    }
  });
}

function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}

/** Listens where only this user can connect: in the folder, or where its path is too long in one of our own. */
async function listen(server: Server, folder: string, entropy: Entropy): Promise<string> {
  const name = `host-${Buffer.from(entropy.bytes(6)).toString("hex")}.sock`;
  const isShort = Buffer.byteLength(join(folder, name)) <= socketPathBytesMax;
  const path = join(isShort ? folder : await mkdtemp(join(tmpdir(), temporaryPrefix)), name);
  await new Promise<void>((listening, failed) => {
    server.once("error", failed);
    server.listen(path, () => {
      server.off("error", failed);
      listening();
    });
  });
  await chmod(path, 0o600);
  return path;
}

async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((closed) => {
    server.close(() => closed());
  });
}

async function removeSocket(path: string): Promise<void> {
  await unlink(path).catch(() => undefined);
  if (basename(dirname(path)).startsWith(temporaryPrefix)) await rmdir(dirname(path)).catch(() => undefined);
}

async function writeLockFile({ path, entropy }: LockOptions, record: string): Promise<void> {
  const draft = join(path, `${lockFileName}.${Buffer.from(entropy.bytes(6)).toString("hex")}`);
  try {
    await writeFile(draft, `${record}\n`, { mode: 0o600, flag: "wx" });
    await rename(draft, join(path, lockFileName));
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Only ours: while we end, another host may already have written its own. */
async function unlinkLockFile(path: string, record: string): Promise<void> {
  const current = readLockFile(path);
  if (current !== undefined && JSON.stringify(current) !== record) return;
  await rm(join(path, lockFileName), { force: true });
}

function decodeHolder(text: string): Holder | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (!("pid" in value) || !("socket" in value) || !("boot" in value)) return undefined;
  const { pid, socket, boot } = value;
  if (typeof pid !== "number" || typeof socket !== "string" || socket === "" || typeof boot !== "string")
    return undefined;
  return { pid, socket, boot };
}

function bootName(): string {
  const file = "/proc/sys/kernel/random/boot_id";
  try {
    return existsSync(file) ? readFileSync(file, "utf8").trim() : "";
  } catch {
    return "";
  }
}
