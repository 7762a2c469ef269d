/**
 * Goal: arbitrary durable data for the tests of this folder, which import it. Method: every type that `checkData` lets
 * pass, with the keys and texts that broke a codec before.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { AgentRef } from "../../agent/agent-ref.ts";
import { DormouseError } from "../../agent/errors.ts";
import { checkData } from "./data.ts";

test("arbitrary data is durable data", () => {
  fc.assert(
    fc.property(anyData(), (value) => {
      expect(() => checkData(value, { what: "value", code: "test" })).not.toThrow();
    }),
  );
});

export function anyKey(): fc.Arbitrary<string> {
  const known = fc.constantFrom(
    "a",
    "b",
    "id",
    "constructor",
    "toJSON",
    "hasOwnProperty",
    "length",
    "0",
    "7",
    "__keys__",
  );
  return fc.oneof({ weight: 4, arbitrary: known }, fc.string({ maxLength: 4 })).filter((key) => key !== "__proto__");
}

/** Text of every kind, ill-formed too; much of it begins like other text. */
export function anyText(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 8 }),
    fc.string({ unit: "binary", maxLength: 8 }),
    fc.array(fc.integer({ min: 0xd700, max: 0xe100 }), { maxLength: 3 }).map((units) => String.fromCharCode(...units)),
    fc.constantFrom("", "a", "ab", "abc", "abcd".repeat(20), `\ufeff${"é".repeat(70)}`),
  );
}

export function anyLeaf(): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.constantFrom(null, undefined, true, false, 0, 1, -1, Number.NaN, Infinity, -Infinity),
    fc.integer(),
    fc.double().map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.bigInt(),
    anyText(),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array({ maxLength: 6 }),
    fc.float64Array({ maxLength: 3 }).map((numbers) => numbers.map((number) => (Object.is(number, -0) ? 0 : number))),
    anyText().map((id) => new AgentRef(`type/${id}`, id)),
    // As decoded ones are: the name is a field of their own.
    fc.string().map((message) => {
      const cause = Object.assign(new Error("cause"), { name: "TypeError" });
      return Object.assign(new Error(message, { cause }), { name: "RangeError", code: "E" });
    }),
    fc.string().map((message) => new DormouseError("timeout", "area.case", message)),
  );
}

export function anyData(): fc.Arbitrary<unknown> {
  return fc.letrec<{ data: unknown }>((tie) => ({
    data: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      anyLeaf(),
      fc.array(tie("data"), { maxLength: 5 }),
      fc.array(fc.tuple(anyKey(), tie("data")), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
      fc
        .array(fc.tuple(fc.oneof(anyKey(), fc.integer(), anyLeaf()), tie("data")), { maxLength: 4 })
        .map((entries) => new Map(entries)),
      fc.array(tie("data"), { maxLength: 4 }).map((elements) => new Set(elements)),
    ),
  })).data;
}
