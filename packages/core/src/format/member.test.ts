/** Goal: hosts of different releases understand what each tells of itself, and a client writes what all hosts read. */
import { expect, test } from "vitest";
import { encodeValue } from "./codec/msgpack.ts";
import { decodeFacts, encodeFacts, formatFor } from "./member.ts";

test("facts come back as they were told", () => {
  const facts = { name: "a", isLeaving: true, reads: 3, writes: 2, types: ["counter@1"], app: Uint8Array.of(1) };
  expect(decodeFacts(encodeFacts(facts))).toEqual(facts);
});

test("what a host does not tell, or tells in another way, is taken for the least", () => {
  const least = { name: "", isLeaving: false, reads: 1, writes: 1, types: [], app: undefined };
  expect(decodeFacts(encodeValue({ reads: "all", news: 1 }))).toEqual(least);
  expect(decodeFacts(Uint8Array.of(0xc1))).toEqual(least);
});

test.for([
  ["nobody it knows", [], 2],
  ["hosts that write the release before's", [2, 3], 2],
  ["hosts that all write its newest", [3, 3], 3],
  ["hosts of the next release", [4, 4], 3],
  ["a host two releases back", [1, 3], undefined],
] as const)("a client of release 3 that sends to %s", ([, writes, expected]) => {
  const hosts = writes.map((format) => ({ writes: format }));
  expect(formatFor(hosts, { oldest: 2, newest: 3 })).toBe(expected);
});
