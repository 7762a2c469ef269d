/** Every bound of the runtime, with its unit in its name, and the relations between them. DESIGN.md section 16. */
import { assert } from "./assert.ts";

/** A key, in bytes of UTF-8. */
export const keyBytesMax: number = 256;
/** One envelope on the wire: what a NATS server takes by default, less what stands around it. */
export const eventBytesMax: number = 1_032_192;
/** How many values a message may hold again and again, by objects that stand in it in several places. */
export const valuesSharedMax: number = 1_000_000;
/** One value of an agent: an event, an effect's result, a reply. */
export const valueBytesMax: number = 33_554_432;
/** An agent's whole state. */
export const stateBytesMax: number = 67_108_864;
/** What one step sends, replies and emits, together. */
export const waysOutBytesMax: number = 33_554_432;
/** What a stored object may hold when it is decompressed: a state, a piece of steps, a record. */
export const storedBytesMax: number = 268_435_456;
/** One journal record; it holds at least one entry, however large. */
export const recordBytesMax: number = 8_388_608;
export const recordEntriesMax: number = 4_000;
/** A record that goes into a bundle with others; a larger one is worth a read of its own. */
export const bundledRecordBytesMax: number = 65_536;
/** Envelopes of one mailbox message. */
export const batchEnvelopesMax: number = 512;
export const batchBytesMax: number = 262_144;
/** What the open record may hold before the mailbox is given no more credit. */
export const creditEntriesMax: number = 1_000;
export const creditBytesMax: number = 1_048_576;
/** What a partition may have read of its mailbox that made no entry before it settles, to trim: a quarter of the smallest one. */
export const mailboxBytesIdleMax: number = 1_048_576;
/** The share of what a mailbox may hold that its partition may have read before it settles, to trim. */
export const mailboxShareMax: number = 0.25;
/** What a stream keeps around each message, about. */
export const mailboxMessageBytes: number = 64;
/** Microsteps of one step: `raise` and `always` loops end here. */
export const stepIterationsMax: number = 1_000;
/** What one step may ask for. */
export const waysOutMax: number = 10_000;
/** Partitions of an app. */
export const partitionsMax: number = 4_096;
/** Events that an agent keeps for durable functions that have not asked for them. */
export const keptEventsMax: number = 1_000;
/** Waits of functions that are over, of which an agent still knows that they were answered: the newest. */
export const answeredMax: number = 16;
/** Checkpoints of a durable function since it began or was restarted. */
export const checkpointsMax: number = 10_000;
/** Calls of a durable function that are open at once. */
export const openCallsMax: number = 1_000;
/** Nesting of a value. Deeper ones overflow the stack of some codec. */
export const valueDepthMax: number = 256;
/** Idempotency keys that one agent remembers, and how long. */
export const idempotencyKeysMax: number = 1_000;
export const idempotencyKeyMsMax: number = 86_400_000;
export const idempotencyKeyMsMin: number = 600_000;
/** How long a partition keeps an answer for an asker who asks again, and how many bytes of them. */
export const answerMsMax: number = 60_000;
export const answersBytesMax: number = 8_388_608;
/** A head that holds its base itself holds at most this. */
export const headBytesMax: number = 16_384;
/** Steps in a head whose base is an object of its own: beyond, they become a piece. */
export const headStepsBytesMax: number = 2_048;
/** A base up to this size stays in its head. */
export const baseBytesInlineMax: number = 8_192;
/** A piece of steps before it is compressed; one that takes more is a piece alone. */
export const pieceBytesMax: number = 33_554_432;
/** A run's steps before they are compressed: so much is read, with its base, to take up an agent. */
export const runBytesMax: number = 67_108_864;
/** So many pieces of like size become one. */
export const piecesMergedCount: number = 8;

/** A wake-up due within this time is near, and kept in memory; others lie in buckets of so long each. */
export const nearMs: number = 600_000;

/** Steps of history that one read tells, and about how many bytes of them; one step at least, however large. */
export const historyStepsMax: number = 200;
export const historyBytesMax: number = 8_388_608;

/** Stints that a partition remembers for certain; older ones go once they were silent for so long. */
export const stintsMax: number = 1_000;
export const stintSilenceMsMax: number = 3_600_000;

assert(batchBytesMax <= eventBytesMax, "an envelope that fits the wire must be able to go alone");
assert(eventBytesMax <= recordBytesMax, "a step of one event must fit a record");
// The cause, the change and what is let out; what must be in one record with it is a start before it.
assert(
  2 * stateBytesMax + valueBytesMax + waysOutBytesMax < storedBytesMax,
  "a record of one step must be readable, however large the step",
);
assert(creditEntriesMax <= recordEntriesMax, "credit must not outgrow a record");
