/**
 * Whatever the bytes, a decoder gives a value that holds or a typed error, soon, and takes memory in proportion.
 *
 * One seed feeds each target some cases. A hang or a crash of the process is for whoever watches it (`watch.ts`).
 */
import { getHeapStatistics } from "node:v8";
import { Random } from "@dormouse/testing";
import { DormouseError } from "../../packages/core/src/agent/errors.ts";
import { decodeValue, encodeValue } from "../../packages/core/src/format/codec/msgpack.ts";
import { isSame } from "../../packages/core/src/format/codec/same.ts";
import { openTargets, type Fed, type Target, type Targets } from "./targets.ts";
import type { Finding } from "./finding.ts";

const casesPerTarget = 3;
/** What is let go of at once counts too. An empty Map takes some 200 bytes, and one byte of msgpack. */
const heapBytesPerByte = 1_024;
const heapBytesBeside = 4_194_304;

export class DecoderFuzz {
  readonly #targets: Targets;
  readonly #note: (outcome: string) => void;

  private constructor(targets: Targets, note: (outcome: string) => void) {
    this.#targets = targets;
    this.#note = note;
  }

  /** @param note - Hears what came of each case. */
  static async open(note: (outcome: string) => void): Promise<DecoderFuzz> {
    return new DecoderFuzz(await openTargets(), note);
  }

  close(): void {
    this.#targets.close();
  }

  /** The first that is wrong with each target. */
  async run(seed: number): Promise<readonly Finding[]> {
    const findings: Finding[] = [];
    for (const target of this.#targets.all) {
      const random = new Random(seed).fork(target.name);
      for (let index = 0; index < casesPerTarget; index += 1) {
        const drawn = target.draw(random);
        const wrong = await this.#feed(target, drawn);
        if (wrong === undefined) continue;
        const what = `${target.name}: ${wrong}`;
        findings.push({ seed, fuzz: "decoders", what, detail: `bytes=${hexOf(drawn.bytes)}` });
        break;
      }
    }
    return findings;
  }

  async #feed(target: Target, fed: Fed): Promise<string | undefined> {
    const before = heapBytes();
    try {
      const value = await target.decode(fed.bytes);
      const wrong = tooMuch(heapBytes() - before, fed) ?? target.problem?.(fed.bytes, value) ?? witnessed();
      this.#note("decoders: a value");
      return wrong;
    } catch (error) {
      this.#note("decoders: refused");
      return tooMuch(heapBytes() - before, fed) ?? untyped(error) ?? witnessed();
    }
  }
}

function heapBytes(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

/** What was collected meanwhile does not count: of many runs, one shows it. */
function tooMuch(taken: number, { unpackedBytes }: Fed): string | undefined {
  if (taken <= heapBytesBeside + heapBytesPerByte * unpackedBytes) return undefined;
  return `it took ${taken} bytes of memory for ${unpackedBytes}`;
}

function untyped(error: unknown): string | undefined {
  if (error instanceof DormouseError && typeof error.code === "string" && typeof error.kind === "string")
    return undefined;
  return `it threw ${error instanceof Error ? `${error.name}: ${error.message}\n${error.stack}` : String(error)}`;
}

const witness = { type: "witness", held: [1, { two: "three" }], map: new Map([["four", 5n]]) };

/** Nothing that was decoded before has an effect on what is decoded next. */
function witnessed(): string | undefined {
  return isSame(decodeValue(encodeValue(witness)), witness) ? undefined : "it harmed a later decode";
}

function hexOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.subarray(0, 4_096)).toString("hex");
  return bytes.length > 4_096 ? `${hex}… (${bytes.length} bytes)` : hex;
}
