/**
 * Goal: a folder has one host, and one that died by whatever means does not keep it.
 * Method: starters in this process and in children; records, sockets and lock files left as a crash leaves them.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, expect, test } from "vitest";
import { realClock, realEntropy } from "./clock.ts";
import { openHostFolder } from "./host-folder.ts";
import { openFolder } from "./lmdb.ts";
import { lockFolder, readLockFile } from "./lock.ts";

const options = { clock: realClock, entropy: realEntropy };
const root = mkdtempSync(join(tmpdir(), "dormouse-lock-"));
let folders = 0;
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("a second host on a folder is refused with the holder's pid, until the first has ended", async () => {
  const path = newPath();
  const first = await openHostFolder(path);
  await expect(openHostFolder(path)).rejects.toMatchObject({ kind: "conflict", code: "folder.in-use" });
  await expect(openHostFolder(path)).rejects.toThrow(`pid=${process.pid}`);
  await first.close();
  const second = await openHostFolder(path);
  await second.close();
});

test("the socket is its owner's alone, and neither it nor the lock file stays behind", async () => {
  const host = await openHostFolder(newPath());
  const holder = readLockFile(host.path);
  expect(holder).toMatchObject({ pid: process.pid });
  expect(statSync(holder?.socket ?? "").mode & 0o777).toBe(0o600);
  await host.close();
  expect(readdirSync(host.path).toSorted()).toEqual(["data.mdb", "data.mdb-lock", "format.json"]);
});

test("of many that start at once, exactly one wins", async () => {
  const folder = await openFolder(newPath(), options);
  const starts = Array.from({ length: 20 }, () => lockFolder({ ...folder, entropy: realEntropy }));
  const outcomes = await Promise.allSettled(starts);
  const locks = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  expect(locks).toHaveLength(1);
  expect(readLockFile(folder.path)).toEqual(locks[0]?.holder);
  for (const lock of locks) await lock.release();
  expect(readdirSync(folder.path).filter((name) => name.endsWith(".sock"))).toEqual([]);
  await folder.close();
});

test("of many that start at once after a crash, exactly one wins", { timeout: 30_000 }, async () => {
  const path = newPath();
  await leaveByKill(path);
  const folder = await openFolder(path, options);
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, () => lockFolder({ ...folder, entropy: realEntropy })),
  );
  const locks = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  expect(locks).toHaveLength(1);
  for (const lock of locks) await lock.release();
  await folder.close();
});

test("of many processes that start at once, exactly one wins", { timeout: 30_000 }, async () => {
  const path = newPath();
  await leaveByKill(path);
  const children = Array.from({ length: 4 }, () => startChild(path));
  const lines = await Promise.all(children.map((child) => child.line));
  expect(lines.toSorted()).toEqual(["folder.in-use", "folder.in-use", "folder.in-use", "running"]);
  await Promise.all(children.map((child) => child.kill()));
});

test(
  "a folder whose host was killed is taken over at once, and its socket is removed",
  { timeout: 30_000 },
  async () => {
    const path = newPath();
    await leaveByKill(path);
    const left = readLockFile(path);
    expect(existsSync(left?.socket ?? "")).toBe(true);
    const host = await openHostFolder(path);
    expect(readLockFile(path)?.pid).toBe(process.pid);
    expect(existsSync(left?.socket ?? "")).toBe(false);
    await host.close();
  },
);

test("a host that is stopped still holds its folder", { timeout: 30_000 }, async () => {
  const path = newPath();
  const child = startChild(path);
  expect(await child.line).toBe("running");
  child.signal("SIGSTOP");
  await expect(openHostFolder(path)).rejects.toMatchObject({ code: "folder.in-use" });
  await child.kill();
});

test("a holder whose socket's name was removed holds its folder as long as its process lives", async () => {
  const path = newPath();
  const host = await openHostFolder(path);
  unlinkSync(readLockFile(path)?.socket ?? "");
  await expect(openHostFolder(path)).rejects.toMatchObject({ code: "folder.in-use" });
  await host.close();
});

test("a record of another boot does not hold the folder, whoever has its pid now", async () => {
  const folder = await openFolder(newPath(), options);
  const record = JSON.stringify({ pid: process.pid, socket: join(folder.path, "host-gone.sock"), boot: "earlier" });
  await folder.hostRecord.replace(undefined, record);
  const lock = await lockFolder({ ...folder, entropy: realEntropy });
  expect(folder.hostRecord.read()).toBe(JSON.stringify(lock.holder));
  await lock.release();
  await folder.close();
});

test("a lock file that is torn, or of nobody, keeps nobody out", async () => {
  const path = newPath();
  await (await openFolder(path, options)).close();
  writeFileSync(join(path, "host.json"), '{"pid":');
  expect(readLockFile(path)).toBeUndefined();
  const host = await openHostFolder(path);
  expect(readLockFile(path)?.pid).toBe(process.pid);
  await host.close();
});

test("where the folder's path is too long for a socket, it lies in a private temporary folder", async () => {
  const path = join(newPath(), "x".repeat(120));
  const host = await openHostFolder(path);
  const socket = readLockFile(path)?.socket ?? "";
  expect(socket.startsWith(tmpdir())).toBe(true);
  expect(statSync(dirname(socket)).mode & 0o777).toBe(0o700);
  await expect(openHostFolder(path)).rejects.toMatchObject({ code: "folder.in-use" });
  await host.close();
  expect(existsSync(dirname(socket))).toBe(false);
});

test("with one host a folder, any other incarnation is dead", async () => {
  const host = await openHostFolder(newPath());
  const { membership } = host.ports;
  await expect(membership.stateOf("01OWN")).resolves.toBe("dead");
  await membership.announce({ incarnation: "01OWN", facts: new Uint8Array(0) });
  await expect(membership.stateOf("01OWN")).resolves.toBe("alive");
  await expect(membership.stateOf("01OTHER")).resolves.toBe("dead");
  await expect(membership.alive()).resolves.toMatchObject([{ incarnation: "01OWN" }]);
  await host.close();
});

function newPath(): string {
  folders += 1;
  return join(root, `folder-${folders}`);
}

/** Leaves a folder as a host that was killed leaves it. */
async function leaveByKill(path: string): Promise<void> {
  const child = startChild(path);
  expect(await child.line).toBe("running");
  await child.kill();
}

/** A process that hosts the folder until it is killed, or says why it does not. */
function startChild(path: string): {
  readonly line: Promise<string>;
  signal(name: NodeJS.Signals): void;
  kill(): Promise<void>;
} {
  const program = `import { openHostFolder } from ${JSON.stringify(new URL("index.ts", import.meta.url).href)};
    try { await openHostFolder(${JSON.stringify(path)}); console.log("running"); }
    catch (error) { console.log(error.code); }`;
  const child = spawn(process.execPath, ["--conditions=@dormouse/source", "--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
  });
  const line = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout }).once("line", resolve);
  });
  return {
    line,
    signal: (name) => void child.kill(name),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
