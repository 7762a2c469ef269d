/**
 * A mailbox from a position on, and how far it is consumed.
 *
 * Owns: the reader behind a barrier, remade after every interruption; the messages that are read and not yet decided.
 * Leaves to others: what a message says (`intake.ts`), what makes a position durable (`commit.ts`).
 * Called by intake: `read`, `decided`, `position`.
 *
 * R1  A message is consumed when each of its envelopes is decided; the position never speaks of one that is not (D4).
 * R2  Every reader begins behind a fresh barrier, at the anchor or the lowest gap: a stream that lost its tail and
 *     issued the same numbers again shows by its anchor (DESIGN.md section 6). Both are on their way at once, since each
 *     takes its time; nothing is asked of the reader before the barrier is there. Up to the barrier there is something to
 *     read: of a stream that lost its tail once it had taken the barrier, a reader that began beyond its end then would hear
 *     nothing, and pass over what is put in anew. One that hears nothing for long is made anew (D4).
 * R3  A raw publish has no number but its place: what was consumed of the stream before it went backwards is kept until
 *     it is read again up to the barrier, so that it is not taken twice (D4).
 * R4  No more is read while the open record is full or too much is undecided: back-pressure instead of memory.
 */
import type { Partition } from "../agent/address.ts";
import { DormouseError } from "../agent/errors.ts";
import { creditEntriesMax, mailboxBytesIdleMax, mailboxMessageBytes, mailboxShareMax } from "../agent/limits.ts";
import { encodeBatch } from "../format/message.ts";
import { type Consumed, isConsumed, type Position } from "../format/partition.ts";
import type { Barrier, Mailbox, MailboxMessage, MailboxReader, Place } from "../ports/index.ts";
import { toHex } from "../step/context.ts";
import { insist, isPassing, type World } from "./insist.ts";

export interface ReaderOptions {
  readonly world: World;
  readonly mailbox: Mailbox;
  readonly partition: Partition;
  /** Whether the open record is full. */
  readonly isFull: () => boolean;
  /** Resolves when it has room. */
  readonly room: () => Promise<void>;
  /** A message to take apart; the taker calls `expect` at once, and `decided` once for each part. */
  readonly take: (message: MailboxMessage) => void;
  /** Whether a raw publish was decided, and the position may not tell so. */
  readonly isDecided: (raw: MailboxMessage) => boolean;
  /** The stream went backwards or is another: what only passed memory may come again. */
  readonly regressed: (why: string) => void;
  /** All that was in the mailbox when the reader was made has been handed out. */
  readonly caughtUp: () => void;
  /** More is there than may be read now. */
  readonly waits: () => void;
}

/** A reader and the barrier before it (R2). */
export interface Opening {
  readonly from: number;
  readonly reader: MailboxReader;
  /** `undefined` when no answer came: another is needed. */
  readonly barrier: Promise<Barrier | undefined>;
}

/** Whoever is about to own a partition may begin so, once nobody else consumes any of it. */
export function openReader(world: World, mailbox: Mailbox, partition: Partition, position: From): Opening {
  const from = fromOf(position);
  const barrier = mailbox.barrier(partition, newBarrier(world)).catch(() => undefined);
  return { from, reader: mailbox.read(partition, from), barrier };
}

type From = Pick<Position, "anchor" | "upTo">;

/** The anchor or the lowest gap. */
function fromOf({ anchor, upTo }: From): number {
  return Math.min(anchor?.sequence ?? Infinity, upTo + 1);
}

/** A message that was handed out, until each of its parts is decided. */
export interface Ticket {
  readonly sequence: number;
  readonly at: number;
  /** Of the stream when it was handed out. */
  readonly epoch: number;
  left: number;
}

export class Reader {
  readonly #options: ReaderOptions;
  #stream: string;
  #epoch: number;
  #upTo: number;
  #anchor: Position["anchor"];
  /** Of the stream as it was, newest first (R3). */
  #before: readonly Consumed[];
  /** Consumed when this reader began, above `upTo`. */
  #start: Position;
  /** Handed out, in order, from the first that is undecided on. */
  #window: Ticket[] = [];
  /** Parts of messages that were handed out. */
  #undecided = 0;
  /** Of messages handed out since the last settle, as the mailbox keeps them; of these, those without parts. */
  #bytesTaken = 0;
  #bytesPassed = 0;
  /** What the mailbox holds at most; `undefined`: nobody says. */
  #bytesMax: number | undefined;
  #waiter: (() => void) | undefined;
  #opening: Opening | undefined;
  #reader: MailboxReader | undefined;
  #isStopped = false;

  /** @param opening - Of a reader from this position. */
  constructor(options: ReaderOptions, position: Position, opening: Opening) {
    this.#options = options;
    this.#opening = opening;
    this.#reader = opening.reader;
    this.#stream = position.stream;
    this.#epoch = position.epoch;
    this.#upTo = position.upTo;
    this.#anchor = position.anchor;
    this.#before = position.before ?? [];
    this.#start = position;
  }

  /**
   * Whether so much of the mailbox was read since the last settle that it is to be trimmed: of messages without parts, of
   * all where none made an entry, or of all that it holds at most.
   */
  isGrown(hasEntries: boolean): boolean {
    const isFilling = this.#bytesTaken >= (this.#bytesMax ?? Infinity) * mailboxShareMax;
    return isFilling || (hasEntries ? this.#bytesPassed : this.#bytesTaken) >= mailboxBytesIdleMax;
  }

  settledUpToNow(): void {
    this.#bytesTaken = 0;
    this.#bytesPassed = 0;
  }

  /** Reads until the host ends or `stop` is called. */
  async read(): Promise<void> {
    const { world } = this.#options;
    while (!world.signal.aborted && !this.#isStopped) {
      try {
        await this.#readBehindBarrier();
        return;
      } catch (error) {
        if (error instanceof DormouseError && error.kind === "closed") return;
        if (!isPassing(error)) throw error;
      }
    }
  }

  /** For good, also while it has no reader and waits for its barrier. */
  stop(): void {
    this.#isStopped = true;
    this.#reader?.close();
    this.#wake();
  }

  /** A message will be decided in `count` parts. */
  expect(message: MailboxMessage, count: number): Ticket {
    const ticket = { sequence: message.sequence, at: message.at, epoch: this.#epoch, left: count };
    this.#window.push(ticket);
    const bytes = message.bytes.length + mailboxMessageBytes;
    this.#bytesTaken += bytes;
    if (count === 0) this.#bytesPassed += bytes;
    this.#undecided += count;
    if (count === 0) this.#consumed(ticket);
    return ticket;
  }

  /** One part of a message is decided: its entry is in the open record, or it needs none. */
  decided(ticket: Ticket): void {
    ticket.left -= 1;
    // One of a stream that went backwards since stands for nothing any more.
    if (ticket.epoch !== this.#epoch) return;
    this.#undecided -= 1;
    if (ticket.left === 0) this.#consumed(ticket);
    if (this.#undecided < creditEntriesMax) this.#wake();
  }

  position(): Position {
    const above: [number, number][] = [];
    for (const [first, last] of this.#start.above) if (last > this.#upTo) above.push([first, last]);
    for (const { sequence, left } of this.#window) {
      if (left > 0) continue;
      const range = above.at(-1);
      if (range !== undefined && range[1] === sequence - 1) range[1] = sequence;
      else above.push([sequence, sequence]);
    }
    const before = this.#before.length === 0 ? {} : { before: this.#before };
    return { stream: this.#stream, epoch: this.#epoch, upTo: this.#upTo, above, anchor: this.#anchor, ...before };
  }

  #consumed(ticket: Ticket): void {
    if (this.#anchor === undefined || ticket.sequence > this.#anchor.sequence) {
      this.#anchor = { sequence: ticket.sequence, at: ticket.at };
    }
    let dense = 0;
    while (this.#window[dense]?.left === 0) dense += 1;
    const last = this.#window[dense - 1];
    if (last !== undefined) {
      this.#upTo = Math.max(this.#upTo, last.sequence);
      this.#window = this.#window.slice(dense);
    }
  }

  #hasCredit(): boolean {
    return this.#undecided < creditEntriesMax && !this.#options.isFull();
  }

  /** Resolves when there is credit for another message (R4), or nothing more is to be read. */
  async #credit(): Promise<void> {
    this.#options.waits();
    while (this.#undecided >= creditEntriesMax && !this.#isStopped) {
      await new Promise<void>((resolve) => (this.#waiter = resolve));
    }
    if (this.#options.isFull()) await this.#options.room();
  }

  #wake(): void {
    this.#waiter?.();
    this.#waiter = undefined;
  }

  async #readBehindBarrier(): Promise<void> {
    const { world, mailbox, partition } = this.#options;
    const opening = this.#opening ?? openReader(world, mailbox, partition, this.#place());
    this.#opening = undefined;
    this.#reader = opening.reader;
    const barrier = (await opening.barrier) ?? (await this.#barrierAgain());
    const isOther = this.#stream !== "" && barrier.stream !== this.#stream;
    const newest = Math.max(this.#anchor?.sequence ?? 0, this.#window.at(-1)?.sequence ?? 0);
    if (isOther) this.#regress(barrier, "the stream is another");
    else if (barrier.sequence <= newest) this.#regress(barrier, "the stream issues numbers again");
    this.#stream = barrier.stream;
    this.#bytesMax = barrier.bytesMax;
    if (this.#isStopped) return;
    const from = fromOf(this.#place());
    // It went backwards: this one would pass over what was put in anew.
    if (from < opening.from) {
      opening.reader.close();
      this.#reader = mailbox.read(partition, from);
    }
    await this.#readOn(this.#reader, barrier);
  }

  #place(): From {
    return { anchor: this.#anchor, upTo: this.#upTo };
  }

  #barrierAgain(): Promise<Barrier> {
    const { world, mailbox, partition } = this.#options;
    const bytes = newBarrier(world);
    return insist(world, async () => {
      // It may be the stream itself that is gone.
      await mailbox.create(partition + 1);
      return mailbox.barrier(partition, bytes);
    });
  }

  async #readOn(reader: MailboxReader, barrier: Place): Promise<void> {
    const { take, caughtUp } = this.#options;
    let isAnchorSeen = this.#anchor === undefined;
    let isBehind = true;
    // What comes from a gap before the anchor waits until the anchor is seen where it was: taken out of a stream that
    // went backwards, its floors would close numbers that stand below the gap and were never read (D4).
    const held: MailboxMessage[] = [];
    try {
      for (;;) {
        if (!this.#hasCredit()) await this.#credit();
        for (const message of await (isBehind ? this.#nextInTime(reader) : reader.next(creditEntriesMax))) {
          held.push(message);
          if (!isAnchorSeen && message.sequence < (this.#anchor?.sequence ?? 0)) continue;
          if (!isAnchorSeen) this.#checkAnchor(message, barrier);
          isAnchorSeen = true;
          for (const one of held.splice(0)) {
            // Before each, since one holds up to hundreds of envelopes; and only then, since a wait takes time.
            if (!this.#hasCredit()) await this.#credit();
            if (this.#isStopped) return;
            const isBarrier = one.sequence === barrier.sequence;
            // Its number alone does not tell it: a tail that was lost since has its numbers issued again.
            if (isBarrier && one.at !== barrier.at) this.#readAnew(barrier, "the barrier is not what it was");
            if (!this.#isKnown(one, barrier)) {
              if (isBarrier || this.#isRepeat(one)) this.expect(one, 0);
              else take(one);
            }
            if (isBehind && one.sequence >= barrier.sequence) {
              isBehind = false;
              this.#before = [];
              caughtUp();
            }
          }
        }
      }
    } finally {
      reader.close();
    }
  }

  /** What comes next of what is there for sure (R2). */
  async #nextInTime(reader: MailboxReader): Promise<readonly MailboxMessage[]> {
    const silence = Promise.withResolvers<never>();
    const cancel = this.#options.world.clock.schedule(barrierMsMax, () => {
      const problem = "the reader heard nothing, though a barrier is to come; making it anew";
      silence.reject(new DormouseError("unavailable", "mailbox.interrupted", problem));
    });
    try {
      return await Promise.race([reader.next(creditEntriesMax), silence.promise]);
    } finally {
      cancel();
    }
  }

  #checkAnchor({ sequence, at }: MailboxMessage, barrier: Place): void {
    if (sequence === this.#anchor?.sequence && at === this.#anchor.at) return;
    this.#readAnew(barrier, "the newest consumed message is not what it was");
  }

  #readAnew(barrier: Place, why: string): never {
    this.#regress(barrier, why);
    throw new DormouseError("unavailable", "mailbox.interrupted", "the stream went backwards; reading it anew");
  }

  /** Consumed before, or handed out and still being decided. */
  #isKnown({ sequence, at }: MailboxMessage, barrier: Place): boolean {
    if (sequence <= this.#upTo || isConsumed(this.#start, sequence)) return true;
    const last = this.#window.at(-1);
    if (last === undefined || sequence > last.sequence) return false;
    const open = this.#window.find((ticket) => ticket.sequence === sequence);
    if (open !== undefined && open.at !== at) {
      this.#readAnew(barrier, "a message that is being decided is not what it was");
    }
    return open !== undefined;
  }

  /** A raw publish that was taken before the stream went backwards, or whose step a takeover found (R3). */
  #isRepeat(message: MailboxMessage): boolean {
    if (message.sentTo === undefined) return false;
    const wasConsumed = this.#before.some((one) => message.at <= one.at && isConsumed(one, message.sequence));
    return wasConsumed || this.#options.isDecided(message);
  }

  /** Reads from the first message on; what was taken before is told by the numbers of its senders. */
  #regress(barrier: Place, why: string): void {
    const { upTo, above } = this.position();
    // With nothing consumed since the last time, nothing is to be added.
    if (this.#anchor !== undefined) {
      this.#before = [{ upTo, above, at: this.#anchor.at }, ...this.#before].slice(0, beforeMax);
    }
    this.#epoch += 1;
    this.#stream = barrier.stream;
    this.#upTo = 0;
    this.#anchor = undefined;
    this.#start = { stream: barrier.stream, epoch: this.#epoch, upTo: 0, above: [], anchor: undefined };
    this.#window = [];
    this.#undecided = 0;
    this.#options.regressed(`${why}: partition=${this.#options.partition}`);
  }
}

/** How long nothing may come of what is there, in milliseconds: several times what a cluster that lost a server takes. */
const barrierMsMax = 30_000;
/** How often in a row a stream may go backwards before it is read again: beyond, the oldest is forgotten. */
const beforeMax = 16;

/** A message that says nothing but where the stream's end is. */
export function newBarrier({ entropy, formats }: Pick<World, "entropy" | "formats">): Uint8Array {
  const source = { kind: "barrier", id: toHex(entropy.bytes(16)) } as const;
  return encodeBatch({ source, envelopes: [] }, formats.writes);
}
