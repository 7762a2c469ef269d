/**
 * How an agent's run grows at a settle: what is written so that it stays within a small factor of what changed (D8).
 *
 * U1  Everything here is written if-absent under a number never used twice, and counts only once a head names it.
 * U2  Steps beyond what a head may hold become a piece; eight pieces of like size become one, so that each step is
 *     rewritten only as often as the logarithm of the run's length.
 * U3  When steps outgrow their base the run becomes a chapter as it stands, naming the objects it has, and a new run
 *     begins on the present state: nothing is copied but the new base.
 */
import { type Address } from "../agent/address.ts";
import { assert } from "../agent/assert.ts";
import { DormouseError } from "../agent/errors.ts";
import { baseBytesInlineMax, headBytesMax, headStepsBytesMax, piecesMergedCount } from "../agent/limits.ts";
import { isSame } from "../format/codec/same.ts";
import {
  type Base,
  type ChapterRef,
  decodeBase,
  decodePiece,
  decodeSteps,
  encodeBase,
  encodeChapter,
  encodePiece,
  encodeSteps,
  type HistoryStep,
  type PieceRef,
  type Run,
} from "../format/head.ts";
import { agentPartKey, headKey } from "../format/keys.ts";
import { foldStep } from "../step/fold.ts";
import type { AgentState } from "../step/state.ts";
import { insist, type World, write } from "./insist.ts";

/** What an agent's head names. */
export interface Kept {
  readonly run: Run;
  readonly chapter: ChapterRef | undefined;
}

export interface Grown extends Kept {
  /** Objects that nothing names any more once the head is written. */
  readonly superseded: readonly string[];
}

export interface Growing {
  readonly world: World;
  readonly incarnation: string;
  readonly agent: Address;
  /** The next number of this incarnation's objects. */
  readonly nextNumber: () => number;
  /** Whether a new base is compared with what its run folds to. */
  readonly isChecked: boolean;
}

/** A run before the first step of a life whose numbers count on from `seq`. */
export function emptyRun(seq: number): Run {
  return { base: { kind: "nothing", seq }, pieces: [], steps: new Uint8Array(0) };
}

/** The run with these steps, which lead to `state`. */
export async function grow(
  growing: Growing,
  { run, chapter }: Kept,
  steps: readonly HistoryStep[],
  state: AgentState,
): Promise<Grown> {
  const inline = encodeSteps([...decodeSteps(run.steps, headKey(growing.agent)), ...steps]);
  const grown: Run = { ...run, steps: inline };
  const pieceBytes = sum(run.pieces);
  const baseBytes = bytesOf(run.base);
  const isInline = run.base.kind !== "object";
  const inHead = inline.length + (isInline ? baseBytes : 0);
  if (isInline && run.pieces.length === 0 && inHead <= headBytesMax) return { run: grown, chapter, superseded: [] };
  if (pieceBytes + inline.length > Math.max(baseBytes, headBytesMax)) return close(growing, grown, chapter, state);
  if (inline.length <= headStepsBytesMax) return { run: grown, chapter, superseded: [] };
  return addPiece(growing, grown, chapter);
}

/**
 * The state that a run begins on, and its steps.
 *
 * @param name - Of the object that holds the run, a head or a chapter: for errors.
 */
export async function readRun(
  world: World,
  run: Run,
  name: string,
): Promise<{ readonly base: AgentState | undefined; readonly steps: readonly HistoryStep[] }> {
  const base = readBase(world, run.base);
  const pieces = await Promise.all(run.pieces.map((piece) => readPiece(world, piece.name)));
  return { base: await base, steps: [...pieces.flat(), ...decodeSteps(run.steps, name)] };
}

export function foldRun(base: AgentState | undefined, steps: readonly HistoryStep[]): AgentState | undefined {
  let state = base;
  for (const step of steps) state = foldStep(state, step);
  return state;
}

/** The run as it stands becomes a chapter, and a new one begins on `state` (U3). */
async function close(growing: Growing, run: Run, previous: ChapterRef | undefined, state: AgentState): Promise<Grown> {
  if (growing.isChecked) await check(growing, run, state);
  const name = await put(growing, encodeChapter({ run, previous }));
  const chapter = { name, from: run.base.seq + 1, to: state.seq };
  const bytes = encodeBase(state);
  const base: Base =
    bytes.length <= baseBytesInlineMax
      ? { kind: "inline", seq: state.seq, state, bytes: bytes.length }
      : { kind: "object", seq: state.seq, name: await put(growing, bytes), bytes: bytes.length };
  return { run: { base, pieces: [], steps: new Uint8Array(0) }, chapter, superseded: [] };
}

/** A delta trusts identity: a change in place would be missed, and found only here. */
async function check(growing: Growing, run: Run, state: AgentState): Promise<void> {
  const { base, steps } = await readRun(growing.world, run, headKey(growing.agent));
  if (isSame(foldRun(base, steps), state)) return;
  throw new DormouseError(
    "internal",
    "state.changed-in-place",
    `the agent's state is not what its steps led to: something changed it in place, or a delta is wrong; ` +
      `agent=${growing.agent} seq=${state.seq}`,
  );
}

async function addPiece(growing: Growing, run: Run, chapter: ChapterRef | undefined): Promise<Grown> {
  const bytes = encodePiece(decodeSteps(run.steps, headKey(growing.agent)));
  const pieces: PieceRef[] = [...run.pieces, { name: await put(growing, bytes), bytes: bytes.length }];
  const superseded: string[] = [];
  for (let like = likeSized(pieces); like.length === piecesMergedCount; like = likeSized(pieces)) {
    const steps = await Promise.all(like.map(({ name }) => readPiece(growing.world, name)));
    const merged = encodePiece(steps.flat());
    pieces.splice(-like.length, like.length, { name: await put(growing, merged), bytes: merged.length });
    superseded.push(...like.map(({ name }) => name));
  }
  return { run: { ...run, pieces, steps: new Uint8Array(0) }, chapter, superseded };
}

/** The newest pieces of one size class, at most as many as are merged. */
function likeSized(pieces: readonly PieceRef[]): readonly PieceRef[] {
  const last = pieces.at(-1);
  assert(last !== undefined, "a piece was just added");
  const size = sizeClass(last.bytes);
  const newest = pieces.slice(-piecesMergedCount);
  return newest.slice(newest.findLastIndex(({ bytes }) => sizeClass(bytes) !== size) + 1);
}

function sizeClass(bytes: number): number {
  return Math.floor(Math.log(Math.max(1, bytes / headStepsBytesMax)) / Math.log(piecesMergedCount));
}

async function readBase(world: World, base: Base): Promise<AgentState | undefined> {
  switch (base.kind) {
    case "nothing":
      return undefined;
    case "inline":
      return base.state;
    case "object":
      return decodeBase(await read(world, base.name), base.name);
  }
}

async function readPiece(world: World, name: string): Promise<readonly HistoryStep[]> {
  return decodePiece(await read(world, name), name);
}

export async function read(world: World, name: string): Promise<Uint8Array> {
  const object = await insist(world, () => world.store.get(name));
  if (object !== undefined) return object.bytes;
  throw new DormouseError("corrupt", "object.missing", `an object that a head names is not there: object=${name}`);
}

/** Writes a part under a fresh number (U1); gives its name. */
async function put({ world, agent, incarnation, nextNumber }: Growing, bytes: Uint8Array): Promise<string> {
  const name = agentPartKey(agent, incarnation, nextNumber());
  const written = await write(world, name, bytes, { if: "absent" });
  assert(written.outcome === "stored", `a number of this incarnation is never used twice (U1): object=${name}`);
  return name;
}

function bytesOf(base: Base): number {
  return base.kind === "nothing" ? 0 : base.bytes;
}

function sum(pieces: readonly PieceRef[]): number {
  return pieces.reduce((total, { bytes }) => total + bytes, 0);
}
