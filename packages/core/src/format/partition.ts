/** The partition object: who owns a partition, which journals hold what is not settled, and its settled state. */
import type { Address, Partition } from "../agent/address.ts";
import type { ErrorData } from "../agent/errors.ts";
import type { Answer } from "../step/state.ts";
import { unwrap, wrap } from "./codec/header.ts";
import { decodeValue, encodeValue } from "./codec/msgpack.ts";
import type { Envelope, Unnumbered } from "./message.ts";
import {
  decodeNamed,
  hasFields,
  isBytes,
  isList,
  isListOf,
  isMap,
  isMissingOr,
  isNumber,
  isSet,
  isText,
  wrongShape,
} from "./shape.ts";

export interface PartitionObject {
  /** Raised by every claim: what an earlier owner wrote is told by it. */
  readonly epoch: number;
  /** The incarnation that owns it, or nobody. */
  readonly owner: string | undefined;
  /** Takeovers from dead owners since the last settle. */
  readonly deaths: number;
  /** So that no two writings have the same bytes: an ETag may be a hash of them. */
  readonly nonce: Uint8Array;
  /** Journals with something unsettled, oldest first; the last one is the owner's. */
  readonly chain: readonly ChainLink[];
  readonly state: PartitionState;
}

export interface ChainLink {
  readonly incarnation: string;
  /** The epoch under which that incarnation owned the partition: entries of another do not count. */
  readonly epoch: number;
  /** The first record that may hold something unsettled. */
  readonly from: number;
  /** The number of the seal; `undefined` while its incarnation lives. */
  readonly end: number | undefined;
}

/**
 * What a partition owes and has taken. Changed in place by `step/fold.ts`, entry by entry, the same way by the owner and
 * by whoever reads its journal later; but for wake-ups and buckets, hints that an owner also drops and moves by itself.
 */
export interface PartitionState {
  position: Position;
  /** By `sourceKey`; those that were silent the longest first. */
  readonly sources: Map<string, SourceState>;
  /** The highest place among stints that were forgotten: an unknown stint opened at or below it is late. */
  forgottenPlace: number;
  /** Messages to others, by where they go. */
  readonly outbox: Map<LaneKey, Lane>;
  /** The earliest due time of agents that have a timer: of all that is near, and of what is far since the last settle. */
  readonly wakeUps: Map<Address, number>;
  /** Objects with far wake-ups, by the number of their bucket. */
  readonly buckets: Map<number, readonly string[]>;
  /** Agents with effects or actions under way. */
  readonly busy: Set<Address>;
  /** Given lately, by message id, for askers who ask again; in order of `until`. */
  readonly answers: Map<string, KeptAnswer>;
  answersBytes: number;
  /** Messages of agents that cannot step now. */
  readonly shelf: Map<Address, Envelope[]>;
  readonly quarantine: Map<Address, Quarantine>;
  /** Work that was begun under caution and has not ended: how often it was noted. */
  readonly notes: Map<string, number>;
  /** Raw publishes that are decided and of which the position may not tell, as `rawName` names them. */
  raws?: Set<string>;
}

/**
 * Where a lane goes: to a partition of this app, by its number; to one of another app, `<app>/<partition>`; to another
 * app of which is not known yet how many partitions it has, `<app>`.
 */
export type LaneKey = number | string;

/** The lane to a partition of another app. */
export function laneTo(app: string, partition: Partition): LaneKey {
  return `${app}/${partition}`;
}

/** The other app that a lane goes to, and its partition there; `undefined` for what is this app's, or not known yet. */
export function parseLane(lane: LaneKey): {
  readonly app: string | undefined;
  readonly partition: Partition | undefined;
} {
  if (typeof lane === "number") return { app: undefined, partition: lane as Partition };
  const [app, partition] = lane.split("/");
  return { app, partition: partition === undefined ? undefined : (Number(partition) as Partition) };
}

/** How far the mailbox is consumed: all up to `upTo`, and the ranges above it. */
export interface Position {
  /** The stream this speaks of: another one, or one that went backwards, raises the epoch. */
  readonly stream: string;
  readonly epoch: number;
  readonly upTo: number;
  /** `[first, last]` sequences consumed above `upTo`, rising. */
  readonly above: readonly (readonly [number, number])[];
  /** The highest message consumed, never trimmed; `undefined` before the first. */
  readonly anchor: { readonly sequence: number; readonly at: number } | undefined;
  /**
   * What was consumed before the stream went backwards, newest first, until the stream is read again up to where it
   * ended then: a raw publish has no other number than its place (DESIGN.md section 6).
   */
  readonly before?: readonly Consumed[];
}

/** What was consumed of a stream as it was: these places, by messages that are not younger than `at`. */
export interface Consumed {
  readonly upTo: number;
  readonly above: readonly (readonly [number, number])[];
  readonly at: number;
}

export interface SourceState {
  /** All numbers up to this one are decided. */
  low: number;
  /** Decided numbers above it. */
  readonly above: Set<number>;
  /** Of a stint: the highest place at which it was opened. */
  place: number;
  /** When it was last heard of, by the mailbox's time. */
  at: number;
}

/** Messages to one partition, numbered from 1 on, kept until it has committed them; or until it is known which it is. */
export interface Lane {
  next: number;
  readonly entries: Map<number, Unnumbered>;
}

export interface KeptAnswer {
  readonly answer: Answer;
  readonly until: number;
  readonly bytes: number;
}

export interface Quarantine {
  readonly since: number;
  readonly error: ErrorData;
  /** The message it stumbled over, if it was one. */
  readonly messageId?: string;
}

export function encodePartition(object: PartitionObject, format: number): Uint8Array {
  return wrap("partition", format, encodeValue(object));
}

/** @throws DormouseError `corrupt`, naming the object: its partition stops, since nobody can know what it held. */
export function decodePartition(bytes: Uint8Array, name: string): PartitionObject {
  const { payload } = unwrap(bytes, "partition", name);
  const object = decodeNamed(name, () => decodeValue(payload));
  if (!isPartitionObject(object)) throw wrongShape("partition.shape", name);
  return object;
}

function isPartitionObject(value: unknown): value is PartitionObject {
  return hasFields(value, {
    epoch: isNumber,
    owner: isMissingOr(isText),
    deaths: isNumber,
    nonce: isBytes,
    chain: isListOf((link) =>
      hasFields(link, { incarnation: isText, epoch: isNumber, from: isNumber, end: isMissingOr(isNumber) }),
    ),
    state: isPartitionState,
  });
}

function isPartitionState(value: unknown): value is PartitionState {
  return hasFields(value, {
    position: isPosition,
    sources: isMap,
    forgottenPlace: isNumber,
    outbox: isMap,
    wakeUps: isMap,
    buckets: isMap,
    busy: isSet,
    answers: isMap,
    answersBytes: isNumber,
    shelf: isMap,
    quarantine: isMap,
    notes: isMap,
    raws: isMissingOr(isSet),
  });
}

export function isPosition(value: unknown): value is Position {
  return hasFields(value, {
    stream: isText,
    epoch: isNumber,
    upTo: isNumber,
    above: isRanges,
    anchor: isMissingOr((anchor) => hasFields(anchor, { sequence: isNumber, at: isNumber })),
    before: isMissingOr(isListOf((consumed) => hasFields(consumed, { upTo: isNumber, above: isRanges, at: isNumber }))),
  });
}

const isRanges = isListOf((range) => isList(range) && range.length === 2 && range.every(isNumber));

export function emptyPartitionState(): PartitionState {
  return {
    position: { stream: "", epoch: 0, upTo: 0, above: [], anchor: undefined },
    sources: new Map(),
    forgottenPlace: 0,
    outbox: new Map(),
    wakeUps: new Map(),
    buckets: new Map(),
    busy: new Set(),
    answers: new Map(),
    answersBytes: 0,
    shelf: new Map(),
    quarantine: new Map(),
    notes: new Map(),
  };
}

/** The wake-ups of one bucket object. */
export function encodeBucket(wakeUps: ReadonlyMap<Address, number>, format: number): Uint8Array {
  return wrap("bucket", format, encodeValue(wakeUps));
}

/** @throws DormouseError `corrupt`, naming the object. */
export function decodeBucket(bytes: Uint8Array, name: string): ReadonlyMap<Address, number> {
  const { payload } = unwrap(bytes, "bucket", name);
  const wakeUps = decodeNamed(name, () => decodeValue(payload));
  if (!isMap(wakeUps) || ![...wakeUps].every(([agent, due]) => isText(agent) && isNumber(due))) {
    throw wrongShape("bucket.shape", name);
  }
  return wakeUps as ReadonlyMap<Address, number>;
}

/** Whether a message of the same stream and epoch was consumed. */
export function isConsumed(position: Pick<Position, "upTo" | "above">, sequence: number): boolean {
  if (sequence <= position.upTo) return true;
  return position.above.some(([first, last]) => first <= sequence && sequence <= last);
}
