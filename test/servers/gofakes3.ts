/**
 * A real S3 server for tests: gofakes3, as `test/servers/install.sh` puts it into .cache/bin, or as DORMOUSE_GOFAKES3
 * names it. It evaluates conditions under its one lock, and stores nothing: fit for tests, not for trust (FACTS.md 2.7).
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join } from "node:path";

const program = process.env["DORMOUSE_GOFAKES3"] ?? join(import.meta.dirname, "../../.cache/bin/gofakes3");
const missing =
  `there is no S3 server to test against: run test/servers/install.sh (it needs Go), ` +
  `or name a gofakes3 1.2.0 in DORMOUSE_GOFAKES3; looked for ${program}`;

/** Whether tests against S3 can run. Where CI runs, they must. */
export function haveS3Server(): boolean {
  if (existsSync(program)) return true;
  if (process.env["CI"] !== undefined) throw new Error(missing);
  console.warn(`\n!!! SKIPPED: ${missing}\n`);
  return false;
}

export class S3Server {
  readonly endpoint: string;
  readonly #process: ChildProcess;

  private constructor(endpoint: string, child: ChildProcess) {
    this.endpoint = endpoint;
    this.#process = child;
  }

  /** On a free port of this machine, or on the one that is asked for; empty. */
  static async start(port: string = "0"): Promise<S3Server> {
    const child = spawn(program, ["-backend", "memory", "-host", `127.0.0.1:${port}`, "-quiet"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const seen: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      const [, bound] = /using port: (\d+)/.exec(line) ?? [];
      if (bound !== undefined) {
        child.stderr.resume();
        return new S3Server(`http://127.0.0.1:${bound}`, child);
      }
      seen.push(line);
    }
    throw new Error(`gofakes3 did not start: ${seen.join("; ")}`);
  }

  async makeBucket(name: string): Promise<void> {
    const response = await fetch(`${this.endpoint}/${name}`, { method: "PUT" });
    if (!response.ok) throw new Error(`gofakes3 made no bucket: ${response.status}`);
  }

  /** SIGKILL: connections are reset, and all it held is gone. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }
}
