/** Goal: what is acknowledged is in the stream as it is now. Method: a mailbox that answers when it is told to. */
import { setImmediate as oneTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { realClock, realEntropy } from "@dormouse/local";
import { makeAddress } from "@dormouse/core/protocol";
import { decodeBatch, type Unnumbered } from "../packages/core/src/format/message.ts";
import type { Acceptance } from "@dormouse/core/ports";
import { Publisher } from "@dormouse/core/protocol";

test("what is acknowledged after a later message is published again, with all that followed it", async () => {
  const published: (readonly number[])[] = [];
  const acknowledge: ((place: Acceptance) => void)[] = [];
  const publisher = new Publisher({
    mailbox: {
      append: (_partition, bytes) => {
        published.push(decodeBatch(bytes).envelopes.map(({ n }) => n));
        return new Promise((resolve) => void acknowledge.push(resolve));
      },
    },
    clock: realClock,
    entropy: realEntropy,
    signal: new AbortController().signal,
    formats: { writes: 1 },
    partition: 0 as never,
    source: (floor) => ({ kind: "outbox", id: "one", floor }),
  });
  const done: number[] = [];
  const message: Unnumbered = {
    id: "m",
    to: makeAddress("counter", "k"),
    sentAt: 0,
    body: { kind: "start", input: 1 },
  };
  const push = async (n: number): Promise<void> => {
    publisher.push({ ...message, n }, () => void done.push(n));
    while (published.flat().length < n) await oneTurn();
  };
  await push(1);
  await push(2);
  acknowledge[1]?.({ sequence: 7, stream: "s" });
  await oneTurn();
  // Of the stream before it lost its tail: what has its place now is another message.
  acknowledge[0]?.({ sequence: 3, stream: "s" });
  while (published.length < 3) await oneTurn();
  expect(published).toEqual([[1], [2], [1, 2]]);
  expect(done).toEqual([]);
  acknowledge[2]?.({ sequence: 8, stream: "s" });
  while (done.length < 2) await oneTurn();
  expect(done).toEqual([1, 2]);
});
