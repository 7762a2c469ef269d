/**
 * A mailbox reader made of pulls: what the memory and LMDB drivers share.
 *
 * Owns: the next number to read, and the one `next` that waits.
 * Leaves to others: where messages lie (`pull`), when there may be new ones (they call `wake`).
 *
 * P1  One pull is under way at a time, so messages come in order and each once (M2).
 * P2  A wake-up that comes during a pull is not lost: an empty pull is then repeated.
 * P3  A wake-up that never comes costs `recheckMs`, not the message.
 * P4  Whatever a pull throws ends the reader for good: it never goes on past something it did not see (M3).
 */
import { DormouseError, type Cancel, type Clock, type MailboxMessage, type MailboxReader } from "@dormouse/core/ports";
import { mailboxClosed } from "./errors.ts";

export interface PullReaderOptions {
  /** The first number to hand out. */
  readonly from: number;
  readonly recheckMs: number;
  readonly clock: Pick<Clock, "schedule">;
  /** At most `messagesMax` messages from number `from` on; none if there are none now. */
  pull(from: number, messagesMax: number): Promise<readonly MailboxMessage[]>;
  /** Called once, when the reader has ended for whatever reason. */
  ended(): void;
}

interface Waiting {
  readonly messagesMax: number;
  resolve(messages: readonly MailboxMessage[]): void;
  reject(error: unknown): void;
}

export class PullReader implements MailboxReader {
  readonly #options: PullReaderOptions;
  #from: number;
  #waiting: Waiting | undefined;
  #isPulling = false;
  #isWoken = false;
  #cancelRecheck: Cancel | undefined;
  #ending: { readonly error: unknown } | undefined;

  constructor(options: PullReaderOptions) {
    this.#options = options;
    this.#from = options.from;
  }

  next(messagesMax: number): Promise<readonly MailboxMessage[]> {
    if (this.#ending !== undefined) return Promise.reject(this.#ending.error);
    if (this.#waiting !== undefined) {
      const problem = "a reader was asked for more while an earlier next() still waits";
      return Promise.reject(new DormouseError("internal", "mailbox.reader-busy", problem));
    }
    return new Promise((resolve, reject) => {
      this.#waiting = { messagesMax, resolve, reject };
      this.#pull();
    });
  }

  close(): void {
    this.end(mailboxClosed());
  }

  /** There may be new messages. */
  wake(): void {
    this.#isWoken = true;
    if (!this.#isPulling) this.#pull();
  }

  /** Ends the reader; the waiting `next` and all later ones reject with `error`. */
  end(error: unknown): void {
    if (this.#ending !== undefined) return;
    this.#ending = { error };
    this.#cancelRecheck?.();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#options.ended();
    waiting?.reject(error);
  }

  #pull(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#isPulling) return;
    this.#cancelRecheck?.();
    this.#isPulling = true;
    this.#isWoken = false;
    this.#options.pull(this.#from, waiting.messagesMax).then(
      (messages) => this.#take(messages),
      (error: unknown) => {
        this.#isPulling = false;
        this.end(error);
      },
    );
  }

  #take(messages: readonly MailboxMessage[]): void {
    this.#isPulling = false;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const last = messages.at(-1);
    if (last !== undefined) {
      this.#from = last.sequence + 1;
      this.#waiting = undefined;
      waiting.resolve(messages);
    } else if (this.#isWoken) this.#pull();
    else this.#cancelRecheck = this.#options.clock.schedule(this.#options.recheckMs, () => this.wake());
  }
}
