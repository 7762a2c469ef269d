/**
 * One child process of `host.ts`, as the test sees it: its lines, and its death.
 *
 * Owns: the process, and by its own word the deeds it has begun and not ended.
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
  /** The steps that it told to be durable, in order. */
  readonly stepped: readonly { readonly agent: string; readonly seq: number }[];
  /** How many agents it set aside. */
  readonly quarantined: number;
  readonly odd: readonly string[];
  /** From `go` to ready, in milliseconds. */
  readonly startMs: number | undefined;
}

/** After so long without its moment it is killed all the same. */
const silenceMsMax = 5_000;

interface VictimOptions {
  readonly store: string;
  /** Where Node keeps compiled code: most of a start otherwise. */
  readonly cache: string;
  readonly quarantined: (agent: string) => void;
}

export class Victim {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #closed: Promise<unknown>;
  readonly #loaded = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<void>();
  /** Deeds begun and not ended, each with its name. */
  readonly #open = new Set<string>();
  readonly #stepped: { agent: string; seq: number }[] = [];
  readonly #odd: string[] = [];
  readonly #tellQuarantined: (agent: string) => void;
  #quarantined = 0;
  #stderr = "";
  #goneAt = 0;
  #startMs: number | undefined;
  #isReady = false;
  #line: (line: string) => void = () => undefined;

  constructor({ store, cache, quarantined }: VictimOptions) {
    this.#tellQuarantined = quarantined;
    const program = new URL("host.ts", import.meta.url).pathname;
    this.#process = spawn(process.execPath, ["--conditions=@dormouse/source", program, store], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
    });
    // Writing to one that is dead is no error here: its end is.
    this.#process.stdin.on("error", () => undefined);
    this.#process.stderr.on("data", (chunk) => (this.#stderr += String(chunk)));
    this.#closed = once(this.#process, "close");
    for (const { promise } of [this.#loaded, this.#ready]) promise.catch(() => undefined);
    this.#process.once("close", () => {
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
      const end = (): void => {
        clearTimeout(silence);
        this.#line = () => undefined;
        resolve();
      };
      const silence = setTimeout(end, silenceMsMax);
      let count = 0;
      this.#line = (line) => {
        if (at !== "takeover" && !this.#isReady) return;
        if (at === "any" || line.startsWith(`begin ${at} `)) count += 1;
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
    const [what, first = "", second = ""] = line.split(" ");
    if (what === "loaded") this.#loaded.resolve();
    else if (what === "begin") this.#open.add(`${first} ${second}`);
    else if (what === "end") this.#open.delete(`${first} ${second}`);
    else if (what === "stepped") this.#stepped.push({ agent: first, seq: Number(second) });
    else if (what === "odd") this.#odd.push(line);
    else if (what === "quarantined") {
      this.#quarantined += 1;
      this.#tellQuarantined(first);
    } else if (what === "ready") {
      this.#isReady = true;
      this.#startMs = performance.now() - this.#goneAt;
      this.#ready.resolve();
    }
    this.#line(line);
  }

  #death(): Death {
    const open = [...this.#open];
    return {
      open: new Set(deeds.filter((deed) => open.some((one) => one.startsWith(`${deed} `)))),
      wasReady: this.#isReady,
      stepped: this.#stepped,
      quarantined: this.#quarantined,
      odd: this.#odd,
      startMs: this.#startMs,
    };
  }

  #unexpected(what: string): Error {
    const { exitCode, signalCode } = this.#process;
    return new Error(
      `the host ${what}: exit=${exitCode} signal=${signalCode} odd=${this.#odd.join("; ")} stderr=${this.#stderr}`,
    );
  }
}
