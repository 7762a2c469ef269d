/**
 * One host of the demo: starts the agent if it is not there, tells what it does, and ends when told to, or by itself.
 *
 * node --conditions=@dormouse/source host.ts --store file:./store --folder docs --report report.md --witness witness.log
 *   [--until approval]
 */
import { resolve } from "node:path";
import { parseArgs, styleText } from "node:util";
import { type AgentRef, type Observed, startHost } from "@dormouse/sdk";
import { research } from "./agent.ts";
import { openWitness, type WitnessLine } from "./witness.ts";

type Research = typeof research;

export const key = "demo";
export const address = `${research.type}/${key}`;

async function main(): Promise<void> {
  // Told to whoever measures: from here on the time is ours.
  process.send?.({ loadedAt: Date.now() });
  const { values } = parseArgs({
    options: {
      store: { type: "string", default: "file:./.dormouse" },
      folder: { type: "string", default: "." },
      report: { type: "string", default: "report.md" },
      witness: { type: "string", default: "witness.log" },
      until: { type: "string", default: "told" },
    },
  });
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
  // Whoever started this process is gone.
  process.on("disconnect", () => stop.abort());
  openWitness(resolve(values.witness), tellCall);
  const host = await startHost({ agents: [research], store: values.store, observe: tellProblem });
  const ref = host.client.agent(research, key);
  try {
    await ref.start({ folder: resolve(values.folder), reportPath: resolve(values.report) });
    await Promise.race([waitUntil(values.until, ref, stop.signal), aborted(stop.signal), host.ended]);
  } finally {
    await host.drain();
  }
}

async function waitUntil(until: string, ref: AgentRef<Research>, signal: AbortSignal): Promise<void> {
  if (until === "approval") await ref.waitFor("awaitingApproval", { signal });
  // An agent that ends with an error has nothing left to wait for.
  else await ref.result({ signal }).then(() => aborted(signal));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    signal.addEventListener("abort", () => done(), { once: true });
  });
}

/** A line for each call that starts. */
function tellCall({ what, number, name, about, isAgain }: WitnessLine): void {
  if (what === "end") return;
  const dim = process.stdout.isTTY ? styleText("dim", String(number).padStart(4)) : String(number).padStart(4);
  console.log(`${dim}  ${`${name} ${about}`.trim()}${isAgain ? " (again: it was cut off)" : ""}`);
}

function tellProblem(event: Observed): void {
  if (event.kind === "failed" || event.kind === "quarantined") console.error(`  ${event.error.message}`);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`  the host ends: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
  if (process.connected) process.disconnect();
}
