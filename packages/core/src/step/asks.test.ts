/** Open asks and idempotency keys of an agent. Method: states before and after, by the functions alone. */
import { expect, test } from "vitest";
import type { Address } from "../agent/address.ts";
import { idempotencyKeyMsMax } from "../agent/limits.ts";
import type { Envelope } from "../format/message.ts";
import { answerAsks, openAsk, pruneAsks, rememberKey } from "./asks.ts";
import type { AgentState } from "./state.ts";

const start = { seq: 1, now: 1_000, asks: [], keys: new Map() } as unknown as AgentState;
const answer = { ok: true, seq: 2, value: "yes" } as const;

function asked(id: string): Envelope {
  const ask = { replyTo: `reply.${id}`, patienceMs: 500, isRepeat: false };
  return { id, to: "counter/a" as Address, n: 1, sentAt: 0, body: { kind: "event", event: { type: "add" } }, ask };
}

test("the asks that are meant are answered once, and the others stay open", () => {
  const open = openAsk(openAsk(start, asked("a"), "add", 1_000, "a"), asked("b"), "add", 1_000, "b");
  const { state, given } = answerAsks(open, (ask) => ask.handledId === "a", answer);
  expect(given).toEqual([{ id: "a", replyTo: "reply.a", answer }]);
  expect(state.asks.map(({ id }) => id)).toEqual(["b"]);
  expect(answerAsks(state, (ask) => ask.handledId === "a", answer)).toEqual({ state, given: [] });
});

test("an answer is kept with the idempotency key of the message that it answers", () => {
  const open = openAsk(rememberKey(start, "key", "a"), asked("a"), "add", 1_000, "a");
  const { state } = answerAsks(open, () => true, answer);
  expect(state.keys.get("key")).toEqual({ id: "a", at: 1_000, answer });
});

test("an ask that nobody waits for any more is forgotten, but not one under a key", () => {
  const open = openAsk(openAsk(start, asked("a"), "add", 1_000, "a"), asked("b"), "add", 1_000, "b");
  const later = { ...rememberKey(open, "key", "b"), now: 1_500 };
  expect(pruneAsks(later).asks.map(({ id }) => id)).toEqual(["b"]);
  expect(pruneAsks({ ...later, now: 1_499 }).asks).toHaveLength(2);
});

test("a key is given up when it is too old, at the next key", () => {
  const first = rememberKey(start, "old", "a");
  const kept = rememberKey({ ...first, now: start.now + idempotencyKeyMsMax }, "new", "b");
  const gone = rememberKey({ ...first, now: start.now + idempotencyKeyMsMax + 1 }, "new", "b");
  expect([[...kept.keys.keys()], [...gone.keys.keys()]]).toEqual([["old", "new"], ["new"]]);
});
