/**
 * Publishes to streams and awaits their acknowledgements.
 *
 * Owns: what is not acknowledged yet. Leaves to others: what a failure means for a mailbox (`mailbox.ts`).
 * Called by mailbox: `publish`. The library's own costs three to five times the CPU (FACTS.md section 6).
 *
 * P1  Messages go out in the order of the calls, within the call.
 * P2  Every publish ends: acknowledged, refused, or without an answer when the connection breaks or five seconds passed.
 *     The server names only the subject of one that is not allowed, so all that wait there end: one may be stored.
 */
import type { Msg } from "@nats-io/transport-node";
import { natsClosed } from "./errors.ts";
import { isNobody, tickMs, type Inbox, type Link, type Stop } from "./link.ts";

/** A stream's word that it holds a message. */
export interface Acknowledgement {
  readonly stream: string;
  readonly sequence: number;
}

/** Why there is none. */
export class PublishFailure extends Error {
  /** `nobody`: no stream takes the subject; `refused`: JetStream said no; `lost`: no answer, the outcome is not known. */
  readonly why: "nobody" | "refused" | "lost";
  /** JetStream's number for its refusal. */
  readonly code: number | undefined;

  constructor(why: "nobody" | "refused" | "lost", message: string, code?: number) {
    super(message);
    this.why = why;
    this.code = code;
  }
}

interface Pending {
  readonly subject: string;
  readonly inbox: Inbox;
  readonly resolve: (acknowledgement: Acknowledgement) => void;
  readonly reject: (error: Error) => void;
  ticksLeft: number;
}

const ticksMax = 5_000 / tickMs;

export class Publisher {
  readonly #link: Link;
  /** In the order of the calls. */
  readonly #pending = new Set<Pending>();
  #stopTick: Stop | undefined;

  constructor(link: Link) {
    this.#link = link;
    link.onDown(() => this.#failAll("the connection broke", () => true));
    link.onForbidden((subject) => {
      const why = `the NATS server does not let this user do it; allow it, then it goes on: publish subject=${subject}`;
      this.#failAll(why, (pending) => pending.subject === subject);
    });
  }

  /** Copies `bytes`: the library sends them a moment later. Rejects with a `PublishFailure` or `nats.closed`. */
  publish(subject: string, bytes: Uint8Array): Promise<Acknowledgement> {
    if (this.#link.isClosed) return Promise.reject(natsClosed());
    if (!this.#link.isUp) return Promise.reject(new PublishFailure("lost", "the connection is down"));
    return new Promise((resolve, reject) => {
      const inbox = this.#link.inbox((message) => this.#settle(pending, message));
      const pending: Pending = { subject, inbox, resolve, reject, ticksLeft: ticksMax };
      this.#pending.add(pending);
      this.#stopTick ??= this.#link.onTick(() => this.#tick());
      this.#link.connection.publish(subject, bytes.slice(), { reply: inbox.subject });
    });
  }

  #settle(pending: Pending, message: Msg): void {
    this.#end(pending);
    if (isNobody(message)) {
      pending.reject(new PublishFailure("nobody", "no stream takes the subject"));
      return;
    }
    const answer = parseAnswer(message);
    if ("sequence" in answer) pending.resolve(answer);
    else pending.reject(answer);
  }

  #end(pending: Pending): void {
    pending.inbox.stop();
    this.#pending.delete(pending);
  }

  #failAll(why: string, isOf: (pending: Pending) => boolean): void {
    for (const pending of this.#pending) {
      if (!isOf(pending)) continue;
      this.#end(pending);
      pending.reject(new PublishFailure("lost", why));
    }
  }

  #tick(): void {
    for (const pending of this.#pending) {
      pending.ticksLeft -= 1;
      if (pending.ticksLeft > 0) continue;
      this.#end(pending);
      pending.reject(new PublishFailure("lost", "no answer came in time"));
    }
    if (this.#pending.size > 0) return;
    this.#stopTick?.();
    this.#stopTick = undefined;
  }
}

function parseAnswer(message: Msg): Acknowledgement | PublishFailure {
  try {
    const answer = message.json<{
      readonly stream?: unknown;
      readonly seq?: unknown;
      readonly error?: { readonly err_code?: unknown; readonly description?: unknown };
    }>();
    const { stream, seq, error } = answer;
    if (error !== undefined) {
      const code = typeof error.err_code === "number" ? error.err_code : undefined;
      return new PublishFailure("refused", String(error.description).slice(0, 200), code);
    }
    if (typeof stream === "string" && Number.isSafeInteger(seq)) return { stream, sequence: Number(seq) };
  } catch {
    // Not JSON: no acknowledgement of a stream.
  }
  return new PublishFailure("lost", "the answer is no acknowledgement");
}
