/**
 * The mailbox of an app, a JetStream stream per partition. DESIGN.md section 6.
 *
 * Owns: what an answer of JetStream means for a message. Leaves to others: sending (`publisher.ts`), the streams themselves
 * (`streams.ts`), reading (`reader.ts`); batches and repeats are core's.
 *
 * B1  An acknowledgement has no time, and asking for one would double the cost of every send: `append` gives number and
 *     stream. A barrier is rare: it is read back from the leader, and counts only if it is there byte for byte.
 * B2  `mailbox.full` is said only of a message that JetStream refused; all that is not known is `mailbox.no-ack`.
 * B3  Nats-Msg-Id is not used: it would swallow the repeats that order rests on (FACTS.md 1.5).
 */
import {
  DormouseError,
  type Acceptance,
  type Barrier,
  type Mailbox,
  type MailboxMessage,
  type MailboxReader,
  type Partition,
} from "@dormouse/core/ports";
import {
  apiCodes,
  mailboxClosed,
  mailboxFull,
  mailboxInterrupted,
  mailboxNoAck,
  messageTooLarge,
  readerBusy,
} from "./errors.ts";
import type { Link } from "./link.ts";
import { PublishFailure, type Publisher } from "./publisher.ts";
import { StreamReader, type StreamMessage } from "./reader.ts";
import { Streams, type StreamSettings } from "./streams.ts";
import { sentToOf, timeOfText, type AppNames } from "./subjects.ts";

/** Raises of a full stream's limit for one barrier; each makes room for many. */
const raisesMax = 8;

const roomCodes: ReadonlySet<number | undefined> = new Set<number>([
  apiCodes.storeFailed,
  apiCodes.insufficientResources,
  apiCodes.storageResourcesExceeded,
  apiCodes.accountResourcesExceeded,
  apiCodes.memoryResourcesExceeded,
]);

export class NatsMailbox implements Mailbox {
  readonly #link: Link;
  readonly #publisher: Publisher;
  readonly #names: AppNames;
  readonly #streams: Streams;
  readonly #lastSequences = new Map<number, number>();

  constructor(link: Link, publisher: Publisher, names: AppNames, settings: StreamSettings) {
    this.#link = link;
    this.#publisher = publisher;
    this.#names = names;
    this.#streams = new Streams(link, names, settings);
  }

  create(count: number): Promise<void> {
    return this.#streams.create(count);
  }

  async append(partition: Partition, bytes: Uint8Array): Promise<Acceptance> {
    const sequence = await this.#publish(partition, bytes);
    // Numbers of one stream rise; a lower one comes of a stream that lost its tail, or of another.
    if (sequence <= (this.#lastSequences.get(partition) ?? 0)) this.#streams.forget(partition);
    this.#lastSequences.set(partition, sequence);
    return { sequence, stream: this.#streams.known(partition) ?? (await this.#identity(partition)) };
  }

  async barrier(partition: Partition, bytes: Uint8Array): Promise<Barrier> {
    const sequence = await this.#publishRaising(partition, bytes);
    const [stream, at] = await Promise.all([this.#identity(partition), this.#timeOf(partition, sequence, bytes)]);
    const bytesMax = this.#streams.bytesMax(partition);
    return { sequence, stream, at, ...(bytesMax === undefined ? {} : { bytesMax }) };
  }

  read(partition: Partition, from: number): MailboxReader {
    const name = this.#names.stream(partition);
    const expected = this.#streams.known(partition);
    let stream = "";
    const reader = new StreamReader({
      link: this.#link,
      stream: name,
      from,
      // Asked after the consumer was made: if the stream is the one that the barrier was put in, so is the consumer's.
      check: async () => {
        stream = await this.#streams.identity(partition);
        if (expected !== undefined && stream !== expected) throw mailboxInterrupted(name, "the stream is another");
      },
      interrupted: (why, cause) => mailboxInterrupted(name, why, cause),
      closed: mailboxClosed,
      busy: () => readerBusy(name),
    });
    return {
      next: async (messagesMax) => (await reader.next(messagesMax)).map((one) => messageOf(one, stream)),
      close: () => reader.close(),
    };
  }

  async trim(partition: Partition, below: number): Promise<void> {
    if (below <= 1) return;
    const name = this.#names.stream(partition);
    await this.#link.api(`purge ${name}`, (jetstream) => jetstream.streams.purge(name, { seq: below }));
    await this.#streams.putLimitBack(partition);
  }

  async #publish(partition: Partition, bytes: Uint8Array): Promise<number> {
    const name = this.#names.stream(partition);
    if (bytes.length > this.#link.payloadBytesMax) throw messageTooLarge(bytes.length, this.#link.payloadBytesMax);
    try {
      const { stream, sequence } = await this.#publisher.publish(this.#names.box(partition), bytes);
      if (stream === name) return sequence;
      throw mailboxNoAck(name, `another stream took the message: other=${stream}`);
    } catch (cause) {
      if (!(cause instanceof PublishFailure)) throw cause;
      if (cause.why === "refused" && roomCodes.has(cause.code)) throw mailboxFull(name, cause.message);
      throw mailboxNoAck(name, `${cause.message}${cause.code === undefined ? "" : ` code=${cause.code}`}`);
    }
  }

  async #publishRaising(partition: Partition, bytes: Uint8Array): Promise<number> {
    for (let raises = 0; ; raises += 1) {
      try {
        return await this.#publish(partition, bytes);
      } catch (error) {
        const isFull = error instanceof DormouseError && error.code === "mailbox.full";
        if (!isFull || raises === raisesMax) throw error;
        await this.#streams.makeRoom(partition);
      }
    }
  }

  /** The message is in the stream by now; whoever cannot learn in which one does not know that. */
  async #identity(partition: Partition): Promise<string> {
    try {
      return await this.#streams.identity(partition);
    } catch (cause) {
      throw mailboxNoAck(this.#names.stream(partition), "the stream could not be asked who it is", cause);
    }
  }

  async #timeOf(partition: Partition, sequence: number, bytes: Uint8Array): Promise<number> {
    const name = this.#names.stream(partition);
    try {
      const stored = await this.#link.api(`get message of ${name}`, (jetstream) =>
        jetstream.streams.getMessage(name, { seq: sequence }),
      );
      if (stored !== null && Buffer.compare(stored.data, bytes) === 0) return timeOfText(stored.timestamp);
    } catch (cause) {
      throw mailboxNoAck(name, "the barrier could not be read back", cause);
    }
    throw mailboxNoAck(name, "the barrier is not where it was put");
  }
}

function messageOf({ message, sequence, at }: StreamMessage, stream: string): MailboxMessage {
  const sentTo = sentToOf(message.subject);
  return { sequence, at, stream, bytes: message.data, ...(sentTo === undefined ? {} : { sentTo }) };
}
