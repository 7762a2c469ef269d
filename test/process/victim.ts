/**
 * One child process of `host.ts`, as the test sees it: its lines, and its death.
 *
 * Owns: the process, the deeds it has begun and not ended by its own word.
 * Called by the test: `go`, `killAt`, `drain`.
 *
 * V1  Lines are read to their end after the death: what stands open then is where the kill landed.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

export const deeds = ["takeover", "commit", "settle", "effect"] as const;
export type Deed = (typeof deeds)[number];

/** When to kill: at the so manieth line of a kind, and so much later. */
export interface Aim {
  readonly at: Deed | "any";
  readonly nth: number;
  readonly delayMicros: number;
}

export interface Death {
  /** What was under way. */
  readonly open: ReadonlySet<Deed>;
  readonly wasReady: boolean;
  readonly quarantined: readonly string[];
  readonly odd: readonly string[];
  /** From `go` to ready, in milliseconds. */
  readonly startMs: number | undefined;
  readonly lines: number;
}

const silenceMsMax = 20_000;

export class Victim {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #closed: Promise<unknown>;
  readonly #loaded = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #open = new Map<Deed, number>();
  readonly #quarantined: string[] = [];
  readonly #odd: string[] = [];
  #stderr = "";
  #goneAt = 0;
  #startMs: number | undefined;
  #lines = 0;
  #isReady = false;
  #line: (line: string) => void = () => undefined;

  constructor(folder: string, cache: string) {
    const program = new URL("host.ts", import.meta.url).pathname;
    this.#process = spawn(process.execPath, ["--conditions=@dormouse/source", program, folder], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
    });
    // Writing to one that is dead is no error here: its end is.
    this.#process.stdin.on("error", () => undefined);
    this.#process.stderr.on("data", (chunk) => (this.#stderr += String(chunk)));
    this.#closed = once(this.#process, "close");
    for (const { promise } of [this.#loaded, this.#ready]) promise.catch(() => undefined);
    void this.#closed.then(() => {
      this.#loaded.reject(this.#unexpected("ended before it was loaded"));
      this.#ready.reject(this.#unexpected("ended before it was ready"));
    });
    createInterface({ input: this.#process.stdout }).on("line", (line) => this.#take(line));
  }

  /** Resolves when it has its code in memory. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  async go(): Promise<void> {
    await this.loaded;
    this.#goneAt = performance.now();
    this.#process.stdin.write("go\n");
  }

  /** Kills it at its moment; resolves when it is dead and all it said is read (V1). */
  async killAt({ at, nth, delayMicros }: Aim): Promise<Death> {
    await new Promise<void>((resolve, reject) => {
      const silence = setTimeout(
        () => reject(this.#unexpected(`said nothing of the kind: at=${at} nth=${nth}`)),
        silenceMsMax,
      );
      const end = (): void => {
        clearTimeout(silence);
        this.#line = () => undefined;
        resolve();
      };
      let count = 0;
      this.#line = (line) => {
        if (at !== "takeover" && !this.#isReady) return;
        if (at === "any" || line === `begin ${at}`) count += 1;
        if (count >= nth || (at === "takeover" && this.#isReady)) end();
      };
      void this.#closed.then(() => reject(this.#unexpected("ended by itself")));
    });
    const due = performance.now() + delayMicros / 1_000;
    while (performance.now() < due);
    this.#process.kill("SIGKILL");
    await this.#closed;
    return this.#death();
  }

  /** A clean end. */
  async drain(): Promise<Death> {
    this.#process.stdin.write("drain\n");
    await this.#closed;
    if (this.#process.exitCode !== 0) throw this.#unexpected("did not drain");
    return this.#death();
  }

  /** Ends one that is not needed any more. */
  async end(): Promise<void> {
    if (this.#process.exitCode === null) this.#process.kill("SIGKILL");
    await this.#closed;
  }

  #take(line: string): void {
    this.#lines += 1;
    const [what, about = ""] = line.split(" ", 2);
    const rest = line.slice(line.indexOf(" ") + 1);
    const deed = about as Deed;
    if (what === "loaded") this.#loaded.resolve();
    else if (what === "begin") this.#open.set(deed, (this.#open.get(deed) ?? 0) + 1);
    else if (what === "end") this.#open.set(deed, (this.#open.get(deed) ?? 0) - 1);
    else if (what === "quarantined") this.#quarantined.push(rest);
    else if (what === "odd") this.#odd.push(rest);
    else if (what === "ready") {
      this.#isReady = true;
      this.#startMs = performance.now() - this.#goneAt;
      this.#ready.resolve();
    }
    this.#line(line);
  }

  #death(): Death {
    const open = new Set(deeds.filter((deed) => (this.#open.get(deed) ?? 0) > 0));
    return {
      open,
      wasReady: this.#isReady,
      quarantined: this.#quarantined,
      odd: this.#odd,
      startMs: this.#startMs,
      lines: this.#lines,
    };
  }

  #unexpected(what: string): Error {
    const { exitCode, signalCode } = this.#process;
    return new Error(
      `the host ${what}: exit=${exitCode} signal=${signalCode} odd=${this.#odd.join("; ")} stderr=${this.#stderr}`,
    );
  }
}
