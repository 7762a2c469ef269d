/**
 * Every decoder of bytes or text that comes from outside, with what it is fed.
 *
 * A format with a checksum comes twice: as it is, where any change is refused, and below its checksum, where what a
 * stranger wrote may be a value. Not here is what a driver's library decodes: LMDB's pages, NATS's protocol, S3's XML.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { openFolder, readLockFile, realClock, realEntropy } from "@dormouse/local";
import type { Random } from "@dormouse/testing";
import {
  decodeToken,
  parseAddress,
  parseReference,
  parseTarget,
  type Partition,
  readToken,
} from "../../packages/core/src/agent/address.ts";
import { decodeError, DormouseError, encodeError } from "../../packages/core/src/agent/errors.ts";
import { parseToken } from "../../packages/core/src/agent/token.ts";
import { type Delta, diff, patch } from "../../packages/core/src/format/codec/delta.ts";
import { decodeValue, encodeValue } from "../../packages/core/src/format/codec/msgpack.ts";
import { isSame } from "../../packages/core/src/format/codec/same.ts";
import { decodeFacts, encodeFacts } from "../../packages/core/src/format/member.ts";
import { requestHost, serveControl } from "../../packages/core/src/runtime/own/control.ts";
import { readRaw } from "../../packages/core/src/runtime/raw.ts";
import { requestRead } from "../../packages/core/src/runtime/reads.ts";
import { decodeAnswer, decodeFreed, decodeTaken } from "../../packages/core/src/runtime/release/reply.ts";
import { findDamage } from "../../packages/local/src/data-file.ts";
import { encodeFrame, FrameDecoder } from "../../packages/local/src/frames.ts";
import { decodeError as decodeFrameError, parseData } from "../../packages/local/src/socket.ts";
import { decodeEntry, encodeEntry } from "../../packages/nats/src/entry.ts";
import { decodeKey, encodeKey, parseDelivery, sentToOf, timeOfText } from "../../packages/nats/src/subjects.ts";
import { parseEndpoint, parseS3Url } from "../../packages/s3/src/url.ts";
import { payloadOf, withPayload, withStored } from "../formats/below.ts";
import { committed, type Golden, goldens } from "../formats/golden.ts";
import { mutate, strangeValue } from "./mutate.ts";

export interface Target {
  readonly name: string;
  /** What a decoder is fed with, and how much of it counts for what it may allocate. */
  draw(random: Random): Fed;
  decode(bytes: Uint8Array): unknown;
  /** What must hold of a value; the text says what does not. */
  problem?(bytes: Uint8Array, value: unknown): string | undefined;
}

export interface Fed {
  readonly bytes: Uint8Array;
  /** What they are decompressed. */
  readonly unpackedBytes: number;
}

export interface Targets {
  readonly all: readonly Target[];
  close(): void;
}

/** @returns all, with the files that some of them read; `close` removes those. */
export async function openTargets(): Promise<Targets> {
  const folder = mkdtempSync(join(tmpdir(), "dormouse-fuzz-"));
  const files = await fileTargets(folder);
  const all = [...goldens.flatMap(goldenTargets), ...valueTargets, ...channelTargets, ...driverTargets, ...textTargets];
  return { all: [...all, ...files], close: () => rmSync(folder, { recursive: true, force: true }) };
}

const everything: readonly Uint8Array[] = goldens.map(committed);
const payloads: readonly Uint8Array[] = goldens.map(payloadOf);

function fed(bytes: Uint8Array, unpackedBytes: number = bytes.length): Fed {
  return { bytes, unpackedBytes };
}

function mutated(names: readonly Uint8Array[]): Target["draw"] {
  return (random) => fed(mutate(random, random.pick(names), [...names, ...payloads]));
}

// --- stored objects and messages -------------------------------------------------------------------------------------

function goldenTargets(golden: Golden): readonly Target[] {
  const bytes = committed(golden);
  const payload = payloadOf(golden);
  const below: Target = {
    name: `${golden.name}, below its checksum`,
    draw: (random) => {
      if (isCompressed(golden) && random.chance(0.1)) return bomb(random, golden);
      const changed = mutate(random, payload, payloads);
      return fed(withPayload(golden, changed), changed.length);
    },
    decode: golden.decode,
    problem: (_bytes, value) => notData(value),
  };
  // JSON, which a person may edit, has no checksum: what is JSON of the right shape is believed.
  if (golden.name === "app") return [{ ...below, name: "app", draw: mutated([bytes]) }];
  const whole: Target = {
    name: golden.name,
    draw: (random) => fed(mutate(random, bytes, everything), bytes.length + payload.length),
    decode: golden.decode,
    problem: (changed, value) => {
      const isOne = everything.some((one) => isSame(one, changed));
      return isOne || isSame(value, golden.value) ? undefined : "changed bytes were taken for another value";
    },
  };
  return [whole, below];
}

function isCompressed({ name }: Golden): boolean {
  return name === "base" || name === "piece" || name.startsWith("record");
}

/** Few bytes that become many, of one kind. */
function bomb(random: Random, golden: Golden): Fed {
  const unpacked = new Uint8Array(random.skewed(1_024, 4_194_304)).fill(random.pick([0, 0x90, 0x80, 0xc0, 0xff, 0x91]));
  if (random.chance(0.5)) unpacked.set([0xdd, ...lengthBytes(unpacked.length - 5)]);
  const frame = zstdCompressSync(unpacked);
  const stored = golden.name === "base" ? frame : Uint8Array.from([1, ...frame]);
  return fed(withStored(golden, stored), unpacked.length);
}

function lengthBytes(length: number): number[] {
  return [length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff];
}

/** A value can be stored again, and comes back as the same. */
function notData(value: unknown): string | undefined {
  const again = decodeValue(encodeValue(value));
  return isSame(again, value) ? undefined : "a decoded value does not survive being stored";
}

const samples: readonly { readonly before: unknown; readonly delta: Delta }[] = deltaSamples();

function deltaSamples(): { before: unknown; delta: Delta }[] {
  const values = goldens.filter(({ name }) => name !== "app").map((golden) => decodeValue(payloadOf(golden)));
  return values.flatMap((before, index) => {
    const delta = diff(before, values[(index + 1) % values.length]);
    return delta === undefined ? [] : [{ before, delta }];
  });
}

const valueTargets: readonly Target[] = [
  {
    name: "msgpack",
    draw: (random) => fed(strangeValue(random)),
    decode: decodeValue,
    problem: (_bytes, value) => notData(value),
  },
  {
    name: "delta",
    draw: (random) => fed(mutate(random, encodeValue(random.pick(samples).delta), payloads)),
    decode: (bytes) => {
      const delta = decodeValue(bytes) as Delta;
      return samples.map(({ before }) => orRefused(() => patch(before, delta)));
    },
  },
];

/** What `decode` gives, or `undefined` for what it refuses as it should. */
function orRefused(decode: () => unknown): unknown {
  try {
    return decode();
  } catch (error) {
    if (error instanceof DormouseError && error.kind === "corrupt") return undefined;
    throw error;
  }
}

// --- the channel -----------------------------------------------------------------------------------------------------

const errorData = encodeError(new DormouseError("failed", "agent.step-failed", "of the agent", { cause: new Error() }));
const facts = encodeFacts({ name: "one", isLeaving: false, reads: 1, writes: 1, types: ["counter@1"], app: undefined });
const notices: readonly Uint8Array[] = [
  { id: "01J", answer: { ok: true, seq: 3, value: { a: [1] } } },
  { id: "01J", answer: { ok: false, seq: 3, error: errorData } },
  { by: 3, upTo: 7, app: "books" },
  { partitions: [1, 2, 3] },
].map(encodeValue);
const answers: readonly Uint8Array[] = [
  { ok: true, value: { state: "running", partitions: {} } },
  { ok: false, error: errorData },
].map(encodeValue);

const channelTargets: readonly Target[] = [
  ...[decodeAnswer, decodeTaken, decodeFreed].map((decode): Target => ({
    name: `notice, ${decode.name}`,
    draw: mutated(notices),
    decode,
  })),
  {
    name: "the error of an answer",
    draw: mutated(notices),
    decode: (bytes) => {
      const answer = decodeAnswer(bytes)?.answer;
      return answer?.ok === false ? decodeError(answer.error).message : undefined;
    },
  },
  { name: "facts of a host", draw: mutated([facts]), decode: decodeFacts },
  { name: "a host's answer", draw: mutated(answers), decode: (bytes) => hostAnswer(bytes) },
  { name: "an answer to a read", draw: mutated(answers), decode: (bytes) => readAnswer(bytes) },
  {
    name: "a request of a host",
    draw: mutated([encodeValue({ what: "status" })]),
    decode: (bytes) => hostRequest(bytes),
  },
];

const app = {
  name: "default",
  birth: "01JDORM0USE000000000000001",
  partitions: 8,
  hash: "fnv1a32",
  format: 1,
} as const;

function hostAnswer(bytes: Uint8Array): Promise<unknown> {
  return orTold(requestHost({ request: async () => bytes }, app, "01J", { what: "status" }, 1));
}

function readAnswer(bytes: Uint8Array): Promise<unknown> {
  return orTold(requestRead({ request: async () => bytes }, app, 0 as Partition, { what: "waits" } as never, 1));
}

/** A host may tell of an error that was no DormouseError there: it is an Error of a name, and of no class. */
async function orTold(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && error.constructor === Error) return error.message;
    throw error;
  }
}

/** What it answers is an answer. */
async function hostRequest(bytes: Uint8Array): Promise<unknown> {
  let served: ((bytes: Uint8Array) => Promise<Uint8Array>) | undefined;
  const channel = {
    serve: (_subject: string, serve: typeof served) => {
      served = serve;
      return () => undefined;
    },
  };
  const host = { status: () => ({ state: "running" }) as never, drain: () => undefined };
  serveControl(channel as never, app, "01J", host);
  return decodeValue((await served?.(bytes)) ?? new Uint8Array());
}

// --- drivers ---------------------------------------------------------------------------------------------------------

const frames: readonly Uint8Array[] = [
  encodeFrame("hello", 1, "1"),
  encodeFrame("append", 7, "3", everything[0]),
  encodeFrame("request", 8, "30000 subject/of"),
  encodeFrame("error", 9, JSON.stringify({ kind: "timeout", code: "ask.late", message: "late" })),
  encodeFrame("delivery", 10, "", notices[0]),
].flatMap((frame) => (frame === undefined ? [] : [frame]));

const driverTargets: readonly Target[] = [
  {
    name: "frames of a folder's socket",
    draw: (random) => fed(mutate(random, Buffer.concat([...frames, ...frames]), frames)),
    decode: (bytes) => {
      const [atOnce, byPieces] = [bytes.length, 7].map((length) => framesOf(bytes, length));
      // What came with bytes that are no frame is dropped with them: the connection ends.
      if (isSame(atOnce, byPieces?.slice(0, atOnce?.length))) return atOnce;
      throw new Error("the same bytes in other pieces are other frames");
    },
  },
  {
    name: "a frame's error",
    draw: (random) => fed(mutate(random, frames[3] ?? new Uint8Array(), frames)),
    decode: (bytes) => framesOf(bytes, bytes.length).map((frame) => decodeFrameError(frame as never).code),
  },
  {
    name: "an entry of a NATS bucket",
    draw: mutated([encodeEntry(false, facts)]),
    decode: (bytes) => decodeFacts(decodeEntry(bytes).facts),
  },
  {
    name: "a raw publish",
    draw: mutated([utf8('{"type":"add","by":[1,2,{"deep":null}],"text":"\\ud83d\\u0000"}')]),
    decode: (bytes) =>
      readRaw({ bytes, sequence: 7, stream: "stream", at: 1_767_225_600_000.25 }, { type: "counter", key: "acme" }),
  },
];

/** All until one is refused. */
function framesOf(bytes: Uint8Array, pieceLength: number): unknown[] {
  const decoder = new FrameDecoder();
  const found: unknown[] = [];
  for (let at = 0; at < bytes.length; at += pieceLength) {
    const some = decoder.push(Buffer.from(bytes.subarray(at, at + pieceLength)));
    if (some === undefined) break;
    found.push(...some);
  }
  return found;
}

// --- text ------------------------------------------------------------------------------------------------------------

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function textTarget(name: string, texts: readonly string[], decode: (text: string) => unknown): Target {
  const decoder = new TextDecoder();
  return { name, draw: mutated(texts.map(utf8)), decode: (bytes) => decode(decoder.decode(bytes)) };
}

const addresses = ["counter/acme", "/books/counter/acme/1", "researcher/Haselmaus 🐭/ü", "counter/~0123456789abcdef"];
const token = `${"0123456789abcdef".repeat(2)}.counter/acme`;

const textTargets: readonly Target[] = [
  textTarget("address", addresses, parseAddress),
  textTarget("target", addresses, parseTarget),
  textTarget("reference", addresses, parseReference),
  textTarget("token of a key", ["acme", "~F0~9F~90~AD", "a~2Fb"], decodeToken),
  textTarget("token of a stranger", ["acme", "~f0~9f~90~ad", "a~2Fb"], readToken),
  textTarget("token of a wait", [token], parseToken),
  textTarget("data of a frame", ['{"kind":"timeout"}'], parseData),
  textTarget("key of a bucket", [encodeKey("01JDORM0USE"), encodeKey("ü/é"), "="], decodeKey),
  textTarget(
    "delivery",
    ["$JS.ACK.s.c.1.7.8.1767225600000000000.4", "$JS.ACK.d.a.s.c.1.7.8.1767225600.4.r"],
    parseDelivery,
  ),
  textTarget("subject of an event", ["dm.app.0.in.counter.acme"], sentToOf),
  textTarget("time of a stream", ["2026-01-02T03:04:05.123456789Z"], timeOfText),
  textTarget("bucket", ["s3://bucket/prefix/of", "s3://b.c-d"], parseS3Url),
  textTarget("endpoint", ["https://s3.example.com:9000/x"], parseEndpoint),
];

// --- files -----------------------------------------------------------------------------------------------------------

async function fileTargets(folder: string): Promise<readonly Target[]> {
  const made = join(folder, "made");
  const opened = await openFolder(made, { clock: realClock, entropy: realEntropy });
  for (let n = 0; n < 40; n += 1) await opened.store.put(`object/${n}`, new Uint8Array(n * 300), { if: "any" });
  await opened.close();
  const data = new Uint8Array(readFileSync(join(made, "data.mdb")));
  const lock = utf8(JSON.stringify({ pid: 1, socket: "/socket", boot: "b" }));
  const path = join(folder, "data.mdb");
  return [
    {
      name: "a folder's data file",
      draw: (random) => fed(mutate(random, data, [data])),
      decode: (bytes) => {
        writeFileSync(path, bytes);
        return findDamage(path);
      },
    },
    {
      name: "a folder's lock file",
      draw: mutated([lock]),
      decode: (bytes) => {
        writeFileSync(join(folder, "host.json"), bytes);
        return readLockFile(folder);
      },
    },
  ];
}
