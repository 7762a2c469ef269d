/**
 * `dormouse-host`: one host in a process of its own, from its configuration to its exit code.
 *
 * Exit codes: 0 drained; 1 failed, so a supervisor starts it again; 2 what it was given cannot be right (errors of kind
 * `invalid`), so no start would help; 128 and the signal's number: told to end a second time (or by SIGKILL, if it was in the middle of a write to a folder).
 */
import { readFileSync } from "node:fs";
import { constants, hostname } from "node:os";
import {
  type AnyAgentDefinition,
  DormouseError,
  type Host,
  type HostStatus,
  loadAgents,
  type Observe,
  startHost,
} from "@dormouse/sdk";
import { type Config, readConfig, readLine } from "./config.ts";
import { serveHealth } from "./health.ts";
import { helpText } from "./help.ts";
import { errorFields, Log } from "./log.ts";
import { openLogOutput } from "./log-output.ts";
import { Metrics } from "./metrics.ts";
import { starting } from "./starting.ts";
import { whenReady } from "./when-ready.ts";

/** Resolves with the exit code. */
async function main(line: readonly string[]): Promise<number> {
  let config: Config;
  try {
    const { asks } = readLine(line);
    if (asks !== "run") {
      process.stdout.write(asks === "help" ? helpText() : `${version()}\n`);
      return 0;
    }
    config = readConfig({ line, environment: process.env });
  } catch (error) {
    if (!(error instanceof DormouseError)) throw error;
    process.stderr.write(`error: ${error.message} (${error.code})\n`);
    return 2;
  }
  const output = openLogOutput();
  const name = config.start.name ?? hostname();
  const log = new Log({ level: config.logLevel, name, destination: output, monotonic: () => performance.now() });
  const endNow = (code: number): void => void output.close().then(() => process.exit(code));
  // A promise or a callback of an agent's own code that nobody handles: what else it left undone is not known.
  process.on("uncaughtException", (thrown) => {
    log.say("error", "something threw that nobody handles, and the host ends", failureFields(thrown));
    endNow(1);
  });
  for (const text of config.warnings) log.say("warn", "the configuration has something unknown", { text });
  try {
    const agents = await loadWatched(config.agents, (error) => {
      log.say("error", "the host has failed", failureFields(error));
      output.flush();
    });
    await run(config, agents, log, stopOnSignals(log, endNow));
    return 0;
  } catch (thrown) {
    if (!log.hasToldEnd(thrown)) log.say("error", "the host has failed", failureFields(thrown));
    return thrown instanceof DormouseError && thrown.kind === "invalid" ? 2 : 1;
  } finally {
    await output.close();
  }
}

/**
 * Loads the agents. A module that ends the process, or waits for what never comes, would end it in silence and maybe with
 * 0, which a supervisor takes for drained.
 */
async function loadWatched(
  path: string,
  ended: (error: DormouseError) => void,
): Promise<readonly AnyAgentDefinition[]> {
  const exits = (): void => {
    ended(agentsEnded(path));
    process.exitCode = 1;
  };
  process.on("exit", exits);
  try {
    return await loadAgents(path);
  } finally {
    process.off("exit", exits);
  }
}

function agentsEnded(path: string): DormouseError {
  return new DormouseError(
    "failed",
    "agents.ended",
    `the module of agents ended the process as it was loaded, or awaits what never comes; mend it: module=${path}`,
  );
}

/** Runs a host until it is told to end, or fails. */
async function run(config: Config, agents: readonly AnyAgentDefinition[], log: Log, stop: AbortSignal): Promise<void> {
  let host: Host | undefined;
  const status = (): HostStatus => host?.status() ?? starting(config.start.name ?? hostname());
  const metrics = new Metrics({
    types: agents.map(({ type }) => type),
    version: version(),
    app: config.start.app ?? "default",
    status,
  });
  await using health = await serveHealth({
    listen: config.healthListen,
    status,
    metrics: () => metrics.text(),
  });
  const observe: Observe = (event) => {
    metrics.observe(event);
    log.observe(event);
  };
  log.say("info", "the host starts", {
    version: version(),
    node: process.version,
    pid: process.pid,
    health: health.url,
  });
  const started = await start(config, agents, observe, stop);
  if (started === undefined) return;
  host = started;
  log.started(() => started.incarnation);
  const types = agents.map(({ type }) => type);
  const { isReady, reason } = status();
  if (!isReady) log.say("info", "the host has started", { types, reason });
  const stopLooking = whenReady(status, () => log.say("info", "the host is ready", { types }));
  try {
    await started.ended;
  } finally {
    stopLooking();
  }
  log.say("info", "the host has drained");
}

/** `undefined` if it was told to end before it had begun. */
async function start(
  { start: options }: Config,
  agents: readonly AnyAgentDefinition[],
  observe: Observe,
  signal: AbortSignal,
): Promise<Host | undefined> {
  if (signal.aborted) return undefined;
  return startHost({ ...options, agents, observe, signal });
}

/** Aborted by the first signal; the second ends the process at once, as PID 1 too, which no signal ends by itself. */
function stopOnSignals(log: Log, endNow: (code: number) => void): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) {
        log.say("warn", "the host ends at once", { signal });
        endNow(128 + constants.signals[signal]);
        return;
      }
      log.say("info", "the host drains", { signal });
      stop.abort();
    });
  }
  return stop.signal;
}

function failureFields(thrown: unknown): { readonly [name: string]: unknown } {
  if (thrown instanceof DormouseError) return errorFields(thrown, thrown.cause);
  return thrown instanceof Error ? errorFields(thrown, thrown) : { error: String(thrown) };
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}

// What a module of agents left open, a timer or a socket, would keep the process for ever.
process.exit(await main(process.argv.slice(2)));
