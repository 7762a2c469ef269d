/**
 * Goal: what a folder acknowledged is there after anything that can happen to a process, and what is wrong with a
 * folder is said in words.
 * Method: the conformance suites; then folders reopened, shared with a child process, left by a SIGKILL, damaged.
 */
import { execFile, spawn } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { Partition } from "@dormouse/core/ports";
import { mailboxConformance, objectStoreConformance } from "@dormouse/testing";
import { afterAll, expect, test } from "vitest";
import { realClock, realEntropy } from "./clock.ts";
import { openFolder, type LocalFolder } from "./lmdb.ts";

const zero = 0 as Partition;
const options = { clock: realClock, entropy: realEntropy };
const root = mkdtempSync(join(tmpdir(), "dormouse-lmdb-"));
let folders = 0;
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What the driver cannot do, by the case's name. */
const skipped: Readonly<Record<string, string>> = {
  "M3: a reader that is cut off ends with mailbox.interrupted, now and later": "nothing lies between reader and folder",
  "M4: after a lost tail, a number that comes again has another timestamp": "a synced commit is not lost",
  "M4: a full stream refuses messages with mailbox.full, and takes a barrier":
    "full is the disk, and there is no more room on it for a barrier than for a message",
};

const cases = [
  ...objectStoreConformance(async () => {
    const folder = await openFolder(newPath(), options);
    return { store: folder.store, close: () => folder.close() };
  }),
  ...mailboxConformance(async () => {
    const folder = await openFolder(newPath(), options);
    return { mailbox: folder.mailbox, close: () => folder.close() };
  }),
];

test.for(cases.filter(({ name }) => !(name in skipped)).map((one) => [one.name, one] as const))(
  "%s",
  { timeout: 30_000 },
  async ([, one]) => {
    await expect(one.run()).resolves.toBeUndefined();
  },
);

test("the skipped cases are cases", () => {
  expect(cases.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(skipped)));
});

test("a reopened folder has its objects, messages and numbers", async () => {
  const path = newPath();
  const first = await openFolder(path, options);
  await first.mailbox.create(2);
  const before = await first.mailbox.append(zero, bytes(1));
  await first.mailbox.append(zero, bytes(2));
  const put = await first.store.put("a", bytes(3), { if: "absent" });
  await first.close();

  const second = await openFolder(path, options);
  await second.mailbox.create(2);
  expect(await second.store.get("a")).toEqual({ bytes: bytes(3), etag: put.outcome === "stored" ? put.etag : "" });
  const after = await second.mailbox.append(zero, bytes(4));
  expect(after).toMatchObject({ sequence: 3, stream: before.stream });
  expect(await readTexts(second, 3)).toEqual([[1], [2], [4]]);
  await second.close();
});

test("numbers and times go on when a stream was trimmed to nothing and the folder reopened", async () => {
  const path = newPath();
  const first = await openFolder(path, { ...options, clock: clockAt(9_000) });
  await first.mailbox.create(1);
  await first.mailbox.append(zero, bytes(1));
  const last = await first.mailbox.barrier(zero, bytes(2));
  await first.mailbox.trim(zero, 100);
  await first.close();

  const second = await openFolder(path, { ...options, clock: clockAt(1_000) });
  const next = await second.mailbox.barrier(zero, bytes(3));
  expect(next.sequence).toBe(last.sequence + 1);
  expect(next.at).toBeGreaterThan(last.at);
  await second.close();
});

test("an ETag never comes again after a delete and a restart", async () => {
  const path = newPath();
  const etags = new Set<string>();
  for (let run = 0; run < 3; run += 1) {
    const folder = await openFolder(path, options);
    for (let index = 0; index < 3; index += 1) {
      const answer = await folder.store.put("a", bytes(run, index), { if: "any" });
      if (answer.outcome === "stored") etags.add(answer.etag);
      await folder.store.delete(["a"]);
    }
    await folder.close();
  }
  expect(etags.size).toBe(9);
});

test("a trim of thousands of messages leaves exactly those above it", async () => {
  const folder = await openFolder(newPath(), options);
  await folder.mailbox.create(2);
  await Promise.all(Array.from({ length: 4_500 }, (_, index) => folder.mailbox.append(zero, bytes(index % 256))));
  await folder.mailbox.append(1 as Partition, bytes(1));
  await folder.mailbox.trim(zero, 4_500);
  const [message] = await folder.mailbox.read(zero, 1).next(10);
  expect(message?.sequence).toBe(4_500);
  expect(await folder.mailbox.read(1 as Partition, 1).next(10)).toHaveLength(1);
  await folder.close();
});

test("what another process appended while this one has the folder open is read, and numbers do not clash", async () => {
  const folder = await openFolder(newPath(), options);
  await folder.mailbox.create(1);
  await folder.mailbox.append(zero, bytes(1));
  const reader = folder.mailbox.read(zero, 2);
  const waiting = reader.next(10);
  await runChild(
    folder.path,
    "await folder.mailbox.append(0, Uint8Array.of(2)); await folder.mailbox.append(0, Uint8Array.of(3));",
  );
  expect((await waiting).length).toBeGreaterThan(0);
  expect((await folder.mailbox.append(zero, bytes(4))).sequence).toBe(4);
  expect(await readTexts(folder, 4)).toEqual([[1], [2], [3], [4]]);
  await folder.close();
});

test("of the conditional puts of two processes, each name has one winner", async () => {
  const folder = await openFolder(newPath(), options);
  const names = Array.from({ length: 100 }, (_, index) => `race/${index}`);
  const child = runChild(
    folder.path,
    `const names = ${JSON.stringify(names)}; let won = [];
     for (const name of names) {
       const answer = await folder.store.put(name, Uint8Array.of(2), { if: "absent" });
       if (answer.outcome === "stored") won.push(name);
     }
     console.log(JSON.stringify(won));`,
  );
  const won: string[] = [];
  for (const name of names) {
    const answer = await folder.store.put(name, bytes(1), { if: "absent" });
    if (answer.outcome === "stored") won.push(name);
  }
  const wonByChild = JSON.parse(await child) as string[];
  expect([...won, ...wonByChild].toSorted()).toEqual(names.toSorted());
  for (const name of names) {
    expect((await folder.store.get(name))?.bytes).toEqual(bytes(won.includes(name) ? 1 : 2));
  }
  await folder.close();
});

test(
  "after a SIGKILL during puts and appends, everything that was acknowledged is there",
  { timeout: 30_000 },
  async () => {
    const path = newPath();
    const child = spawnChild(
      path,
      `await folder.mailbox.create(1);
     for (let n = 0; ; n += 1) {
       const [put, place] = await Promise.all([
         folder.store.put("k/" + n, new Uint8Array(5000).fill(n % 256), { if: "absent" }),
         folder.mailbox.append(0, Uint8Array.of(n % 256)),
       ]);
       process.stdout.write(n + " " + put.outcome + " " + place.sequence + "\\n");
     }`,
    );
    const acknowledged: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged.push(line);
      if (acknowledged.length === 200) child.kill("SIGKILL");
    }
    const folder = await openFolder(path, options);
    const messages = new Map(
      (await folder.mailbox.read(zero, 1).next(10_000)).map((message) => [message.sequence, message]),
    );
    for (const line of acknowledged) {
      const [n = "", outcome, sequence] = line.split(" ");
      expect(outcome).toBe("stored");
      expect((await folder.store.get(`k/${n}`))?.bytes).toEqual(new Uint8Array(5_000).fill(Number(n) % 256));
      expect(messages.get(Number(sequence))?.bytes).toEqual(bytes(Number(n) % 256));
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(200);
    await folder.close();
  },
);

test.for([
  {
    damage: "a data file cut in half",
    code: "store.corrupt",
    spoil: (path: string) =>
      truncateSync(join(path, "data.mdb"), Math.floor(statSync(join(path, "data.mdb")).size / 2)),
  },
  {
    damage: "an empty data file",
    code: "store.corrupt",
    spoil: (path: string) => truncateSync(join(path, "data.mdb"), 0),
  },
  {
    damage: "a data file of something else",
    code: "store.corrupt",
    spoil: (path: string) => writeFileSync(join(path, "data.mdb"), Buffer.alloc(100_000, 7)),
  },
  { damage: "a missing data file", code: "store.corrupt", spoil: (path: string) => rmSync(join(path, "data.mdb")) },
  {
    damage: "an unreadable marker",
    code: "store.corrupt",
    spoil: (path: string) => writeFileSync(join(path, "format.json"), "{"),
  },
  {
    damage: "a newer format",
    code: "store.version",
    spoil: (path: string) => writeFileSync(join(path, "format.json"), '{"format":"dormouse-folder","version":2}'),
  },
])("$damage is refused with $code", async ({ code, spoil }) => {
  const path = newPath();
  const folder = await openFolder(path, options);
  await folder.mailbox.create(4);
  for (let index = 0; index < 50; index += 1) {
    await folder.store.put(`k/${index}`, new Uint8Array(10_000).fill(index), { if: "any" });
  }
  await folder.close();
  spoil(path);
  await expect(openFolder(path, options)).rejects.toMatchObject({ code });
  await expect(openFolder(path, options)).rejects.toThrow(`folder=${path}`);
});

test("a data file that LMDB left shorter than it counts is not damage", async () => {
  // Freed pages at the end need not be written: many sizes of objects, put and deleted, leave such files.
  const path = newPath();
  for (let run = 0; run < 20; run += 1) {
    const folder = await openFolder(path, options);
    await folder.store.put(`k/${run % 3}`, new Uint8Array(5_000 * ((run * 7) % 11)), { if: "any" });
    await folder.store.delete([`k/${(run + 1) % 3}`]);
    await folder.close();
  }
  const folder = await openFolder(path, options);
  await expect(folder.store.list("k/")).resolves.toHaveLength(2);
  await folder.close();
});

test("a path that leads through a file is not writable", async () => {
  const file = newPath();
  writeFileSync(file, "");
  await expect(openFolder(file, options)).rejects.toMatchObject({ kind: "invalid", code: "store.not-writable" });
  await expect(openFolder(join(file, "below"), options)).rejects.toMatchObject({ code: "store.not-writable" });
});

test("a path where nothing can be made is not writable", async () => {
  await expect(openFolder("/proc/nowhere/below", options)).rejects.toMatchObject({ code: "store.not-writable" });
});

test("a folder in the place of a file is told", async () => {
  const path = newPath();
  await (await openFolder(path, options)).close();
  rmSync(join(path, "data.mdb"));
  mkdirSync(join(path, "data.mdb"));
  await expect(openFolder(path, options)).rejects.toMatchObject({ kind: "corrupt", code: "store.corrupt" });
});

test("a folder that this user may not write is refused", async () => {
  // In a process of its own, which gives up the right of the superuser to write everywhere.
  const path = newPath();
  mkdirSync(path);
  chmodSync(path, 0o555);
  const output = await runChild(
    newPath(),
    `if (process.geteuid() === 0) process.seteuid(65534);
     console.log(await openFolder(${JSON.stringify(path)}, { clock, entropy }).catch((error) => error.code));`,
  );
  expect(output.trim()).toBe("store.not-writable");
});

test("a new folder on a full disk is refused, whatever little room there is", async () => {
  for (const fileBytesMax of [1_024, 20_480, 65_536]) {
    const output = await runChild(
      undefined,
      `console.log(await openFolder(${JSON.stringify(newPath())}, { clock, entropy }).catch((error) => error.code));`,
      { fileBytesMax },
    );
    expect(output.trim()).toBe("store.full");
  }
});

test("a folder that must be there and is not is missing, and is not made", async () => {
  const path = newPath();
  await expect(openFolder(path, { ...options, create: false })).rejects.toMatchObject({ code: "folder.missing" });
  expect(() => statSync(path)).toThrow("ENOENT");
});

test("the folder and what is in it belong to their owner alone", async () => {
  const folder = await openFolder(newPath(), options);
  expect(statSync(folder.path).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder.path, "data.mdb")).mode & 0o777).toBe(0o600);
  await folder.close();
});

test("a folder with other things in it keeps its mode and them", async () => {
  const path = newPath();
  mkdirSync(path, { mode: 0o755 });
  writeFileSync(join(path, "mine.txt"), "mine");
  const folder = await openFolder(path, options);
  await folder.close();
  expect(statSync(path).mode & 0o777).toBe(0o755);
  expect(readFileSync(join(path, "mine.txt"), "utf8")).toBe("mine");
});

test("a full disk is said in words, ends nothing, and is over when there is room", async () => {
  // A limit on file size stands in for the disk: the same failed write, without a file system of our own.
  const output = await runChild(
    newPath(),
    `await folder.mailbox.create(1);
     const seen = new Set();
     for (let n = 0; n < 40; n += 1) {
       const put = await folder.store.put("k/" + n, new Uint8Array(100_000), { if: "absent" });
       seen.add(put.outcome + " " + (put.cause?.code ?? ""));
     }
     const append = await folder.mailbox.append(0, new Uint8Array(200_000)).catch((error) => error.code);
     await folder.store.delete(["k/0", "k/1", "k/2"]);
     const after = await folder.store.put("k/after", new Uint8Array(1000), { if: "absent" });
     console.log(JSON.stringify({ seen: [...seen], append, after: after.outcome }));`,
    { fileBytesMax: 2_097_152 },
  );
  expect(JSON.parse(output)).toEqual({
    seen: ["stored ", "unknown store.full"],
    append: "mailbox.full",
    after: "stored",
  });
});

test("a closed folder answers that it is closed, and closing it again is no error", async () => {
  const folder = await openFolder(newPath(), options);
  await folder.mailbox.create(1);
  const waiting = folder.mailbox.read(zero, 1).next(1);
  const [outcome] = await Promise.allSettled([waiting, folder.close(), folder.close()]);
  expect(outcome).toMatchObject({ reason: { code: "mailbox.closed" } });
  await expect(folder.store.get("a")).rejects.toMatchObject({ kind: "closed", code: "store.closed" });
  await expect(folder.mailbox.append(zero, bytes(1))).rejects.toMatchObject({ code: "mailbox.closed" });
  await expect(folder.mailbox.read(zero, 1).next(1)).rejects.toMatchObject({ code: "mailbox.closed" });
  await expect(folder.store.put("a", bytes(1), { if: "any" })).resolves.toMatchObject({ outcome: "unknown" });
});

function newPath(): string {
  folders += 1;
  return join(root, `folder-${folders}`);
}

async function readTexts(folder: LocalFolder, count: number): Promise<number[][]> {
  const reader = folder.mailbox.read(zero, 1);
  const messages = [];
  while (messages.length < count) messages.push(...(await reader.next(count)));
  reader.close();
  return messages.map((message) => [...message.bytes]);
}

function clockAt(nowMs: number): typeof realClock {
  return { ...realClock, now: () => nowMs };
}

/** A program with a folder open as `folder`, unless none is named. */
function program(path: string | undefined, body: string): string {
  return `import { openFolder, realClock as clock, realEntropy as entropy } from ${JSON.stringify(new URL("index.ts", import.meta.url).href)};
    const folder = ${path === undefined ? "undefined" : `await openFolder(${JSON.stringify(path)}, { clock, entropy })`};
    ${body}
    await folder?.close();`;
}

const nodeOptions = ["--conditions=@dormouse/source", "--input-type=module", "-e"];

function spawnChild(path: string, body: string): ReturnType<typeof spawn> & { stdout: NodeJS.ReadableStream } {
  return spawn(process.execPath, [...nodeOptions, program(path, body)], { stdio: ["ignore", "pipe", "inherit"] });
}

async function runChild(
  path: string | undefined,
  body: string,
  limits: { readonly fileBytesMax?: number } = {},
): Promise<string> {
  const node = [...nodeOptions, program(path, body)];
  const { fileBytesMax } = limits;
  const command = [
    "-c",
    `ulimit -f ${(fileBytesMax ?? 0) / 1_024}; trap '' XFSZ; exec "$0" "$@"`,
    process.execPath,
    ...node,
  ];
  const run = promisify(execFile);
  const { stdout } = fileBytesMax === undefined ? await run(process.execPath, node) : await run("bash", command);
  return stdout;
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}
