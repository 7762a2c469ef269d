/** The documents of a folder: which there are, and what stands in one. */
import { open, readdir } from "node:fs/promises";
import { join, sep } from "node:path";
import type { SourceDocument } from "./extract.ts";

/** More would make a demo long. */
const documentsMax = 8;
const documentBytesMax = 262_144;
const extensions = /\.(?:md|markdown|txt)$/i;
const skipped = new Set(["node_modules", "dist", "build", "coverage"]);

/**
 * The first documents of a folder, relative to it: what lies at its top, then what lies in `docs`, then the rest.
 * Hidden folders and those of built or installed files are left out.
 */
export async function listDocuments(folder: string): Promise<string[]> {
  const paths = await findDocuments(folder, "");
  return paths.toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)).slice(0, documentsMax);
}

async function findDocuments(folder: string, under: string): Promise<string[]> {
  const entries = await readdir(join(folder, under), { withFileTypes: true });
  const found = await Promise.all(
    entries.map(async (entry) => {
      if (entry.name.startsWith(".") || skipped.has(entry.name)) return [];
      const path = under === "" ? entry.name : `${under}/${entry.name}`;
      if (entry.isDirectory()) return findDocuments(folder, path);
      return entry.isFile() && extensions.test(entry.name) ? [path] : [];
    }),
  );
  return found.flat();
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
      path: path.replaceAll(sep, "/"),
      text: bytes.toString("utf8", 0, bytesRead),
      isCut: size > documentBytesMax,
    };
  } finally {
    await file.close();
  }
}
