/**
 * The one source of chance in a simulated world: xoshiro128**, seeded and forked by name.
 *
 * xoshiro128** 1.1 is by D. Blackman and S. Vigna, 2018, public domain (https://prng.di.unimi.it/xoshiro128starstar.c).
 * Its state is the first 16 bytes of the SHA-256 of the seed's path, as in `7/wire/call-lost`. A fork depends on its path
 * alone, never on what was drawn before it, so a new draw in one place leaves the others as they were.
 */
import { hash } from "node:crypto";
import type { Entropy } from "@dormouse/core/ports";
import { assert } from "./assert.ts";

const uint32Count = 2 ** 32;

export class Random implements Entropy {
  readonly #path: string;
  readonly #state: Int32Array;

  /** @param seed - Any number or text; equal seeds give equal draws on every machine. */
  constructor(seed: number | string) {
    this.#path = String(seed);
    const digest = hash("sha256", this.#path, "buffer");
    this.#state = Int32Array.from([0, 4, 8, 12], (offset) => digest.readInt32LE(offset));
  }

  /** A generator of its own for what `label` names: the same for the same path of labels. */
  fork(label: string): Random {
    return new Random(`${this.#path}/${label}`);
  }

  /** Uniform over 0 to 2^32 - 1. */
  uint32(): number {
    return nextUint32(this.#state);
  }

  /** True with probability `p`. Below 0 counts as 0; at 0 nothing is drawn. */
  chance(p: number): boolean {
    return p > 0 && nextUint32(this.#state) < p * uint32Count;
  }

  /** A whole number from 0 to `n` - 1; `n` at most 2^32. The bias is below `n` / 2^32. */
  int(n: number): number {
    assert(n >= 1 && n <= uint32Count, `int needs 1 to 2^32: n=${n}`);
    return Math.floor((nextUint32(this.#state) / uint32Count) * n);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.int(high - low + 1);
  }

  /** Like `between`, but each doubling of `low` is as likely as the next: for spans that matter on every scale. */
  skewed(low: number, high: number): number {
    const doublings = Math.max(0, Math.floor(Math.log2(high / low)));
    const base = low * 2 ** this.int(doublings + 1);
    return Math.min(high, base + this.int(base));
  }

  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T {
    assert(items.length > 0, "pick needs at least one item");
    return items[this.int(items.length)] as T;
  }

  bytes(byteCount: number): Uint8Array {
    const bytes = new Uint8Array(byteCount);
    for (let index = 0; index < byteCount; index += 1) bytes[index] = nextUint32(this.#state) >>> 24;
    return bytes;
  }
}

export function nextUint32(state: Int32Array): number {
  const [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = [state[0], state[1], state[2], state[3]];
  const drawn = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
  const t2 = s2 ^ s0;
  const t3 = s3 ^ s1;
  state[1] = s1 ^ t2;
  state[0] = s0 ^ t3;
  state[2] = t2 ^ (s1 << 9);
  state[3] = rotateLeft(t3, 11);
  return drawn;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
