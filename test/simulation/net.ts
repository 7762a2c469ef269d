/**
 * Does the net catch fish? Puts each deliberate bug into a copy of the sources, simulates until a seed finds it, and
 * writes the table of README.md.
 *
 *     npm run sim:bugs                                  every bug; those not found yet are left out
 *     npm run sim:bugs -- --only release-before-commit  one, or several with commas; the others' rows stay
 *
 * Also `--jobs 2` bugs at once, and `--seeds 10` in the place of what each bug is allowed.
 * Exit code 1 if one is not found in the seeds it is allowed.
 */
import { spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { type Bug, type Finding, readBugs } from "./bugs.ts";
import { plant } from "./plant.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    jobs: { type: "string", default: "1" },
    seeds: { type: "string" },
  },
});

const readme = join(import.meta.dirname, "README.md");
const begin = "<!-- written by net.ts -->";
const end = "<!-- end -->";
/** A process that says nothing for so long stands still, which is a finding too. */
const silenceMs = 90_000;

async function hunt(bug: Bug, seedsMax: number): Promise<Finding | undefined> {
  const tree = plant(bug, { others: ["test/simulation"] });
  try {
    return await firstViolation(tree, seedsMax, bug);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

async function firstViolation(
  tree: string,
  seedsMax: number,
  { name, among, scenario }: Bug,
): Promise<Finding | undefined> {
  const program = join(tree, "test/simulation/first-violation.ts");
  const child = spawn(process.execPath, ["--conditions=@dormouse/source", program, String(seedsMax), among, scenario], {
    cwd: tree,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (chunk) => (errors += String(chunk)));
  const ended = new Promise<string>((done) =>
    child.on("close", (code, signal) => done(signal ?? `exit code ${code ?? "unknown"}`)),
  );
  const kill = (): void => void child.kill("SIGKILL");
  let silence = setTimeout(kill, silenceMs);
  let seed = -1;
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(silence);
    const said = JSON.parse(line) as { readonly seed: number; readonly finding?: Finding };
    if (said.finding !== undefined) {
      kill();
      return said.finding;
    }
    seed = said.seed;
    if (seed % 50 === 49) console.error(`${name}: ${seed + 1} seeds clean`);
    silence = setTimeout(kill, silenceMs);
  }
  clearTimeout(silence);
  const how = await ended;
  if (seed + 1 === seedsMax) return undefined;
  // Before the first seed it is the bug that is broken, not the runtime.
  if (seed < 0 && how !== "SIGKILL") throw new Error(`${name} does not run: ${how}: ${errors}`);
  return { seed: seed + 1, invariants: ["process"], message: `the process ended: ${how}: ${errors.slice(-200)}` };
}

// ----------------------------------------------------------------------------------------------------------- the table

interface Row {
  readonly name: string;
  readonly line: string;
}

function rowOf(bug: Bug, seedsMax: number, finding: Finding | undefined): Row {
  const found = finding === undefined ? "not found | -" : `${finding.invariants.join(", ")} | ${placeOf(bug, finding)}`;
  return { name: bug.name, line: `| ${bug.name} | ${bug.text} | ${bug.breaks} | ${found} | ${seedsMax} |` };
}

function placeOf({ scenario }: Bug, { seed }: Finding): string {
  return scenario === "" ? String(seed) : `run ${seed} of ${scenario}`;
}

/** The table with these rows; those of bugs that were not run stay. */
function write(rows: readonly Row[], bugs: readonly Bug[]): void {
  const text = readFileSync(readme, "utf8");
  const [before = "", rest = ""] = text.split(begin);
  const [table = "", after = ""] = rest.split(end);
  const lines = new Map(table.split("\n").map((line) => [line.split("|")[1]?.trim() ?? "", line]));
  for (const { name, line } of rows) lines.set(name, line);
  const sought = bugs.filter(({ seedsMax }) => seedsMax !== undefined);
  const missed = bugs.filter(({ missing }) => missing !== undefined);
  const written = [
    "",
    "",
    "| bug | what it does | breaks | found by | at seed | seeds allowed |",
    "|---|---|---|---|---|---|",
    ...sought.flatMap(({ name }) => lines.get(name) ?? []),
    "",
    "## Not found yet",
    "",
    "| bug | what it does | breaks | what is missing |",
    "|---|---|---|---|",
    ...missed.map(({ name, text: what, breaks, missing }) => `| ${name} | ${what} | ${breaks} | ${missing} |`),
    "",
    "",
  ];
  writeFileSync(readme, [before, begin, written.join("\n"), end, after].join(""));
}

async function main(): Promise<number> {
  const bugs = readBugs();
  const only = values.only?.split(",");
  const unknown = only?.find((name) => !bugs.some((bug) => bug.name === name));
  if (unknown !== undefined) throw new Error(`there is no such bug: ${unknown}`);
  const sought = bugs.filter(({ name, seedsMax }) => only?.includes(name) ?? seedsMax !== undefined);
  const left = [...sought];
  let missed = 0;
  const work = async (): Promise<void> => {
    for (let bug = left.shift(); bug !== undefined; bug = left.shift()) {
      const startedAt = performance.now();
      const seedsMax = Number(values.seeds ?? bug.seedsMax ?? 400);
      const finding = await hunt(bug, seedsMax);
      if (finding === undefined) missed += 1;
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
      const what =
        finding === undefined
          ? `NOT FOUND in ${seedsMax} seeds`
          : `seed ${finding.seed}, ${finding.invariants.join(" ")}: ${finding.message.slice(0, 160)}`;
      console.error(`${bug.name}: ${what} (${seconds}s)`);
      if (bug.seedsMax !== undefined) write([rowOf(bug, bug.seedsMax, finding)], bugs);
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  write([], bugs);
  console.error(`${sought.length - missed} of ${sought.length} bugs found`);
  return missed > 0 ? 1 : 0;
}

if (resolve(process.argv[1] ?? "") === import.meta.filename) process.exitCode = await main();
