/**
 * The deliberate bugs: patches of `packages/core/src`, each with a few lines before it that say what it is.
 *
 *     What it does.
 *     Breaks: D4
 *     Seeds: 100
 *
 * or, of one that the simulator cannot find yet, `Not found: what is missing` in the place of `Seeds`. `Among: trade,bank`
 * says which workloads the runs draw from, of a bug that the others would only hold up. `Scenario: a timer` says that the
 * runs are those of a scenario, in the place of seeds: first whole, then with each of its mishaps.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** A change of the sources, as a file that `git apply` takes. */
export interface Patch {
  readonly name: string;
  readonly file: string;
}

export interface Bug extends Patch {
  readonly text: string;
  /** The invariants that it breaks, as its author thinks. */
  readonly breaks: string;
  /** Within so many seeds it must be found; `undefined`: it is not found yet. */
  readonly seedsMax: number | undefined;
  /** The workloads that runs draw from, with commas; empty: all. */
  readonly among: string;
  /** The scenario whose runs find it, in the place of seeds; empty: none. */
  readonly scenario: string;
  /** What the simulator lacks to find it. */
  readonly missing: string | undefined;
}

/** What the first seed, or run of a scenario, that is not clean came to. */
export interface Finding {
  readonly seed: number;
  readonly invariants: readonly string[];
  readonly message: string;
}

export const root: string = resolve(import.meta.dirname, "../..");

const folder = join(import.meta.dirname, "bugs");

/** All of them, by name. @throws Error for a patch that does not say what it is. */
export function readBugs(): Bug[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".patch"));
  return names.toSorted().map((name) => readBug(name.slice(0, -".patch".length), join(folder, name)));
}

function readBug(name: string, file: string): Bug {
  const [head = ""] = readFileSync(file, "utf8").split(/^diff --git /m);
  const lines = head.split("\n");
  const field = (key: string): string | undefined =>
    lines.find((line) => line.startsWith(`${key}: `))?.slice(key.length + 2);
  const [text = ""] = lines;
  const breaks = field("Breaks");
  const seeds = field("Seeds");
  const missing = field("Not found");
  if (text === "" || breaks === undefined || (seeds === undefined) === (missing === undefined)) {
    throw new Error(`a bug begins with what it does, "Breaks: ", and "Seeds: " or "Not found: ": file=${file}`);
  }
  return {
    name,
    file,
    text,
    breaks,
    seedsMax: seeds === undefined ? undefined : Number(seeds),
    among: field("Among") ?? "",
    scenario: field("Scenario") ?? "",
    missing,
  };
}

/**
 * Puts the patch into the tree at `cwd`, or only looks whether that is possible.
 *
 * @throws Error if it does not fit the sources there.
 */
export function apply({ name, file }: Patch, cwd: string, isTried: boolean = false): void {
  // Inside a repository, paths would be those of the repository.
  const env = isTried ? process.env : { ...process.env, GIT_CEILING_DIRECTORIES: dirname(cwd) };
  const given = ["apply", ...(isTried ? ["--check"] : []), file];
  const { status, stderr, error } = spawnSync("git", given, { cwd, env, encoding: "utf8" });
  if (status !== 0)
    throw new Error(`the patch does not fit the sources any more: ${name}: ${stderr}`, { cause: error });
}
