/**
 * One direction of one proxied connection: bytes, then the end, in order and in time.
 *
 * F1  The end of the source, clean or by an error, waits in the same queue as its bytes: a partition hides it as well.
 * F2  What is queued is bounded: the source is paused, and TCP holds its sender back.
 */
import type { Socket } from "node:net";

/** What one direction of all connections is like now; shared, and changed by the proxy. */
export interface TcpWeather {
  isHeld: boolean;
  delayMs: number;
}

type Item = { readonly dueMs: number } & ({ readonly chunk: Buffer } | { readonly end: "clean" | "reset" });

const queuedBytesMax = 1024 * 1024;

export class TcpFlow {
  readonly #source: Socket;
  readonly #target: Socket;
  readonly #weather: TcpWeather;
  readonly #queue: Item[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(source: Socket, target: Socket, weather: TcpWeather) {
    this.#source = source;
    this.#target = target;
    this.#weather = weather;
    source.on("data", (chunk: Buffer) => {
      this.#queuedBytes += chunk.length;
      this.#push({ dueMs: this.#dueMs(), chunk });
    });
    source.once("end", () => this.#push({ dueMs: this.#dueMs(), end: "clean" }));
    source.on("error", () => this.#push({ dueMs: this.#dueMs(), end: "reset" }));
    target.on("drain", () => this.go());
  }

  /** Passes on what is due; for when the weather has changed. */
  go(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    for (let item = this.#next(); item !== undefined; item = this.#next()) {
      const leftMs = Math.min(item.dueMs - now, this.#weather.delayMs);
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.go(), leftMs);
        break;
      }
      this.#queue.shift();
      this.#pass(item);
    }
    if (this.#queuedBytes > queuedBytesMax) this.#source.pause(); // F2
    else if (!this.#isStopped) this.#source.resume();
  }

  /** Nothing goes this way any more, and nothing of what waits. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#queue.length = 0;
  }

  #dueMs(): number {
    return performance.now() + this.#weather.delayMs;
  }

  #push(item: Item): void {
    if (this.#isStopped) return;
    this.#queue.push(item);
    this.go();
  }

  #next(): Item | undefined {
    return this.#isStopped || this.#weather.isHeld || this.#target.writableNeedDrain ? undefined : this.#queue[0];
  }

  #pass(item: Item): void {
    if ("chunk" in item) {
      this.#queuedBytes -= item.chunk.length;
      this.#target.write(item.chunk);
    } else if (item.end === "clean") this.#target.end();
    else this.#target.resetAndDestroy();
  }
}
