/**
 * What changed between two values of durable data, as data: as large as the change, whatever the size of the values.
 *
 * E1  Identity is trusted: an object that stands in both values is taken to be unchanged, and is not walked. So a
 *     change in place is invisible (FACTS.md, section 6); `freezeData` finds those.
 * E2  `patch(before, diff(before, after))` equals `after`, down to the order of keys: encoded, both are the same bytes,
 *     but for objects that occur more than once in one of them (msgpack.ts, M1).
 * E3  A delta is never larger than the whole value would be, by the estimate of `sizeUpTo`.
 */
import { AgentRef } from "../../agent/agent-ref.ts";
import { DormouseError } from "../../agent/errors.ts";
import { align, type Hunk } from "./align.ts";
import { isPlain } from "./data.ts";
import { beginsWith, isIdentical, isSame, isSameLeaf } from "./same.ts";

/** What `diff` found: plain data, to be stored with `encodeValue` and given to `patch`. It shares parts with `after`. */
export type Delta =
  | readonly [typeof replaceOp, unknown]
  /** The text or bytes to append. */
  | readonly [typeof appendOp, string | Uint8Array]
  /** Of an object, Map: changed keys, each followed by its delta; then keys removed, then all keys if their order is new. */
  | readonly [typeof keysOp, readonly unknown[], (readonly unknown[])?, (readonly unknown[])?]
  /** Of an array, Set: edits in order, each followed by what it is about; elements after the last are kept. */
  | readonly [typeof elementsOp, ...unknown[]];

const replaceOp = 0;
const appendOp = 1;
const keysOp = 2;
const elementsOp = 3;

const keepEdit = 0;
const dropEdit = 1;
const insertEdit = 2;
const patchEdit = 3;

/** The delta that leads from `before` to `after`; `undefined` if they are the same. */
export function diff(before: unknown, after: unknown): Delta | undefined {
  return compare(before, after)?.delta;
}

/** `diff`, and about how many bytes it is stored in; text counts by its length. */
export function measuredDiff(
  before: unknown,
  after: unknown,
): { readonly delta: Delta | undefined; readonly bytes: number } {
  const change = compare(before, after);
  return { delta: change?.delta, bytes: change?.size ?? 0 };
}

/**
 * The value that `delta` makes of `before`, which stays as it is; what did not change is shared with it.
 *
 * @throws DormouseError `corrupt` (`delta.mismatch`) if the delta was made from another value.
 */
export function patch(before: unknown, delta: Delta): unknown {
  const known = deltaOf(delta);
  switch (known[0]) {
    case replaceOp:
      return known[1];
    case appendOp:
      return appended(before, known[1]);
    case keysOp:
      return before instanceof Map ? patchMap(before, known) : patchObject(before, known);
    case elementsOp:
      return before instanceof Set ? new Set(patchArray([...before], known)) : patchArray(before, known);
  }
  // Decoded bytes are not bound by the type.
  throw mismatch("a change of an unknown kind");
}

/** A delta and about how many bytes it encodes to. */
interface Change {
  readonly delta: Delta;
  readonly size: number;
}

/** The stages: what needs no walk, then the walk by kind, and the choice between what changed and the whole (E3). */
function compare(before: unknown, after: unknown): Change | undefined {
  if (isIdentical(before, after)) return undefined;
  const change = compareParts(before, after);
  if (change === "same") return undefined;
  if (change === "unlike") return replacement(after, sizeUpTo(after, Infinity));
  const size = sizeUpTo(after, change.size);
  return size < change.size ? replacement(after, size) : change;
}

function replacement(after: unknown, size: number): Change {
  return { delta: [replaceOp, after], size: size + opSize };
}

function compareParts(before: unknown, after: unknown): Change | "same" | "unlike" {
  if (typeof before === "string" && typeof after === "string") return compareText(before, after);
  if (typeof before !== "object" || typeof after !== "object" || before === null || after === null) return "unlike";
  if (Array.isArray(before)) return Array.isArray(after) ? compareElements(before, after) : "unlike";
  if (isPlain(before)) return !Array.isArray(after) && isPlain(after) ? compareObjects(before, after) : "unlike";
  if (before instanceof Map) return after instanceof Map ? compareMaps(before, after) : "unlike";
  if (before instanceof Set) return after instanceof Set ? compareElements([...before], [...after]) : "unlike";
  if (before instanceof Uint8Array && after instanceof Uint8Array) return compareBytes(before, after);
  return isSameLeaf(before, after) ? "same" : "unlike";
}

// --- leaves ----------------------------------------------------------------------------------------------------------

function compareText(before: string, after: string): Change | "unlike" {
  if (before === "" || !after.startsWith(before)) return "unlike";
  return append(after.slice(before.length));
}

function compareBytes(before: Uint8Array, after: Uint8Array): Change | "same" | "unlike" {
  if (after.length < before.length || !beginsWith(after, before)) return "unlike";
  if (after.length === before.length) return "same";
  return before.length === 0 ? "unlike" : append(after.slice(before.length));
}

function append(rest: string | Uint8Array): Change {
  return { delta: [appendOp, rest], size: opSize + sizeUpTo(rest, Infinity) };
}

// --- objects and Maps ------------------------------------------------------------------------------------------------

function compareObjects(before: Record<string, unknown>, after: Record<string, unknown>): Change | "same" {
  const keysBefore = Object.keys(before);
  const keysAfter = Object.keys(after);
  const changes = changesOf(keysAfter, (key) =>
    Object.hasOwn(before, key) ? compare(before[key], after[key]) : replacementOf(after[key]),
  );
  const removed = keysBefore.filter((key) => !Object.hasOwn(after, key));
  const isInOrder = isDerivable(keysBefore, keysAfter, (key) => Object.hasOwn(before, key as string), isIndex);

  return changeOfKeys(changes, removed, isInOrder ? undefined : keysAfter);
}

function compareMaps(
  before: ReadonlyMap<unknown, unknown>,
  after: ReadonlyMap<unknown, unknown>,
): Change | "same" | "unlike" {
  const keysBefore = [...before.keys()];
  const keysAfter = [...after.keys()];
  // An object as a key is another one once it was stored, so it cannot be named in a delta.
  if ([...keysBefore, ...keysAfter].some(isObject)) return isSame([...before], [...after]) ? "same" : "unlike";
  const changes = changesOf(keysAfter, (key) =>
    before.has(key) ? compare(before.get(key), after.get(key)) : replacementOf(after.get(key)),
  );
  const removed = keysBefore.filter((key) => !after.has(key));
  const isInOrder = isDerivable(
    keysBefore,
    keysAfter,
    (key) => before.has(key),
    () => false,
  );
  return changeOfKeys(changes, removed, isInOrder ? undefined : keysAfter);
}

interface Changes {
  readonly entries: unknown[];
  readonly size: number;
}

function changesOf<Key>(keys: readonly Key[], compareAt: (key: Key) => Change | undefined): Changes {
  const entries: unknown[] = [];
  let size = 0;
  for (const key of keys) {
    const change = compareAt(key);
    if (change === undefined) continue;
    entries.push(key, change.delta);
    size += sizeUpTo(key, Infinity) + change.size;
  }
  return { entries, size };
}

function replacementOf(after: unknown): Change {
  return replacement(after, sizeUpTo(after, Infinity));
}

/** Whether `patch` finds the new order by itself: what stays keeps its order, what is new follows. */
function isDerivable(
  before: readonly unknown[],
  after: readonly unknown[],
  wasThere: (key: unknown) => boolean,
  isOrderGiven: (key: unknown) => boolean,
): boolean {
  // Nothing left and nothing moved: so it is for nearly all changes.
  if (before.every((key, index) => isIdentical(key, after[index]))) return true;
  let at = 0;
  let isNewSeen = false;
  for (const key of after) {
    if (isOrderGiven(key)) continue;
    if (wasThere(key)) {
      if (isNewSeen) return false;
      while (at < before.length && !isIdentical(before[at], key)) at += 1;
      if (at === before.length) return false;
      at += 1;
    } else isNewSeen = true;
  }
  return true;
}

function changeOfKeys(
  { entries, size }: Changes,
  removed: readonly unknown[],
  order: readonly unknown[] | undefined,
): Change | "same" {
  if (order !== undefined)
    return { delta: [keysOp, entries, [], order], size: size + opSize + sizeUpTo(order, Infinity) };
  if (removed.length > 0)
    return { delta: [keysOp, entries, removed], size: size + opSize + sizeUpTo(removed, Infinity) };
  return entries.length === 0 ? "same" : { delta: [keysOp, entries], size: size + opSize };
}

/** Such keys of an object come first and by size, whoever sets them when. */
function isIndex(key: unknown): boolean {
  return typeof key === "string" && /^(0|[1-9]\d{0,9})$/.test(key) && Number(key) < 0xff_ff_ff_ff;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

// --- arrays and Sets -------------------------------------------------------------------------------------------------

function compareElements(before: readonly unknown[], after: readonly unknown[]): Change | "same" {
  const edits = new Edits();
  let at = 0;
  for (const hunk of align(before, after)) {
    edits.keep(hunk.before - at);
    at = hunk.before + hunk.dropped;
    const pairs = pairUp(before, after, hunk);
    edits.drop(pairs.before);
    edits.insert(after, hunk.after, hunk.after + pairs.after);
    for (let index = 0; index < pairs.count; index += 1) {
      const indexAfter = hunk.after + pairs.after + index;
      const change = compare(before[hunk.before + pairs.before + index], after[indexAfter]);
      if (change === undefined) edits.keep(1);
      else if (change.delta[0] === replaceOp) {
        edits.drop(1);
        edits.insert(after, indexAfter, indexAfter + 1);
      } else edits.patch(change);
    }
    edits.drop(hunk.dropped - pairs.before - pairs.count);
    edits.insert(after, hunk.after + pairs.after + pairs.count, hunk.after + hunk.inserted);
  }
  return edits.end();
}

/** The edits of an array, gathered so that neighbours of one kind are one. */
class Edits {
  readonly #list: [typeof elementsOp, ...unknown[]] = [elementsOp];
  #size = opSize;
  #kept = 0;
  #dropped = 0;
  #inserted: unknown[] = [];

  keep(count: number): void {
    if (count === 0) return;
    this.#flushChanged();
    this.#kept += count;
  }

  drop(count: number): void {
    if (count === 0) return;
    this.#flushKept();
    this.#dropped += count;
  }

  insert(source: readonly unknown[], start: number, end: number): void {
    if (start === end) return;
    this.#flushKept();
    pushAll(this.#inserted, source, start, end);
  }

  patch(change: Change): void {
    this.#flushChanged();
    this.#flushKept();
    this.#push(patchEdit, change.delta, change.size);
  }

  /** What is kept at the end goes without saying. */
  end(): Change | "same" {
    this.#flushChanged();
    return this.#list.length === 1 ? "same" : { delta: this.#list, size: this.#size };
  }

  #flushKept(): void {
    if (this.#kept > 0) this.#push(keepEdit, this.#kept, sizeUpTo(this.#kept, Infinity));
    this.#kept = 0;
  }

  #flushChanged(): void {
    if (this.#dropped > 0) this.#push(dropEdit, this.#dropped, sizeUpTo(this.#dropped, Infinity));
    if (this.#inserted.length > 0) this.#push(insertEdit, this.#inserted, sizeUpTo(this.#inserted, Infinity));
    this.#dropped = 0;
    this.#inserted = [];
  }

  #push(kind: number, about: unknown, size: number): void {
    this.#list.push(kind, about);
    this.#size += 1 + size;
  }
}

/** Which of the dropped elements became which of the inserted ones: as many as can be, from the start or to the end. */
function pairUp(
  before: readonly unknown[],
  after: readonly unknown[],
  hunk: Hunk,
): { readonly before: number; readonly after: number; readonly count: number } {
  const count = Math.min(hunk.dropped, hunk.inserted);
  const atStart = { before: 0, after: 0, count };
  if (count === 0 || hunk.dropped === hunk.inserted) return atStart;
  const atEnd = { before: hunk.dropped - count, after: hunk.inserted - count, count };
  const likeness = (pairs: typeof atStart): number => {
    let sum = 0;
    for (let index = 0; index < Math.min(count, 32); index += 1) {
      sum += likenessOf(before[hunk.before + pairs.before + index], after[hunk.after + pairs.after + index]);
    }
    return sum;
  };
  return likeness(atEnd) > likeness(atStart) ? atEnd : atStart;
}

/** How much two elements seem to be the same one, by the fields that did not change. */
function likenessOf(before: unknown, after: unknown): number {
  if (typeof before === "string" && typeof after === "string") return before !== "" && after.startsWith(before) ? 1 : 0;
  if (typeof before !== "object" || typeof after !== "object" || before === null || after === null) return 0;
  if (!isPlain(before) || !isPlain(after)) return 0;
  return Object.keys(before).filter((key) => Object.hasOwn(after, key) && isIdentical(before[key], after[key])).length;
}

// --- patch -----------------------------------------------------------------------------------------------------------

function appended(before: unknown, rest: unknown): unknown {
  if (typeof before === "string" && typeof rest === "string") return before + rest;
  if (!(before instanceof Uint8Array) || !(rest instanceof Uint8Array)) throw mismatch("text or bytes to append to");
  const bytes = new Uint8Array(before.length + rest.length);
  bytes.set(before);
  bytes.set(rest, before.length);
  return bytes;
}

function patchObject(before: unknown, [, changes, removed, order]: Delta): Record<string, unknown> {
  if (typeof before !== "object" || before === null || Array.isArray(before) || !isPlain(before)) {
    throw mismatch("an object");
  }
  let after: Record<string, unknown> = { ...before };
  for (const key of listOf(removed)) delete after[String(key)];
  for (const [key, delta] of entriesOf(changes)) {
    if (typeof key !== "string" || key === "__proto__") throw mismatch("a key");
    after[key] = patch(after[key], delta);
  }
  if (order === undefined) return after;
  const unordered = after;
  after = {};
  for (const key of listOf(order)) {
    if (typeof key !== "string" || !Object.hasOwn(unordered, key)) throw mismatch("a key");
    after[key] = unordered[key];
  }
  return after;
}

function patchMap(before: ReadonlyMap<unknown, unknown>, [, changes, removed, order]: Delta): Map<unknown, unknown> {
  const after = new Map(before);
  for (const key of listOf(removed)) after.delete(key);
  for (const [key, delta] of entriesOf(changes)) after.set(key, patch(after.get(key), delta));
  if (order === undefined) return after;
  return new Map(
    listOf(order).map((key) => {
      if (!after.has(key)) throw mismatch("a key");
      return [key, after.get(key)];
    }),
  );
}

function patchArray(before: unknown, [, ...edits]: Delta): unknown[] {
  if (!Array.isArray(before)) throw mismatch("an array");
  // What is kept at the start is most of a long array mostly, and a slice of it is one copy.
  let at = edits[0] === keepEdit ? countOf(edits[1]) : 0;
  if (at > before.length) throw mismatch("more elements");
  const after: unknown[] = before.slice(0, at);
  for (let index = at === 0 ? 0 : 2; index < edits.length; index += 2) {
    const about: unknown = edits[index + 1];
    switch (edits[index]) {
      case keepEdit:
        pushAll(after, before, at, at + countOf(about));
        at += countOf(about);
        break;
      case dropEdit:
        at += countOf(about);
        break;
      case insertEdit:
        pushAll(after, listOf(about), 0, listOf(about).length);
        break;
      case patchEdit:
        after.push(patch(before[at], deltaOf(about)));
        at += 1;
        break;
      default:
        throw mismatch("an edit of an unknown kind");
    }
    if (at > before.length) throw mismatch("more elements");
  }
  pushAll(after, before, at, before.length);
  return after;
}

/** `push(...elements)` would overflow the stack for long ones. */
function pushAll(target: unknown[], source: readonly unknown[], start: number, end: number): void {
  if (end > source.length) throw mismatch("more elements");
  for (let index = start; index < end; index += 1) target.push(source[index]);
}

function* entriesOf(changes: unknown): Iterable<readonly [unknown, Delta]> {
  const list = listOf(changes);
  for (let index = 0; index < list.length; index += 2) yield [list[index], deltaOf(list[index + 1])];
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw mismatch("a list");
  return value as readonly unknown[];
}

function countOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw mismatch("a count");
  return value;
}

function deltaOf(value: unknown): Delta {
  if (!Array.isArray(value)) throw mismatch("a delta");
  return value as unknown as Delta;
}

function mismatch(expected: string): DormouseError {
  return new DormouseError(
    "corrupt",
    "delta.mismatch",
    `a delta does not fit the value it is applied to: expected=${expected}`,
  );
}

// --- sizes -----------------------------------------------------------------------------------------------------------

/** A delta's own bytes: the array and its first number. */
const opSize = 2;

/** About how many bytes a value encodes to, or any number above `limit` once it is above: then the rest is not walked. */
function sizeUpTo(value: unknown, limit: number): number {
  switch (typeof value) {
    case "string":
      return value.length + (value.length < 32 ? 1 : 3);
    case "number":
      return value >= -32 && value < 64 && Number.isInteger(value) ? 1 : Math.abs(value) < 0x1_00_00 ? 3 : 9;
    case "bigint":
      return BigInt.asIntN(64, value) === value ? 9 : 4 + value.toString(16).length / 2;
    case "object":
      return value === null ? 1 : sizeOfObjectUpTo(value, limit);
    case "boolean":
    case "undefined":
    case "function":
    case "symbol":
      return 1;
  }
}

function sizeOfObjectUpTo(value: object, limit: number): number {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength + 3;
  if (value instanceof AgentRef) return value.sessionId.length + value.id.length + 6;
  if (value instanceof Error) return value.message.length + value.name.length + 8;
  let size = 3;
  const isFull = (held: unknown): boolean => {
    size += sizeUpTo(held, limit - size);
    return size > limit;
  };
  if (Array.isArray(value)) value.some(isFull);
  else if (value instanceof Map) [...value].some((entry) => entry.some(isFull));
  else if (value instanceof Set) [...value].some(isFull);
  else if (isPlain(value)) Object.keys(value).some((key) => isFull(key) || isFull(value[key]));
  else size += 8;
  return size;
}
