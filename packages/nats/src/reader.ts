/**
 * Reads a stream from a number on, in order, by a consumer of its own.
 *
 * Owns: the consumer and the one pull that is out, what has come and was not asked for yet.
 * Leaves to others: what ends it means (`mailbox.ts`, `membership.ts` open a new one).
 * Called by them: `next(messagesMax)`, `close()`. The library's ordered consumer can stall for as long as a server is down
 * (FACTS.md 1.8).
 *
 * R1  Deliveries are numbered without gaps; one that is missing ends the reader, as does anything else it cannot account
 *     for: silence of two seconds, a broken connection, a consumer or stream that is gone, a stream that is another (M3).
 * R2  A pull asks for what `next` was asked for, and at most `pullBytesMax`; no other is made before it is used up (M5).
 * R3  A start beyond the end is taken literally by servers from 2.11 on, and as "what comes next" before; what is numbered
 *     below the start is dropped, so both mean the same (FACTS.md 1.6).
 * R4  A server that died a moment ago may be given a new consumer, which then never answers: who is not answered within a
 *     second asks for another, and has patience only with the last.
 */
import { AckPolicy, DeliverPolicy, ReplayPolicy } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/transport-node";
import { DormouseError } from "@dormouse/core/ports";
import type { Link, Listening, Patience, Stop } from "./link.ts";
import { parseDelivery, type Delivery } from "./subjects.ts";

const pullBytesMax = 4_194_304;
const pullExpiresMs = 30_000;
const heartbeatMs = 500;
/** Ticks of half a second: heartbeats come every half second. */
const quietTicksMax = 4;
/** How long a consumer stays whose reader asks for nothing; one of a dead process goes by this too. */
const inactiveMs = 120_000;
const hastyOpens = 3;
const nanosecondsInMs = 1_000_000;

export interface StreamReaderOptions {
  readonly link: Link;
  readonly stream: string;
  readonly from: number;
  /** Called once the consumer is there; rejects or throws if it is not of the stream that was meant. */
  readonly check: () => Promise<void>;
  readonly interrupted: (why: string, cause?: unknown) => DormouseError;
  readonly closed: () => DormouseError;
  readonly busy: () => DormouseError;
}

export interface StreamMessage extends Delivery {
  readonly message: Msg;
}

export class StreamReader {
  readonly #options: StreamReaderOptions;
  #consumer = "";
  readonly #inbox: string;
  readonly #subscription: Listening;
  readonly #stops: readonly Stop[];
  #buffer: StreamMessage[] = [];
  #waiter: { readonly messagesMax: number; readonly wake: () => void } | undefined;
  #ended: DormouseError | undefined;
  /** The consumer is there. */
  #isMade = false;
  /** … and it is of the stream that was meant. */
  #isOpen = false;
  /** Of the newest pull; its replies that are no messages name it. */
  #pulls = 0;
  /** How many messages it may still bring. */
  #credit = 0;
  /** The last pull met a message that is larger than it may bring. */
  #isLargeNext = false;
  #delivered = 0;
  #quietTicks = 0;

  constructor(options: StreamReaderOptions) {
    const { link } = options;
    this.#options = options;
    this.#inbox = `_INBOX.${link.freshName()}`;
    this.#subscription = link.subscribe(`${this.#inbox}.*`, (message) => this.#take(message));
    this.#stops = [
      link.onDown(() => this.#end(options.interrupted("the connection to NATS broke"))),
      link.onTick(() => this.#tick()),
    ];
    void this.#open();
  }

  /** What is left for the consumer to deliver, as the newest message said, is all in the buffer when it says 0. */
  async next(messagesMax: number): Promise<readonly StreamMessage[]> {
    if (this.#waiter !== undefined) throw this.#options.busy();
    while (this.#ended === undefined && (this.#buffer.length === 0 || !this.#isOpen)) {
      await new Promise<void>((wake) => {
        this.#waiter = { messagesMax, wake };
        this.#pull();
      });
      this.#waiter = undefined;
    }
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#buffer.length > messagesMax) return this.#buffer.splice(0, messagesMax);
    const all = this.#buffer;
    this.#buffer = [];
    return all;
  }

  close(): void {
    this.#end(this.#options.closed());
  }

  async #open(): Promise<void> {
    const { check, interrupted } = this.#options;
    try {
      await this.#makeConsumer();
      if (this.#ended !== undefined) {
        this.#deleteConsumer();
        return;
      }
      this.#isMade = true;
      // On its way meanwhile; nothing of it is handed out before.
      this.#pull();
      await check();
      this.#isOpen = true;
      if (this.#buffer.length > 0) this.#wake();
    } catch (cause) {
      this.#end(interrupted("it could not be opened", cause));
    }
  }

  async #makeConsumer(): Promise<void> {
    for (let opens = 1; opens <= hastyOpens && this.#ended === undefined; opens += 1) {
      try {
        await this.#tryConsumer("hasty");
        return;
      } catch (error) {
        if (!isSilence(error)) throw error;
        this.#deleteConsumer();
      }
    }
    if (this.#ended === undefined) await this.#tryConsumer("patient");
  }

  async #tryConsumer(patience: Patience): Promise<void> {
    const { link, stream, from } = this.#options;
    this.#consumer = `dormouse-${link.freshName()}`;
    await link.api(
      `create consumer on ${stream}`,
      (jetstream) =>
        jetstream.consumers.add(stream, {
          name: this.#consumer,
          deliver_policy: DeliverPolicy.StartSequence,
          opt_start_seq: Math.max(from, 1),
          ack_policy: AckPolicy.None,
          replay_policy: ReplayPolicy.Instant,
          inactive_threshold: inactiveMs * nanosecondsInMs,
          mem_storage: true,
          num_replicas: 1,
        }),
      patience,
    );
  }

  #pull(): void {
    const { link, stream } = this.#options;
    if (!this.#isMade || this.#ended !== undefined || this.#waiter === undefined) return;
    if (this.#credit > 0 || this.#buffer.length > 0) return;
    this.#credit = this.#isLargeNext ? 1 : this.#waiter.messagesMax;
    this.#quietTicks = 0;
    this.#pulls += 1;
    const request = {
      batch: this.#credit,
      ...(this.#isLargeNext ? {} : { max_bytes: Math.max(pullBytesMax, 2 * link.payloadBytesMax) }),
      expires: pullExpiresMs * nanosecondsInMs,
      idle_heartbeat: heartbeatMs * nanosecondsInMs,
    };
    link.connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${this.#consumer}`, JSON.stringify(request), {
      reply: `${this.#inbox}.${this.#pulls}`,
    });
  }

  #take(message: Msg): void {
    if (this.#ended !== undefined) return;
    this.#quietTicks = 0;
    const delivery = parseDelivery(message.reply ?? "");
    if (delivery === undefined) {
      this.#takeStatus(message);
      return;
    }
    this.#delivered += 1;
    if (delivery.delivered !== this.#delivered) {
      this.#end(this.#options.interrupted("a delivery was lost"));
      return;
    }
    this.#credit -= 1;
    this.#isLargeNext = false;
    if (delivery.sequence >= this.#options.from) this.#buffer.push({ ...delivery, message });
    if (this.#buffer.length > 0) this.#wake();
    else this.#pull();
  }

  #takeStatus(message: Msg): void {
    const { code = 0, description = "" } = message.headers ?? {};
    if (code === 100) return;
    const isLarge = code === 409 && /message size exceeds maxbytes/i.test(description);
    const isDone = code === 409 && /batch completed/i.test(description);
    if (code === 408 || code === 404 || isLarge || isDone) {
      // The end of a pull that had brought all it could comes after the next one was made.
      if (message.subject !== `${this.#inbox}.${this.#pulls}`) return;
      this.#credit = 0;
      this.#isLargeNext = isLarge;
      this.#pull();
      return;
    }
    // 409: deleted, its leader moved, the server stops; 503: nobody is there. Whatever else comes, it is not a message.
    this.#end(this.#options.interrupted(`its consumer ended: status=${code}`));
  }

  #tick(): void {
    if (this.#credit <= 0) return;
    this.#quietTicks += 1;
    if (this.#quietTicks > quietTicksMax) this.#end(this.#options.interrupted("the server fell silent"));
  }

  #wake(): void {
    if (this.#isOpen) this.#waiter?.wake();
  }

  #end(why: DormouseError): void {
    if (this.#ended !== undefined) return;
    this.#ended = why;
    this.#buffer = [];
    for (const stop of this.#stops) stop();
    if (!this.#options.link.isClosed) this.#subscription.unsubscribe();
    this.#deleteConsumer();
    this.#waiter?.wake();
  }

  /** A kindness to the server: it forgets an idle consumer by itself. */
  #deleteConsumer(): void {
    const { link, stream } = this.#options;
    if (!link.isUp) return;
    link.jetstream.consumers.delete(stream, this.#consumer).catch(() => undefined);
  }
}

function isSilence(error: unknown): boolean {
  return error instanceof DormouseError && error.code === "nats.no-answer";
}
