/**
 * The context of one step: its time, randomness and ids, and the platform's sources of them swapped for these while the
 * step runs (D2).
 *
 * Randomness is SHA-256 in counter mode, as Hashgen of NIST SP 800-90A: block i is `hash(seed, i)`, with
 * `seed = hash(birth, seq)`. Not one of the fast generators, since from their numbers a `uuid()` could be computed.
 */
import { createHash } from "node:crypto";
import type { Address } from "../agent/address.ts";
import { type CurrentStep, enterStep, type Message } from "../agent/current-step.ts";

export type { Message, MessageId } from "../agent/current-step.ts";

export interface StepContext {
  readonly agent: Address;
  /** The agent that began this one; `id` is this one's name there. */
  readonly parent?: { readonly address: Address; readonly id?: string };
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** 16 random bytes drawn when the agent began. */
  readonly birth: Uint8Array;
  readonly message: Message;
}

/**
 * Runs the synchronous `fn` as the step's own code: `now()`, `Date`, `Math.random`, `crypto.randomUUID` and
 * `crypto.getRandomValues` give what the context says, and are the platform's again when it returns or throws.
 */
export function runInStep<T>(context: StepContext, fn: () => T): T {
  const step = new RunningStep(context);
  const outerRunning = running;
  const outerStep = enterStep(step);
  const outerDate = platform.Date;
  const outerRandom = platform.Math.random;
  const crypto = platform.crypto;
  const outerUuid = crypto?.randomUUID;
  const outerValues = crypto?.getRandomValues;
  running = step;
  platform.Date = stepDate;
  platform.Math.random = stepRandom;
  if (crypto !== undefined) {
    crypto.randomUUID = stepUuid;
    crypto.getRandomValues = stepValues;
  }
  try {
    return fn();
  } finally {
    running = outerRunning;
    enterStep(outerStep);
    platform.Date = outerDate;
    platform.Math.random = outerRandom;
    if (crypto !== undefined) {
      crypto.randomUUID = outerUuid;
      crypto.getRandomValues = outerValues;
    }
  }
}

// ---------------------------------------------------------------------------------------------------------- the platform

interface Platform {
  Date: DateConstructor;
  readonly Math: { random: () => number };
  readonly crypto?: {
    randomUUID: (() => string) | undefined;
    getRandomValues: (<T extends ArrayBufferView>(array: T) => T) | undefined;
  };
}

const platform = globalThis as unknown as Platform;

let running: RunningStep | undefined;

/** A proxy, so that what it makes is a plain `Date` inside and outside the step. */
const stepDate: DateConstructor = new Proxy(platform.Date, {
  construct: (target, args: unknown[], newTarget: () => object): object =>
    Reflect.construct(target, args.length === 0 ? [stepTime()] : args, newTarget) as object,
  apply: (target): string => new target(stepTime()).toString(),
  get: (target, property): unknown => (property === "now" ? stepTime : Reflect.get(target, property)),
});

function stepTime(): number {
  return (running ?? ended()).now;
}

function stepRandom(): number {
  return (running ?? ended()).random();
}

function stepUuid(): string {
  return (running ?? ended()).uuid();
}

function stepValues<T extends ArrayBufferView>(array: T): T {
  (running ?? ended()).draw(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return array;
}

/** Code of a step kept one of the step's own functions, and calls it when the step is over. */
function ended(): never {
  throw new Error("the step whose clock or randomness this is has ended");
}

// ----------------------------------------------------------------------------------------------------------- the numbers

const blockBytes = 32;

/** Numbers of one seed: always the same, and not to be told from others without it. */
export class Draw {
  readonly #birth: Uint8Array;
  readonly #seq: number;
  /** The seed and the number of the next block, as they are hashed. Most steps draw nothing, so made on first use. */
  #source: Uint8Array | undefined;
  #blocks = 0;
  #block: Uint8Array = new Uint8Array(0);
  #used = 0;

  constructor(birth: Uint8Array, seq: number) {
    this.#birth = birth;
    this.#seq = seq;
  }

  /** 53 random bits over 2^53. */
  random(): number {
    const high = this.#uint32() >>> 5;
    const low = this.#uint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** Version 4 of RFC 9562. */
  uuid(): string {
    const bytes = new Uint8Array(16);
    this.draw(bytes);
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const hex = toHex(bytes);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  draw(bytes: Uint8Array): void {
    for (let index = 0; index < bytes.length; index += 1) bytes[index] = this.#byte();
  }

  #uint32(): number {
    return ((this.#byte() << 24) | (this.#byte() << 16) | (this.#byte() << 8) | this.#byte()) >>> 0;
  }

  #byte(): number {
    if (this.#used === this.#block.length) {
      this.#block = this.#nextBlock();
      this.#used = 0;
    }
    const byte = this.#block[this.#used] ?? 0;
    this.#used += 1;
    return byte;
  }

  #nextBlock(): Uint8Array {
    this.#source ??= withNumber(sha256(withNumber(this.#birth, this.#seq)), 0);
    writeNumber(this.#source, blockBytes, this.#blocks);
    this.#blocks += 1;
    return sha256(this.#source);
  }
}

class RunningStep extends Draw implements CurrentStep {
  readonly agent: Address;
  readonly now: number;
  readonly message: Message;

  constructor({ agent, now, message, birth, seq }: StepContext) {
    super(birth, seq);
    this.agent = agent;
    this.now = now;
    this.message = message;
  }
}

export function sha256(data: Uint8Array | string): Uint8Array {
  return createHash("sha256").update(data).digest();
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += hexOfByte[byte] ?? "";
  return hex;
}

/** The bytes, and after them room for a number of 8 bytes. */
function withNumber(bytes: Uint8Array, value: number): Uint8Array {
  const joined = new Uint8Array(bytes.length + 8);
  joined.set(bytes);
  writeNumber(joined, bytes.length, value);
  return joined;
}

function writeNumber(bytes: Uint8Array, offset: number, value: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(offset, Math.floor(value / 2 ** 32));
  view.setUint32(offset + 4, value >>> 0);
}
