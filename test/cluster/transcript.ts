/** All that the client process told, in its order, and when each partition's agents last answered. */
import { type Address, parseAddress, partitionOf } from "@dormouse/core/protocol";
import type { Line } from "./call.ts";

/** The longest time in which the agents of one partition answered nobody. */
export interface Gap {
  readonly ms: number;
  readonly partition: number;
}

export class Transcript {
  readonly lines: Line[] = [];
  readonly #partitions: number;
  /** By partition, when its agents answered; rising. */
  readonly #answeredAt: number[][];
  readonly #askedIn = new Map<number, number>();
  #failures = 0;

  constructor(partitions: number) {
    this.#partitions = partitions;
    this.#answeredAt = Array.from({ length: partitions }, () => []);
  }

  /** How many calls are open. */
  get open(): number {
    return this.#askedIn.size;
  }

  get failures(): number {
    return this.#failures;
  }

  add(line: Line): void {
    this.lines.push(line);
    if (line.is === "asked") {
      parseAddress(line.agent);
      this.#askedIn.set(line.call, partitionOf(line.agent as Address, this.#partitions));
    }
    if (line.is !== "answered" && line.is !== "failed") return;
    const partition = this.#askedIn.get(line.call) ?? 0;
    this.#askedIn.delete(line.call);
    if (line.is === "failed") this.#failures += 1;
    else this.#answeredAt[partition]?.push(line.atMs);
  }

  /** Partitions whose agents have answered nobody since then. */
  silentSince(atMs: number): readonly number[] {
    return this.#answeredAt.flatMap((times, partition) => ((times.at(-1) ?? 0) > atMs ? [] : [partition]));
  }

  /** The longest gap that has some part between the two; of those partitions, or of all. */
  longestGap(beginMs: number, endMs: number, partitions?: ReadonlySet<number>): Gap {
    let longest: Gap = { ms: 0, partition: -1 };
    for (const [partition, times] of this.#answeredAt.entries()) {
      if (partitions?.has(partition) === false) continue;
      let before = beginMs;
      for (const atMs of [...times, endMs]) {
        if (atMs > beginMs && before < endMs) {
          const ms = Math.min(atMs, endMs) - before;
          if (ms > longest.ms) longest = { ms, partition };
        }
        before = atMs;
      }
    }
    return longest;
  }

  /** Answered calls per second between the two. */
  rate(beginMs: number, endMs: number): number {
    const count = this.#answeredAt.flat().filter((atMs) => atMs >= beginMs && atMs < endMs).length;
    return (count * 1_000) / (endMs - beginMs);
  }
}
