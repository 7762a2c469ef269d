/**
 * Goal: a token that a stranger wrote is a key, or refused with a code.
 * Method: the ways to write one, and lengths beyond what a call takes as arguments.
 */
import { expect, test } from "vitest";
import { decodeToken, encodeToken, readToken } from "./address.ts";

test("a key's token comes back as the key", () => {
  for (const key of ["acme", "Haselmaus 🐭/ü", "~", "."]) expect(decodeToken(encodeToken(key))).toBe(key);
});

test("a token of any length is read", () => {
  const key = "a".repeat(500_000);
  expect(readToken(key)).toBe(key);
});

test.for(["~", "~zz", "~F0", "a~2"])("%s is no token", (token) => {
  expect(() => readToken(token)).toThrow(expect.objectContaining({ code: "address.encoding" }));
});
