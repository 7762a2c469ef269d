/** Runs every program in a process of its own, and writes `RESULTS.md`: figures, goals, and the machine they are from. */
import { execFileSync } from "node:child_process";
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { availableParallelism, cpus, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { type Figure, format, median } from "./figure.ts";

const programs = [
  ["throughput", "Asks, embedded, on a folder"],
  ["activation", "Cold activations, on a folder"],
  ["growth", "A state that grows by 2 kB a turn, to 600 kB"],
  ["memory", "Memory"],
] as const;

function run(program: string): readonly Figure[] {
  const path = join(import.meta.dirname, `${program}.ts`);
  const output = execFileSync(process.execPath, ["--conditions=@dormouse/source", "--expose-gc", path, "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1_048_576,
  });
  return JSON.parse(String(output).trim().split("\n").at(-1) ?? "[]") as Figure[];
}

/** How long the disk below the temporary folder takes to make 4 kB durable: what no commit can be faster than. */
function syncMs(): number {
  const folder = mkdtempSync(join(tmpdir(), "dormouse-sync-"));
  const file = openSync(join(folder, "file"), "w");
  const bytes = new Uint8Array(4_096);
  const took = Array.from({ length: 200 }, (_, n) => {
    const begunMs = performance.now();
    writeSync(file, bytes, 0, bytes.length, n * bytes.length);
    fsyncSync(file);
    return performance.now() - begunMs;
  });
  closeSync(file);
  rmSync(folder, { recursive: true });
  return median(took);
}

function commit(): string {
  try {
    const options = { cwd: import.meta.dirname, encoding: "utf8" } as const;
    const isChanged = execFileSync("git", ["status", "--porcelain"], options).trim() !== "";
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], options).trim() + (isChanged ? ", with changes" : "");
  } catch {
    return "unknown";
  }
}

function table(figures: readonly Figure[]): string {
  const rows = figures.map(({ what, value, unit, goal }) => {
    const verdict = goal === undefined ? "" : `${goal.text}: ${goal.isMet ? "met" : "**not met**"}`;
    return `| ${what} | ${format(value)} ${unit} | ${verdict} |`;
  });
  return ["| what | measured | goal |", "|---|---:|---|", ...rows].join("\n");
}

function machine(): string {
  const [cpu] = cpus();
  const gib = (totalmem() / 2 ** 30).toFixed(0);
  const rows = [
    ["date", new Date().toISOString().slice(0, 10)],
    ["commit", commit()],
    ["processor", `${cpu?.model.trim() ?? "unknown"}, ${availableParallelism()} cores for this process`],
    ["memory", `${gib} GiB`],
    ["system", `${process.platform} ${release()}`],
    ["Node", process.version],
    ["4 kB made durable (`fsync`, median of 200)", `${syncMs().toFixed(2)} ms`],
    ["command", "`npm run bench`"],
  ];
  return ["| | |", "|---|---|", ...rows.map(([what, value]) => `| ${what} | ${value} |`)].join("\n");
}

const chapters = programs.map(([program, title]) => {
  console.log(`${title} …`);
  return `## ${title}\n\n\`bench/${program}.ts\`\n\n${table(run(program))}\n`;
});
const text = [
  "# Results\n",
  "Written by `npm run bench`; how each figure is taken is in [README.md](README.md). Goals are those of the first issue, for",
  "2 shared cores; a run on a busy machine may miss what a quiet one meets.\n",
  `${machine()}\n`,
  ...chapters,
].join("\n");
writeFileSync(join(import.meta.dirname, "RESULTS.md"), text);
console.log(text);
