/** The process that `dormouse dev` starts: one host with the agents that a module exports, until it is told to end. */
import { type AnyAgentDefinition, DormouseError, type Host, loadAgents, type Observed, startHost } from "@dormouse/sdk";
import { exitModuleUnfit, exitStoreUnfit, type HostTask } from "./dev-task.ts";
import { makeOutput, oneLine, type Output, wantsColour } from "./output.ts";
import { readPlaces } from "./places.ts";

/** Running effects begin anew in the next host, so a change need not wait for them. */
const drainMs = 1_000;

async function main(task: HostTask): Promise<void> {
  const output = makeOutput({
    isJson: task.isJson,
    stdout: process.stdout,
    stderr: process.stderr,
    isColourWanted: wantsColour(process.env),
  });
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  process.on("disconnect", () => stop.abort());
  try {
    const agents = await loadAgents(task.module);
    const host = await startAgents(task, agents, output);
    const types = agents.map(({ type }) => type);
    output.result(
      `${output.paint("green", "ready")}: ${types.join(", ")} ${output.paint("dim", `in process ${process.pid}`)}`,
      { kind: "ready", types, pid: process.pid },
    );
    await runUntil(stop.signal, host);
  } catch (error) {
    output.error(error);
    const thrown = error instanceof DormouseError && error.code === "agents.threw" ? error.cause : error;
    if (!(thrown instanceof DormouseError) && !task.isJson) console.error(placesOf(thrown).join("\n"));
    process.exitCode = isStoreUnfit(error) ? exitStoreUnfit : exitModuleUnfit;
  }
  if (process.connected) process.disconnect();
}

function startAgents({ placeFlags }: HostTask, agents: readonly AnyAgentDefinition[], output: Output): Promise<Host> {
  return startHost({
    agents,
    settings: { drainMs },
    observe: (event) => {
      const text = describe(event, output);
      if (text !== undefined) output.result(text, event);
    },
    ...readPlaces({ placeFlags, environment: process.env }),
  });
}

async function runUntil(stop: AbortSignal, host: Host): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    stop.addEventListener("abort", () => resolve(), { once: true });
  });
  await Promise.race([stopped, host.ended]);
  await host.drain();
}

/** Held by another host, full, not writable, not ours: no edit of the module helps. */
function isStoreUnfit(error: unknown): boolean {
  return error instanceof DormouseError && /^(?:app|config|folder|mailbox|nats|store)\./.test(error.code);
}

const stackLinesMax = 4;

/** What a person who works on an agent wants to see; the rest is the runtime's own business. */
function describe(event: Observed, { paint, show }: Output): string | undefined {
  const agent = "agent" in event ? oneLine(event.agent) : "";
  switch (event.kind) {
    case "stepped":
      return event.error === undefined
        ? `${agent} ${paint("dim", `step ${event.seq}`)}`
        : `${agent} ${paint("red", `step ${event.seq} failed: ${show(event.error.message)}`)}${stackOf(event.thrown)}`;
    case "refused":
      return `${agent} ${paint("yellow", `refused a message: ${show(event.error.message)}`)}`;
    case "logged":
      return `${agent} ${oneLine(event.label ?? "log")}: ${show(event.value)}`;
    case "action-failed":
      return `${agent} ${paint("red", `action ${oneLine(event.name)} failed: ${show(event.error.message)}`)}${stackOf(event.thrown)}`;
    case "effect-started":
      return `${agent} ${paint("dim", `effect ${oneLine(event.src)} starts${event.attempt > 1 ? ", again" : ""}`)}`;
    case "effect-ended":
      return event.error === undefined
        ? `${agent} ${paint("dim", `effect ${oneLine(event.src)} ended`)}`
        : `${agent} ${paint("red", `effect ${oneLine(event.src)} failed: ${show(event.error.message)}`)}${stackOf(event.thrown)}`;
    case "attempt-failed":
      return `${agent} ${paint("yellow", `${oneLine(event.name)} attempt ${event.attempt} failed: ${show(event.error.message)}`)}`;
    case "quarantined":
      return `${agent} ${paint("red", `is set aside: ${show(event.error.message)}`)}`;
    case "skipped":
      return paint("yellow", `a message was dropped: ${show(event.why)}`);
    case "warned":
      return `${paint("yellow", "warning:")} ${event.about}: ${show(event.text)}`;
    case "regressed":
      return paint("yellow", `the mailbox went back: ${show(event.why)}`);
    case "failed":
      return paint("red", `the host ends: ${show(event.error.message)}`);
    case "sealed":
      return paint("red", "the host ends: another host took its agents over");
    case "claimed":
    case "caught-up":
    case "handed-over":
    case "activated":
    case "passivated":
    case "committed":
    case "released":
    case "settled":
      return undefined;
  }
}

/** Where the agent's own code threw: the innermost places, as Node names them. */
function stackOf(thrown: unknown): string {
  return placesOf(thrown)
    .map((line) => `\n${line}`)
    .join("");
}

function placesOf(thrown: unknown): readonly string[] {
  const places = textOfStack(thrown)
    .split("\n")
    .filter((line) => /\.[cm]?[jt]sx?:\d+/.test(line) && !/\/node_modules\/|node:internal/.test(line));
  return places.slice(0, stackLinesMax).map((line) => `      ${oneLine(line.trim())}`);
}

/** What was thrown may be anything, and throw when it is looked at. */
function textOfStack(thrown: unknown): string {
  try {
    return thrown instanceof Error ? String(thrown.stack) : "";
  } catch {
    return "";
  }
}

await main(JSON.parse(process.argv[2] ?? "{}") as HostTask);
