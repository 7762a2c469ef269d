/** The promises of `Mailbox`, M1 to M5, as cases for every driver. */
import assert from "node:assert/strict";
import {
  DormouseError,
  type Acceptance,
  type Mailbox,
  type MailboxMessage,
  type Partition,
} from "@dormouse/core/ports";
import { bytesOf, makeCases, textOf, type ConformanceCase } from "./conformance-case.ts";

export interface OpenedMailbox {
  /** A mailbox without streams. */
  readonly mailbox: Mailbox;
  /** Cuts the readers of a partition off, as a lost connection does. A driver that cannot skips the cases with "cut". */
  readonly cutReaders?: (partition: Partition) => Promise<void> | void;
  /** Loses the last messages of a stream. A driver that cannot skips the cases with "tail". */
  readonly loseTail?: (partition: Partition, count: number) => Promise<void> | void;
  /** Makes a stream refuse messages for lack of room. A driver that cannot skips the cases with "full". */
  readonly fill?: (partition: Partition) => Promise<void> | void;
  readonly close: () => Promise<void> | void;
}

const zero = 0 as Partition;
const one = 1 as Partition;

/**
 * The cases that every mailbox must pass.
 *
 * @param open - Opens a mailbox without streams for one case.
 */
export function mailboxConformance(open: () => Promise<OpenedMailbox>): readonly ConformanceCase[] {
  return makeCases(open, {
    "M1: numbers rise, and the place names the stream; of a barrier also a time": async ({ mailbox }) => {
      await mailbox.create(1);
      const places = await appendAll(mailbox, zero, ["a", "b", "c"]);
      const barrier = await mailbox.barrier(zero, bytesOf("barrier"));
      assertRising([...places, barrier]);
      assert.equal(new Set([...places, barrier].map((place) => place.stream)).size, 1);
      assert.ok(barrier.at >= 0 && barrier.stream.length > 0);
    },

    "M1: of messages appended at once, all are kept, in the order of the calls": async ({ mailbox }) => {
      await mailbox.create(1);
      const texts = Array.from({ length: 200 }, (_, index) => `m${index}`);
      const places = await Promise.all(texts.map((text) => mailbox.append(zero, bytesOf(text))));
      assertRising(places);
      assert.deepEqual(textsOf(await readMany(mailbox, zero, 1, texts.length)), texts);
    },

    "M1: making streams again keeps what they hold, and adds those that are missing": async ({ mailbox }) => {
      await mailbox.create(1);
      const before = await mailbox.append(zero, bytesOf("kept"));
      await mailbox.create(2);
      await mailbox.append(one, bytesOf("other"));
      const after = await mailbox.append(zero, bytesOf("next"));
      assert.equal(after.stream, before.stream);
      assert.deepEqual(textsOf(await readMany(mailbox, zero, 1, 2)), ["kept", "next"]);
      assert.deepEqual(textsOf(await readMany(mailbox, one, 1, 1)), ["other"]);
    },

    "M1: a stream that is not there accepts nothing": async ({ mailbox }) => {
      await mailbox.create(1);
      await assert.rejects(mailbox.append(7 as Partition, bytesOf("lost")), isUnavailable("mailbox.no-ack"));
    },

    "M1: numbers go on rising after everything was trimmed": async ({ mailbox }) => {
      await mailbox.create(1);
      const before = (await appendAll(mailbox, zero, ["a", "b", "c"])).at(-1);
      await mailbox.trim(zero, (before?.sequence ?? 0) + 1);
      const after = await mailbox.append(zero, bytesOf("d"));
      assert.ok(before !== undefined && after.sequence > before.sequence);
      assert.deepEqual(textsOf(await readMany(mailbox, zero, 1, 1)), ["d"]);
    },

    "M1: an empty message and one of 1 MB are kept as they are": async ({ mailbox }) => {
      await mailbox.create(1);
      const large = new Uint8Array(1_000_000).fill(7);
      await mailbox.append(zero, new Uint8Array());
      await mailbox.append(zero, large);
      const [first, second] = await readMany(mailbox, zero, 1, 2);
      assert.equal(first?.bytes.length, 0);
      assert.ok(second !== undefined && Buffer.compare(second.bytes, large) === 0);
    },

    "M1: bytes altered after append was called do not alter the message": async ({ mailbox }) => {
      await mailbox.create(1);
      const bytes = bytesOf("one");
      const appending = mailbox.append(zero, bytes);
      bytes.fill(0);
      await appending;
      assert.deepEqual(textsOf(await readMany(mailbox, zero, 1, 1)), ["one"]);
    },

    "M2: a reader hands out each message once, in order, with the place that append or barrier gave": async ({
      mailbox,
    }) => {
      await mailbox.create(2);
      const places: Acceptance[] = [];
      for (const text of ["a", "b", "c", "d"]) {
        places.push(await mailbox.append(zero, bytesOf(text)));
        await mailbox.append(one, bytesOf(`other-${text}`));
      }
      const barrier = await mailbox.barrier(zero, bytesOf("e"));
      const messages = await readMany(mailbox, zero, 1, 5);
      assert.deepEqual(textsOf(messages), ["a", "b", "c", "d", "e"]);
      assert.deepEqual(
        messages.map(({ sequence, stream }) => ({ sequence, stream })),
        [...places, barrier].map(({ sequence, stream }) => ({ sequence, stream })),
      );
      assert.equal(messages.at(-1)?.at, barrier.at);
    },

    "M2: a reader begins at the first message with its number or above": async ({ mailbox }) => {
      await mailbox.create(1);
      const places = await appendAll(mailbox, zero, ["a", "b", "c"]);
      const from = places[1]?.sequence ?? 0;
      assert.deepEqual(textsOf(await readMany(mailbox, zero, from, 2)), ["b", "c"]);
      await mailbox.trim(zero, from + 1);
      assert.deepEqual(textsOf(await readMany(mailbox, zero, 1, 1)), ["c"]);
      assert.deepEqual(textsOf(await readMany(mailbox, zero, 0, 1)), ["c"]);
    },

    "M2: a reader that waits gets the message that comes": async ({ mailbox }) => {
      await mailbox.create(1);
      const reader = mailbox.read(zero, 1);
      const waiting = reader.next(10);
      await mailbox.append(zero, bytesOf("a"));
      assert.deepEqual(textsOf(await waiting), ["a"]);
      const again = reader.next(10);
      await mailbox.append(zero, bytesOf("b"));
      assert.deepEqual(textsOf(await again), ["b"]);
      reader.close();
    },

    "M2: readers of one partition do not take from each other": async ({ mailbox }) => {
      await mailbox.create(1);
      await appendAll(mailbox, zero, ["a", "b"]);
      const both = await Promise.all([readMany(mailbox, zero, 1, 2), readMany(mailbox, zero, 1, 2)]);
      assert.deepEqual(both.map(textsOf), [
        ["a", "b"],
        ["a", "b"],
      ]);
    },

    "M2: a trim in front of a reader makes a gap, not an error": async ({ mailbox }) => {
      await mailbox.create(1);
      const places = await appendAll(mailbox, zero, ["a", "b", "c", "d"]);
      const reader = mailbox.read(zero, 1);
      const first = await reader.next(1);
      assert.deepEqual(textsOf(first), ["a"]);
      await mailbox.trim(zero, places[1]?.sequence ?? 0);
      assert.deepEqual(textsOf(await takeFrom(reader, 3)), ["b", "c", "d"]);
      reader.close();
    },

    "M3: a reader that is cut off ends with mailbox.interrupted, now and later": async ({ mailbox, cutReaders }) => {
      assert.ok(cutReaders, "open gives no cutReaders: skip this case by its name, with a reason");
      await mailbox.create(1);
      await mailbox.append(zero, bytesOf("a"));
      const reader = mailbox.read(zero, 1);
      await reader.next(1);
      const waiting = reader.next(1);
      await Promise.all([assert.rejects(waiting, isUnavailable("mailbox.interrupted")), cutReaders(zero)]);
      await assert.rejects(reader.next(1), isUnavailable("mailbox.interrupted"));
      assert.deepEqual(textsOf(await readMany(mailbox, zero, 1, 1)), ["a"]);
    },

    "M3: a reader of a stream that is not there ends with mailbox.interrupted": async ({ mailbox }) => {
      await mailbox.create(1);
      await assert.rejects(mailbox.read(7 as Partition, 1).next(1), isUnavailable("mailbox.interrupted"));
    },

    "M3: a closed reader rejects with mailbox.closed, the next that waits too": async ({ mailbox }) => {
      await mailbox.create(1);
      const reader = mailbox.read(zero, 1);
      const waiting = reader.next(1);
      reader.close();
      await assert.rejects(waiting, isClosed);
      await assert.rejects(reader.next(1), isClosed);
      reader.close();
    },

    "M4: after a lost tail, a number that comes again has another timestamp": async ({ mailbox, loseTail }) => {
      assert.ok(loseTail, "open gives no loseTail: skip this case by its name, with a reason");
      await mailbox.create(1);
      await appendAll(mailbox, zero, ["a", "b", "c"]);
      const before = await readMany(mailbox, zero, 1, 3);
      await loseTail(zero, 2);
      const after = await mailbox.barrier(zero, bytesOf("barrier"));
      const same = before.find((place) => place.sequence === after.sequence);
      assert.ok(same === undefined || same.at !== after.at || same.stream !== after.stream);
      assert.deepEqual(textsOf(await readMany(mailbox, zero, 1, 2)), ["a", "barrier"]);
    },

    "M4: a barrier is a message like others, and comes after those acknowledged before it": async ({ mailbox }) => {
      await mailbox.create(1);
      const message = await mailbox.append(zero, bytesOf("a"));
      const barrier = await mailbox.barrier(zero, bytesOf("barrier"));
      assert.ok(barrier.sequence > message.sequence);
      assert.deepEqual(textsOf(await readMany(mailbox, zero, 1, 2)), ["a", "barrier"]);
    },

    "M4: a full stream refuses messages with mailbox.full, and takes a barrier": async ({ mailbox, fill }) => {
      assert.ok(fill, "open gives no fill: skip this case by its name, with a reason");
      await mailbox.create(1);
      await fill(zero);
      await assert.rejects(mailbox.append(zero, new Uint8Array(1_000)), isUnavailable("mailbox.full"));
      await mailbox.barrier(zero, new Uint8Array(100));
    },

    "M5: next gives at most what it was asked for": async ({ mailbox }) => {
      await mailbox.create(1);
      await appendAll(mailbox, zero, ["a", "b", "c", "d", "e"]);
      const reader = mailbox.read(zero, 1);
      const first = await reader.next(2);
      assert.ok(first.length >= 1 && first.length <= 2);
      const rest = await takeFrom(reader, 5 - first.length, 1);
      assert.deepEqual(textsOf([...first, ...rest]), ["a", "b", "c", "d", "e"]);
      reader.close();
    },
  });
}

/** The next `count` messages from number `from` on. */
async function readMany(
  mailbox: Mailbox,
  partition: Partition,
  from: number,
  count: number,
): Promise<MailboxMessage[]> {
  const reader = mailbox.read(partition, from);
  try {
    return await takeFrom(reader, count);
  } finally {
    reader.close();
  }
}

async function takeFrom(
  reader: ReturnType<Mailbox["read"]>,
  count: number,
  messagesMax: number = count,
): Promise<MailboxMessage[]> {
  const messages: MailboxMessage[] = [];
  while (messages.length < count) {
    messages.push(...(await reader.next(Math.min(messagesMax, count - messages.length))));
  }
  return messages;
}

async function appendAll(mailbox: Mailbox, partition: Partition, texts: readonly string[]): Promise<Acceptance[]> {
  const places: Acceptance[] = [];
  for (const text of texts) places.push(await mailbox.append(partition, bytesOf(text)));
  return places;
}

function assertRising(places: readonly Acceptance[]): void {
  const sequences = places.map((place) => place.sequence);
  const isRising = sequences.every((sequence, index) => index === 0 || sequence > (sequences[index - 1] ?? sequence));
  assert.ok(isRising, `numbers do not rise: ${sequences.join(", ")}`);
}

function textsOf(messages: readonly MailboxMessage[]): (string | undefined)[] {
  return messages.map((message) => textOf(message.bytes));
}

function isUnavailable(code: string): (error: unknown) => boolean {
  return (error) => error instanceof DormouseError && error.kind === "unavailable" && error.code === code;
}

function isClosed(error: unknown): boolean {
  return error instanceof DormouseError && error.kind === "closed" && error.code === "mailbox.closed";
}
