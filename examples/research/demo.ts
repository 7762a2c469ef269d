/**
 * The demo: an agent writes a report on a folder of documents, and its process is killed at the worst moment.
 *
 * node --conditions=@dormouse/source demo.ts [folder]
 *
 * Every claim is checked against the witness, a file that the calls themselves write and that Dormouse knows nothing
 * of. Ends with exit code 0, or with 1 and the claim that does not hold.
 */
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify, styleText } from "node:util";
import { connect, type OutputOf, type StepView } from "@dormouse/sdk";
import { research } from "./agent.ts";
import { listDocuments } from "./documents.ts";
import { address, key } from "./host.ts";
import { readWitness, type WitnessLine } from "./witness.ts";

const repository = resolve(import.meta.dirname, "../..");
const hostEntry = join(import.meta.dirname, "host.ts");
const nodeOptions = ["--conditions=@dormouse/source"];
const killedAtWanted = 11;
const deadlineMs = 55_000;
const lookMs = 10;
const paceMs = 150;
const placePrefix = "run-";
const placeMsMax = 86_400_000;
const historyBytesMax = 268_435_456;

interface Plan {
  readonly folder: string;
  readonly store: string;
  readonly reportPath: string;
  readonly witnessPath: string;
  /** How many calls there are: one to list, two a document, to relate, to draft, and to publish. */
  readonly calls: number;
  /** The number of the call in which the host is killed. */
  readonly killedAt: number;
}

async function demo(signal: AbortSignal, hosts: ChildProcess[]): Promise<void> {
  const plan = await makePlan();
  const { killedAt, calls } = plan;

  title(`A host starts, and the agent ${address} in it`);
  const first = startHostProcess(plan, hosts, { RESEARCH_HOLD: String(killedAt) });
  await untilWitnessed(plan, first, signal);
  await kill(first);
  title(`kill -9 in the middle of call ${killedAt}: process ${first.pid} is gone`);
  checkCutOff(plan, readWitness(plan.witnessPath));

  title("Another host starts on the same folder, and the agent goes on");
  const second = startHostProcess(plan, hosts, {}, "approval");
  const loadedAt = loaded(second);
  await ended(second, signal);
  checkResumed(plan, readWitness(plan.witnessPath));
  tellResumed(plan, await loadedAt);

  title("The agent waits for a person's approval, and no process runs");
  check("both hosts are gone", hosts.every(isGone));
  say(`dormouse send ${address} '${approval}'`);
  const { isHostRunning } = await sendApproval(plan, signal);
  check("the approval is in the mailbox, durably, and no host took it", !isHostRunning);
  check("nothing is published", !existsSync(plan.reportPath));

  title("A host starts, takes the approval, and publishes");
  const last = startHostProcess(plan, hosts, {});
  const { outcome, by } = await resultOf(plan, last, signal);
  check(`the agent has ended: ${outcome}, and it knows by whom: ${by}`, outcome === "published" && by === "you");
  const witness = readWitness(plan.witnessPath);
  check(`call ${calls} published the report, once`, isOnce(witness, calls));
  check("the report is there", existsSync(plan.reportPath) && statSync(plan.reportPath).size > 0);
  check(`${calls} calls ran to their end, each once`, witness.filter(({ what }) => what === "end").length === calls);

  title("What the agent lived through");
  await tellHistory(plan, signal);
  last.kill("SIGTERM");
  await ended(last, signal);
  title(`The report: ${relative(process.cwd(), plan.reportPath)}`);
}

const approval = '{"type":"approve","by":"you"}';

async function makePlan(): Promise<Plan> {
  const [named] = process.argv.slice(2);
  // npm runs this in its package's folder; a relative path is meant from where the person stands.
  const folder = named === undefined ? repository : resolve(process.env["INIT_CWD"] ?? process.cwd(), named);
  if (!existsSync(folder)) throw new Error(`there is no such folder: ${folder}`);
  if (!statSync(folder).isDirectory()) throw new Error(`this is no folder: ${folder}`);
  const { paths, leftOut } = await listDocuments(folder);
  if (paths.length === 0)
    throw new Error(`there is no Markdown or text file in this folder, so nothing to report on: ${folder}`);
  const calls = 2 * paths.length + 4;
  // The last call waits for a person, so the one before it is the latest that can be cut off.
  const killedAt = Math.min(killedAtWanted, calls - 1);
  const place = makePlace(resolve(".dormouse-demo"));
  console.log(`A report on ${count(paths.length, "document")} of ${folder}, in ${calls} calls that are marked.`);
  if (leftOut > 0) say(`There are ${leftOut} more, for which a demo has no time.`);
  if (killedAt < killedAtWanted) {
    say(
      `With so few documents there is no call ${killedAtWanted} before the approval: the kill comes in call ${killedAt}.`,
    );
  }
  return {
    folder,
    store: `file:${join(place, "store")}`,
    reportPath: join(place, "report.md"),
    witnessPath: join(place, "witness.log"),
    calls,
    killedAt,
  };
}

/** An empty folder of this demo's own, so that several can run at once; those of yesterday's demos are removed. */
function makePlace(parent: string): string {
  mkdirSync(parent, { recursive: true });
  writeFileSync(join(parent, ".gitignore"), "*\n");
  const places = readdirSync(parent).filter((name) => name.startsWith(placePrefix));
  for (const place of places.map((name) => join(parent, name))) {
    const { mtimeMs } = statSync(place, { throwIfNoEntry: false }) ?? {};
    if (mtimeMs !== undefined && Date.now() - mtimeMs > placeMsMax) rmSync(place, { recursive: true, force: true });
  }
  return mkdtempSync(join(parent, placePrefix));
}

// ----------------------------------------------------------------------------------------------------------- processes

function startHostProcess(
  { store, folder, reportPath, witnessPath }: Plan,
  hosts: ChildProcess[],
  env: { readonly [name: string]: string },
  until: "approval" | "told" = "told",
): ChildProcess {
  const options = { store, folder, report: reportPath, witness: witnessPath, until };
  const line = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const host = fork(hostEntry, line, {
    execArgv: nodeOptions,
    env: { RESEARCH_PACE_MS: String(paceMs), ...process.env, ...env },
  });
  hosts.push(host);
  say(`process ${host.pid}`);
  return host;
}

/** Resolves when the call that is to be cut off has begun. */
async function untilWitnessed({ witnessPath, killedAt }: Plan, host: ChildProcess, signal: AbortSignal): Promise<void> {
  while (!readWitness(witnessPath).some(({ number }) => number === killedAt)) {
    if (hasEnded(host)) throw new Error(`the host ended before call ${killedAt} began`);
    await pause(lookMs, undefined, { signal });
  }
}

/** When a host had loaded its code, by its own word. */
async function loaded(host: ChildProcess): Promise<number> {
  const [{ loadedAt }] = (await once(host, "message")) as [{ readonly loadedAt: number }];
  return loadedAt;
}

async function kill(host: ChildProcess): Promise<void> {
  const exit = once(host, "exit");
  host.kill("SIGKILL");
  await exit;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Resolves when the host has drained and its process has ended by itself. */
async function ended(host: ChildProcess, signal: AbortSignal): Promise<void> {
  if (!hasEnded(host)) await once(host, "exit", { signal });
  if (host.exitCode !== 0) throw new Error(`a host did not end well: code=${host.exitCode} signal=${host.signalCode}`);
}

/** Asked of the system: there is no process of this id. */
function isGone({ pid }: ChildProcess): boolean {
  try {
    return pid === undefined || !process.kill(pid, 0);
  } catch {
    return true;
  }
}

/** Runs the `dormouse` command in a process of its own; resolves with what it prints. */
async function dormouse(line: readonly string[], signal: AbortSignal): Promise<string> {
  const entry = fileURLToPath(import.meta.resolve("@dormouse/cli/main"));
  const { stdout } = await promisify(execFile)(process.execPath, [...nodeOptions, entry, ...line], {
    signal,
    maxBuffer: historyBytesMax,
  });
  return stdout;
}

async function sendApproval({ store }: Plan, signal: AbortSignal): Promise<{ readonly isHostRunning: boolean }> {
  const answer = await dormouse(["send", address, approval, "--store", store, "--json"], signal);
  return JSON.parse(answer) as { readonly isHostRunning: boolean };
}

/** The agent's output, asked from this process of the host that runs it. */
async function resultOf({ store }: Plan, host: ChildProcess, signal: AbortSignal): Promise<OutputOf<typeof research>> {
  await using client = await connect({ store });
  while (!client.isHostRunning) {
    if (hasEnded(host)) throw new Error("the host ended before it could be asked");
    await pause(lookMs, undefined, { signal });
  }
  // Awaited here: the client is closed when this function is left.
  return await client.agent(research, key).result({ signal });
}

/** Prints the history, and checks in it what the witness has said of the calls. */
async function tellHistory({ store, calls }: Plan, signal: AbortSignal): Promise<void> {
  say(`dormouse history ${address}`);
  const line = ["history", address, "--store", store];
  const [text, json] = await Promise.all([dormouse(line, signal), dormouse([...line, "--json"], signal)]);
  console.log(text.replaceAll(/^(?=.)/gm, "  "));
  const steps = json
    .split("\n")
    .slice(0, -1)
    .map((step) => JSON.parse(step) as Pick<StepView, "cause" | "calls">);
  const results = steps.flatMap((step) => step.calls.filter(({ kind, what }) => kind === "run" && what === "ended"));
  check(`the history has the results of ${calls} calls, each once`, results.length === calls);
  const again = steps.filter(({ cause }) => cause === "attempt");
  check("the history has a second run of the function that was killed, and of no other", again.length === 1);
}

// -------------------------------------------------------------------------------------------------------------- claims

function checkCutOff({ killedAt }: Plan, witness: readonly WitnessLine[]): void {
  check(
    `calls 1 to ${killedAt - 1} had ended`,
    numbers(1, killedAt - 1).every((number) => isOnce(witness, number)),
  );
  check(
    `call ${killedAt} had started and not ended`,
    linesOf(witness, killedAt, "start").length === 1 && linesOf(witness, killedAt, "end").length === 0,
  );
}

function checkResumed({ killedAt, calls }: Plan, witness: readonly WitnessLine[]): void {
  const before = numbers(1, killedAt - 1);
  const again = before.filter((number) => !isOnce(witness, number));
  check(`of calls 1 to ${killedAt - 1}, ${again.length} were done again`, again.length === 0);
  check(
    `call ${killedAt} was done again, under the same idempotency key`,
    linesOf(witness, killedAt, "start").length === 2 && linesOf(witness, killedAt, "end").length === 1,
  );
  say(linesOf(witness, killedAt, "end")[0]?.key ?? "");
  if (killedAt < calls - 1) {
    const rest = numbers(killedAt + 1, calls - 1);
    check(
      `the rest, up to call ${calls - 1}, was done once`,
      rest.every((number) => isOnce(witness, number)),
    );
  }
  // A call that came again under another key would be one more.
  const wanted = ["list", ...numbers(1, (calls - 4) / 2).flatMap(() => ["read", "extract"]), "relate", "draft"];
  const names = witness.filter(({ isAgain }) => !isAgain).map(({ name }) => name);
  check("every call has a key of its own", names.join() === wanted.join());
}

/** Not a claim: a machine may be slow. */
function tellResumed({ killedAt, witnessPath }: Plan, loadedAt: number): void {
  const again = linesOf(readWitness(witnessPath), killedAt, "start").at(-1);
  if (again !== undefined)
    say(`call ${killedAt} began again ${again.at - loadedAt} ms after the new process had loaded its code`);
}

function isOnce(witness: readonly WitnessLine[], number: number): boolean {
  return linesOf(witness, number, "start").length === 1 && linesOf(witness, number, "end").length === 1;
}

function linesOf(witness: readonly WitnessLine[], number: number, what: WitnessLine["what"]): WitnessLine[] {
  return witness.filter((line) => line.number === number && line.what === what);
}

function numbers(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}

/** Says that a claim holds. @throws Error if it does not. */
function check(claim: string, holds: boolean): void {
  if (!holds) throw new Error(`this does not hold: ${claim}`);
  console.log(`  ${paint("green", "✓")} ${claim}`);
}

// --------------------------------------------------------------------------------------------------------------- words

function title(text: string): void {
  console.log(`\n${paint("bold", text)}`);
}

function say(text: string): void {
  console.log(`  ${paint("dim", text)}`);
}

function count(number: number, noun: string): string {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}

function paint(colour: "bold" | "dim" | "green" | "red", text: string): string {
  return process.stdout.isTTY ? styleText(colour, text) : text;
}

/** What went wrong, in a sentence; an interrupted wait says only that it was. */
function explain(error: unknown, signal: AbortSignal): string {
  if (interrupt.signal.aborted) return "it was interrupted";
  if (signal.aborted) return `it took longer than ${deadlineMs / 1_000} s`;
  return error instanceof Error ? error.message : String(error);
}

const hosts: ChildProcess[] = [];
const interrupt = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => interrupt.abort());
const signal = AbortSignal.any([interrupt.signal, AbortSignal.timeout(deadlineMs)]);
const startedAt = performance.now();
try {
  await demo(signal, hosts);
  console.log(`\nAll of it held, in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s.`);
} catch (error) {
  console.error(`\n${paint("red", "The demo failed:")} ${explain(error, signal)}`);
  // As a shell reports what SIGINT has ended.
  process.exitCode = interrupt.signal.aborted ? 130 : 1;
} finally {
  for (const host of hosts) if (!hasEnded(host)) host.kill("SIGKILL");
}
