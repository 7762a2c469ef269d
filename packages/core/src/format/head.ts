/**
 * Where an agent's settled state and history are found: the head, and the objects it names.
 *
 * A *run* is a stretch of history: a base, and the steps since in pieces and inline. The head holds the run that grows;
 * when its steps outgrow its base, the run as it stands becomes a chapter and a new one begins on the present state. So
 * what is written stays within a small factor of what changed (D8).
 */
import { type Address, fullAddress } from "../agent/address.ts";
import type { ErrorData } from "../agent/errors.ts";
import { pieceBytesMax } from "../agent/limits.ts";
import type { EventData } from "../agent/way-out.ts";
import type { AgentState } from "../step/state.ts";
import { compress, compressLarge, decompress, decompressLarge } from "./codec/compress.ts";
import type { Delta } from "./codec/delta.ts";
import { unwrap, wrap } from "./codec/header.ts";
import { decodeValue, encodeValue } from "./codec/msgpack.ts";
import { isParentLink } from "./message.ts";
import { type LaneKey, parseLane } from "./partition.ts";
import type { Cause, StepEntry } from "./record.ts";
import {
  decodeNamed,
  hasFields,
  isBytes,
  isList,
  isListOf,
  isMap,
  isMissingOr,
  isNumber,
  isObject,
  isObjectOf,
  isText,
  wrongShape,
} from "./shape.ts";

export interface Head {
  /** Of the partition, when it was written: an owner that finds a higher one is no longer the owner. */
  readonly epoch: number;
  readonly nonce: Uint8Array;
  /** The agent's newest settled step. */
  readonly seq: number;
  /** `undefined` in a tombstone: the agent was removed, and a later life of its key counts on from `seq`. */
  readonly run: Run | undefined;
  /** The newest chapter of this life. */
  readonly chapter: ChapterRef | undefined;
}

/** A stretch of history, from the step after `base.seq` on. */
export interface Run {
  readonly base: Base;
  /** Oldest first. */
  readonly pieces: readonly PieceRef[];
  /** The newest steps, packed by `packSteps`; empty if there are none. */
  readonly steps: Uint8Array;
}

export type Base =
  /** Before the agent's first step. */
  | { readonly kind: "nothing"; readonly seq: number }
  | { readonly kind: "inline"; readonly seq: number; readonly state: AgentState; readonly bytes: number }
  | { readonly kind: "object"; readonly seq: number; readonly name: string; readonly bytes: number };

export interface PieceRef {
  readonly name: string;
  readonly bytes: number;
  /** What its steps take when they are read. */
  readonly unpacked: number;
}

export interface ChapterRef {
  readonly name: string;
  /** The numbers of its first and last step. */
  readonly from: number;
  readonly to: number;
}

/** A run that has ended, written once; the chapters of a life are a chain. */
export interface Chapter {
  readonly run: Run;
  readonly previous: ChapterRef | undefined;
}

/** One step as history keeps it. */
export interface HistoryStep {
  readonly seq: number;
  /** Milliseconds since 1970, the step's own time. */
  readonly at: number;
  readonly cause: Cause;
  /** From the state before; `undefined` if nothing changed. */
  readonly delta: Delta | undefined;
  readonly error: ErrorData | undefined;
  readonly emitted: readonly EventData[];
  /** Whom it sent to, and what kind of message. */
  readonly sent: readonly { readonly to: string; readonly what: string }[];
}

export function historyStep({ seq, at, cause, delta, error, emitted, sends }: StepEntry): HistoryStep {
  const sent = sends.map(({ to: lane, envelope: { to, body } }) => ({
    to: nameFrom(lane, to),
    what: body.kind === "event" ? body.event.type : body.kind,
  }));
  return { seq, at, cause, delta, error, emitted, sent };
}

/** The receiver, as its sender names it. */
function nameFrom(lane: LaneKey, to: Address): string {
  const { app } = parseLane(lane);
  return app === undefined ? to : fullAddress(app, to);
}

export function encodeHead(head: Head, format: number): Uint8Array {
  return wrap("head", format, encodeValue(head));
}

/** @throws DormouseError `corrupt`, naming the object: its agent is quarantined, no other. */
export function decodeHead(bytes: Uint8Array, name: string): Head {
  const { payload } = unwrap(bytes, "head", name);
  const head = decodeNamed(name, () => decodeValue(payload));
  if (!isHead(head)) throw wrongShape("head.shape", name);
  return head;
}

/** Always compressed: a base is large, read seldom and kept long. */
export function packBase(state: AgentState, format: number): Pack {
  const encoded = encodeValue(state);
  return { bytes: wrap("base", format, compress(encoded)), unpacked: encoded.length };
}

export function decodeBase(bytes: Uint8Array, name: string): AgentState {
  const { payload } = unwrap(bytes, "base", name);
  const state = decodeNamed(name, () => decodeValue(decompress(payload)));
  if (!isState(state)) throw wrongShape("base.shape", name);
  return state;
}

export function encodeChapter(chapter: Chapter, format: number): Uint8Array {
  return wrap("chapter", format, encodeValue({ kind: "chapter", ...chapter }));
}

export function decodeChapter(bytes: Uint8Array, name: string): Chapter {
  const { payload } = unwrap(bytes, "chapter", name);
  const chapter = decodeNamed(name, () => decodeValue(payload));
  if (!isChapter(chapter)) throw wrongShape("chapter.shape", name);
  return chapter;
}

export function encodePiece({ bytes }: Pack, format: number): Uint8Array {
  return wrap("chapter", format, bytes);
}

/** @throws DormouseError `corrupt`, naming the object. */
export function decodePiece(bytes: Uint8Array, name: string): readonly HistoryStep[] {
  return decodeSteps(unwrap(bytes, "chapter", name).payload, name);
}

/** A state, or steps together, as they are stored. */
export interface Pack {
  readonly bytes: Uint8Array;
  /** What is read takes. */
  readonly unpacked: number;
}

/**
 * Steps together, compressed when they are large: an event and the change it made repeat each other, and compress to one.
 * One pack, or none, unless they take more than a piece may.
 */
export function packSteps(steps: readonly HistoryStep[]): readonly Pack[] {
  if (steps.length === 0) return [];
  const encoded = encodeValue(steps);
  if (encoded.length <= pieceBytesMax || steps.length === 1) {
    return [{ bytes: compressLarge(encoded), unpacked: encoded.length }];
  }
  const half = steps.length >> 1;
  return [...packSteps(steps.slice(0, half)), ...packSteps(steps.slice(half))];
}

/** @throws DormouseError `corrupt`, naming the object that holds them. */
export function decodeSteps(bytes: Uint8Array, name: string): readonly HistoryStep[] {
  if (bytes.length === 0) return [];
  const steps = decodeNamed(name, () => decodeValue(decompressLarge(bytes)));
  if (!areSteps(steps)) throw wrongShape("steps.shape", name);
  return steps;
}

// --- shapes ----------------------------------------------------------------------------------------------------------

function isHead(value: unknown): value is Head {
  return hasFields(value, {
    epoch: isNumber,
    nonce: isBytes,
    seq: isNumber,
    run: isMissingOr(isRun),
    chapter: isMissingOr(isChapterRef),
  });
}

function isChapter(value: unknown): value is Chapter {
  return hasFields(value, { kind: (kind) => kind === "chapter", run: isRun, previous: isMissingOr(isChapterRef) });
}

function isChapterRef(value: unknown): value is ChapterRef {
  return hasFields(value, { name: isText, from: isNumber, to: isNumber });
}

function isRun(value: unknown): value is Run {
  return hasFields(value, {
    base: isBaseOfRun,
    pieces: isListOf((piece) => hasFields(piece, { name: isText, bytes: isNumber, unpacked: isNumber })),
    steps: isBytes,
  });
}

function isBaseOfRun(value: unknown): value is Base {
  if (!hasFields(value, { kind: isText, seq: isNumber })) return false;
  if (value["kind"] === "nothing") return true;
  if (!isNumber(value["bytes"])) return false;
  return value["kind"] === "inline" ? isState(value["state"]) : value["kind"] === "object" && isText(value["name"]);
}

function isState(value: unknown): value is AgentState {
  return hasFields(value, {
    birth: isBytes,
    version: isNumber,
    seq: isNumber,
    now: isNumber,
    status: isText,
    machine: (machine) =>
      hasFields(machine, {
        status: isText,
        nodes: isListOf(isText),
        history: isObjectOf(isListOf(isText)),
        children: isObjectOf(isObject),
      }),
    parent: isMissingOr(isParentLink),
    path: isListOf(isText),
    asks: isListOf(isObject),
    timers: isObjectOf((timer) => hasFields(timer, { generation: isNumber, due: isNumber, event: isObject })),
    effects: isObjectOf((effect) => hasFields(effect, { id: isText, src: isText, attempt: isNumber })),
    children: isObjectOf(isObject),
    owed: isListOf(isObject),
    keys: isMap,
    errorCount: isNumber,
  });
}

function areSteps(value: unknown): value is readonly HistoryStep[] {
  return isListOf((step) =>
    hasFields(step, {
      seq: isNumber,
      at: isNumber,
      cause: (cause) => hasFields(cause, { kind: isText }),
      delta: isMissingOr(isList),
      error: isMissingOr(isObject),
      emitted: isList,
      sent: isList,
    }),
  )(value);
}
