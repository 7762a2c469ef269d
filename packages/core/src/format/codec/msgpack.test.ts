/**
 * Goal: what is stored comes back, the same value is the same bytes, and no bytes harm the one who decodes them.
 * Method: properties over arbitrary durable data, tables of known traps, mutated bytes.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { AgentRef } from "../../agent/agent-ref.ts";
import { DormouseError } from "../../agent/errors.ts";
import { anyData } from "./arbitrary-data.test.ts";
import { checkData } from "./data.ts";
import { decodeValue, encodeValue } from "./msgpack.ts";

function roundTrip(value: unknown): unknown {
  return decodeValue(encodeValue(value));
}

// oxlint-disable-next-line no-restricted-globals -- values like any other
const dates = [Number.NaN, -1, -8_640_000_000_000_000, 8_640_000_000_000_000].map((ms) => new Date(ms));

test("all durable data comes back as it was, and encodes to the same bytes again", () => {
  fc.assert(
    fc.property(anyData(), (value) => {
      checkData(value, { what: "value", code: "test.not-data" });
      const bytes = encodeValue(value);
      expect(decodeValue(bytes)).toEqual(value);
      expect(encodeValue(decodeValue(bytes))).toEqual(bytes);
    }),
    { numRuns: 1_000 },
  );
});

test("the bytes of a value do not depend on what was encoded or decoded before", () => {
  fc.assert(
    fc.property(anyData(), fc.array(anyData(), { maxLength: 3 }), (value, others) => {
      const first = encodeValue(value);
      for (const other of others) roundTrip(other);
      expect(encodeValue(value)).toEqual(first);
    }),
  );
});

test.for([
  ["undefined", undefined],
  ["NaN", Number.NaN],
  ["Infinity", -Infinity],
  ["a bigint of 64 bits", -(2n ** 63n)],
  ["a bigint beyond 64 bits", 2n ** 64n + 1n],
  ["a negative bigint of many bits", -(2n ** 2_000n) - 17n],
  ["half a character at the end", "smile \ud83d"],
  ["half a character in long text", `${"x".repeat(100)}\ude00${"y".repeat(100)}`],
  ["two halves in the wrong order", "\ude00\ud83d"],
  ["a byte order mark before long text", `\ufeff${"x".repeat(100)}`],
  ["half a character in a key", { a: [{ ["\ud83d"]: 1 }] }],
  ["half a character in a Map and a Set", new Map([["\ud83d", new Set(["\ude00"])]])],
  ["a replacement character", "\ufffd"],
  ["an object with a toJSON field", { toJSON: "x", a: 1 }],
  ["an object with a constructor field", { constructor: "x", hasOwnProperty: 1 }],
  ["a field of the prototype's name, one off", { __proto_: 1, prototype: 2 }],
  ["an object with very many keys", Object.fromEntries(Array.from({ length: 70_000 }, (_, n) => [`k${n}`, n]))],
  ["objects of more shapes than there are record ids", Array.from({ length: 300 }, (_, n) => ({ [`k${n % 150}`]: n }))],
  ["an empty array of bytes", new Uint8Array()],
  ["one byte that means something to msgpackr", Uint8Array.of(0x72)],
  ["two bytes that mean something to msgpackr", Uint8Array.of(0x72, 0x72)],
  ["Dates: none, before the epoch, in a far year", dates],
  ["an ArrayBuffer", Uint8Array.of(1, 2, 3).buffer],
  ["a view of a part of a buffer", new Float64Array([1, 2, 3, 4]).subarray(1, 3)],
] as const)("%s comes back", ([, value]) => {
  expect(roundTrip(value)).toEqual(value);
});

test("an object with the key __keys__ comes back and leaves later packs of the same shape whole", () => {
  const value = [{ a: 1 }, { a: 1, __keys__: 2 }, { a: 3 }];
  expect(roundTrip(value)).toEqual(value);
  expect(roundTrip([{ a: 1 }])).toEqual([{ a: 1 }]);
  expect(encodeValue({ a: 1 })).toEqual(encodeValue({ a: 1 }));
});

test("a key __proto__ is refused, and never sets a prototype", () => {
  expect(() => encodeValue(JSON.parse('{"a":{"__proto__":1}}'))).toThrow(/__proto__/);
});

test("-0 is stored as 0", () => {
  expect(roundTrip(-0)).toBe(0);
});

test("an agent ref comes back as one, frozen, with its id", () => {
  const ref = roundTrip({ ref: new AgentRef("orders/7/~a", "child") }) as { ref: AgentRef };
  expect(ref.ref).toBeInstanceOf(AgentRef);
  expect(ref.ref).toMatchObject({ sessionId: "orders/7/~a", id: "child" });
  expect(Object.isFrozen(ref.ref)).toBe(true);
});

test("an Error comes back with name, message, code and cause; a DormouseError with its kind", () => {
  const system = Object.assign(new TypeError("no file", { cause: new RangeError("disk") }), { code: "ENOENT" });
  const ours = new DormouseError("timeout", "ask.late", "late", { cause: system });
  const back = roundTrip([system, ours]) as [Error, DormouseError];
  expect(back[0]).toMatchObject({ name: "TypeError", message: "no file", code: "ENOENT" });
  expect(back[0].cause).toMatchObject({ name: "RangeError", message: "disk" });
  expect(back[1]).toBeInstanceOf(DormouseError);
  expect(back[1]).toMatchObject({ kind: "timeout", code: "ask.late", message: "late" });
  expect(back[1].cause).toMatchObject({ code: "ENOENT" });
});

test("an object met twice is one object again", () => {
  const shared = { text: "x".repeat(50) };
  const back = roundTrip({ a: shared, b: [shared], c: new Map([["d", shared]]), text: "\ud83d" }) as {
    a: unknown;
    b: unknown[];
    c: Map<string, unknown>;
  };
  expect(back.b[0]).toBe(back.a);
  expect(back.c.get("d")).toBe(back.a);
});

test("a Buffer is stored as the bytes it is", () => {
  const back = roundTrip({ bytes: Buffer.from("hello") }) as { bytes: Uint8Array };
  expect(back.bytes.constructor).toBe(Uint8Array);
  expect(encodeValue(back)).toEqual(encodeValue({ bytes: Buffer.from("hello") }));
});

test("decoded bytes share no memory with what they were decoded from", () => {
  const bytes = encodeValue({ blob: Uint8Array.of(1, 2, 3) });
  const { blob } = decodeValue(bytes) as { blob: Uint8Array };
  bytes.fill(0);
  expect(blob).toEqual(Uint8Array.of(1, 2, 3));
  expect(blob.buffer.byteLength).toBe(3);
});

test("what was encoded stays as it is when the next value is encoded", () => {
  const first = encodeValue({ text: "first" });
  const copy = first.slice();
  encodeValue({ text: "other" });
  expect(first).toEqual(copy);
});

test.for([
  ["nothing", []],
  ["bytes after the value", [...encodeValue({ a: 1 }), 0xc0]],
  ["an array of a length that no memory has", [0xdd, 0xff, 0xff, 0xff, 0xff]],
  ["a map of a length that no memory has", [0xdf, 0xff, 0xff, 0xff, 0xff]],
  ["a text longer than the bytes", [0xdb, 0xff, 0xff, 0xff, 0xff, 0x61]],
  ["an array that contains itself", [0xd6, 0x69, 0, 0, 0, 1, 0x91, 0xd6, 0x70, 0, 0, 0, 1]],
  ["a reference to nothing", [0xd6, 0x70, 0, 0, 0, 9]],
  ["an extension that nobody knows", [0xc7, 0x01, 0x33, 0x00]],
  ["an agent ref without a name", [0xd4, 0x52, 0, 0x91, 0x01]],
  ["an error without a message", [0xd4, 0x53, 0, 0x91, 0x01]],
  ["a text that lies behind the value", [0xd6, 0x62, 0, 0, 0, 6, 0xc1, 0x01, 0xa1, 0x61, 0xa1, 0x61]],
  ["a regular expression", [0xd4, 0x78, 0, 0x92, 0xa1, 0x61, 0xa0]],
  ["an Error as msgpackr writes it", [0xd4, 0x65, 0, 0x93, 0xa1, 0x61, 0xa1, 0x61, 0xc0]],
  ["a DataView", [0xd5, 0x74, 17, 5]],
  ["a token that msgpack never uses", [0x91, 0xc1]],
  ["a record with an id of two bytes", [0xd5, 0x72, 0x40, 0, 0x91, 0xa1, 0x61, 1]],
  ["arrays nested deeper than the stack", Array.from({ length: 200_000 }, () => 0x91)],
] as const)("%s is refused as corrupt", ([, bytes]) => {
  expect(() => decodeValue(Uint8Array.from(bytes))).toThrow(
    expect.objectContaining({ kind: "corrupt", code: "codec.unreadable" }),
  );
});

test("texts behind a value, each said to be the same thousands of times over, take no memory", () => {
  const [count, textLength] = [3_000, 30_000];
  const bytes = new Uint8Array(5 + count * 8 + 6 + textLength).fill(0x61);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 0xdd);
  view.setUint32(1, count);
  const textAt = 5 + count * 8;
  for (let at = 5; at < textAt; at += 8) {
    bytes.set([0xd6, 0x62, 0, 0, 0, 0, 0xc1, 0x30], at);
    view.setUint32(at + 2, textAt - at - 2);
  }
  bytes.set([0xa0, 0xdb], textAt);
  view.setUint32(textAt + 2, textLength);
  expect(() => decodeValue(bytes)).toThrow(expect.objectContaining({ code: "codec.unreadable" }));
});

test("a value that repeats itself many times over, with a byte too many, is refused at once", () => {
  let value: unknown[] = [1];
  for (let depth = 0; depth < 60; depth += 1) value = [value, value];
  const bytes = Uint8Array.from([...encodeValue(value), 0xc0]);
  expect(() => decodeValue(bytes)).toThrow(expect.objectContaining({ code: "codec.unreadable" }));
});

test("changed, cut and joined bytes give a value or a corrupt error, and harm no later decode", () => {
  const mutation = fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }), cut: fc.option(fc.nat()) });
  const witness = { a: [1, { b: "two" }], c: new Map([["d", 3n]]) };
  fc.assert(
    fc.property(anyData(), fc.array(mutation, { minLength: 1, maxLength: 4 }), (value, mutations) => {
      let bytes: Uint8Array = encodeValue(value);
      for (const { at, to, cut } of mutations) {
        bytes[at % bytes.length] = to;
        if (cut !== null && bytes.length > 1) bytes = bytes.slice(0, 1 + (cut % (bytes.length - 1)));
      }
      expectValueOrCorrupt(bytes);
      expect(roundTrip(witness)).toEqual(witness);
    }),
    { numRuns: 3_000 },
  );
});

test("random bytes give a value or a corrupt error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => expectValueOrCorrupt(bytes)),
    { numRuns: 3_000 },
  );
});

function expectValueOrCorrupt(bytes: Uint8Array): void {
  expect(["value", "codec.unreadable"]).toContain(outcomeOf(() => decodeValue(bytes)));
}

function outcomeOf(run: () => unknown): string {
  try {
    run();
    return "value";
  } catch (error) {
    return error instanceof DormouseError && error.kind === "corrupt" ? error.code : String(error);
  }
}
