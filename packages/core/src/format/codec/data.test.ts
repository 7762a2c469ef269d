/** Goal: what cannot be stored is found, and named by its path; what can passes. Method: a table of both. */
import { expect, test } from "vitest";
import { AgentRef } from "../../agent/agent-ref.ts";
import { DormouseError } from "../../agent/errors.ts";
import { valueDepthMax } from "../../agent/limits.ts";
import { checkData, freezeData } from "./data.ts";

const check = { what: "context", code: "state.not-data", of: "chat/a" };

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

function cycle(): unknown {
  const value: Record<string, unknown> = {};
  value["self"] = value;
  return value;
}

class Money {
  readonly cents = 1;
}

test.for([
  ["a function", { a: { b: () => 1 } }, "context.a.b is a function"],
  ["a class", { a: Money }, "context.a is a function"],
  ["a symbol", [0, Symbol("x")], "context[1] is a symbol"],
  ["a symbol as a key", { a: { [Symbol("x")]: 1 } }, "context.a has the symbol"],
  ["a class instance", { "two words": [new Money()] }, 'context["two words"][0] is an instance of Money'],
  ["a Promise", { a: Promise.resolve() }, "context.a is an instance of Promise"],
  ["a RegExp", { a: /x/ }, "context.a is an instance of RegExp"],
  ["a URL", { a: new URL("http://a") }, "context.a is an instance of URL"],
  ["a WeakMap", new Map([["k", new WeakMap()]]), 'context.get("k") is an instance of WeakMap'],
  ["a subclass of Map", { a: new (class Index extends Map {})() }, "context.a is an instance of Index"],
  ["a subclass of Array", { a: new (class List extends Array {})() }, "context.a is an instance of List"],
  ["a Float16Array or DataView", { a: new DataView(new ArrayBuffer(1)) }, "context.a is an instance of DataView"],
  ["a function in a Set", new Set([1, () => 1]), "context.values()[1] is a function"],
  ["a function as a key of a Map", new Map([[() => 1, 1]]), "context.keys()[0] is a function"],
  ["a getter", { a: Object.defineProperty({}, "b", { get: () => 1, enumerable: true }) }, "context.a.b is computed"],
  ["a hidden property", { a: Object.defineProperty({}, "b", { value: 1 }) }, "context.a.b is not enumerable"],
  // oxlint-disable-next-line no-sparse-arrays -- the hole is the case.
  ["a hole", { a: [1, , 3] }, "context.a[1] is a hole"],
  ["a match", { a: /x/.exec("x") }, 'context.a is an array with the property "index"'],
  ["a key __proto__", JSON.parse('{"a":{"__proto__":1}}'), "context.a.__proto__ is a key"],
  ["a cycle", cycle(), "context.self.self.self"],
  ["a value nested too deep", nested(valueDepthMax + 1), "is nested deeper than 256 levels"],
] satisfies [string, unknown, string][])("%s is refused, and the error says where it is", ([, value, text]) => {
  expect(() => checkData(value, check)).toThrow(
    expect.objectContaining({ kind: "invalid", code: "state.not-data", message: expect.stringContaining(text) }),
  );
});

test("the error says what can be stored, what to do instead, and whose value it is", () => {
  expect(() => checkData({ a: () => 1 }, check)).toThrow(
    "context.a is a function; only plain data, Map, Set, Date, Error, bytes, bigint and agent refs can be stored: " +
      "keep a name, and the function in the machine's implementations: agent=chat/a",
  );
});

test.for([
  ["primitives", [null, undefined, true, 1, Number.NaN, 1n, "x"]],
  [
    "dates, errors, bytes and refs",
    [
      // oxlint-disable-next-line no-restricted-globals -- a value like any other
      new Date(0),
      new TypeError("x"),
      new DormouseError("closed", "a.b", "c"),
      new Uint8Array(1),
      Buffer.from("x"),
      new Float64Array(1),
      new ArrayBuffer(1),
      new AgentRef("a/b"),
    ],
  ],
  [
    "Maps and Sets",
    new Map<unknown, unknown>([
      ["a", new Set([1])],
      [{ b: 1 }, 2],
    ]),
  ],
  ["an object without prototype", Object.assign(Object.create(null) as object, { a: 1 })],
  ["the deepest nesting", nested(valueDepthMax)],
  ["one object in many places", Array.from({ length: 15 }).reduce((value) => [value, value], 1)],
] satisfies [string, unknown][])("%s can be stored", ([, value]) => {
  expect(() => checkData(value, check)).not.toThrow();
});

test("what is known is not walked again, and what is refused does not become known", () => {
  const known = new WeakSet<object>();
  const part = { a: [1] };
  checkData({ part }, { ...check, known });
  expect(known.has(part)).toBe(true);
  expect(known.has(part.a)).toBe(true);
  const bad = { good: { b: 1 }, worse: { f: () => 1 } };
  expect(() => checkData(bad, { ...check, known })).toThrow(/context\.worse\.f/);
  expect(known.has(bad)).toBe(false);
  expect(known.has(bad.good)).toBe(true);
  const grown = { part, more: Object.freeze(Array.from({ length: 10 }, () => part)) };
  checkData(grown, { ...check, known });
  expect(known.has(grown)).toBe(true);
});

test("a frozen value cannot be changed in place, and what held bytes or was frozen already stays usable", () => {
  const inner = Object.freeze({ a: 1 });
  const value = { inner, list: [{ b: 1 }], map: new Map([["k", { c: 1 }]]), bytes: Uint8Array.of(1), self: {} };
  value.self = value;
  freezeData(value);
  expect(() => value.list.push({ b: 2 })).toThrow(TypeError);
  expect(() => Object.assign(value.list[0] ?? {}, { b: 2 })).toThrow(TypeError);
  expect(() => Object.assign(value.map.get("k") ?? {}, { c: 2 })).toThrow(TypeError);
  value.bytes[0] = 2;
  expect(value.bytes[0]).toBe(2);
  freezeData(undefined);
  freezeData("text");
});
