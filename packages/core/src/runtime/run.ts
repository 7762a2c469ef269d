/**
 * How an agent's run grows at a settle: what is written so that it stays within a small factor of what changed (D8).
 *
 * U1  Everything here is written if-absent under a number never used twice, and counts only once a head names it.
 * U2  Steps beyond what a head may hold become a piece; eight pieces of like size become one, so that each step is
 *     rewritten only as often as the logarithm of the run's length. No piece holds more than can be read back.
 * U3  When steps outgrow their base, or what may be read to take up an agent, the run becomes a chapter as it stands, naming the objects it has, and a new run
 *     begins on the present state: nothing is copied but the new base.
 */
import { type Address } from "../agent/address.ts";
import { assert } from "../agent/assert.ts";
import { DormouseError } from "../agent/errors.ts";
import {
  baseBytesInlineMax,
  headBytesMax,
  headStepsBytesMax,
  pieceBytesMax,
  piecesMergedCount,
  runBytesMax,
} from "../agent/limits.ts";
import { isSame } from "../format/codec/same.ts";
import {
  type Base,
  type ChapterRef,
  decodeBase,
  decodePiece,
  decodeSteps,
  packBase,
  encodeChapter,
  encodePiece,
  type HistoryStep,
  type Pack,
  packSteps,
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
  const packs = packSteps([...decodeSteps(run.steps, headKey(growing.agent)), ...steps]);
  const { bytes, unpacked } = sizesOf([...run.pieces, ...packs.map(sizesOfPack)]);
  const baseBytes = bytesOf(run.base);
  const inline = packs[0]?.bytes ?? new Uint8Array(0);
  const isFull = bytes > Math.max(baseBytes, headBytesMax) || unpacked > runBytesMax;
  const isAllInHead =
    run.base.kind !== "object" && run.pieces.length === 0 && inline.length + baseBytes <= headBytesMax;
  const isInline = packs.length <= 1 && (isFull || isAllInHead || inline.length <= headStepsBytesMax);
  const grown = isInline ? { run: { ...run, steps: inline }, superseded: [] } : await addPieces(growing, run, packs);
  return isFull
    ? { ...(await close(growing, grown.run, chapter, state)), superseded: grown.superseded }
    : { ...grown, chapter };
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
  // Awaited together: whichever fails first, nobody would handle the other's failure.
  const [base, pieces] = await Promise.all([
    readBase(world, run.base),
    Promise.all(run.pieces.map((piece) => readPiece(world, piece.name))),
  ]);
  return { base, steps: [...pieces.flat(), ...decodeSteps(run.steps, name)] };
}

export function foldRun(base: AgentState | undefined, steps: readonly HistoryStep[]): AgentState | undefined {
  let state = base;
  for (const step of steps) state = foldStep(state, step);
  return state;
}

/** The run as it stands becomes a chapter, and a new one begins on `state` (U3). */
async function close(growing: Growing, run: Run, previous: ChapterRef | undefined, state: AgentState): Promise<Kept> {
  if (growing.isChecked) await check(growing, run, state);
  const name = await put(growing, encodeChapter({ run, previous }, growing.world.formats.writes));
  const chapter = { name, from: run.base.seq + 1, to: state.seq };
  const { bytes, unpacked } = packBase(state, growing.world.formats.writes);
  // In a head it stands as it is.
  const base: Base =
    unpacked <= baseBytesInlineMax
      ? { kind: "inline", seq: state.seq, state, bytes: unpacked }
      : { kind: "object", seq: state.seq, name: await put(growing, bytes), bytes: bytes.length };
  return { run: { base, pieces: [], steps: new Uint8Array(0) }, chapter };
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

async function addPieces(
  growing: Growing,
  run: Run,
  packs: readonly Pack[],
): Promise<{ readonly run: Run; readonly superseded: readonly string[] }> {
  const putPieces = (some: readonly Pack[]): Promise<PieceRef[]> =>
    Promise.all(
      some.map(async (pack) => ({
        ...sizesOfPack(pack),
        name: await put(growing, encodePiece(pack, growing.world.formats.writes)),
      })),
    );
  const pieces = [...run.pieces, ...(await putPieces(packs))];
  const superseded: string[] = [];
  for (let like = toMerge(pieces); like.length > 0; like = toMerge(pieces)) {
    const steps = await Promise.all(like.map(({ name }) => readPiece(growing.world, name)));
    pieces.splice(-like.length, like.length, ...(await putPieces(packSteps(steps.flat()))));
    superseded.push(...like.map(({ name }) => name));
  }
  return { run: { ...run, pieces, steps: new Uint8Array(0) }, superseded };
}

/** The newest pieces, if as many as are merged are of one size class and fit one piece; else none. */
function toMerge(pieces: readonly PieceRef[]): readonly PieceRef[] {
  const newest = pieces.slice(-piecesMergedCount);
  const classes = new Set(newest.map(({ bytes }) => sizeClass(bytes)));
  const isMerged =
    newest.length === piecesMergedCount && classes.size === 1 && sizesOf(newest).unpacked <= pieceBytesMax;
  return isMerged ? newest : [];
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

function sizesOfPack({ bytes, unpacked }: Pack): Omit<PieceRef, "name"> {
  return { bytes: bytes.length, unpacked };
}

function sizesOf(pieces: readonly Omit<PieceRef, "name">[]): Omit<PieceRef, "name"> {
  const add = (field: "bytes" | "unpacked"): number => pieces.reduce((total, piece) => total + piece[field], 0);
  return { bytes: add("bytes"), unpacked: add("unpacked") };
}
