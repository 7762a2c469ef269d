/**
 * One client's numbered run of sends to one partition.
 *
 * Owns: the stint's place, its next number, its publisher.
 * Called by connection: `push`.
 *
 * C1  The stint is opened in the partition before anything is sent under it: by its place a partition tells an unknown
 *     stint that is new from one that it has forgotten (DESIGN.md section 4).
 */
import {
  DormouseError,
  encodeBatch,
  insist,
  type Partition,
  Publisher,
  type Unnumbered,
  type Writing,
} from "@dormouse/core/protocol";
import type { Clock, Entropy, Mailbox, Acceptance } from "@dormouse/core/ports";

export interface StintOptions {
  readonly id: string;
  readonly partition: Partition;
  readonly mailbox: Pick<Mailbox, "append">;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly signal: AbortSignal;
  readonly formats: Writing;
}

/** Told once: where the mailbox holds it, or why it was given up. */
export type Accepted = (result: Acceptance | DormouseError) => void;

interface Waiting {
  readonly envelope: Unnumbered;
  readonly done: Accepted;
  n: number | undefined;
}

/** Told when its caller has gone; nobody hears of it. */
const givenUp = new DormouseError("closed", "call.aborted", "the caller has gone");

export class Stint {
  readonly #options: StintOptions;
  #refusal: DormouseError | undefined;
  #publisher: Publisher | undefined;
  /** Until it is opened, in the order of the calls. */
  readonly #waiting = new Set<Waiting>();
  #isOpening = false;
  #next = 1;
  #outstanding = 0;
  #usedAt: number;

  constructor(options: StintOptions) {
    const append: Mailbox["append"] = (partition, bytes) => this.#append(options.mailbox, partition, bytes);
    this.#options = { ...options, mailbox: { append } };
    this.#usedAt = options.clock.monotonic();
  }

  /** Whether it was silent for so long that the partition may have forgotten it. */
  isStale(silenceMs: number): boolean {
    return this.#outstanding === 0 && this.#options.clock.monotonic() - this.#usedAt >= silenceMs;
  }

  /** Why the mailbox did not accept the last message; `undefined` if it did, or was not asked yet. */
  get refusal(): DormouseError | undefined {
    return this.#refusal;
  }

  async #append(mailbox: Pick<Mailbox, "append">, partition: Partition, bytes: Uint8Array): Promise<Acceptance> {
    try {
      const place = await mailbox.append(partition, bytes);
      this.#refusal = undefined;
      return place;
    } catch (error) {
      if (error instanceof DormouseError) this.#refusal = error;
      throw error;
    }
  }

  /** Sends the envelope until its mailbox holds it; returns how to give it up: it may be there then, or not. */
  push(envelope: Unnumbered, done: Accepted): () => void {
    this.#outstanding += 1;
    const waiting: Waiting = { envelope, done, n: undefined };
    if (this.#publisher === undefined) this.#open(waiting);
    else this.#publish(this.#publisher, waiting);
    return () => {
      if (waiting.n !== undefined) this.#publisher?.giveUp(waiting.n, givenUp);
      else if (this.#waiting.delete(waiting)) this.#end(waiting, givenUp);
    };
  }

  #publish(publisher: Publisher, waiting: Waiting): void {
    waiting.n = this.#next;
    this.#next += 1;
    publisher.push({ ...waiting.envelope, n: waiting.n }, (result) => this.#end(waiting, result));
  }

  #end(waiting: Waiting, result: Acceptance | DormouseError): void {
    this.#outstanding -= 1;
    this.#usedAt = this.#options.clock.monotonic();
    waiting.done(result);
  }

  #open(waiting: Waiting): void {
    this.#waiting.add(waiting);
    if (this.#isOpening) return;
    this.#isOpening = true;
    const { id, partition, mailbox, formats } = this.#options;
    const source = { kind: "stint", id, place: 0, floor: 1 } as const;
    const opening = encodeBatch({ source, envelopes: [] }, formats.writes);
    const opened = ({ sequence: place }: Acceptance): void => {
      const publisher = new Publisher({ ...this.#options, source: (floor) => ({ kind: "stint", id, place, floor }) });
      this.#publisher = publisher;
      for (const one of this.#takeWaiting()) this.#publish(publisher, one);
    };
    const failed = (error: unknown): void => {
      this.#isOpening = false;
      const why = error instanceof DormouseError ? error : new DormouseError("internal", "send.failed", String(error));
      for (const one of this.#takeWaiting()) this.#end(one, why);
    };
    // However long it takes: how long anyone waits for it is the caller's to say.
    insist({ ...this.#options, patience: { ms: Infinity } }, () => mailbox.append(partition, opening)).then(
      opened,
      failed,
    );
  }

  #takeWaiting(): readonly Waiting[] {
    const all = [...this.#waiting];
    this.#waiting.clear();
    return all;
  }
}
