/**
 * One host of the demo: starts the agent if it is not there, tells what it does, and ends when told to, or by itself.
 *
 * node --conditions=@dormouse/source host.ts --store file:./store --folder docs --report report.md --witness witness.log
 *   [--until approval]
 */
import { resolve } from "node:path";
import { parseArgs, styleText } from "node:util";
import { type AgentRef, type AgentState, type Observed, startHost } from "@dormouse/sdk";
import { research } from "./agent.ts";

type Research = typeof research;

export const key = "demo";
export const address = `${research.type}/${key}`;

async function main(): Promise<void> {
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
  const progress = new Progress();
  const host = await startHost({
    agents: [research],
    store: values.store,
    observe: (event) => progress.see(event),
  });
  const ref = host.client.agent(research, key);
  progress.follow(ref);
  try {
    await ref.start({
      folder: resolve(values.folder),
      reportPath: resolve(values.report),
      witnessPath: resolve(values.witness),
    });
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

/** A line for each effect that starts, told in the agent's own words: its committed state says what it is about. */
class Progress {
  readonly #ref = Promise.withResolvers<AgentRef<Research>>();
  #line: Promise<void> = Promise.resolve();

  /** Effects that a crash cut off start before the host is ready: their lines wait for it. */
  follow(ref: AgentRef<Research>): void {
    this.#ref.resolve(ref);
  }

  see(event: Observed): void {
    if (event.kind === "effect-started" && event.agent === address) {
      const isAgain = event.attempt > 1;
      this.#line = this.#line.then(() => this.#tell(isAgain)).catch(() => undefined);
    } else if (event.kind === "failed" || event.kind === "quarantined") {
      console.error(`  ${event.error.message}`);
    }
  }

  async #tell(isAgain: boolean): Promise<void> {
    const state = await (await this.#ref.promise).read();
    if (state === undefined) return;
    const number = String(state.context.effectsDone + 1).padStart(4);
    const again = isAgain ? " (again: it was cut off)" : "";
    console.log(`${process.stdout.isTTY ? styleText("dim", number) : number}  ${describe(state)}${again}`);
  }
}

function describe({ value, context: { documents, next } }: AgentState<Research>): string {
  const state = String(value);
  const isOfOne = state === "reading" || state === "extracting";
  return `${words.get(state) ?? state}${isOfOne ? ` ${documents[next] ?? ""}` : ""}`;
}

const words: ReadonlyMap<string, string> = new Map([
  ["listing", "list the documents"],
  ["reading", "read"],
  ["extracting", "extract"],
  ["crossReferencing", "relate them to each other"],
  ["drafting", "draft the report"],
  ["publishing", "publish the report"],
]);

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`  the host ends: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
  if (process.connected) process.disconnect();
}
