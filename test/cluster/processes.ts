/**
 * The processes of a cluster beside its servers: hosts, and the client that asks them.
 *
 * P1  A host that ended by itself, or with another code than a drained one, is a fault of the run.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { HostStatus } from "@dormouse/sdk";
import type { Line, LoadPlan } from "./call.ts";
import type { Transcript } from "./transcript.ts";

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const errorsKeptMax = 20;
const statusMsMax = 1_000;

const fromSource = ["--conditions=@dormouse/source"];

function start(
  program: string,
  line: readonly string[],
  environment: Readonly<Record<string, string>>,
  flags: readonly string[] = fromSource,
): Child {
  const path = new URL(program, import.meta.url).pathname;
  const child = spawn(process.execPath, [...flags, path, ...line], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], ...environment },
  });
  // Writing to one that is dead is no error here: its end is.
  child.stdin.on("error", () => undefined);
  return child;
}

type LogLine = Readonly<Record<string, unknown>>;

/** One host, by its log and what it answers over HTTP. */
export class HostProcess {
  /** What it is called in reports. */
  readonly name: string;
  /** Lines of level `error`, the first of them. */
  readonly errors: string[] = [];
  readonly #child: Child;
  readonly #closed: Promise<unknown>;
  readonly #health = Promise.withResolvers<string>();
  #stderr = "";
  #isExpectedToEnd = false;

  /** @param isBuilt - As operators run it, from what `npm run build` makes; else from the sources. */
  constructor(name: string, environment: Readonly<Record<string, string>>, isBuilt: boolean) {
    this.name = name;
    const main = isBuilt ? "../../services/host/dist/main.js" : "../../services/host/src/main.ts";
    const its = { ...environment, DORMOUSE_NAME: name, DORMOUSE_HEALTH_LISTEN: "127.0.0.1:0" };
    this.#child = start("host.ts", [main], its, isBuilt ? [] : fromSource);
    this.#child.stderr.on("data", (chunk) => (this.#stderr += String(chunk)));
    this.#closed = once(this.#child, "close");
    this.#health.promise.catch(() => undefined);
    void this.#closed.then(() => this.#health.reject(new Error(`${name} ended before it listened: ${this.#stderr}`)));
    createInterface({ input: this.#child.stdout }).on("line", (text) => this.#take(JSON.parse(text) as LogLine));
  }

  /** Why it is a fault that it is as it is; `undefined` if it is none (P1). */
  get fault(): string | undefined {
    const { exitCode, signalCode } = this.#child;
    if ((exitCode === null && signalCode === null) || this.#isExpectedToEnd) return undefined;
    return `${this.name} ended: exit=${exitCode} signal=${signalCode} stderr=${this.#stderr} errors=${this.errors.join("; ")}`;
  }

  /** `undefined` while it cannot say. */
  async status(): Promise<HostStatus | undefined> {
    try {
      const url = await this.#health.promise;
      const response = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(statusMsMax) });
      return (await response.json()) as HostStatus;
    } catch {
      return undefined;
    }
  }

  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    this.#isExpectedToEnd = true;
    this.#child.kill("SIGKILL");
    await this.#closed;
  }

  /** Ends it as a supervisor does. @throws Error it did not drain. */
  async drain(): Promise<void> {
    this.#isExpectedToEnd = true;
    this.#child.kill("SIGTERM");
    await this.#closed;
    if (this.#child.exitCode === 0) return;
    throw new Error(`${this.name} did not drain: exit=${this.#child.exitCode} errors=${this.errors.join("; ")}`);
  }

  #take(line: LogLine): void {
    if (line["msg"] === "the host starts") this.#health.resolve(String(line["health"]));
    if (line["level"] === "error" && this.errors.length < errorsKeptMax) this.errors.push(JSON.stringify(line));
  }
}

/** The client, by what it tells. */
export class ClientProcess {
  readonly ready: Promise<void>;
  readonly #child: Child;
  readonly #closed: Promise<unknown>;
  readonly #stopped = Promise.withResolvers<void>();
  #stderr = "";

  constructor(plan: LoadPlan, transcript: Transcript, environment: Readonly<Record<string, string>>) {
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    this.#child = start("client.ts", [JSON.stringify(plan)], environment);
    this.#child.stderr.on("data", (chunk) => (this.#stderr += String(chunk)));
    this.#closed = once(this.#child, "close");
    for (const { promise } of [ready, this.#stopped]) promise.catch(() => undefined);
    this.#child.once("close", () => {
      const error = new Error(`the client ended: exit=${this.#child.exitCode} stderr=${this.#stderr}`);
      ready.reject(error);
      this.#stopped.reject(error);
    });
    createInterface({ input: this.#child.stdout }).on("line", (text) => {
      const line = JSON.parse(text) as Line;
      if (line.is === "ready") ready.resolve();
      else if (line.is === "stopped") this.#stopped.resolve();
      else transcript.add(line);
    });
  }

  /** Resolves when everything it asked is answered. */
  async stop(): Promise<void> {
    this.#child.stdin.write("stop\n");
    await this.#stopped.promise;
  }

  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}
