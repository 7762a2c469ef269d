/** Goal: a step's time and randomness are the same each time it is computed, and the platform's own come back. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { message, now, random, uuid } from "../agent/actions.ts";
import type { Address } from "../agent/address.ts";
import { DormouseError } from "../agent/errors.ts";
import { runInStep, type StepContext } from "./context.ts";

/* oxlint-disable no-restricted-globals, no-restricted-properties, typescript/unbound-method -- the platform's sources are what is tested */

function contextOf(over: Partial<StepContext> = {}): StepContext {
  return {
    agent: "test/one" as Address,
    seq: 3,
    now: 1_234_567,
    birth: new Uint8Array(16).fill(5),
    message: { id: "m1" as StepContext["message"]["id"], sentAt: 5, isAsked: true, from: "other/two" },
    ...over,
  };
}

function draw(over: Partial<StepContext> = {}): unknown[] {
  return runInStep(contextOf(over), () => [
    now(),
    random(),
    uuid(),
    Math.random(),
    crypto.randomUUID(),
    [...crypto.getRandomValues(new Uint16Array(3))],
    Date.now(),
  ]);
}

test("the same step draws the same; another step, birth or time does not", () => {
  expect(draw()).toEqual(draw());
  expect(draw({ seq: 4 }).slice(1, 6)).not.toEqual(draw().slice(1, 6));
  expect(draw({ birth: new Uint8Array(16) }).slice(1, 6)).not.toEqual(draw().slice(1, 6));
  expect(draw({ now: 7 })).toEqual([7, ...draw().slice(1, 6), 7]);
});

test("seq beyond 32 bits still tells steps apart", () => {
  expect(draw({ seq: 2 ** 33 }).slice(1)).not.toEqual(draw({ seq: 0 }).slice(1));
  expect(draw({ seq: 2 ** 33 + 1 }).slice(1)).not.toEqual(draw({ seq: 1 }).slice(1));
});

test("random is spread over [0, 1) and a uuid is of version 4", () => {
  const { numbers, uuids } = runInStep(contextOf(), () => ({
    numbers: Array.from({ length: 10_000 }, () => random()),
    uuids: Array.from({ length: 1_000 }, () => uuid()),
  }));
  expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
  expect(new Set(numbers).size).toBe(10_000);
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  expect(mean).toBeCloseTo(0.5, 1);
  expect(new Set(uuids).size).toBe(1_000);
  expect(uuids.every((one) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(one))).toBe(
    true,
  );
});

test("a Date made in a step is a plain Date, with the step's time unless it was given one", () => {
  const made = runInStep(contextOf(), () => ({
    bare: new Date(),
    given: new Date(99),
    parts: new Date(2020, 1, 2),
    text: Date(),
    parsed: Date.parse("1970-01-01T00:00:01Z"),
    isDate: new Date() instanceof Date,
  }));
  expect(made.bare.getTime()).toBe(1_234_567);
  expect(made.given.getTime()).toBe(99);
  expect(made.parts.getFullYear()).toBe(2020);
  expect(made.text).toBe(new Date(1_234_567).toString());
  expect(made.parsed).toBe(1_000);
  expect(made.isDate).toBe(true);
  expect(made.bare).toBeInstanceOf(Date);
  expect(Object.getPrototypeOf(made.bare)).toBe(Date.prototype);
  const before = new Date(1);
  expect(runInStep(contextOf(), () => before instanceof Date)).toBe(true);
});

test("message tells the envelope", () => {
  expect(runInStep(contextOf(), message)).toEqual({ id: "m1", sentAt: 5, isAsked: true, from: "other/two" });
});

test("the platform's own come back, also after a throw and after a step within a step", () => {
  const own = [Date, Math.random, crypto.randomUUID, crypto.getRandomValues];
  const inner = runInStep(contextOf(), () => {
    const nested = runInStep(contextOf({ now: 1 }), () => Date.now());
    return [nested, Date.now(), now()];
  });
  expect(inner).toEqual([1, 1_234_567, 1_234_567]);
  expect(() =>
    runInStep(contextOf(), () => {
      throw new Error("boom");
    }),
  ).toThrow("boom");
  expect([Date, Math.random, crypto.randomUUID, crypto.getRandomValues]).toEqual(own);
  expect(Date.now()).toBeGreaterThan(1_234_567);
  expect(crypto.randomUUID()).not.toBe(crypto.randomUUID());
  expect(crypto.getRandomValues(new Uint8Array(16)).some((byte) => byte !== 0)).toBe(true);
});

test.for([{ fn: now }, { fn: random }, { fn: uuid }, { fn: message }])(
  "$fn.name outside a step is refused",
  ({ fn }) => {
    expect(fn).toThrow(DormouseError);
    expect(fn).toThrow(`${fn.name}() is only available inside a step`);
  },
);

test("for any birth and seq, what is drawn depends on nothing else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.maxSafeNat(), (birth, seq) => {
      expect(draw({ birth, seq })).toEqual(draw({ birth: Uint8Array.from(birth), seq }));
    }),
    { numRuns: 50 },
  );
});
