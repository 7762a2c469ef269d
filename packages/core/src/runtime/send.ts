/**
 * Numbered envelopes of one source to one partition, from accepted by us to accepted by its mailbox.
 *
 * Owns: what is not yet acknowledged, in order of number; the batches in flight.
 * Leaves to others: what the source is and keeps (a client's stint, a partition's outbox).
 * Called by client and outbox: `push`. Calls `Mailbox.append`.
 *
 * S1  Envelopes of one tick go as one mailbox message, bounded in number and bytes.
 * S2  Sends resolve in order. After one that failed, or whose place is not above that of the one before, what is in
 *     flight is awaited and everything from there on is published again: receivers take numbers in order and skip an
 *     early one, so nothing is lost and nothing is taken twice (DESIGN.md section 4). So it is with an acknowledgement that
 *     comes after that of a later message: it tells of the stream as it was, and its tail may have been lost since.
 * S3  One that is given up and is the lowest raises the floor of every later message, so that receivers do not wait for
 *     it for ever; another one still goes out.
 */
import type { Partition } from "../agent/address.ts";
import { assert } from "../agent/assert.ts";
import { DormouseError } from "../agent/errors.ts";
import { batchBytesMax, batchEnvelopesMax } from "../agent/limits.ts";
import type { Writing } from "../format/codec/formats.ts";
import { encodeBatch, type Envelope, envelopeBytes, type Source } from "../format/message.ts";
import type { Clock, Entropy, Mailbox, Acceptance } from "../ports/index.ts";
import { pause } from "./insist.ts";

export interface PublisherOptions {
  readonly mailbox: Pick<Mailbox, "append">;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly signal: AbortSignal;
  /** What the receiving hosts read. */
  readonly formats: Writing;
  readonly partition: Partition;
  /** The source as the next message names it; `lowest` is the lowest number that this publisher still holds. */
  readonly source: (lowest: number) => Source;
  /** Batches in flight at once. Default 16. */
  readonly window?: number;
}

interface Pending {
  readonly envelope: Envelope;
  readonly bytes: number;
  /** Called once: with its place, or with why it was given up. */
  done: (result: Acceptance | DormouseError) => void;
}

interface Flight {
  readonly pending: readonly Pending[];
  result: Acceptance | DormouseError | undefined;
}

/** What one that was given up tells. */
const nobodyWaits = (): void => undefined;
const pauseMsMin = 20;
const pauseMsMax = 1_000;

export class Publisher {
  readonly #options: PublisherOptions;
  /** Not acknowledged, by rising number; the first `#sent` of them are in flight. */
  #pending: Pending[] = [];
  #sent = 0;
  #flights: Flight[] = [];
  #lastPlace = 0;
  #failures = 0;
  #isRewinding = false;
  #isScheduled = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** How many envelopes wait for their acknowledgement. */
  get size(): number {
    return this.#pending.length;
  }

  /** Publishes the envelope; its number is above all pushed before. */
  push(envelope: Envelope, done: (result: Acceptance | DormouseError) => void): void {
    const last = this.#pending.at(-1);
    assert(last === undefined || last.envelope.n < envelope.n, "numbers of a source rise");
    this.#pending.push({ envelope, bytes: envelopeBytes(envelope, batchBytesMax), done });
    this.#schedule();
  }

  /**
   * Ends the wait for one: it may have been taken, or may still be. It stays while a lower number is open: without it,
   * those above it would come early to a receiver that still waits for it under the lower floor, and be skipped though
   * they were acknowledged (D4).
   */
  giveUp(n: number, why: DormouseError): void {
    const index = this.#pending.findIndex((pending) => pending.envelope.n === n);
    const pending = this.#pending[index];
    if (pending === undefined) return;
    pending.done(why);
    pending.done = nobodyWaits;
    if (index === 0) this.#dropGivenUp();
  }

  /** Those that were given up and stayed for the sake of the lowest go with it: else they would hold up those above. */
  #dropGivenUp(): void {
    while (this.#pending[0]?.done === nobodyWaits) {
      this.#pending.shift();
      if (this.#sent > 0) this.#sent -= 1;
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isRewinding) return;
    this.#isScheduled = true;
    this.#options.clock.turn(() => {
      this.#isScheduled = false;
      this.#publish();
    });
  }

  #publish(): void {
    while (
      !this.#isRewinding &&
      this.#sent < this.#pending.length &&
      this.#flights.length < (this.#options.window ?? 16)
    ) {
      const batch = this.#takeBatch();
      this.#sent += batch.length;
      const flight: Flight = { pending: batch, result: undefined };
      this.#flights.push(flight);
      void this.#append(flight);
    }
  }

  #takeBatch(): Pending[] {
    const batch: Pending[] = [];
    let bytes = 0;
    for (const pending of this.#pending.slice(this.#sent, this.#sent + batchEnvelopesMax)) {
      if (batch.length > 0 && bytes + pending.bytes > batchBytesMax) break;
      batch.push(pending);
      bytes += pending.bytes;
    }
    return batch;
  }

  async #append(flight: Flight): Promise<void> {
    const { mailbox, partition, source, formats } = this.#options;
    const lowest = this.#pending[0]?.envelope.n ?? flight.pending[0]?.envelope.n ?? 1;
    try {
      const batch = { source: source(lowest), envelopes: flight.pending.map(({ envelope }) => envelope) };
      const result = await mailbox.append(partition, encodeBatch(batch, formats.writes));
      flight.result = this.#isOvertaken(flight) ? overtaken(partition) : result;
    } catch (error) {
      flight.result =
        error instanceof DormouseError ? error : new DormouseError("internal", "send.failed", String(error));
    }
    await this.#landed();
  }

  /** Whether one that was published after it was acknowledged before it. */
  #isOvertaken(flight: Flight): boolean {
    const later = this.#flights.slice(this.#flights.indexOf(flight) + 1);
    return later.some(({ result }) => result !== undefined && !(result instanceof DormouseError));
  }

  /** Takes finished flights off the front, in order; begins anew from the first that is not as it should be. */
  async #landed(): Promise<void> {
    while (!this.#isRewinding) {
      const flight = this.#flights[0];
      if (flight?.result === undefined) break;
      if (flight.result instanceof DormouseError || flight.result.sequence <= this.#lastPlace) {
        this.#isRewinding = true;
        this.#failures += 1;
        break;
      }
      this.#lastPlace = flight.result.sequence;
      this.#failures = 0;
      this.#flights.shift();
      for (const pending of flight.pending) this.#resolve(pending, flight.result);
    }
    if (this.#isRewinding) await this.#rewind();
    else this.#schedule();
  }

  #resolve(pending: Pending, place: Acceptance): void {
    // Nearly always the first: sends are resolved in order.
    const index = this.#pending[0] === pending ? 0 : this.#pending.indexOf(pending);
    if (index < 0) return;
    if (index === 0) this.#pending.shift();
    else this.#pending.splice(index, 1);
    this.#sent -= 1;
    pending.done(place);
  }

  async #rewind(): Promise<void> {
    if (this.#flights.some((flight) => flight.result === undefined)) return;
    const { entropy } = this.#options;
    this.#flights = [];
    this.#sent = 0;
    this.#lastPlace = 0;
    const ceilingMs = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(this.#failures, 12));
    await pause(this.#options, Math.ceil((ceilingMs * ((entropy.bytes(1)[0] ?? 0) + 1)) / 256));
    this.#isRewinding = false;
    if (!this.#options.signal.aborted) this.#schedule();
  }
}

function overtaken(partition: Partition): DormouseError {
  const text = `a message was acknowledged after one that followed it; it is published again: partition=${partition}`;
  return new DormouseError("unavailable", "mailbox.no-ack", text);
}
