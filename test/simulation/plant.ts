/** A copy of the sources with a patch in it: a deliberate bug, or the release to come. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { apply, type Patch, root } from "./bugs.ts";

/**
 * Puts the packages that run in one process, and the `others`, into a folder of their own, with the patch in them; the
 * libraries are those of this tree, but for the `owned`, of which the copy has its own. Whoever calls removes it.
 */
export function plant(
  patch: Patch,
  { others = [], owned = [] }: { readonly others?: readonly string[]; readonly owned?: readonly string[] } = {},
): string {
  const tree = mkdtempSync(join(tmpdir(), "dormouse-patched-"));
  const libraries = join(root, "node_modules");
  mkdirSync(join(tree, "node_modules/@dormouse"), { recursive: true });
  for (const name of readdirSync(libraries)) {
    if (owned.includes(name)) cpSync(join(libraries, name), join(tree, "node_modules", name), { recursive: true });
    else if (name !== "@dormouse") symlinkSync(join(libraries, name), join(tree, "node_modules", name));
  }
  for (const name of ["core", "local", "client", "testing"]) {
    cpSync(join(root, "packages", name), join(tree, "packages", name), { recursive: true, filter: isSource });
    symlinkSync(join(tree, "packages", name), join(tree, "node_modules/@dormouse", name));
  }
  for (const path of ["package.json", "tsconfig.json", ...others]) {
    cpSync(join(root, path), join(tree, path), { recursive: true, filter: isSource });
  }
  apply(patch, tree);
  return tree;
}

function isSource(path: string): boolean {
  return !["dist", "node_modules"].includes(basename(path));
}
