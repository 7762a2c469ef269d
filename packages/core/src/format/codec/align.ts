/**
 * Which elements of an array stand in a later version of it, in the same order: the ground of an array's delta.
 *
 * From cheap to dear, so that a long array with a small change costs no more than a look at each element: what stands
 * at both ends; a window that slid; then elements by identity, and those with new references by value.
 */
import { isPlain } from "./data.ts";
import { isIdentical, isSame } from "./same.ts";

/** A place where the arrays differ: at least one of `dropped` and `inserted` is not 0. What lies between hunks is kept. */
export interface Hunk {
  /** Where in the earlier array, and how many elements left it. */
  readonly before: number;
  readonly dropped: number;
  /** Where in the later array, and how many elements are new. */
  readonly after: number;
  readonly inserted: number;
}

/** The differences between two arrays, in order. */
export function align(before: readonly unknown[], after: readonly unknown[]): Hunk[] {
  const outer = shrink({ before: 0, dropped: before.length, after: 0, inserted: after.length }, (left, right) =>
    isIdentical(before[left], after[right]),
  );
  // One element for one needs no search; nor does a mere append, or a mere removal.
  if (outer.dropped === 0 || outer.inserted === 0) return outer.dropped + outer.inserted === 0 ? [] : [outer];
  if (outer.dropped === 1 && outer.inserted === 1) return [outer];
  const slid = slideOf(before, after, outer, isIdentical);
  if (slid !== undefined) return slid;
  // With new references only, the same by value: much cheaper than a token for each element.
  const inner = shrink(outer, (left, right) => isSame(before[left], after[right]));
  if (inner.dropped === 0 || inner.inserted === 0) return inner.dropped + inner.inserted === 0 ? [] : [inner];
  const slidByValue = slideOf(before, after, inner, isSame);
  if (slidByValue !== undefined) return slidByValue;
  const { from, to } = tokensOf(before, after, inner);
  return hunksOf(inner, matchShortest(from, to) ?? matchUnique(from, to));
}

/** A hunk without the elements at its ends that are the same. */
function shrink(hunk: Hunk, isMatch: (before: number, after: number) => boolean): Hunk {
  let { before, after } = hunk;
  let endBefore = before + hunk.dropped;
  let endAfter = after + hunk.inserted;
  while (before < endBefore && after < endAfter && isMatch(before, after)) {
    before += 1;
    after += 1;
  }
  while (endBefore > before && endAfter > after && isMatch(endBefore - 1, endAfter - 1)) {
    endBefore -= 1;
    endAfter -= 1;
  }
  return { before, dropped: endBefore - before, after, inserted: endAfter - after };
}

/**
 * The last n of something: some leave at the front, the rest moves up, some come at the end. Only if more stay than
 * leave: of an element that moved to the front one could say the same of it and all others.
 */
function slideOf(
  before: readonly unknown[],
  after: readonly unknown[],
  hunk: Hunk,
  isMatch: (before: unknown, after: unknown) => boolean,
): Hunk[] | undefined {
  const end = hunk.before + hunk.dropped;
  const first = after[hunk.after];
  let start = hunk.before;
  while (start < end && !isMatch(before[start], first)) start += 1;
  if (end - start > hunk.inserted || 2 * (end - start) < hunk.dropped) return undefined;
  for (let index = start; index < end; index += 1) {
    if (!isMatch(before[index], after[hunk.after + index - start])) return undefined;
  }
  const kept = end - start;
  return [
    { before: hunk.before, dropped: start - hunk.before, after: hunk.after, inserted: 0 },
    { before: end, dropped: 0, after: hunk.after + kept, inserted: hunk.inserted - kept },
  ].filter(({ dropped, inserted }) => dropped + inserted > 0);
}

/** The gaps between pairs of matched elements, which are in order. */
function hunksOf(within: Hunk, matches: readonly Match[]): Hunk[] {
  const hunks: Hunk[] = [];
  let [left, right] = [0, 0];
  for (const match of [...matches, { before: within.dropped, after: within.inserted }]) {
    const dropped = match.before - left;
    const inserted = match.after - right;
    if (dropped + inserted > 0) {
      hunks.push({ before: within.before + left, dropped, after: within.after + right, inserted });
    }
    left = match.before + 1;
    right = match.after + 1;
  }
  return hunks;
}

// --- tokens: one number for elements that are the same ----------------------------------------------------------------

interface Tokens {
  readonly from: Int32Array;
  readonly to: Int32Array;
}

function tokensOf(before: readonly unknown[], after: readonly unknown[], hunk: Hunk): Tokens {
  const from = before.slice(hunk.before, hunk.before + hunk.dropped);
  const to = after.slice(hunk.after, hunk.after + hunk.inserted);
  const byIdentity = new Map<unknown, number>();
  for (const element of from) if (!byIdentity.has(element)) byIdentity.set(element, byIdentity.size);
  const isNewObject = (element: unknown): boolean =>
    typeof element === "object" && element !== null && !byIdentity.has(element);
  // Most machines keep the references of what they do not change; only for the others are elements compared by value.
  if (to.some(isNewObject)) joinByValue(byIdentity, from, to.filter(isNewObject), new Set(to));
  let tokensCount = byIdentity.size;
  const tokenOf = (element: unknown): number => {
    const token = byIdentity.get(element);
    if (token !== undefined) return token;
    byIdentity.set(element, tokensCount);
    tokensCount += 1;
    return tokensCount - 1;
  };
  return { from: Int32Array.from(from, tokenOf), to: Int32Array.from(to, tokenOf) };
}

/** Elements of one digest that are compared in full: beyond these, a match is rather missed than searched for. */
const candidatesMax = 8;

/** Gives new objects the token of the first one in `from` that has the same value. */
function joinByValue(
  tokens: Map<unknown, number>,
  from: readonly unknown[],
  newObjects: readonly unknown[],
  stillThere: ReadonlySet<unknown>,
): void {
  const byDigest = new Map<number, unknown[]>();
  const findOrAdd = (element: unknown, isAdded: boolean): void => {
    const digest = digestOf(element);
    const candidates = byDigest.get(digest) ?? [];
    const twin = candidates.find((candidate) => isSame(candidate, element));
    if (twin !== undefined) tokens.set(element, tokens.get(twin) ?? 0);
    else if (isAdded && candidates.length < candidatesMax) byDigest.set(digest, [...candidates, element]);
  };
  for (const element of from) if (isObject(element) && !stillThere.has(element)) findOrAdd(element, true);
  if (byDigest.size === 0) return;
  for (const element of newObjects) findOrAdd(element, false);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

const digestValuesMax = 64;

/** A number that is equal for equal values, and for others mostly not: of the first values met, and of parts of text. */
function digestOf(value: unknown): number {
  let digest = 0x811c9dc5;
  let valuesCount = 0;
  const mix = (part: number): void => {
    digest = Math.imul(digest ^ part, 0x01000193) >>> 0;
  };
  const mixText = (text: string): void => {
    mix(text.length);
    for (let index = 0; index < text.length && index < 16; index += 1) mix(text.charCodeAt(index));
    for (let index = Math.max(16, text.length - 16); index < text.length; index += 1) mix(text.charCodeAt(index));
  };
  const visit = (held: unknown): void => {
    valuesCount += 1;
    if (typeof held === "string") mixText(held);
    else if (typeof held === "number") mix(Number.isInteger(held) ? held : Math.floor(held * 1_024));
    else if (typeof held !== "object" || held === null) mixText(String(held));
    else if (Array.isArray(held)) {
      mix(held.length);
      held.some(isEnoughWith);
    } else if (isPlain(held)) {
      Object.keys(held).some((key) => {
        mixText(key);
        return isEnoughWith(held[key]);
      });
    } else mixText(Object.prototype.toString.call(held));
  };
  const isEnoughWith = (held: unknown): boolean => {
    visit(held);
    return valuesCount >= digestValuesMax;
  };
  visit(value);
  return digest;
}

// --- matching --------------------------------------------------------------------------------------------------------

interface Match {
  readonly before: number;
  readonly after: number;
}

/** Drops and inserts up to which the shortest way is searched for; the search costs their square. */
const editsMax = 256;

/**
 * The matches that leave the fewest drops and inserts, or `undefined` beyond `editsMax` of them.
 *
 * @see E. Myers, "An O(ND) difference algorithm and its variations", 1986: `reach[k]` is how far in `from` the paths
 * with the edits so far come on the diagonal `k`, where `k` is the place in `from` less the one in `to`.
 */
function matchShortest(from: Int32Array, to: Int32Array): Match[] | undefined {
  const reaches: Int32Array[] = [];
  let reach = new Int32Array(2 * editsMax + 3);
  const middle = editsMax + 1;
  for (let edits = 0; edits <= editsMax; edits += 1) {
    reaches.push(reach.slice());
    reach = reach.slice();
    const last = reaches[edits] ?? reach;
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      let left = isInsert(last, middle + diagonal, diagonal, edits)
        ? (last[middle + diagonal + 1] ?? 0)
        : (last[middle + diagonal - 1] ?? 0) + 1;
      if (edits === 0) left = 0;
      while (left < from.length && left - diagonal < to.length && from[left] === to[left - diagonal]) left += 1;
      reach[middle + diagonal] = left;
      if (left >= from.length && left - diagonal >= to.length) return walkBack(reaches, from.length, to.length, middle);
    }
  }
  return undefined;
}

/** Whether the path on a diagonal comes from the one above, by an insert, rather than from below, by a drop. */
function isInsert(last: Int32Array, at: number, diagonal: number, edits: number): boolean {
  return diagonal === -edits || (diagonal !== edits && (last[at - 1] ?? 0) < (last[at + 1] ?? 0));
}

function walkBack(reaches: readonly Int32Array[], fromLength: number, toLength: number, middle: number): Match[] {
  const matches: Match[] = [];
  let [left, right] = [fromLength, toLength];
  for (let edits = reaches.length - 1; edits >= 0; edits -= 1) {
    const last = reaches[edits] ?? new Int32Array();
    const diagonal = left - right;
    const isByInsert = isInsert(last, middle + diagonal, diagonal, edits);
    const startLeft = edits === 0 ? 0 : (last[middle + diagonal + (isByInsert ? 1 : -1)] ?? 0) + (isByInsert ? 0 : 1);
    while (left > startLeft && right > 0) {
      left -= 1;
      right -= 1;
      matches.push({ before: left, after: right });
    }
    if (edits > 0) {
      if (isByInsert) right -= 1;
      else left -= 1;
    }
  }
  return matches.toReversed();
}

/** The longest run of elements in the same order, of those that occur once in each array. */
function matchUnique(from: Int32Array, to: Int32Array): Match[] {
  const placesInFrom = placesOf(from);
  const placesInTo = placesOf(to);
  // `ends[n]` is the match with the smallest place in `from` that ends a run of n + 1.
  const ends: Linked[] = [];
  to.forEach((token, after) => {
    const before = placesInFrom.get(token) ?? notUnique;
    if (before === notUnique || placesInTo.get(token) === notUnique) return;
    let [low, high] = [0, ends.length];
    while (low < high) {
      const probe = (low + high) >> 1;
      if ((ends[probe]?.before ?? 0) < before) low = probe + 1;
      else high = probe;
    }
    ends[low] = { before, after, previous: low === 0 ? undefined : ends[low - 1] };
  });
  const matches: Match[] = [];
  for (let match = ends.at(-1); match !== undefined; match = match.previous) matches.push(match);
  return matches.toReversed();
}

interface Linked extends Match {
  readonly previous: Linked | undefined;
}

const notUnique = -1;

function placesOf(tokens: Int32Array): Map<number, number> {
  const places = new Map<number, number>();
  tokens.forEach((token, index) => places.set(token, places.has(token) ? notUnique : index));
  return places;
}
