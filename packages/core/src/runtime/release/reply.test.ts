/**
 * Goal: what comes over the channel is an answer, or an error with a code, whoever wrote it.
 * Method: answers of every wrong shape.
 */
import { expect, test } from "vitest";
import { DormouseError, encodeError } from "../../agent/errors.ts";
import { encodeValue } from "../../format/codec/msgpack.ts";
import { decodeAnswer, readAnswered } from "./reply.ts";

const error = encodeError(new DormouseError("failed", "agent.step-failed", "of the agent"));

test("what a host answers is the value, or the error that it threw", () => {
  expect(readAnswered(encodeValue({ ok: true, value: 7 }))).toBe(7);
  expect(() => readAnswered(encodeValue({ ok: false, error }))).toThrow(
    expect.objectContaining({ kind: "failed", code: "agent.step-failed" }),
  );
});

const wrong: readonly (readonly [what: string, answer: unknown])[] = [
  ["nothing", undefined],
  ["no object", 7],
  ["neither a value nor an error", {}],
  ["an error that is none", { ok: false }],
  ["an error without a name", { ok: false, error: { ...error, name: undefined } }],
  ["an error whose code is no text", { ok: false, error: { ...error, code: false } }],
  ["an error whose cause is none", { ok: false, error: { ...error, cause: 7 } }],
];

test.for(wrong)("an answer that is %s is refused", ([, answer]) => {
  expect(() => readAnswered(encodeValue(answer))).toThrow(
    expect.objectContaining({ kind: "internal", code: "host.answer" }),
  );
});

test("bytes that are no value are host.answer", () => {
  expect(() => readAnswered(Uint8Array.of(0xc1))).toThrow(expect.objectContaining({ code: "host.answer" }));
});

test("an answer to an ask whose error is none is no answer", () => {
  expect(told(error)).toMatchObject({ id: "01J" });
  for (const held of [
    { ...error, code: 7 },
    { ...error, kind: [] },
    { ...error, cause: { name: "Error" } },
  ]) {
    expect(told(held)).toBeUndefined();
  }
});

function told(held: unknown): unknown {
  return decodeAnswer(encodeValue({ id: "01J", answer: { ok: false, seq: 1, error: held } }));
}
