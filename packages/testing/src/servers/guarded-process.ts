/**
 * A server as a child process that can be killed and started again, and that never outlives the process that started it.
 *
 * Owns: the child, the watcher beside it, the last of what it printed, and its folder.
 * Leaves to others: which program, its arguments, and when it is ready (`nats.ts`, `s3.ts`).
 *
 * G1  The pid is the server's own: the shell becomes the server (`exec`), so signals and exit codes are the server's.
 * G2  The watcher holds the reading end of a pipe whose writing end only this process has. However this process ends,
 *     SIGKILL included, the pipe closes; the watcher then kills the server and removes its folder.
 * G3  A server that ended first is announced to the watcher by a line, so that it never kills a pid that is another's.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import type { Runner } from "./runner.ts";

const outputCharactersMax = 4_000;

const guard = `folder=$1; shift
(read -r _ <&3 || { kill -9 $$; rm -rf -- "$folder"; }) </dev/null >/dev/null 2>&1 &
exec "$@" 3<&-`;

export interface GuardedProcessOptions {
  readonly program: string;
  /** Gets the folder that is the server's own, kept from one start to the next, gone after `close`. */
  readonly args: (folder: string) => readonly string[];
}

export class GuardedProcess implements Runner {
  readonly folder: string;
  readonly #program: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  #output = "";

  private constructor(folder: string, { program, args }: GuardedProcessOptions) {
    this.folder = folder;
    this.#program = program;
    this.#args = args(folder);
  }

  /** With its folder made; not started. */
  static async prepare(options: GuardedProcessOptions): Promise<GuardedProcess> {
    return new GuardedProcess(await mkdtemp(join(tmpdir(), "dormouse-server-")), options);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get output(): string {
    return this.#output;
  }

  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    this.#output = "";
    const child = spawn("/bin/sh", ["-c", guard, "sh", this.folder, this.#program, ...this.#args], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
    });
    this.#child = child;
    const lifeline = child.stdio[3] as Writable;
    lifeline.on("error", () => undefined); // the watcher has gone: so has the server
    child.once("exit", () => {
      lifeline.end("\n"); // G3
      if (this.#child === child) this.#child = undefined;
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-outputCharactersMax);
      });
    }
    await once(child, "spawn");
    letGo(child);
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.ref();
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  async close(): Promise<void> {
    await this.kill("SIGKILL");
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A test that forgot to close its servers still ends, and then they do (G2). */
function letGo(child: ChildProcess): void {
  child.unref();
  for (const stream of child.stdio) (stream as { unref?: () => void } | null)?.unref?.();
}
