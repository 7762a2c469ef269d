/** Time spans as people read them. */
import { expect, test } from "vitest";
import { durationText } from "./duration-text.ts";

test.for([
  [-5, "0 ms"],
  [0, "0 ms"],
  [999, "999 ms"],
  [1_000, "1 s"],
  [1_250, "1.2 s"],
  [59_999, "59.9 s"],
  [60_000, "1 min"],
  [200_000, "3 min 20 s"],
  [3_600_000, "1 h"],
  [86_399_999, "23 h 59 min"],
  [183_600_000, "2 d 3 h"],
] as const)("%d ms reads %s", ([ms, text]) => {
  expect(durationText(ms)).toBe(text);
});
