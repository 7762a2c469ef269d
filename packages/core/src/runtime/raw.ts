/** A raw publish, by a client without our code, as the envelope that it stands for. */
import { createHash } from "node:crypto";
import { checkUserKey, makeAddress, readToken } from "../agent/address.ts";
import { DormouseError } from "../agent/errors.ts";
import { eventBytesMax } from "../agent/limits.ts";
import type { EventData } from "../agent/way-out.ts";
import { checkData } from "../format/codec/data.ts";
import type { Envelope } from "../format/message.ts";
import { isObject } from "../format/shape.ts";
import type { MailboxMessage, Place, SentTo } from "../ports/index.ts";
import { isReservedEvent, reservedEvent } from "../step/own-events.ts";

/**
 * A plain event without an ask. Its id is made of its place, so that after a crash it is the same message; its number is
 * the place's.
 *
 * @throws DormouseError `invalid` (`raw.too-large`, `raw.not-json`, `raw.not-event`, `address.encoding`, `type.invalid`,
 * `key.invalid`, `key.reserved`, `event.reserved`, `event.not-data`).
 */
export function readRaw(message: MailboxMessage, { type, key: token }: SentTo): Envelope {
  const key = readToken(token);
  checkUserKey(key);
  const to = makeAddress(type, key);
  const event = readEvent(message.bytes, to);
  return {
    n: message.sequence,
    id: rawId(message),
    to,
    body: { kind: "event", event },
    sentAt: Math.floor(message.at),
  };
}

function readEvent(bytes: Uint8Array, to: string): EventData {
  if (bytes.length > eventBytesMax) {
    const text = `a raw publish must fit ${eventBytesMax} bytes; send a reference to what is large`;
    throw new DormouseError("invalid", "raw.too-large", `${text}: agent=${to} bytes=${bytes.length}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch (cause) {
    // What a parser says quotes the text, which is nobody's business in a log.
    const how = cause instanceof SyntaxError ? "JSON" : "UTF-8";
    throw new DormouseError(
      "invalid",
      "raw.not-json",
      `a raw publish is an event as JSON; this is no ${how}: agent=${to}`,
    );
  }
  if (!isEvent(value)) {
    const text = "a raw publish is an object with a type, which is text";
    throw new DormouseError("invalid", "raw.not-event", `${text}; this is another value: agent=${to}`);
  }
  if (isReservedEvent(value.type)) throw reservedEvent(value.type);
  checkData(value, { what: "event", code: "event.not-data", of: to });
  return value;
}

function isEvent(value: unknown): value is EventData {
  return isObject(value) && typeof value["type"] === "string" && value["type"] !== "";
}

/** A ULID: the stream's time of the message, and what only this place at this time hashes to. */
function rawId({ stream, sequence, at }: Place): string {
  let time = "";
  for (let left = Math.floor(at), digit = 0; digit < timeDigits; digit += 1, left = Math.floor(left / 32)) {
    time = `${crockford.charAt(left % 32)}${time}`;
  }
  const hash = createHash("sha256").update(`${stream}/${sequence}/${at}`).digest();
  return `${time}${Array.from(hash.subarray(0, hashDigits), (byte) => crockford.charAt(byte % 32)).join("")}`;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const timeDigits = 10;
const hashDigits = 16;
