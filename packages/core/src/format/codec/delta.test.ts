/**
 * Goal: a delta leads from one value exactly to the other, and is as large as the change.
 * Method: arbitrary pairs of values, arbitrary small edits that keep or lose identity, sizes measured in encoded bytes.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { DormouseError } from "../../agent/errors.ts";
import { anyData, anyKey, anyText } from "./arbitrary-data.test.ts";
import { type Delta, diff, measuredDiff, patch } from "./delta.ts";
import { decodeValue, encodeValue } from "./msgpack.ts";
import { isSame } from "./same.ts";

/** What a replay does: the delta comes from the store. */
function throughStore(before: unknown, after: unknown): unknown {
  const delta = diff(before, after);
  return delta === undefined ? before : patch(before, decodeValue(encodeValue(delta)) as Delta);
}

function expectExact(before: unknown, after: unknown): void {
  const bytesBefore = encodeValue(before);
  const result = throughStore(before, after);
  expect(isSame(result, after)).toBe(true);
  expect(result).toEqual(after);
  expect(encodeValue(result)).toEqual(encodeValue(after));
  expect(encodeValue(before)).toEqual(bytesBefore);
}

function deltaBytes(before: unknown, after: unknown): number {
  return encodeValue(diff(before, after)).length;
}

test("patch leads from any value exactly to any other", () => {
  fc.assert(
    fc.property(anyData(), anyData(), (before, after) => expectExact(before, after)),
    { numRuns: 2_000 },
  );
});

/** An edit somewhere in a value, which copies the path to it and keeps all else. */
type Edit = (value: unknown) => unknown;

function anyEdit(): fc.Arbitrary<Edit> {
  return fc
    .array(anyChange(), { minLength: 1, maxLength: 4 })
    .map((changes) => (value) => changes.reduce((edited, change) => editAt(edited, change.path, change.edit), value));
}

function anyChange(): fc.Arbitrary<{ path: readonly number[]; edit: Edit }> {
  const edit = fc.oneof(
    anyData().map((value) => () => value),
    fc.tuple(anyText(), anyData(), fc.nat(), anyKey()).map(([text, data, at, key]) => (value: unknown) => {
      if (typeof value === "string") return value + text;
      if (value instanceof Uint8Array) return Uint8Array.from([...value, at & 0xff]);
      if (Array.isArray(value)) return editList(value, at, data);
      if (value instanceof Set) return new Set(editList([...value], at, data));
      if (value instanceof Map) return new Map(editList([...value], at, [key, data]) as [unknown, unknown][]);
      if (isRecord(value))
        return Object.fromEntries(editList(Object.entries(value), at, [key, data]) as [string, unknown][]);
      return data;
    }),
  );
  return fc.record({ path: fc.array(fc.nat(), { maxLength: 3 }), edit });
}

function editList(list: readonly unknown[], at: number, element: unknown): unknown[] {
  const index = list.length === 0 ? 0 : at % list.length;
  switch (at % 6) {
    case 0:
      return [...list, element];
    case 1:
      return [...list.slice(1), element];
    case 2:
      return list.toSpliced(index, 1);
    case 3:
      return list.toSpliced(index, 0, element);
    case 4:
      return list.toReversed();
    default:
      return list.length === 0 ? [] : list.with(index, element);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function editAt(value: unknown, path: readonly number[], edit: Edit): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return edit(value);
  if (Array.isArray(value) && value.length > 0) {
    const index = step % value.length;
    return value.with(index, editAt(value[index], rest, edit));
  }
  if (isRecord(value) && Object.keys(value).length > 0) {
    const key = Object.keys(value)[step % Object.keys(value).length] ?? "";
    return { ...value, [key]: editAt(value[key], rest, edit) };
  }
  if (value instanceof Map && value.size > 0) {
    const entries = [...value];
    const [key, held] = entries[step % entries.length] ?? [];
    return new Map([...value, [key, editAt(held, rest, edit)]]);
  }
  return edit(value);
}

test("patch follows small edits that keep the identity of the rest", () => {
  fc.assert(
    fc.property(anyData(), anyEdit(), (before, edit) => {
      // An edit may put one part in two places; those are written once within a value, but not across two (E2).
      const after = edit(before);
      const result = throughStore(before, after);
      expect(result).toEqual(after);
      expect(isSame(result, after)).toBe(true);
      expect(encodeValue(structuredCloneOf(result))).toEqual(encodeValue(structuredCloneOf(after)));
    }),
    { numRuns: 3_000 },
  );
});

test("patch follows small edits when every reference is new", () => {
  fc.assert(
    fc.property(anyData(), anyEdit(), (before, edit) => {
      expectExact(structuredCloneOf(before), structuredCloneOf(edit(before)));
    }),
    { numRuns: 2_000 },
  );
});

/** All references new, and none shared. */
function structuredCloneOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(structuredCloneOf);
  if (value instanceof Map) return new Map(Array.from(value, ([key, held]) => [key, structuredCloneOf(held)]));
  if (value instanceof Set) return new Set(Array.from(value, structuredCloneOf));
  if (isRecord(value))
    return Object.fromEntries(Object.entries(value).map(([key, held]) => [key, structuredCloneOf(held)]));
  return typeof value === "object" && value !== null ? decodeValue(encodeValue(value)) : value;
}

test("values that are equal have no delta, whether their references are the same or not", () => {
  fc.assert(
    fc.property(anyData(), (value) => {
      expect(diff(value, value)).toBeUndefined();
      expect(diff(value, structuredCloneOf(value))).toBeUndefined();
    }),
  );
});

test("parts that did not change are the same objects after a patch", () => {
  const before = { kept: { deep: [1] }, list: [{ a: 1 }, { b: 2 }], map: new Map([["k", { c: 3 }]]), n: 1 };
  const after = patch(before, diff(before, { ...before, n: 2, list: [...before.list, 3] }) ?? [0, undefined]);
  expect(after).toMatchObject({ n: 2 });
  const { kept, list, map } = after as typeof before;
  expect(kept).toBe(before.kept);
  expect(list[0]).toBe(before.list[0]);
  expect(map).toBe(before.map);
  expect(before.list).toHaveLength(2);
});

test("a delta is hardly ever larger than the value, and never by more than a few bytes", () => {
  fc.assert(
    fc.property(anyData(), anyEdit(), (before, edit) => {
      const after = structuredCloneOf(edit(before));
      const whole = encodeValue([0, after]).length;
      expect(deltaBytes(before, after)).toBeLessThanOrEqual(whole * 1.25 + 16);
    }),
    { numRuns: 2_000 },
  );
});

test("a large bigint is as large as it is", () => {
  const large = 2n ** 80_000n;
  expect(deltaBytes({ n: 1n, kept: large }, { n: 2n, kept: large })).toBeLessThan(40);
  expect(measuredDiff({ n: 1n }, { n: large }).bytes).toBeGreaterThan(10_000);
  expect(diff(new Map([[large, 1]]), new Map())).toEqual([0, new Map()]);
});

// --- size follows the change ------------------------------------------------------------------------------------------

function turn(n: number, textLength: number = 60): Record<string, unknown> {
  return {
    id: `turn-${n}`,
    role: n % 2 === 0 ? "user" : "assistant",
    text: `${n} `.padEnd(textLength, "lorem ipsum "),
  };
}

function turns(count: number): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, n) => turn(n));
}

function state(list: unknown[]): Record<string, unknown> {
  return { value: "busy", context: { title: "a chat", turns: list, count: list.length } };
}

const large = turn(-1, 2_000);

test.for(["kept", "new"] as const)(
  "an append of 2 kB costs the same to arrays of 1, 100 and 10,000: references %s",
  (references) => {
    const [small, medium, big] = [1, 100, 10_000].map((count) => {
      const list = turns(count);
      const after = state([...list, large]);
      return deltaBytes(state(list), references === "kept" ? after : structuredClone(after));
    });
    expect(small).toBeGreaterThan(2_000);
    for (const size of [medium, big]) expect(Math.abs((size ?? 0) / (small ?? 0) - 1)).toBeLessThan(0.05);
  },
);

test.for([
  ["the window slides by 3", (list) => [...list.slice(3), turn(-1), turn(-2), turn(-3)], 300],
  ["one in the middle changes a field", (list) => list.with(500, { ...list[500], role: "tool" }), 60],
  ["one is inserted in the middle", (list) => list.toSpliced(400, 0, turn(-1)), 160],
  ["one is removed from the middle", (list) => list.toSpliced(400, 1), 40],
  ["three places change", (list) => list.toSpliced(900, 1).toSpliced(500, 0, turn(-1)).toSpliced(10, 2), 180],
  ["the last moves to the front", (list) => [...list.slice(-1), ...list.slice(0, -1)], 160],
  ["two swap", (list) => list.with(3, list[900] ?? {}).with(900, list[3] ?? {}), 330],
  [
    "the last streams more text",
    (list) => list.with(999, { ...list[999], text: `${String(list[999]?.["text"])} tok` }),
    60,
  ],
  [
    "the window slides while the last streams more text",
    (list) => [...list.slice(1, -1), { ...list[999], text: `${String(list[999]?.["text"])} tok` }, turn(-1)],
    220,
  ],
  ["all change a small field", (list) => list.map((one) => ({ ...one, seen: 1 })), 20_000],
  ["nothing but the order: reversed", (list) => list.toReversed(), 120_000],
] satisfies [string, (list: Record<string, unknown>[]) => unknown[], number][])(
  "in 1,000 turns, %s: the delta stays near the change, with references kept or new",
  ([, change, bytesMax]) => {
    const list = turns(1_000);
    const before = state(list);
    const after = state(change(list));
    expect(deltaBytes(before, after)).toBeLessThan(bytesMax);
    expect(deltaBytes(before, structuredClone(after))).toBeLessThan(bytesMax);
    expectExact(before, after);
    expectExact(before, structuredClone(after));
  },
);

test("a window of numbers that repeat slides for the price of what is new", () => {
  const numbers = Array.from({ length: 5_000 }, (_, n) => (n * 7_919) % 5);
  expect(deltaBytes(numbers, [...numbers.slice(20), 1, 2, 3])).toBeLessThan(25);
  expectExact(numbers, [...numbers.slice(20), 1, 2, 3]);
});

test("numbers that change in a row are written as a list", () => {
  const numbers = Array.from({ length: 1_000 }, (_, n) => n * 1_000);
  const after = numbers.toSpliced(100, 100, ...Array.from({ length: 100 }, (_, n) => n % 10));
  expect(deltaBytes(numbers, after)).toBeLessThan(130);
});

test("a stream of tokens costs its tokens, wherever the text is cut", () => {
  const whole = "the quick 🦊 jumps over the lazy 🐶 ".repeat(40);
  let live: unknown = { text: "" };
  let stored: unknown = live;
  for (let end = 1; end <= whole.length; end += 1) {
    const next = { text: whole.slice(0, end) };
    expect(deltaBytes(live, next)).toBeLessThan(45);
    stored = throughStore(stored, next);
    live = next;
  }
  expect(stored).toEqual({ text: whole });
});

test("bytes that grow at the end cost what was added", () => {
  const bytes = new Uint8Array(100_000).fill(7);
  const grown = new Uint8Array(100_010).fill(7);
  expect(deltaBytes({ bytes }, { bytes: grown })).toBeLessThan(40);
  expectExact({ bytes }, { bytes: grown });
});

test("one entry in a large object, Map or Set costs one entry", () => {
  const entries = Array.from({ length: 10_000 }, (_, n) => [`key-${n}`, { n }] as const);
  const changed: readonly (readonly [string, { n: number }])[] = [
    ...entries.with(700, ["key-700", { n: -1 }]),
    ["new", { n: 0 }],
  ];
  expect(deltaBytes(Object.fromEntries(entries), Object.fromEntries(changed))).toBeLessThan(60);
  expect(deltaBytes(new Map(entries), new Map(changed))).toBeLessThan(60);
  expect(deltaBytes(new Set(entries.map(([key]) => key)), new Set(changed.map(([key]) => key)))).toBeLessThan(20);
  expectExact(Object.fromEntries(entries), Object.fromEntries(changed));
});

test.for([
  ["a key that moves to the end", { a: 1, b: 2, c: 3 }, { b: 2, c: 3, a: 1 }],
  ["a key that is new in the middle", { a: 1, c: 3 }, { a: 1, b: 2, c: 3 }],
  ["a key that is an index, before others", { b: 1 }, { 5: 1, b: 1 }],
  ["a key removed and one added", { a: 1, b: 2 }, { b: 2, c: 3 }],
  ["a field that becomes undefined", { a: 1 }, { a: undefined }],
  ["a field that was undefined and goes", { a: undefined, b: 1 }, { b: 1 }],
  [
    "a Map with an index as a key, in any order",
    new Map([
      ["b", 1],
      ["5", 2],
    ]),
    new Map([
      ["5", 2],
      ["b", 1],
    ]),
  ],
  ["a Set in another order", new Set([1, 2, 3]), new Set([3, 1, 2])],
  ["a Map with objects for keys", new Map([[{ k: 1 }, 1]]), new Map([[{ k: 2 }, 1]])],
  ["an array that becomes an object", [1], { 0: 1 }],
] satisfies [string, unknown, unknown][])("the order of the result is right for %s", ([, before, after]) => {
  const wide = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`wide-${n}`, "x".repeat(20)]));
  expect(Object.keys(throughStore(before, after) as object)).toEqual(Object.keys(after));
  expectExact(before, after);
  expectExact({ ...wide, part: before, ...wide }, { ...wide, part: after });
  if (!Array.isArray(before) && isRecord(before) && isRecord(after))
    expectExact({ ...wide, ...before }, { ...wide, ...after });
});

test("a large object whose keys change their order is not written whole", () => {
  const wide = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`k${n}`, "x".repeat(100)]));
  const { k0, ...rest } = wide;
  expect(deltaBytes(wide, { ...rest, k0 })).toBeLessThan(400);
  expectExact(wide, { ...rest, k0 });
});

// --- work and safety --------------------------------------------------------------------------------------------------

/** A value whose arrays and objects, at any depth, tell of every look into them. */
function counted(value: unknown, look: () => void): unknown {
  if (typeof value !== "object" || value === null) return value;
  const copy = Array.isArray(value)
    ? value.map((element) => counted(element, look))
    : Object.fromEntries(Object.entries(value).map(([key, held]) => [key, counted(held, look)]));
  return new Proxy(copy, {
    get: (target, key, receiver) => {
      look();
      return Reflect.get(target, key, receiver) as unknown;
    },
    ownKeys: (target) => {
      look();
      return Reflect.ownKeys(target);
    },
  });
}

function looksOf(make: (look: () => void) => [before: unknown, after: unknown]): number {
  let looks = 0;
  const [before, after] = make(() => (looks += 1));
  looks = 0;
  diff(before, after);
  return looks;
}

test("an append to 60,000 elements is found by a look at each, and at none of their insides", () => {
  const count = 60_000;
  let within = 0;
  const list = turns(count).map((element) => counted(element, () => (within += 1)));
  const looks = looksOf((look) => {
    const listOf = (elements: readonly unknown[]): unknown =>
      new Proxy([...elements], {
        get: (target, key, receiver) => {
          look();
          return Reflect.get(target, key, receiver) as unknown;
        },
      });
    return [{ turns: listOf(list) }, { turns: listOf([...list, large]) }];
  });
  expect(looks).toBeLessThan(3 * count);
  // The size of the whole is looked for only until it is above that of the change.
  expect(within).toBeLessThan(1_000);
});

function nest(leaf: number, depthMax: number = 200): unknown {
  let value: unknown = [leaf, leaf + 1];
  for (let depth = 0; depth < depthMax; depth += 1) value = [depth, value, "x", [depth]];
  return value;
}

function looksAtNests(depthMax: number): number {
  return looksOf((look) => [counted(nest(1, depthMax), look), counted([nest(2, depthMax), nest(3, depthMax)], look)]);
}

test("arrays within arrays, all with new references, cost no more than a look at each level from each one above", () => {
  expectExact(nest(1), nest(2));
  expectExact(nest(1), [nest(2), nest(3)]);
  expect(looksAtNests(8)).toBeGreaterThan(8);
  // Twice as deep: at most four times the work, where a walk that branches at each level would never end.
  expect(looksAtNests(16) / looksAtNests(8)).toBeLessThan(5);
  expect(looksAtNests(200) / looksAtNests(100)).toBeLessThan(5);
});

test("a delta that does not fit its value, or is damaged, gives a value or a corrupt error", () => {
  fc.assert(
    fc.property(
      anyData(),
      anyEdit(),
      anyData(),
      fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) }),
      (before, edit, other, { at, to }) => {
        const bytes = encodeValue(diff(before, edit(before)) ?? [0, 1]);
        expect(["value", "corrupt"]).toContain(outcomeOf(() => patch(other, decodeValue(bytes) as Delta)));
        bytes[at % bytes.length] = to;
        expect(["value", "corrupt"]).toContain(outcomeOf(() => patch(before, decodeValue(bytes) as Delta)));
      },
    ),
    { numRuns: 3_000 },
  );
});

function outcomeOf(run: () => unknown): string {
  try {
    run();
    return "value";
  } catch (error) {
    return error instanceof DormouseError ? error.kind : String(error);
  }
}
