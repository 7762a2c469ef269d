/**
 * Runs programs, each in a process of its own, and writes `RESULTS.md`: figures, goals, and the machine they are from.
 * Those that are named, as in `npm run bench -- cluster`, or all; chapters of others then stay as they were.
 */
import { execFileSync } from "node:child_process";
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { type Figure, format, median } from "./figure.ts";

interface Program {
  readonly program: string;
  readonly title: string;
  /** What a reader of the figures must know. */
  readonly note?: string;
}

const programs: readonly Program[] = [
  { program: "throughput", title: "Asks, embedded, on a folder" },
  { program: "activation", title: "Cold activations, on a folder" },
  { program: "growth", title: "A state that grows by 2 kB a turn, to 600 kB" },
  { program: "memory", title: "Memory" },
  { program: "durable", title: "Durable functions, on a folder" },
  {
    program: "cluster",
    title: "Cluster",
    note: "Servers, hosts and client share the cores of this one machine: ratios and processor time say more than rates.",
  },
  {
    program: "recovery",
    title: "Pauses of a cluster",
    note: "Seven processes share the cores of this one machine, and a host that starts takes one of them for a second.",
  },
];

const results = join(import.meta.dirname, "RESULTS.md");

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

/** One program's figures; of one that was run by itself also when, since the table above is of another run. */
function chapter({ program, title, note }: Program, isChosen: boolean): string {
  console.log(`${title} …`);
  const date = new Date().toISOString().slice(0, 10);
  const busy = (loadavg()[0] ?? 0).toFixed(1);
  const when = `Run by itself: ${date}, commit ${commit()}, \`npm run bench -- ${program}\`; load average before it, of others' work: ${busy}.`;
  const parts = [`## ${title}`, `\`bench/${program}.ts\``, isChosen ? when : undefined, note, table(run(program))];
  return `${parts.filter((part) => part !== undefined).join("\n\n")}\n`;
}

/** What stands before the chapters. */
function head(): string {
  return [
    "# Results\n",
    "Written by `npm run bench`; how each figure is taken is in [README.md](README.md). Goals are those of the first issue, for",
    "2 shared cores; a run on a busy machine may miss what a quiet one meets.\n",
    `${machine()}\n`,
  ].join("\n");
}

/** `RESULTS.md` with the chapters of these programs made anew. */
function withChosen(names: readonly string[]): string {
  const [top = "", ...old] = readFileSync(results, "utf8").split(/^(?=## )/m);
  const chapters = programs.flatMap((one) => {
    if (names.includes(one.program)) return [chapter(one, true)];
    const kept = old.find((text) => text.startsWith(`## ${one.title}\n`));
    return kept === undefined ? [] : [kept.trimEnd() + "\n"];
  });
  return [top.trimEnd() + "\n", ...chapters].join("\n");
}

const chosen = process.argv.slice(2);
const unknown = chosen.find((name) => programs.every(({ program }) => program !== name));
if (unknown !== undefined) {
  const known = programs.map(({ program }) => program).join(", ");
  throw new Error(`no program has this name; name one of ${known}: name=${unknown}`);
}
const text =
  chosen.length > 0 ? withChosen(chosen) : [head(), ...programs.map((one) => chapter(one, false))].join("\n");
writeFileSync(results, text);
console.log(text);
