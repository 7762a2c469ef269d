/**
 * One value of every stored format, with all kinds of data in it, and how it becomes bytes and a value again.
 *
 * The bytes are committed in `v1/<name>.bin`. They are regenerated (`node --conditions=@dormouse/source
 * test/formats/regenerate.ts`) in the commit that changes a format until the first release, then frozen for ever: from
 * then on a new version of a format gets a folder of its own beside this one, and a way up from here.
 */
import { readFileSync } from "node:fs";
import { makeAddress, type Partition } from "../../packages/core/src/agent/address.ts";
import { AgentRef } from "../../packages/core/src/agent/agent-ref.ts";
import { DormouseError } from "../../packages/core/src/agent/errors.ts";
import { storedBytesMax } from "../../packages/core/src/agent/limits.ts";
import type { EventData } from "../../packages/core/src/agent/way-out.ts";
import { type App, decodeApp, encodeApp } from "../../packages/core/src/format/app.ts";
import { decodeBundle, encodeBundle } from "../../packages/core/src/format/bundle.ts";
import { decompress, decompressLarge } from "../../packages/core/src/format/codec/compress.ts";
import { diff } from "../../packages/core/src/format/codec/delta.ts";
import { headerBytes } from "../../packages/core/src/format/codec/header.ts";
import { encodeValue } from "../../packages/core/src/format/codec/msgpack.ts";
import {
  type Chapter,
  decodeBase,
  decodeChapter,
  decodeHead,
  decodePiece,
  decodeSteps,
  packBase,
  encodeChapter,
  encodeHead,
  encodePiece,
  packSteps,
  type Head,
  type HistoryStep,
  historyStep,
  type Run,
} from "../../packages/core/src/format/head.ts";
import { type Batch, decodeBatch, encodeBatch, type Envelope } from "../../packages/core/src/format/message.ts";
import {
  decodeBucket,
  decodePartition,
  encodeBucket,
  encodePartition,
  type Lane,
  type LaneKey,
  type PartitionObject,
  type Position,
} from "../../packages/core/src/format/partition.ts";
import {
  type Cause,
  decodeJournalObject,
  decodeTrimMark,
  encodeRecord,
  encodeSeal,
  encodeTrimMark,
  type JournalRecord,
  type Origin,
  type StepEntry,
} from "../../packages/core/src/format/record.ts";
import type { AgentState, Answer } from "../../packages/core/src/step/state.ts";

export interface Golden {
  /** Of its file, without `.bin`. */
  readonly name: string;
  readonly value: unknown;
  /** The bytes as they are written today. */
  readonly bytes: Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
  /** The bytes with nothing compressed in them. zstd may give other bytes in another version of Node, all of them right. */
  readonly plain: (bytes: Uint8Array) => Uint8Array;
  /** What a value of another shape is refused with. */
  readonly shapeCode: string;
}

export const folder: URL = new URL("v1/", import.meta.url);

export function committed({ name }: Golden): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`${name}.bin`, folder)));
}

// --- the values ------------------------------------------------------------------------------------------------------

/** As decoded ones are: the name of any class but DormouseError is a field of its own. */
const error = new DormouseError("failed", "agent.step-failed", "the agent's own code threw: out of dormice", {
  cause: Object.assign(new Error("nothing is not a dormouse"), { name: "TypeError", code: "E_NONE" }),
});

/** Every kind of data that may be stored. */
const data = {
  null: null,
  undefined,
  yes: true,
  numbers: [0, -1, 127, 65_536, 4_294_967_296, 1.5, -1e300, Number.NaN, Infinity, -Infinity],
  bigints: [0n, -1n, 2n ** 62n, -(2n ** 80n)],
  text: ["", "dormouse", "Haselmäuse 🐭", "\u{d83d} half a character", "\ufeffmark", "long ".repeat(60)],
  date: new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)),
  noDate: new Date(Number.NaN),
  map: new Map<unknown, unknown>([
    ["a", 1],
    [2, new Map([["nested", new Set(["x"])]])],
    [new Date(0), { deep: [undefined] }],
  ]),
  set: new Set<unknown>([1, "1", 1n, [1]]),
  bytes: new Uint8Array([0, 1, 2, 253, 254, 255]),
  floats: new Float64Array([0.1, -0.2]),
  error,
  plainError: Object.assign(new Error("too far"), { name: "RangeError" }),
  ref: new AgentRef("account/acme", "account/acme"),
  empty: [{}, [], new Map(), new Set(), new Uint8Array(0)],
  odd: { __keys__: "kept", "\u{dc00}": "half a key", constructor: 1, "0": "index", "": "no name" },
};

const ulid = (n: number): string => `01JDORM0USE0000000000000${String(n).padStart(2, "0")}`;
const nonce = Uint8Array.from({ length: 16 }, (_, index) => index * 17);
const at = Date.UTC(2026, 0, 1);
const acme = makeAddress("counter", "acme");
const child = makeAddress("counter", "~0123456789abcdef");
const strange = makeAddress("researcher", "Haselmaus 🐭/ü");
const event: EventData = { type: "add", by: 2, ...data };
const errorData = { name: "Error", message: "gone", cause: { name: "TypeError", message: "inner", code: "E_NONE" } };
const parent = { address: acme, id: "helper", isSnapshotSynced: true } as const;
const origin: Origin = { source: `stint/${ulid(1)}`, n: 7, closed: 4, at };

const envelopes: readonly Envelope[] = [
  {
    n: 1,
    id: ulid(10),
    to: acme,
    sentAt: at,
    body: { kind: "event", event },
    ask: { replyTo: "reply.1", patienceMs: 30_000, isRepeat: false },
    key: "order-7",
  },
  { n: 2, id: ulid(11), to: strange, sentAt: at, body: { kind: "start", input: data }, from: acme },
  {
    n: 3,
    id: ulid(12),
    to: child,
    sentAt: at,
    body: { kind: "start-child", input: undefined, parent, path: ["helper", "inner"] },
  },
  {
    n: 4,
    id: ulid(13),
    to: acme,
    sentAt: at,
    body: { kind: "child", id: "helper", child, news: { kind: "done", output: data } },
  },
  { n: 5, id: ulid(14), to: acme, sentAt: at, body: { kind: "child", id: "h", child, news: { kind: "error", error } } },
  {
    n: 6,
    id: ulid(15),
    to: acme,
    sentAt: at,
    body: { kind: "child", id: "h", child, news: { kind: "snapshot", snapshot: { status: "active", context: data } } },
  },
  { n: 7, id: ulid(16), to: child, sentAt: at, body: { kind: "stop", parent: acme } },
  ...(["terminate", "remove", "resume", "skip"] as const).map((command, index): Envelope => ({
    n: 8 + index,
    id: ulid(17 + index),
    to: acme,
    sentAt: at,
    body: { kind: "command", command },
  })),
];
const [first] = envelopes;
if (first === undefined) throw new Error("there are envelopes");
const { n: _n, ...unnumbered } = first;

const batches: { readonly [name: string]: Batch } = {
  "envelope-stint": { source: { kind: "stint", id: ulid(1), place: 41, floor: 1 }, envelopes },
  "envelope-outbox": { source: { kind: "outbox", id: `${ulid(2)}/3`, floor: 5 }, envelopes: envelopes.slice(0, 2) },
  "envelope-barrier": { source: { kind: "barrier", id: ulid(3) }, envelopes: [] },
};

const stateBefore: AgentState = {
  birth: nonce,
  version: 1,
  seq: 3,
  now: at,
  status: "active",
  machine: {
    status: "active",
    value: { work: { draft: "writing", check: "idle" } },
    nodes: ["counter", "counter.work", "counter.work.draft.writing"],
    context: { ...data, log: ["one", "two", "three"], text: "begun" },
    history: { "counter.hist": ["counter.work"] },
    children: { helper: { address: child, src: "helper", kind: "machine", systemId: "h", isSnapshotSynced: true } },
    output: undefined,
    error: undefined,
  },
  parent: { address: makeAddress("counter", "zeta"), id: "acme", isSnapshotSynced: false },
  path: ["helper"],
  asks: [{ id: ulid(10), handledId: ulid(10), eventType: "add", replyTo: "reply.1", until: at + 30_000 }],
  timers: {
    "xstate.after.1000.counter.work": { generation: 3, due: at + 1_000, event: { type: "late" }, to: strange },
  },
  effects: { "counter/~effect": { id: "fetch", src: "fetch", input: data, attempt: 2 } },
  children: { [child]: { id: "helper" } },
  owed: [{ seq: 3, index: 0, name: "notify", params: { to: "ops" }, event: { type: "add", by: 1 } }],
  keys: new Map([
    ["order-6", { id: ulid(9), at, answer: { ok: true, seq: 2, value: data } as const }],
    ["order-7", { id: ulid(10), at }],
  ]),
  errorCount: 1,
};

/** The same after a step that touched a little of everything. */
const stateAfter: AgentState = {
  ...stateBefore,
  seq: 4,
  now: at + 5,
  status: "done",
  machine: {
    ...stateBefore.machine,
    status: "done",
    output: { total: 3n },
    context: {
      ...data,
      numbers: data.numbers.slice(1),
      map: new Map<unknown, unknown>([["b", new Date(1)]]),
      set: new Set<unknown>(["1", 1n, 2]),
      bytes: new Uint8Array([0, 1, 2, 253, 254, 255, 9]),
      log: ["two", "three", { at: new Date(at), four: [4] }],
      text: "begun, and gone on",
    },
  },
  asks: [],
  timers: {},
};

const causes: readonly Cause[] = [
  { kind: "event", id: ulid(10), from: acme, event },
  { kind: "start", id: ulid(11), input: data, parent },
  { kind: "timer", timer: "xstate.after.1000.counter.work", event: { type: "late" } },
  { kind: "effect", address: "counter/~effect", attempt: 2, event: { type: "xstate.done.actor.fetch", output: data } },
  { kind: "attempt", address: "counter/~effect", attempt: 2 },
  { kind: "child", child, event: { type: "xstate.error.actor.helper", error } },
  { kind: "action", name: "notify", seq: 3, index: 0 },
  { kind: "end", how: "terminate" },
];

const steps: readonly StepEntry[] = causes.map((cause, index) => ({
  kind: "step",
  agent: acme,
  seq: 4 + index,
  at: at + 5 + index,
  origin: index === 0 ? origin : undefined,
  cause,
  delta: index === 0 ? diff(stateBefore, stateAfter) : index === 1 ? diff(undefined, stateBefore) : undefined,
  sends: index === 0 ? [{ to: 5 as Partition, n: 1, envelope: { ...unnumbered, to: strange } }] : [],
  answers:
    index === 0 ? [{ id: ulid(10), replyTo: "reply.1", answer: { ok: true, seq: 4, value: data } as const }] : [],
  wakeUp: index === 0 ? at + 1_000 : undefined,
  isBusy: index === 0,
  error: index === 5 ? errorData : undefined,
  emitted: index === 0 ? [{ type: "added", ...data }] : [],
}));
const history: readonly HistoryStep[] = steps.map(historyStep);

const position: Position = {
  stream: ulid(4),
  epoch: 2,
  upTo: 40,
  above: [
    [42, 42],
    [45, 50],
  ],
  anchor: { sequence: 50, at: at + 0.25 },
};
const answer: Answer = { ok: true, seq: 4, value: data };
const quarantine = { since: at, error: errorData, messageId: ulid(10) };

const record: JournalRecord = {
  incarnation: ulid(5),
  n: 12,
  nonce,
  previous: nonce.slice().toReversed(),
  parts: [
    {
      partition: 3 as Partition,
      epoch: 7,
      position,
      entries: [
        ...steps,
        {
          kind: "pass",
          agent: acme,
          at,
          origin,
          why: "not-taken",
          sends: [],
          answers: [{ id: ulid(10), replyTo: "reply.1", answer: { ok: false, seq: 4, error: errorData } }],
        },
        { kind: "open", stint: ulid(1), place: 41, at },
        { kind: "sent", to: 5 as Partition, upTo: 9 },
        { kind: "shelve", origin, envelope: first },
        { kind: "remove", agent: acme, seq: 9 },
        { kind: "unshelve", agent: acme, count: 2 },
        { kind: "note", id: ulid(10) },
        { kind: "unnote", id: ulid(10) },
        { kind: "quarantine", agent: acme, quarantine },
        { kind: "quarantine", agent: acme, quarantine: undefined },
      ],
    },
    { partition: 4 as Partition, epoch: 1, position: undefined, entries: [] },
  ],
};

/** Of what goes to other apps, and of a raw publish. */
const recordElsewhere: JournalRecord = {
  ...record,
  parts: [
    {
      partition: 3 as Partition,
      epoch: 7,
      position: undefined,
      entries: [
        {
          kind: "pass",
          agent: acme,
          at,
          origin: { source: "raw", n: 12, closed: 0, at: at + 0.25 },
          why: "elsewhere",
          sends: [
            { to: "books", n: 2, envelope: unnumbered },
            { to: "billing/3", n: 7, envelope: unnumbered },
          ],
          answers: [],
        },
        { kind: "route", app: "books", to: [4 as Partition, 0 as Partition] },
        { kind: "sent", to: "billing/3", upTo: 6 },
        ...steps.slice(0, 1).map((step): StepEntry => ({
          ...step,
          cause: { kind: "undelivered", id: ulid(10), to: "/biling/counter/acme" },
          error: errorData,
        })),
      ],
    },
  ],
};

const partition: PartitionObject = {
  epoch: 7,
  owner: ulid(5),
  deaths: 1,
  nonce,
  chain: [
    { incarnation: ulid(4), epoch: 6, from: 3, end: 9 },
    { incarnation: ulid(5), epoch: 7, from: 0, end: undefined },
  ],
  state: {
    position,
    sources: new Map([[origin.source, { low: 4, above: new Set([6, 7]), place: 41, at }]]),
    forgottenPlace: 17,
    outbox: new Map([[5, { next: 3, entries: new Map([[2, { ...unnumbered, to: strange }]]) }]]),
    wakeUps: new Map([[acme, at + 1_000]]),
    buckets: new Map([[490_896, [`partitions/3/timers/490896/${ulid(5)}-000000000004`]]]),
    busy: new Set([acme]),
    answers: new Map([[ulid(10), { answer, until: at + 60_000, bytes: 1_234 }]]),
    answersBytes: 1_234,
    shelf: new Map([[strange, [...envelopes]]]),
    quarantine: new Map([[strange, quarantine]]),
    notes: new Map([[ulid(10), 2]]),
  },
};
/** One that sends to other apps and is read again after its stream went backwards. */
const partitionElsewhere: PartitionObject = {
  ...partition,
  state: {
    ...partition.state,
    position: { ...position, before: [{ upTo: 9, above: [[11, 12]], at: at + 0.25 }] },
    outbox: new Map<LaneKey, Lane>([
      [5, { next: 2, entries: new Map([[1, unnumbered]]) }],
      ["billing/3", { next: 8, entries: new Map([[7, unnumbered]]) }],
      ["books", { next: 3, entries: new Map([[2, unnumbered]]) }],
    ]),
    raws: new Set([`12@${at + 0.25}`]),
  },
};
const freePartition: PartitionObject = { ...partition, owner: undefined, chain: [] };

const pack = packSteps(history)[0] ?? { bytes: new Uint8Array(0), unpacked: 0 };
const run: Run = {
  base: { kind: "inline", seq: 3, state: stateBefore, bytes: 321 },
  pieces: [{ name: `agents/counter/acme/${ulid(5)}-000000000001`, bytes: 2_049, unpacked: 4_098 }],
  steps: pack.bytes,
};
const chapterRef = { name: `agents/counter/acme/${ulid(5)}-000000000002`, from: 1, to: 3 };
const head: Head = { epoch: 7, nonce, seq: 11, run, chapter: chapterRef };
const tombstone: Head = { epoch: 7, nonce, seq: 12, run: undefined, chapter: undefined };
const far: Head = {
  ...head,
  run: { base: { kind: "object", seq: 3, name: chapterRef.name, bytes: 9 }, pieces: [], steps: new Uint8Array(0) },
};
const chapter: Chapter = {
  run: { ...run, base: { kind: "nothing", seq: 0 } },
  previous: chapterRef,
};

const app: App = { name: "default", birth: ulid(2), partitions: 8, hash: "fnv1a32", format: 1 };

// --- the formats -----------------------------------------------------------------------------------------------------

const object = "object/of-a-test";

/** The format of these files. */
const format = 1;

export const goldens: readonly Golden[] = [
  ...Object.entries(batches).map(([name, batch]) =>
    golden(name, batch, encodeBatch(batch, format), decodeBatch, "envelope.shape"),
  ),
  ...[
    { name: "record", value: record },
    { name: "record-elsewhere", value: recordElsewhere },
  ].map(({ name, value }) =>
    golden(
      name,
      { kind: "record", record: value },
      encodeRecord(value, format),
      (bytes) => decodeJournalObject(bytes, object),
      "record.shape",
      unmarked,
    ),
  ),
  golden(
    "seal",
    { kind: "seal", seal: { by: ulid(6), nonce } },
    encodeSeal({ by: ulid(6), nonce }, format),
    (bytes) => decodeJournalObject(bytes, object),
    "seal.shape",
  ),
  golden(
    "bundle",
    [encodeRecord(recordElsewhere, format), encodeRecord(recordElsewhere, format)],
    encodeBundle([encodeRecord(recordElsewhere, format), encodeRecord(recordElsewhere, format)], format),
    (bytes) => decodeBundle(bytes, object),
    "bundle.shape",
  ),
  golden(
    "trim-mark",
    { below: 11, nonce },
    encodeTrimMark({ below: 11, nonce }, format),
    (bytes) => decodeTrimMark(bytes, object),
    "trim.shape",
  ),
  ...[
    { name: "partition", value: partition },
    { name: "partition-elsewhere", value: partitionElsewhere },
    { name: "partition-free", value: freePartition },
  ].map(({ name, value }) =>
    golden(name, value, encodePartition(value, format), (bytes) => decodePartition(bytes, object), "partition.shape"),
  ),
  golden(
    "bucket",
    partition.state.wakeUps,
    encodeBucket(partition.state.wakeUps, format),
    (bytes) => decodeBucket(bytes, object),
    "bucket.shape",
  ),
  ...[
    { name: "head-tombstone", value: tombstone },
    { name: "head-far", value: far },
  ].map(({ name, value }) =>
    golden(name, value, encodeHead(value, format), (bytes) => decodeHead(bytes, object), "head.shape"),
  ),
  {
    ...golden(
      "head",
      opened(head),
      encodeHead(head, format),
      (bytes) => opened(decodeHead(bytes, object)),
      "head.shape",
    ),
    plain: (bytes) => withHeader(bytes, encodeValue(opened(decodeHead(bytes, object)))),
  },
  {
    ...golden(
      "chapter",
      { kind: "chapter", ...opened(chapter) },
      encodeChapter(chapter, format),
      (bytes) => opened(decodeChapter(bytes, object)),
      "chapter.shape",
    ),
    plain: (bytes) => withHeader(bytes, encodeValue(opened(decodeChapter(bytes, object)))),
  },
  golden(
    "base",
    stateBefore,
    packBase(stateBefore, format).bytes,
    (bytes) => decodeBase(bytes, object),
    "base.shape",
    decompressed,
  ),
  golden("piece", history, encodePiece(pack, format), (bytes) => decodePiece(bytes, object), "steps.shape", unmarked),
  golden("app", app, encodeApp(app), (bytes) => decodeApp(bytes, object), "app.unreadable"),
];

/** @param plain - The bytes without compression, which differs from one zstd to the next. */
function golden(
  name: string,
  value: unknown,
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => unknown,
  shapeCode: string,
  plain: (bytes: Uint8Array) => Uint8Array = (own) => own,
): Golden {
  return { name, value, bytes, decode, plain, shapeCode };
}

function decompressed(bytes: Uint8Array): Uint8Array {
  return withHeader(bytes, decompress(bytes.subarray(headerBytes), storedBytesMax));
}

function unmarked(bytes: Uint8Array): Uint8Array {
  return withHeader(bytes, decompressLarge(bytes.subarray(headerBytes), storedBytesMax));
}

/** With the steps that it holds in compressed form as they are. */
function opened(value: { readonly run: Run | undefined }): object {
  return value.run === undefined
    ? value
    : { ...value, run: { ...value.run, steps: decodeSteps(value.run.steps, object) } };
}

/** Magic, kind and version; the checksum is one of the compressed bytes. */
function withHeader(bytes: Uint8Array, payload: Uint8Array): Uint8Array {
  return new Uint8Array([...bytes.subarray(0, 5), ...payload]);
}
