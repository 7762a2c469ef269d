/** A folder that is gone after the test, within the repository so that programs in it find our packages. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { root } from "./programs.ts";

export function scratchFolder(): string {
  const parent = join(root, ".cache/examples");
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, "run-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
