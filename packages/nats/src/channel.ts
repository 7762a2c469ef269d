/**
 * Notices and requests over core NATS.
 *
 * Owns: what is being sent in parts, the requests that wait. Leaves to others: frames (`parts.ts`), names (`subjects.ts`).
 *
 * H1  What is sent to one subject goes in the order of the calls: behind a large message others wait (C1).
 * H2  A large message is paced: a few megabytes, then a round trip to the server. A server ends the connection of a
 *     receiver for which more than 64 MB wait.
 * H3  Requests and notices have subjects of their own, so that the server knows at once whether somebody serves (C2).
 *     All who serve a subject get a request; its first answer counts.
 */
import { randomBytes } from "node:crypto";
import type { Msg } from "@nats-io/transport-node";
import type { Channel, Unsubscribe } from "@dormouse/core/ports";
import { channelFailed, channelNobody, channelTimeout, messageTooLarge, natsClosed } from "./errors.ts";
import { isNobody, type Link } from "./link.ts";
import { Assembly, failureFrame, framesOf, messageBytesMax, nobodyFrame } from "./parts.ts";
import { askSubject, noticeSubject } from "./subjects.ts";

const burstBytesMax = 4_194_304;
/** Bytes that wait behind large messages; what comes beyond is lost. */
const waitingBytesMax = 600_000_000;

interface Outgoing {
  readonly bytes: Uint8Array;
  readonly reply: string | undefined;
}

export class NatsChannel implements Channel {
  readonly #link: Link;
  readonly #prefix: string;
  readonly #sender = randomBytes(8);
  /** By subject: what waits while one before it is sent in parts. */
  readonly #lines = new Map<string, Outgoing[]>();
  #waitingBytes = 0;
  #messages = 0;

  constructor(link: Link, prefix: string) {
    this.#link = link;
    this.#prefix = prefix;
    link.onDown(() => {
      this.#lines.clear();
      this.#waitingBytes = 0;
    });
  }

  publish(subject: string, bytes: Uint8Array): void {
    this.#send(noticeSubject(this.#prefix, subject), bytes, undefined);
  }

  subscribe(subject: string, handler: (bytes: Uint8Array) => void): Unsubscribe {
    if (this.#link.isClosed) return () => undefined;
    const assembly = new Assembly(() => performance.now());
    const subscription = this.#link.subscribe(noticeSubject(this.#prefix, subject), (message) => {
      const arrival = assembly.push(message.data);
      if (arrival.kind === "whole") shielded(() => handler(arrival.bytes));
    });
    return () => subscription.unsubscribe();
  }

  serve(subject: string, handler: (bytes: Uint8Array) => Promise<Uint8Array>): Unsubscribe {
    if (this.#link.isClosed) return () => undefined;
    const assembly = new Assembly(() => performance.now());
    let isStopped = false;
    const subscription = this.#link.subscribe(askSubject(this.#prefix, subject), (message) => {
      const arrival = assembly.push(message.data);
      if (arrival.kind !== "whole") return;
      if (isStopped) this.#refuse(message);
      else void this.#answer(message, arrival.bytes, handler);
    });
    // Requests that the server gave us before it heard that we stopped are refused; else they would wait for their time-out.
    return () => {
      if (isStopped || this.#link.isClosed) return;
      isStopped = true;
      subscription.drain().catch(() => undefined);
    };
  }

  async request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const link = this.#link;
    if (link.isClosed) throw natsClosed();
    if (bytes.length > messageBytesMax) throw messageTooLarge(bytes.length, messageBytesMax);
    if (!link.isUp) throw channelFailed(subject, "the connection to NATS is down");
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const assembly = new Assembly(() => performance.now());
    const inbox = link.inbox((message) => {
      if (isNobody(message)) {
        reject(channelNobody(subject));
        return;
      }
      const arrival = assembly.push(message.data);
      if (arrival.kind === "whole") resolve(arrival.bytes);
      if (arrival.kind === "nobody") reject(channelNobody(subject));
      if (arrival.kind === "failure") reject(channelFailed(subject, "whoever serves this subject failed to answer"));
    });
    const stop = link.onDown(() =>
      reject(channelFailed(subject, "the connection to NATS broke before the answer came")),
    );
    const timer = setTimeout(() => reject(channelTimeout(subject, timeoutMs)), Math.min(timeoutMs, 2 ** 31 - 1));
    try {
      this.#send(askSubject(this.#prefix, subject), bytes, inbox.subject);
      return await promise;
    } finally {
      clearTimeout(timer);
      inbox.stop();
      stop();
    }
  }

  #refuse({ reply }: Msg): void {
    if (reply !== undefined && reply !== "" && this.#link.isUp) this.#link.connection.publish(reply, nobodyFrame());
  }

  async #answer({ reply }: Msg, bytes: Uint8Array, handler: (bytes: Uint8Array) => Promise<Uint8Array>): Promise<void> {
    if (reply === undefined || reply === "") return;
    let answer: Uint8Array | undefined;
    try {
      answer = await handler(bytes);
    } catch {
      answer = undefined;
    }
    if (answer !== undefined && answer.length <= messageBytesMax) this.#send(reply, answer, undefined);
    else if (this.#link.isUp) this.#link.connection.publish(reply, failureFrame());
  }

  /** Hands it over or loses it; never throws, never waits. */
  #send(subject: string, bytes: Uint8Array, reply: string | undefined): void {
    if (!this.#link.isUp || bytes.length > messageBytesMax) return;
    const line = this.#lines.get(subject);
    if (line !== undefined) {
      if (this.#waitingBytes + bytes.length > waitingBytesMax) return;
      this.#waitingBytes += bytes.length;
      line.push({ bytes: bytes.slice(), reply });
      return;
    }
    if (bytes.length <= burstBytesMax) {
      for (const frame of this.#frames(bytes)) this.#publish(subject, frame, reply);
      return;
    }
    if (this.#waitingBytes + bytes.length > waitingBytesMax) return;
    this.#waitingBytes += bytes.length;
    const fresh = [{ bytes: bytes.slice(), reply }];
    this.#lines.set(subject, fresh);
    // A connection that breaks loses what is under way, and it is a channel's right to lose it.
    this.#pace(subject, fresh).catch(() => undefined);
  }

  async #pace(subject: string, line: Outgoing[]): Promise<void> {
    for (let next = line[0]; next !== undefined; next = line[0]) {
      let burst = 0;
      for (const frame of this.#frames(next.bytes)) {
        this.#publish(subject, frame, next.reply);
        burst += frame.length;
        if (burst < burstBytesMax) continue;
        burst = 0;
        await this.#link.whileUp(() => this.#link.connection.flush());
        if (this.#lines.get(subject) !== line) return;
      }
      line.shift();
      this.#waitingBytes -= next.bytes.length;
    }
    this.#lines.delete(subject);
  }

  #frames(bytes: Uint8Array): Iterable<Uint8Array> {
    this.#messages += 1;
    return framesOf(bytes, this.#link.payloadBytesMax, this.#sender, this.#messages);
  }

  #publish(subject: string, frame: Uint8Array, reply: string | undefined): void {
    if (this.#link.isClosed) return;
    this.#link.connection.publish(subject, frame, reply === undefined ? {} : { reply });
  }
}

/** What a handler throws must not end the library's reading of the socket; it is as fatal as anywhere else. */
function shielded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
