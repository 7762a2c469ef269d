/**
 * One durable, ordered inbox per partition. It knows bytes, not what they mean.
 *
 * Drivers: memory, local (LMDB), nats. `@dormouse/testing` holds the suite that each passes.
 *
 * M1  `append` resolves when the message is accepted: the stream's numbers rise with every message it accepts.
 * M2  A reader hands out what the stream holds from its start on, in order, each message once; numbers may have gaps.
 * M3  What a reader cannot promise any more (its connection was cut, the stream is another) ends it with
 *     `mailbox.interrupted`; it never skips in silence.
 * M4  A stream may lose its accepted tail and issue the same numbers again. The driver does not hide it: whoever reads
 *     publishes a barrier and compares the anchor's number and timestamp (DESIGN.md section 6).
 * M5  A reader takes from the stream only what `next` asked for, and what one fetch brought with it: back-pressure.
 */
import type { Partition } from "../agent/address.ts";

/** Where a stream put a message that it accepted. When it did, it tells only those who read (and who ask: `barrier`). */
export interface Acceptance {
  readonly sequence: number;
  /** Which stream: another name when it was made anew. */
  readonly stream: string;
}

/** The place of one message, as its stream gave it. */
export interface Place extends Acceptance {
  /** The stream's own time of it, in milliseconds since 1970; may have a fraction. */
  readonly at: number;
}

/** Where a barrier was put. */
export interface Barrier extends Place {
  /** What its stream holds at most, in bytes; missing where nothing but the disk limits it. */
  readonly bytesMax?: number;
}

export interface MailboxMessage extends Place {
  readonly bytes: Uint8Array;
  /**
   * Of a raw publish, one by a client without our code: the agent that its subject names, type and key as they stand
   * there. Its bytes are an event as JSON, and no batch of ours.
   */
  readonly sentTo?: SentTo;
}

/** The tokens of a subject that name an agent, as a stranger wrote them. */
export interface SentTo {
  readonly type: string;
  readonly key: string;
}

export interface MailboxReader {
  /**
   * The next messages: at least one, at most `messagesMax`; waits while there are none.
   *
   * @throws DormouseError `unavailable` (`mailbox.interrupted`): open a new one behind a new barrier (M3);
   * `closed` (`mailbox.closed`): `close` was called.
   */
  next(messagesMax: number): Promise<readonly MailboxMessage[]>;
  close(): void;
}

export interface Mailbox {
  /** Makes the streams of partitions 0 to `count` - 1 that are not there. */
  create(count: number): Promise<void>;
  /**
   * Resolves when the stream holds the message (M1).
   *
   * @throws DormouseError `unavailable` (`mailbox.no-ack`): no answer, it may be there or come later; repeat with the
   * same identity; (`mailbox.full`): refused for lack of room, it is not there; `invalid` (`event.too-large`): larger
   * than the driver can carry.
   */
  append(partition: Partition, bytes: Uint8Array): Promise<Acceptance>;
  /** Like `append`, but always finds room (a full stream could otherwise never be drained), and tells time and limit too. */
  barrier(partition: Partition, bytes: Uint8Array): Promise<Barrier>;
  /** Reads from the first message whose number is `from` or above. */
  read(partition: Partition, from: number): MailboxReader;
  /** Drops every message numbered below `below`. Unconditional: the caller knows that it is safe. */
  trim(partition: Partition, below: number): Promise<void>;
}
