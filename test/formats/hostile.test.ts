/**
 * Goal: whatever the bytes, a decoder gives a value or a typed error, and ends (D9): one that does not would hang here.
 *
 * Method: the golden bytes, cut, mutated, and mutated below the checksum, as a bug of ours or a stranger at the mailbox
 * could make them; and golden values whose fields are of another kind. Runs are random; a failure prints its seed, and
 * `fc.assert` takes it as `seed`.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { DormouseError } from "../../packages/core/src/agent/errors.ts";
import { decodeValue, encodeValue } from "../../packages/core/src/format/codec/msgpack.ts";
import { payloadOf, withPayload } from "./below.ts";
import { committed, type Golden, goldens } from "./golden.ts";

const runs = 300;

const isInJournal = ({ name }: Golden): boolean => name === "seal" || name.startsWith("record");
const framed = goldens.filter(({ name }) => name !== "app");

test.for(goldens)("$name: cut anywhere, the bytes are refused", (golden) => {
  const bytes = committed(golden);
  // JSON ends with a newline that nothing depends on.
  const lengthMax = bytes.length - (golden.name === "app" ? 2 : 1);
  // A bit less than every length of a long one.
  for (let length = 0; length <= lengthMax; length += length < 256 ? 1 : 7) {
    expect(outcomeOf(golden, bytes.slice(0, length))).toMatch(/^(corrupt|invalid) /);
  }
});

test.for(framed)("$name: a flipped bit anywhere is noticed", (golden) => {
  const bytes = committed(golden);
  fc.assert(
    fc.property(fc.nat({ max: bytes.length * 8 - 1 }), (bit) => {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(outcomeOf(golden, flipped)).toMatch(/^corrupt object\.(checksum|unreadable) /);
    }),
    { numRuns: runs },
  );
});

test.for(goldens)("$name: mutated below the checksum, it is a value or a typed error", (golden) => {
  const payload = payloadOf(golden);
  fc.assert(
    fc.property(mutations(payload), (mutated) => {
      expect(outcomeOf(golden, withPayload(golden, mutated))).toMatch(/^(value|corrupt|invalid) /);
    }),
    { numRuns: runs },
  );
});

test.for(goldens)("$name: bytes of any other format are refused", (golden) => {
  const others = goldens.filter(({ bytes }) => bytes[3] !== golden.bytes[3]);
  // Both are of the kind `chapter`.
  const twin = goldens.filter(
    ({ name }) => (name === "piece" || name === "chapter") && golden.bytes[3] === 0x43 && name !== golden.name,
  );
  for (const other of [...others, ...twin]) {
    if (isInJournal(golden) && isInJournal(other)) continue;
    expect(outcomeOf(golden, committed(other))).toMatch(/^(corrupt|invalid) /);
  }
});

test.for(framed.filter(({ name }) => !name.startsWith("envelope")))(
  "$name: an unreadable value names its object",
  (golden) => {
    const cut = withPayload(golden, payloadOf(golden).subarray(0, -1));
    expect(() => golden.decode(cut)).toThrow(
      expect.objectContaining({
        code: "codec.unreadable",
        message: expect.stringContaining("object=object/of-a-test") as string,
      }),
    );
  },
);

/** What no field of any format is. */
const wrong = new Date(0);

test.for(framed)("$name: a value of another shape is refused", (golden) => {
  const value = decodeValue(payloadOf(golden));
  const shapes: unknown[] = [null, undefined, 0, "", [wrong], new Map([[wrong, wrong]]), wrong];
  if (isObject(value)) shapes.push({}, ...withWrongFields(value, wrong));
  for (const shape of shapes) {
    expect(outcomeOf(golden, withPayload(golden, encodeValue(shape)))).toMatch(`corrupt ${golden.shapeCode} `);
  }
});

test("app: a value of another shape is refused", () => {
  const [app] = goldens.filter(({ name }) => name === "app");
  if (app === undefined) throw new Error("there is an app");
  const json = JSON.parse(new TextDecoder().decode(committed(app))) as Record<string, unknown>;
  for (const shape of [null, 0, "", [], {}, ...withWrongFields(json, [])]) {
    expect(outcomeOf(app, new TextEncoder().encode(JSON.stringify(shape)))).toMatch(/^(corrupt|invalid) app\./);
  }
});

// --- what is done to bytes -------------------------------------------------------------------------------------------

/** `value`, or kind and code of the typed error; anything else that is thrown is thrown on. */
function outcomeOf({ decode }: Golden, bytes: Uint8Array): string {
  try {
    decode(bytes);
    return "value ";
  } catch (error) {
    if (error instanceof DormouseError) return `${error.kind} ${error.code} `;
    throw error;
  }
}

/** A few bytes replaced, dropped or put in, in a row or apart. */
function mutations(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const edit = fc.record({
    at: fc.nat({ max: bytes.length }),
    dropped: fc.nat({ max: 4 }),
    inserted: fc.uint8Array({ maxLength: 4 }),
  });
  return fc
    .array(edit, { minLength: 1, maxLength: 4 })
    .map((edits) =>
      edits.reduce<Uint8Array>(
        (before, { at, dropped, inserted }) =>
          new Uint8Array([...before.subarray(0, at), ...inserted, ...before.subarray(at + dropped)]),
        bytes,
      ),
    );
}

/** Fields that hold whatever a machine puts there. */
const free = new Set(["context", "value", "output", "error"]);

/** The object once for each of its fields, and of the objects right within, with something else in its place. */
function withWrongFields(value: Record<string, unknown>, other: unknown, depth: number = 1): unknown[] {
  return Object.entries(value)
    .filter(([name]) => !free.has(name))
    .flatMap(([name, held]) => {
      const inner = depth > 0 && isObject(held) ? withWrongFields(held, other, depth - 1) : [];
      return [other, ...inner].map((changed) => ({ ...value, [name]: changed }));
    });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
