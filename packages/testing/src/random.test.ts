/** Goal: draws that are the same everywhere and everywhere independent. Method: the algorithm's known values; forks. */
import { expect, test } from "vitest";
import { nextUint32, Random } from "./random.ts";

function draw(random: Random, count: number): readonly number[] {
  return Array.from({ length: count }, () => random.uint32());
}

test("xoshiro128** from the state 1, 2, 3, 4 gives the values of its authors' program", () => {
  const state = Int32Array.of(1, 2, 3, 4);
  // The vector of the crate rand_xoshiro (rust-random/rngs at 0c5b04a), made with the reference implementation, v1.1.
  const expected = [
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
  ];
  expect(Array.from(expected, () => nextUint32(state))).toEqual(expected);
});

test("equal seeds draw the same, other seeds and other labels something else", () => {
  expect(draw(new Random(7), 50)).toEqual(draw(new Random(7), 50));
  expect(draw(new Random(7), 5)).not.toEqual(draw(new Random(8), 5));
  expect(draw(new Random(7).fork("a"), 5)).not.toEqual(draw(new Random(7).fork("b"), 5));
});

test("a fork does not depend on what was drawn before it, nor draws from its parent", () => {
  const used = new Random(7);
  draw(used, 1_000);
  expect(draw(used.fork("a"), 5)).toEqual(draw(new Random(7).fork("a"), 5));
  const parent = new Random(7);
  draw(parent.fork("a"), 10);
  expect(draw(parent, 5)).toEqual(draw(new Random(7), 5));
});

test("ranges hold, and every value of a small range comes up", () => {
  const random = new Random("ranges");
  const seen = new Set(Array.from({ length: 1_000 }, () => random.between(-2, 3)));
  expect([...seen].toSorted((left, right) => left - right)).toEqual([-2, -1, 0, 1, 2, 3]);
  for (let index = 0; index < 1_000; index += 1) {
    const span = random.skewed(10, 20_000);
    expect(span).toBeGreaterThanOrEqual(10);
    expect(span).toBeLessThanOrEqual(20_000);
    expect(Number.isInteger(span)).toBe(true);
  }
});

test("chance meets its probability, and draws nothing at 0", () => {
  const random = new Random("chance");
  const hits = Array.from({ length: 100_000 }, () => random.chance(0.1)).filter(Boolean).length;
  expect(hits).toBeGreaterThan(9_500);
  expect(hits).toBeLessThan(10_500);
  const still = new Random(7);
  expect(still.chance(0)).toBe(false);
  expect(draw(still, 5)).toEqual(draw(new Random(7), 5));
  expect(still.chance(1)).toBe(true);
});

test("bytes come in the length asked for", () => {
  expect(new Random(1).bytes(16)).toHaveLength(16);
  expect(new Random(1).bytes(16)).toEqual(new Random(1).bytes(16));
});
