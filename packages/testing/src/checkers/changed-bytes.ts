/** How much two values differ, in bytes as anyone would write them: an estimate of its own, for D8. */

/** About what a value takes in msgpack, with its keys. */
export function sizeOf(value: unknown): number {
  if (typeof value === "string") return 2 + Buffer.byteLength(value);
  if (typeof value === "number") return Number.isInteger(value) && Math.abs(value) < 0x1_0000 ? 3 : 9;
  if (typeof value !== "object" || value === null) return 1;
  if (ArrayBuffer.isView(value)) return 3 + value.byteLength;
  if (value instanceof Error) return sizeOf([value.name, value.message, value.cause]);
  if (Array.isArray(value) || value instanceof Set) return 3 + sum([...value].map(sizeOf));
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return 3 + sum(entries.map(([key, held]) => sizeOf(key) + sizeOf(held)));
}

/** What must be written to make `after` of `before`: what was added or replaced, and the way there. */
export function changedBytes(before: unknown, after: unknown): number {
  if (Object.is(before, after)) return 0;
  if (typeof before === "string" && typeof after === "string" && before !== "" && after.startsWith(before)) {
    return sizeOf(after.slice(before.length));
  }
  if (Array.isArray(before) && Array.isArray(after)) return changedElements(before, after);
  if (before instanceof Map && after instanceof Map) return changedEntries(before, after);
  if (isObject(before) && isObject(after)) {
    return changedEntries(new Map(Object.entries(before)), new Map(Object.entries(after)));
  }
  return sizeOf(after);
}

function changedEntries(before: ReadonlyMap<unknown, unknown>, after: ReadonlyMap<unknown, unknown>): number {
  let bytes = 0;
  for (const [key, held] of after) {
    const changed = before.has(key) ? changedBytes(before.get(key), held) : sizeOf(held);
    if (changed > 0 || !before.has(key)) bytes += sizeOf(key) + changed;
  }
  for (const key of before.keys()) if (!after.has(key)) bytes += sizeOf(key);
  return bytes;
}

/** Elements at both ends that stayed cost nothing. */
function changedElements(before: readonly unknown[], after: readonly unknown[]): number {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && isSame(before[start], after[start])) start += 1;
  let end = 0;
  while (end < shorter - start && isSame(before.at(-1 - end), after.at(-1 - end))) end += 1;
  const changed = after.slice(start, after.length - end);
  const isLikeLong = before.length === after.length;
  const bytes = changed.map((held, index) => (isLikeLong ? changedBytes(before[start + index], held) : sizeOf(held)));
  return sum(bytes) + (shorter === start && before.length === after.length ? 0 : 3);
}

function isSame(left: unknown, right: unknown): boolean {
  return changedBytes(left, right) === 0;
}

function isObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !ArrayBuffer.isView(value) && !(value instanceof Error) && !(value instanceof Map) && !(value instanceof Set);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
