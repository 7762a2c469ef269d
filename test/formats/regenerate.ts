/**
 * Writes the golden files anew: in the commit that changes a format until the first release; after it they are frozen
 * for ever, and this program only adds. Files whose content has not changed are left as they are, however zstd compresses
 * today.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { committed, folder, type Golden, goldens } from "./golden.ts";

mkdirSync(folder, { recursive: true });
for (const golden of goldens) {
  const path = new URL(`${golden.name}.bin`, folder);
  if (existsSync(path) && isUnchanged(golden)) continue;
  writeFileSync(path, golden.bytes);
  console.log(`written: ${golden.name}.bin (${golden.bytes.length} bytes)`);
}

function isUnchanged(golden: Golden): boolean {
  try {
    return Buffer.from(golden.plain(committed(golden))).equals(golden.plain(golden.bytes));
  } catch {
    return false;
  }
}
