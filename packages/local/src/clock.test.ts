/** Goal: the real clock keeps the port's promises. Method: the conformance suite; time passes as it does. */
import { clockConformance } from "@dormouse/testing";
import { expect, test } from "vitest";
import { realClock, realEntropy } from "./clock.ts";

const cases = clockConformance(async () => ({
  clock: realClock,
  advance: (ms) =>
    new Promise((resolve) => {
      setTimeout(resolve, ms + 1);
    }),
  close: () => undefined,
}));

test.for(cases.map((one) => [one.name, one] as const))("%s", async ([, one]) => {
  await expect(one.run()).resolves.toBeUndefined();
});

test("random bytes are as many as asked for, and never the same", () => {
  const [first, second] = [realEntropy.bytes(16), realEntropy.bytes(16)];
  expect(first).toHaveLength(16);
  expect(first).not.toEqual(second);
});
