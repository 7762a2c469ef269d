/**
 * Simulates seed after seed, and shows what it finds.
 *
 *     npm run sim -- --seeds 1000                     from a seed drawn by chance, or --from 1
 *     npm run sim -- --seed 7                         one seed, with its trace
 *     npm run sim -- --seed 7 --shortest              and its shortest failing prefix
 *
 * Also `--duration` in virtual milliseconds, `--workload counter` or `--among counter,bank` for those to draw from,
 * `--damage 8` objects of agents a virtual minute, `--trace 300` lines, `--jobs 2` processes.
 * Exit code 1 if any seed fails.
 */
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { drawWorkloads, type Run, simulate, type SimulationOptions, workloads } from "@dormouse/testing";
import { stepAgainOf } from "./step-again.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    from: { type: "string" },
    step: { type: "string", default: "1" },
    duration: { type: "string" },
    damage: { type: "string" },
    workload: { type: "string" },
    among: { type: "string" },
    trace: { type: "string", default: "80" },
    grep: { type: "string" },
    until: { type: "string", default: "1e9" },
    jobs: { type: "string", default: "1" },
    shortest: { type: "boolean", default: false },
    "keep-going": { type: "boolean", default: false },
    quiet: { type: "boolean", default: false },
  },
});

interface Failure {
  readonly seed: number;
  readonly run: Run | undefined;
  readonly text: string;
}

function optionsOf(seed: number): SimulationOptions {
  const made = workloads.filter(({ name }) => name === values.workload);
  const among = workloads.filter(({ name }) => values.among?.split(",").includes(name));
  return {
    seed,
    stepAgain: stepAgainOf,
    ...(values.damage === undefined ? {} : { damagesPerMinute: Number(values.damage) }),
    ...(values.duration === undefined ? {} : { durationMs: Number(values.duration) }),
    ...(among.length === 0 ? {} : { workloads: (random) => drawWorkloads(random, among) }),
    ...(made.length === 0 ? {} : { workloads: (random) => made.map((make) => make(random)) }),
  };
}

async function run(seed: number, more: Partial<SimulationOptions> = {}): Promise<Run | Failure> {
  try {
    const ran = await simulate({ ...optionsOf(seed), ...more });
    if (ran.violations.length === 0) return ran;
    const text = ran.violations
      .map(({ invariant, message, atMs }) => `${invariant} at ${atMs}ms: ${message}`)
      .join("\n");
    return { seed, run: ran, text };
  } catch (error) {
    return { seed, run: undefined, text: textOf(error) };
  }
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? `${error.stack}` : `${error.message}\ncaused by ${textOf(error.cause)}`;
}

function isFailure(result: Run | Failure): result is Failure {
  return "text" in result;
}

function show({ seed, run: ran, text }: Failure, traceLines: number): void {
  const pattern = values.grep === undefined ? undefined : new RegExp(values.grep);
  const trace = (ran?.trace ?? [])
    .filter((line) => (pattern?.test(line) ?? true) && Number.parseFloat(line.slice(8)) <= Number(values.until))
    .slice(-traceLines);
  console.log(`seed ${seed} fails\n${text}\n${trace.join("\n")}`);
  console.log(`again: npm run sim -- --seed ${seed}`);
}

/** The fewest events of faults after which the seed still fails. */
async function shortest(seed: number, eventsOfFaults: number): Promise<Failure | undefined> {
  let [clean, failing] = [0, eventsOfFaults];
  let found: Failure | undefined;
  while (failing - clean > 1) {
    const eventsMax = (clean + failing) >>> 1;
    const result = await run(seed, { eventsMax, traceLinesMax: 20_000 });
    if (isFailure(result)) [failing, found] = [eventsMax, result];
    else clean = eventsMax;
  }
  console.log(`the shortest failing prefix of seed ${seed}: ${failing} events`);
  return found;
}

async function one(seed: number): Promise<number> {
  const result = await run(seed, { traceLinesMax: 200_000 });
  if (!isFailure(result)) {
    console.log(`seed ${seed} holds: digest ${result.digest}`, { ...result, trace: undefined });
    return 0;
  }
  show(result, Number(values.trace));
  if (values.shortest) {
    const found = await shortest(seed, result.run?.eventsOfFaults ?? 1_000_000);
    if (found !== undefined) show(found, Number(values.trace));
  }
  return 1;
}

async function many(from: number, count: number, step: number): Promise<number> {
  const startedAt = performance.now();
  const coverage = new Map<string, number>();
  const crashes = new Map<string, number>();
  const figures = new Map<string, number>();
  let [failures, events, operations, virtualMs, faults] = [0, 0, 0, 0, 0];
  for (let index = 0; index < count; index += 1) {
    const result = await run(from + index * step);
    if (isFailure(result)) {
      failures += 1;
      if (values.quiet)
        console.log(`seed ${result.seed} fails: ${result.text.split("\n").slice(0, 3).join(" | ").slice(0, 400)}`);
      else show(result, Number(values.trace));
      if (!values["keep-going"]) break;
    }
    const ran = isFailure(result) ? result.run : result;
    for (const [fault, times] of Object.entries(ran?.coverage ?? {})) {
      coverage.set(fault, (coverage.get(fault) ?? 0) + times);
      faults += times;
    }
    for (const [point, times] of Object.entries(ran?.crashes ?? {}))
      crashes.set(point, (crashes.get(point) ?? 0) + times);
    for (const [figure, value] of Object.entries(ran?.figures ?? {})) {
      figures.set(figure, (figures.get(figure) ?? 0) + value);
    }
    events += ran?.events ?? 0;
    operations += ran?.operations ?? 0;
    virtualMs += ran?.virtualMs ?? 0;
    if (index % 100 === 99) console.log(`${index + 1} seeds, ${failures} failing, ${secondsSince(startedAt)}s`);
  }
  const each = (total: number): number => Math.round(total / count);
  console.log(`${count} seeds from ${from}, ${failures} failing, in ${secondsSince(startedAt)}s;`);
  console.log(
    `on average ${each(operations)} operations, ${each(faults)} faults, ${each(events)} events, ${each(virtualMs / 1_000)} virtual seconds`,
  );
  console.log(Object.fromEntries(figures));
  console.log(Object.fromEntries([...coverage].toSorted(([left], [right]) => (left < right ? -1 : 1))));
  const missed = [...crashes].filter(([, times]) => times === 0).map(([point]) => point);
  console.log(`hosts died at ${crashes.size - missed.length} of ${crashes.size} crash points; not at`, missed);
  return failures > 0 ? 1 : 0;
}

function secondsSince(startedAt: number): string {
  return ((performance.now() - startedAt) / 1_000).toFixed(1);
}

/** One process per job, each with every so-manieth seed. */
async function parallel(from: number, count: number, jobs: number): Promise<number> {
  const given = process.argv.slice(2).filter((_, index, all) => !isJobs(all[index]) && !isJobs(all[index - 1]));
  const codes = await Promise.all(
    Array.from({ length: jobs }, (_, job) => {
      const share = Math.ceil((count - job) / jobs);
      const args = [...process.execArgv, process.argv[1] ?? "", ...given];
      args.push("--from", String(from + job), "--seeds", String(share), "--step", String(jobs));
      return new Promise<number>((resolve) => {
        spawn(process.execPath, args, { stdio: "inherit" }).on("exit", (code) => resolve(code ?? 1));
      });
    }),
  );
  return Math.max(...codes);
}

function isJobs(argument: string | undefined): boolean {
  return argument === "--jobs";
}

const from = Number(values.from ?? Math.floor(Math.random() * 2 ** 31));
if (values.seed !== undefined) process.exitCode = await one(Number(values.seed));
else if (Number(values.jobs) > 1)
  process.exitCode = await parallel(from, Number(values.seeds ?? 100), Number(values.jobs));
else process.exitCode = await many(from, Number(values.seeds ?? 100), Number(values.step));
