/** Every name on NATS: subjects, streams, buckets, and what is read out of them. DESIGN.md section 4. */
import { createHash } from "node:crypto";

const tokenCharactersMax = 1_500;
const utf8 = new TextEncoder();

/** The names of one app's streams and subjects. */
export class AppNames {
  readonly #prefix: string;
  readonly #app: string;

  constructor(prefix: string, app: string) {
    this.#prefix = prefix;
    this.#app = app;
  }

  stream(partition: number): string {
    return `${this.#prefix}_${this.#app}_${partition}`;
  }

  /** Where mailbox messages of a partition are published. */
  box(partition: number): string {
    return `${this.#prefix}.box.${this.#app}.${partition}`;
  }

  /** What a partition's stream takes: the first from us, the second from plain clients by the server's mapping. */
  boxes(partition: number): string[] {
    return [this.box(partition), `${this.box(partition)}.*.*`];
  }

  allBoxes(): string {
    return `${this.#prefix}.box.${this.#app}.>`;
  }

  bucket(): string {
    return `${this.#prefix}_${this.#app}_members`;
  }

  /** Answered by an incarnation for as long as its process runs. */
  life(incarnation: string): string {
    return `${this.#prefix}.life.${this.#app}.${encodeToken(incarnation)}`;
  }
}

/** Where what is published to a channel's subject goes. */
export function noticeSubject(prefix: string, subject: string): string {
  return `${prefix}.ch.${shortToken(subject)}`;
}

/** Where requests to a channel's subject go: apart from notices, so that a subscriber is not taken for a server. */
export function askSubject(prefix: string, subject: string): string {
  return `${prefix}.ask.${shortToken(subject)}`;
}

/** Any text as one token, reversibly: bytes outside `[A-Za-z0-9_-]` are `~XX`. */
export function encodeToken(text: string, escape: string = "~"): string {
  // Run by run, since this is done for every notice that goes out.
  const token = text.replaceAll(/[^A-Za-z0-9_-]+/g, (run) => {
    let escaped = "";
    for (const byte of utf8.encode(run)) escaped += escape + byte.toString(16).toUpperCase().padStart(2, "0");
    return escaped;
  });
  // No text but the empty one ends so: "~" is followed by two digits.
  return token === "" ? escape : token;
}

/** A text as a key of a bucket, where `~` may not stand. */
export function encodeKey(text: string): string {
  return encodeToken(text, "=");
}

export function decodeKey(key: string): string {
  if (key === "=") return "";
  const percent = key.replaceAll(/=([0-9A-F]{2})/g, "%$1");
  try {
    return decodeURIComponent(percent);
  } catch {
    return key;
  }
}

/**
 * A server ends the connection of whoever sends it a line above 4,096 bytes, and a reply subject comes from clients:
 * what is long is named by its hash.
 */
function shortToken(subject: string): string {
  const token = encodeToken(subject);
  if (token.length <= tokenCharactersMax) return token;
  return `~sha256-${createHash("sha256").update(subject).digest("hex")}`;
}

/** Type and key, encoded as they stand, of a message that came by the server's mapping. */
export function sentToOf(subject: string): { readonly type: string; readonly key: string } | undefined {
  const [, , , , type, key] = subject.split(".");
  return type === undefined || key === undefined ? undefined : { type, key };
}

/** What a delivery's reply subject says of the message. */
export interface Delivery {
  readonly sequence: number;
  /** Its number among the consumer's deliveries, from 1 on without gaps. */
  readonly delivered: number;
  /** The stream's own time of it, in milliseconds since 1970, to the microsecond. */
  readonly at: number;
  /** Messages that the consumer has yet to deliver. */
  readonly pending: number;
}

const ackPrefix = "$JS.ACK.";

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<times>.<seq>.<delivered>.<ns>.<pending>`, or the longer form with domain and account
 * before and a random token after (ADR-15). `undefined` for another subject.
 */
export function parseDelivery(reply: string): Delivery | undefined {
  if (!reply.startsWith(ackPrefix)) return undefined;
  const dots: number[] = [];
  for (let index = ackPrefix.length; index < reply.length; index += 1) {
    if (reply.charCodeAt(index) === 46) dots.push(index);
  }
  // Of the seven fields after the prefix the fourth begins behind the third dot; of the longer form's, two later.
  const first = dots.length === 6 ? 2 : dots.length >= 8 ? 4 : undefined;
  if (first === undefined) return undefined;
  const field = (index: number): string =>
    reply.slice((dots[first + index] ?? 0) + 1, dots[first + index + 1] ?? reply.length);
  const delivery = {
    sequence: Number(field(0)),
    delivered: Number(field(1)),
    at: timeOfNanoseconds(field(2)),
    pending: Number(field(3)),
  };
  return Number.isNaN(delivery.sequence + delivery.delivered + delivery.at + delivery.pending) ? undefined : delivery;
}

/** Nanoseconds since 1970 in decimal as milliseconds: a double tells microseconds apart, not nanoseconds. */
function timeOfNanoseconds(digits: string): number {
  return Number(digits.slice(0, -3)) / 1_000;
}

/** The same of a time as JetStream writes it, `2026-01-02T03:04:05.123456789Z`. */
export function timeOfText(text: string): number {
  const [, seconds = "", fraction = ""] = /^([^.Z]+)(?:\.(\d+))?Z$/.exec(text) ?? [];
  return (Date.parse(`${seconds}Z`) * 1_000 + Number(fraction.padEnd(6, "0").slice(0, 6))) / 1_000;
}
