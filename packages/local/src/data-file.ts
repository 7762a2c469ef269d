/**
 * Whether LMDB's data file is whole enough to be opened.
 *
 * LMDB maps the file into memory and trusts it: a page behind the end of a truncated file ends the process by SIGBUS,
 * which nobody can catch. So the two meta pages are read first, and where the file is shorter than they say, the tree.
 * (A shorter file can be in order: LMDB does not write the pages that a transaction takes and frees again.)
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const metaMagic = 0xbe_ef_c0_de;
const pageHeaderBytes = 24;
/** Of a page: where its flags and the number of its nodes stand. */
const flagsOffset = 18;
const lowerOffset = 20;
const branchFlag = 0x01;
const leafFlag = 0x02;
const nodeHeaderBytes = 8;
const bigDataFlag = 0x01;
const subDataFlag = 0x02;
/** Of a meta page, from its magic number on. */
const databasesOffset = 24;
const databaseBytes = 48;
const rootOffset = 40;
const lastPageOffset = databasesOffset + 2 * databaseBytes;
const noPage = 0xffff_ffff_ffff_ffffn;

/** Of one of the two meta pages. */
interface Meta {
  readonly pageBytes: number;
  readonly lastPage: number;
  readonly transaction: bigint;
  readonly roots: readonly bigint[];
}

/** What is wrong with the data file, or `undefined` if it can be opened. */
export function findDamage(path: string): string | undefined {
  const file = openSync(path, "r");
  try {
    // A running host may write meanwhile: what was seen counts only if the newest transaction is still the same.
    for (;;) {
      const before = readMeta(file);
      if (before === undefined) return "data.mdb does not begin as an LMDB file does";
      const damage = isWhole(file, before) ? undefined : "data.mdb is truncated";
      if (damage === undefined || readMeta(file)?.transaction === before.transaction) return damage;
    }
  } finally {
    closeSync(file);
  }
}

function isWhole(file: number, meta: Meta): boolean {
  const { size } = fstatSync(file);
  const pageCount = BigInt(Math.floor(size / meta.pageBytes));
  if (BigInt(meta.lastPage) < pageCount) return true;
  return meta.roots.every((root) => root === noPage || isTreeWhole(file, meta.pageBytes, pageCount, root));
}

/** The newer of the two meta pages. */
function readMeta(file: number): Meta | undefined {
  const first = readMetaAt(file, 0);
  if (first === undefined) return undefined;
  const second = readMetaAt(file, first.pageBytes);
  if (second === undefined) return undefined;
  return second.transaction > first.transaction ? second : first;
}

function readMetaAt(file: number, position: number): Meta | undefined {
  const bytes = readBytes(file, position + pageHeaderBytes, lastPageOffset + 16);
  if (bytes === undefined || bytes.readUInt32LE(0) !== metaMagic) return undefined;
  const pageBytes = bytes.readUInt32LE(databasesOffset);
  if (pageBytes < 256 || pageBytes > 65_536) return undefined;
  return {
    pageBytes,
    lastPage: Number(bytes.readBigUInt64LE(lastPageOffset)),
    transaction: bytes.readBigUInt64LE(lastPageOffset + 8),
    roots: [0, 1].map((index) => bytes.readBigUInt64LE(databasesOffset + index * databaseBytes + rootOffset)),
  };
}

/** Whether every page that the tree reaches lies within the file. */
function isTreeWhole(file: number, pageBytes: number, pageCount: bigint, root: bigint): boolean {
  const open = [root];
  const seen = new Set<bigint>();
  for (let page = open.pop(); page !== undefined; page = open.pop()) {
    if (page >= pageCount || seen.has(page)) return false;
    seen.add(page);
    const bytes = readBytes(file, Number(page) * pageBytes, pageBytes);
    if (bytes === undefined) return false;
    const next = pagesBelow(bytes, pageBytes, pageCount);
    if (next === undefined) return false;
    open.push(...next);
  }
  return true;
}

/** The pages that one page points at; `undefined` if it is no page of a tree, or points beyond the file. */
function pagesBelow(bytes: Buffer, pageBytes: number, pageCount: bigint): readonly bigint[] | undefined {
  const flags = bytes.readUInt16LE(flagsOffset);
  const nodeCount = bytes.readUInt16LE(lowerOffset) >> 1;
  const isBranch = (flags & branchFlag) !== 0;
  if (!isBranch && (flags & leafFlag) === 0) return undefined;
  if (pageHeaderBytes + nodeCount * 2 > pageBytes) return undefined;
  const pages: bigint[] = [];
  for (let index = 0; index < nodeCount; index += 1) {
    const node = pageHeaderBytes + bytes.readUInt16LE(pageHeaderBytes + index * 2);
    if (node + nodeHeaderBytes > pageBytes) return undefined;
    const nodeFlags = bytes.readUInt16LE(node + 4);
    const data = node + nodeHeaderBytes + bytes.readUInt16LE(node + 6);
    if (isBranch) {
      pages.push(BigInt(bytes.readUInt32LE(node)) | (BigInt(nodeFlags) << 32n));
    } else if ((nodeFlags & bigDataFlag) !== 0) {
      if (data + 8 > pageBytes) return undefined;
      const pagesLong = BigInt(Math.ceil((pageHeaderBytes + bytes.readUInt32LE(node)) / pageBytes));
      if (bytes.readBigUInt64LE(data) + pagesLong > pageCount) return undefined;
    } else if ((nodeFlags & subDataFlag) !== 0) {
      if (data + databaseBytes > pageBytes) return undefined;
      const root = bytes.readBigUInt64LE(data + rootOffset);
      if (root !== noPage) pages.push(root);
    }
  }
  return pages;
}

function readBytes(file: number, position: number, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  return readSync(file, bytes, 0, length, position) === length ? bytes : undefined;
}
