/** One journal record: what a commit makes durable, for many partitions at once. Also the seal and the trim mark. */
import { createHash } from "node:crypto";
import type { Address, Partition } from "../agent/address.ts";
import type { ErrorData } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import type { Answer } from "../step/state.ts";
import { compressLarge, decompressLarge } from "./codec/compress.ts";
import type { Delta } from "./codec/delta.ts";
import { unwrap, wrap } from "./codec/header.ts";
import { decodeValue, encodeValue } from "./codec/msgpack.ts";
import type { Envelope, ParentLink, Unnumbered } from "./message.ts";
import { isPosition, type LaneKey, type Position, type Quarantine } from "./partition.ts";
import { decodeNamed, hasFields, isBytes, isListOf, isMissingOr, isNumber, isText, wrongShape } from "./shape.ts";

export interface JournalRecord {
  readonly incarnation: string;
  readonly n: number;
  /** 16 random bytes: tells our own writing from another's after a lost answer. */
  readonly nonce: Uint8Array;
  /** SHA-256 of the record before, first 16 bytes; empty for the first. */
  readonly previous: Uint8Array;
  readonly parts: readonly RecordPart[];
}

export interface RecordPart {
  readonly partition: Partition;
  /** The epoch under which its owner wrote; a reader takes no other. */
  readonly epoch: number;
  /** As of the end of this record, exactly; `undefined`: that of an earlier record still stands. */
  readonly position: Position | undefined;
  readonly entries: readonly Entry[];
}

export type Entry =
  | StepEntry
  | PassEntry
  /** A client's stint begins. */
  | { readonly kind: "open"; readonly stint: string; readonly place: number; readonly at: number }
  /** A receiver has committed our messages up to this number; or nobody will. */
  | { readonly kind: "sent"; readonly to: LaneKey; readonly upTo: number }
  /** It is known how many partitions another app has: the first messages that wait for that go on, each to its own. */
  | { readonly kind: "route"; readonly app: string; readonly to: readonly Partition[] }
  /** A message of an agent that cannot step now is kept for it. */
  | { readonly kind: "shelve"; readonly origin: Origin; readonly envelope: Envelope }
  /** An agent is gone; its numbers count on from `seq` in a later life of its key. */
  | { readonly kind: "remove"; readonly agent: Address; readonly seq: number }
  /** Kept messages of an agent are taken off its shelf again, the first `count`. */
  | { readonly kind: "unshelve"; readonly agent: Address; readonly count: number }
  /** Work is begun under caution, or has ended. */
  | { readonly kind: "note"; readonly id: string }
  | { readonly kind: "unnote"; readonly id: string }
  /** An agent is set aside, or taken back. */
  | { readonly kind: "quarantine"; readonly agent: Address; readonly quarantine: Quarantine | undefined };

/** One step of one agent. */
export interface StepEntry {
  readonly kind: "step";
  readonly agent: Address;
  readonly seq: number;
  readonly at: number;
  /** The envelope it took; a timer or an effect's result has none. */
  readonly origin: Origin | undefined;
  readonly cause: Cause;
  /** From the agent's state before; from nothing for its first step. */
  readonly delta: Delta | undefined;
  /** What it sent to other agents. */
  readonly sends: readonly NumberedSend[];
  readonly answers: readonly GivenAnswer[];
  /** The agent's earliest timer after this step; `undefined` if it has none. */
  readonly wakeUp: number | undefined;
  readonly isBusy: boolean;
  /** Why it failed, if it did. */
  readonly error: ErrorData | undefined;
  /** Events for watchers. */
  readonly emitted: readonly EventData[];
}

/** An envelope that was decided without a step: refused, dropped, already taken under its key. */
export interface PassEntry {
  readonly kind: "pass";
  readonly agent: Address;
  readonly at: number;
  readonly origin: Origin | undefined;
  readonly why: string;
  readonly sends: readonly NumberedSend[];
  readonly answers: readonly GivenAnswer[];
}

export interface Origin {
  /** `sourceKey` of the message's source; `rawSource` of a raw publish, whose number is its place in the stream. */
  readonly source: string;
  readonly n: number;
  /** The highest number that the source's floor closes; 0 of a raw publish. */
  readonly closed: number;
  /** The mailbox's time of the message. */
  readonly at: number;
}

export interface NumberedSend {
  readonly to: LaneKey;
  readonly n: number;
  readonly envelope: Unnumbered;
}

export interface GivenAnswer {
  readonly id: string;
  readonly replyTo: string;
  readonly answer: Answer;
}

/** Why an agent took a step, as its history tells it. */
export type Cause =
  | {
      readonly kind: "event";
      readonly id: string;
      readonly from: string | undefined;
      readonly event: EventData;
      /** When it is to be taken, of one that was sent ahead. */
      readonly due?: number;
    }
  /** An event that is not due yet was taken back. */
  | { readonly kind: "unsent"; readonly id: string }
  | { readonly kind: "start"; readonly id: string; readonly input: unknown; readonly parent: ParentLink | undefined }
  | { readonly kind: "timer"; readonly timer: string; readonly event: EventData }
  | { readonly kind: "effect"; readonly address: string; readonly attempt: number; readonly event: EventData }
  /** What a run of a durable function told; what its calls came to is in the state. */
  | { readonly kind: "calls"; readonly address: string; readonly attempt: number; readonly calls: readonly CallNote[] }
  /** A timer of a durable function's call, or the answer to its ask. */
  | { readonly kind: "call"; readonly address: string; readonly place: number }
  /** A value for a wait, by its token. */
  | { readonly kind: "respond"; readonly id: string; readonly from: string | undefined }
  /** Someone wants the agent to end by itself. */
  | { readonly kind: "cancel"; readonly id: string }
  /** Stuck functions are run again. */
  | { readonly kind: "resumed"; readonly id: string }
  | { readonly kind: "attempt"; readonly address: string; readonly attempt: number }
  | { readonly kind: "child"; readonly child: string; readonly event: EventData }
  | { readonly kind: "action"; readonly name: string; readonly seq: number; readonly index: number }
  | { readonly kind: "end"; readonly how: "stop" | "terminate" }
  /** A message of the agent's, `id`, could not be sent. */
  | { readonly kind: "undelivered"; readonly id: string; readonly to: string };

/** One call of a durable function, as it is told in the history. */
export interface CallNote {
  readonly what:
    | "ended"
    | "failed"
    | "sleep"
    | "receive"
    | "taken"
    | "refused"
    | "send"
    | "ask"
    | "spawn"
    | "log"
    | "park"
    | "stuck"
    | "restart";
  readonly place?: number;
  readonly name?: string;
  readonly attempt?: number;
  readonly startedAt?: number;
  readonly due?: number;
  readonly error?: ErrorData;
  readonly input?: unknown;
  readonly usage?: unknown;
  readonly to?: string;
}

/** What a record object holds: a record, or the seal that ends the journal for good. */
export type JournalObject =
  | { readonly kind: "record"; readonly record: JournalRecord }
  | { readonly kind: "seal"; readonly seal: Seal };

export interface Seal {
  readonly by: string;
  readonly nonce: Uint8Array;
}

export interface TrimMark {
  /** Records below this number may be deleted; only rises. */
  readonly below: number;
  readonly nonce: Uint8Array;
}

/** Compressed when it is large: an event and the change it made repeat each other (D8). */
export function encodeRecord(record: JournalRecord, format: number): Uint8Array {
  return wrap("record", format, compressLarge(encodeValue(record)));
}

/** What the next record names of this one: SHA-256 of its bytes, the first 16. */
export function recordHash(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest().subarray(0, 16);
}

export function encodeSeal(seal: Seal, format: number): Uint8Array {
  return wrap("seal", format, encodeValue(seal));
}

/** @throws DormouseError `corrupt`, naming the object and the check that failed. */
export function decodeJournalObject(bytes: Uint8Array, name: string): JournalObject {
  const { kind, payload } = unwrap(bytes, ["record", "seal"], name);
  if (kind === "seal") {
    const seal = decodeNamed(name, () => decodeValue(payload));
    if (!isSeal(seal)) throw wrongShape("seal.shape", name);
    return { kind, seal };
  }
  const value = decodeNamed(name, () => decodeValue(decompressLarge(payload)));
  if (!isRecord(value)) throw wrongShape("record.shape", name);
  return { kind: "record", record: value };
}

export function encodeTrimMark(mark: TrimMark, format: number): Uint8Array {
  return wrap("trim", format, encodeValue(mark));
}

/** @throws DormouseError `corrupt`, naming the object. */
export function decodeTrimMark(bytes: Uint8Array, name: string): TrimMark {
  const { payload } = unwrap(bytes, "trim", name);
  const mark = decodeNamed(name, () => decodeValue(payload));
  if (!isTrimMark(mark)) throw wrongShape("trim.shape", name);
  return mark;
}

const entryKinds: { readonly [kind in Entry["kind"]]: true } = {
  step: true,
  pass: true,
  open: true,
  sent: true,
  route: true,
  shelve: true,
  remove: true,
  unshelve: true,
  note: true,
  unnote: true,
  quarantine: true,
};

function isRecord(value: unknown): value is JournalRecord {
  return hasFields(value, {
    incarnation: isText,
    n: isNumber,
    nonce: isBytes,
    previous: isBytes,
    parts: isListOf((part) =>
      hasFields(part, {
        partition: isNumber,
        epoch: isNumber,
        position: isMissingOr(isPosition),
        entries: isListOf((entry) =>
          hasFields(entry, { kind: (kind) => isText(kind) && Object.hasOwn(entryKinds, kind) }),
        ),
      }),
    ),
  });
}

function isSeal(value: unknown): value is Seal {
  return hasFields(value, { by: isText, nonce: isBytes });
}

function isTrimMark(value: unknown): value is TrimMark {
  return hasFields(value, { below: isNumber, nonce: isBytes });
}
