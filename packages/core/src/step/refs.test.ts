/** Goal: every live actor in a value becomes a ref, and nothing else changes or is copied. */
import { expect, test } from "vitest";
import { AgentRef } from "../agent/agent-ref.ts";
import { replaceRefs } from "./refs.ts";

class Live {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}
const refOf = (object: object): AgentRef | undefined =>
  object instanceof Live ? new AgentRef(`test/${object.name}`) : undefined;
const replace = (value: unknown, before?: unknown): unknown => replaceRefs(value, before, refOf);
const a = new AgentRef("test/a");

test.for([
  { where: "the value itself", value: new Live("a"), replaced: a },
  { where: "an object", value: { x: { y: new Live("a") } }, replaced: { x: { y: a } } },
  { where: "an array", value: [1, [new Live("a")]], replaced: [1, [a]] },
  { where: "a Map's value and key", value: new Map([["k", new Live("a")]]), replaced: new Map([["k", a]]) },
  { where: "a Set", value: new Set([1, new Live("a")]), replaced: new Set([1, a]) },
])("an actor in $where", ({ value, replaced }) => {
  expect(replace(value)).toEqual(replaced);
});

test("what holds none is the same object", () => {
  const value = { a, list: [1, { b: new Uint8Array(2) }], map: new Map([[1, {}]]), set: new Set([{}]), none: null };
  expect(replace(value)).toBe(value);
});

test("only the path to an actor is copied", () => {
  const kept = { deep: { x: 1 } };
  const value = { kept, changed: { actor: new Live("a"), kept } };
  const replaced = replace(value) as typeof value;
  expect(replaced).not.toBe(value);
  expect(replaced.kept).toBe(kept);
  expect(replaced.changed.kept).toBe(kept);
  expect(value.changed.actor).toBeInstanceOf(Live);
});

test("what was there before is not walked, also in a list that was shifted", () => {
  const old = Array.from({ length: 4 }, () => ({ actor: new Live("a") }));
  const shifted = [...old.slice(1), { actor: new Live("a") }];
  const replaced = replace(shifted, old) as unknown[];
  expect(replaced.slice(0, 3)).toEqual(old.slice(1));
  expect(replaced[3]).toEqual({ actor: a });
  expect(replace({ list: old }, { list: old })).toEqual({ list: old });
});

test("a part that is shared stays shared, and a cycle ends", () => {
  const shared = { actor: new Live("a") };
  const replaced = replace({ one: shared, two: shared }) as { one: unknown; two: unknown };
  expect(replaced.one).toBe(replaced.two);
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  expect(replace(cycle)).toBe(cycle);
});
