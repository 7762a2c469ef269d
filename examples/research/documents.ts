/** The documents of a folder: which there are, and what stands in one. */
import type { Dirent } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { SourceDocument } from "./extract.ts";

/** More would make a demo long. */
const documentsMax = 4;
/** Somebody may name a whole disk. */
const foldersMax = 2_000;
const documentBytesMax = 262_144;
const extensions = /\.(?:md|markdown|txt)$/i;
const skipped = new Set(["node_modules", "dist", "build", "coverage"]);

export interface Listing {
  /** Relative to the folder, with `/`. */
  readonly paths: readonly string[];
  /** How many more there are. */
  readonly leftOut: number;
}

/**
 * The first documents of a folder: what introduces it, what lies at its top, what lies in `docs`, then the rest. Hidden
 * folders and those of built or installed files are not looked into.
 */
export async function listDocuments(folder: string): Promise<Listing> {
  const found = await findDocuments(folder);
  const paths = found.toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return { paths: paths.slice(0, documentsMax), leftOut: Math.max(0, paths.length - documentsMax) };
}

async function findDocuments(folder: string): Promise<string[]> {
  const found: string[] = [];
  const folders = [""];
  // The array grows while it is walked: upper folders come before those in them, and one is open at a time.
  for (const under of folders) {
    for (const entry of await entriesOf(folder, under)) {
      if (entry.name.startsWith(".") || skipped.has(entry.name)) continue;
      const path = under === "" ? entry.name : `${under}/${entry.name}`;
      if (entry.isDirectory() && folders.length < foldersMax) folders.push(path);
      if (entry.isFile() && extensions.test(entry.name)) found.push(path);
    }
  }
  return found;
}

async function entriesOf(folder: string, under: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(join(folder, under), { withFileTypes: true });
    return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    // One that is not ours to look into is none of the report's; the folder itself must be there.
    if (under === "") throw error;
    return [];
  }
}

/** What introduces a folder comes first. */
function rank(path: string): number {
  if (/^readme\./i.test(path)) return 0;
  if (!path.includes("/")) return 1;
  return path.startsWith("docs/") ? 2 : 3;
}

/** Reads one document, or the beginning of a very long one. */
export async function readDocument(folder: string, path: string): Promise<SourceDocument> {
  const file = await open(join(folder, ...path.split("/")));
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, documentBytesMax));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return {
      path,
      text: bytes.toString("utf8", 0, bytesRead),
      isCut: size > documentBytesMax,
    };
  } finally {
    await file.close();
  }
}
