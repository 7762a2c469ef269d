/**
 * A power cut in the middle of a write: what was acknowledged before it is there, and nothing is half of anything.
 *
 * Method: a folder is kept as it was before its last write and after it. LMDB writes the pages of a transaction, syncs, and
 * then names them in one of its two meta pages; so what a disk may be left with is some of the changed pages, the last of them
 * cut off anywhere, and no new meta page; or all of them, and a part of that meta page. Each of these is opened. The folder
 * is then as before the write or as after it. A file that is shorter than it was is refused, or holds what it held.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DormouseError, type Partition } from "@dormouse/core/ports";
import { afterAll, beforeAll, expect, test } from "vitest";
import { realClock, realEntropy } from "./clock.ts";
import { type LocalFolder, openFolder } from "./lmdb.ts";

const options = { clock: realClock, entropy: realEntropy };
const zero = 0 as Partition;
const pageBytes = 4_096;
const sectorBytes = 512;
const metaPages = 2;

let root = "";
let made = 0;
let before: Kept;
let after: Kept;

/** A folder's data file, and what it tells. */
interface Kept {
  readonly file: Buffer;
  readonly told: string;
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "dormouse-torn-"));
  const path = join(root, "folder");
  const first = await openFolder(path, options);
  await first.mailbox.create(1);
  for (let n = 0; n < 40; n += 1) {
    await first.store.put(`journal/a/${n}`, new Uint8Array(700 + 100 * n).fill(n), { if: "absent" });
    await first.mailbox.append(zero, new Uint8Array(300).fill(n));
  }
  await first.close();
  before = await keep(path);
  // One write of several pages: a new object larger than a page, one that is replaced, a message, objects that go.
  const second = await openFolder(path, options);
  await Promise.all([
    second.store.put("journal/a/40", new Uint8Array(9_000).fill(40), { if: "absent" }),
    second.store.put("journal/a/3", new Uint8Array(1_500).fill(99), { if: "any" }),
    second.mailbox.append(zero, new Uint8Array(600).fill(40)),
    second.store.delete(["journal/a/7", "journal/a/8"]),
  ]);
  await second.close();
  after = await keep(path);
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

async function keep(path: string): Promise<Kept> {
  const file = readFileSync(join(path, "data.mdb"));
  const folder = await openFolder(path, options);
  const told = await tell(folder);
  await folder.close();
  return { file, told };
}

/** All that a folder holds. */
async function tell(folder: LocalFolder): Promise<string> {
  const objects: string[] = [];
  for (const name of await folder.store.list("")) {
    const bytes = (await folder.store.get(name))?.bytes ?? new Uint8Array(0);
    objects.push(`${name} ${Buffer.from(bytes).toString("base64")}`);
  }
  const reader = folder.mailbox.read(zero, 1);
  const messages = await reader.next(1_000);
  reader.close();
  const texts = messages.map(({ sequence, at, bytes }) => `${sequence} ${at} ${Buffer.from(bytes).toString("base64")}`);
  return [...objects, ...texts].join("\n");
}

/** What a folder with this data file is: as before the write, as after it, refused by a typed error, or else. */
async function opened(file: Buffer): Promise<string> {
  made += 1;
  const path = join(root, `cut-${made}`);
  const folder = await openFolder(path, options);
  await folder.close();
  rmSync(join(path, "data.mdb-lock"), { force: true });
  writeFileSync(join(path, "data.mdb"), file);
  try {
    const cut = await openFolder(path, options);
    try {
      const told = await tell(cut);
      return told === before.told ? "before" : told === after.told ? "after" : "else";
    } finally {
      await cut.close();
    }
  } catch (error) {
    if (error instanceof DormouseError) return error.code;
    throw error;
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

/** The places of the bytes that the last write changed. */
function changedPages(): readonly number[] {
  const pages: number[] = [];
  for (let page = 0; page * pageBytes < after.file.length; page += 1) {
    const range = [page * pageBytes, (page + 1) * pageBytes] as const;
    if (!after.file.subarray(...range).equals(before.file.subarray(...range))) pages.push(page);
  }
  return pages;
}

function withPages(pages: readonly number[]): Buffer {
  const file = Buffer.alloc(Math.max(before.file.length, after.file.length));
  before.file.copy(file);
  for (const page of pages) after.file.copy(file, page * pageBytes, page * pageBytes, (page + 1) * pageBytes);
  return file;
}

test("the last write changed some pages and one meta page", () => {
  const pages = changedPages();
  expect(before.told).not.toBe(after.told);
  expect(pages.filter((page) => page < metaPages)).toHaveLength(1);
  expect(pages.length).toBeGreaterThan(5);
});

test("pages of a write that was cut off before its meta page are not there", { timeout: 60_000 }, async () => {
  const pages = changedPages().filter((page) => page >= metaPages);
  const outcomes = new Set<string>();
  for (const [index, torn] of pages.entries()) {
    for (let cut = 0; cut < pageBytes; cut += sectorBytes) {
      const file = withPages(pages.slice(0, index));
      after.file.copy(file, torn * pageBytes, torn * pageBytes, torn * pageBytes + cut);
      outcomes.add(await opened(file));
    }
  }
  expect([...outcomes]).toEqual(["before"]);
});

test("a meta page that was cut off at any byte is the old one or the new one", { timeout: 60_000 }, async () => {
  const pages = changedPages();
  const meta = pages.find((page) => page < metaPages) ?? 0;
  const whole = withPages(pages.filter((page) => page >= metaPages));
  const outcomes: string[] = [];
  for (let cut = 0; cut <= 256; cut += 1) {
    const file = Buffer.from(whole);
    after.file.copy(file, meta * pageBytes, meta * pageBytes, meta * pageBytes + cut);
    outcomes.push(await opened(file));
  }
  expect(new Set(outcomes)).toEqual(new Set(["before", "after"]));
  // Once it is the new one it stays so, however much more of it is written.
  expect(outcomes.lastIndexOf("before")).toBeLessThan(outcomes.indexOf("after"));
});

test("a data file that ends early is refused, or holds all that it held", { timeout: 60_000 }, async () => {
  const outcomes = new Set<string>();
  for (let bytes = after.file.length - pageBytes; bytes >= 0; bytes -= pageBytes) {
    outcomes.add(await opened(after.file.subarray(0, bytes)));
    outcomes.add(await opened(after.file.subarray(0, bytes + sectorBytes)));
  }
  expect([...outcomes].filter((outcome) => outcome !== "after" && outcome !== "store.corrupt")).toEqual([]);
});
