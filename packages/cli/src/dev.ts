/**
 * `dormouse dev`: runs the agents of a module in a host of its own process, and starts that anew on each change.
 *
 * Owns: the host's process, and when it is replaced. The agents live on in the store; a host that is replaced drains.
 * Leaves to others: what runs in that process (`dev-host.ts`), what counts as a change (`source-watch.ts`).
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Call, type Command, Failed } from "./command.ts";
import { exitStoreUnfit, type HostTask } from "./dev-task.ts";
import { readPlaces } from "./places.ts";
import { SourceWatch } from "./source-watch.ts";
import { UsageError } from "./usage-error.ts";

const hostEntry = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "dev-host.ts" : "dev-host.js", import.meta.url),
);
/** A host that drains needs less; one that hangs is ended. */
const drainMsMax = 15_000;

export const dev: Command = {
  name: "dev",
  arguments: ["<module>"],
  options: ["json"],
  summary: "run a module's agents, and start anew on each change of it",
  help:
    "The module exports one or more agents, each made by agent(...). They run in a host in a process of its own; when the " +
    "module or a source file (.ts, .js) beside or below it changes, a fresh process takes over, and the agents go on " +
    "where they were. Ends with Ctrl-C.",
  async run(call) {
    const module = resolve(call.arguments[0] ?? "");
    // What cannot be right is said once, before there is a host to start again and again.
    readPlaces(call);
    if (!existsSync(module) || !statSync(module).isFile()) throw new UsageError(`there is no such module: ${module}`);
    const stop = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
    const watch = new SourceWatch(dirname(module));
    try {
      await runHosts(call, module, watch, stop.signal);
    } finally {
      watch.close();
    }
  },
};

/** One host after another, until there is a stop. */
async function runHosts(call: Call, module: string, watch: SourceWatch, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const path = await runHost(call, module, watch, stop);
    if (path !== undefined) call.output.note(`${relative(process.cwd(), path)} has changed: starting a new host`);
  }
}

/** Resolves when its time is over, with the path of the change that calls for another; `undefined` after a stop. */
async function runHost(call: Call, module: string, watch: SourceWatch, stop: AbortSignal): Promise<string | undefined> {
  const host = startHostProcess(call, module);
  const ended = once(host, "exit");
  const changed = watch.change(stop);
  const first = await Promise.race([ended.then(() => "ended" as const), changed.then(() => "changed" as const)]);
  if (first === "changed") await endHostProcess(host);
  else if (host.exitCode === exitStoreUnfit) throw new Failed("the host said why");
  else if (!stop.aborted) call.output.note("the host has ended; it is started again when a source file changes");
  return changed;
}

function startHostProcess(call: Call, module: string): ChildProcess {
  const task: HostTask = { module, placeFlags: call.placeFlags, isJson: call.options.json !== undefined };
  // The channel is how the host notices that this process is gone, however it ended.
  return fork(hostEntry, [JSON.stringify(task)], { stdio: "inherit" });
}

async function endHostProcess(host: ChildProcess): Promise<void> {
  if (host.exitCode !== null || host.signalCode !== null) return;
  const ended = once(host, "exit");
  const timer = setTimeout(() => host.kill("SIGKILL"), drainMsMax);
  host.kill("SIGTERM");
  await ended;
  clearTimeout(timer);
}
