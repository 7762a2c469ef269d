/** The mailbox message: envelopes of one sender to one partition, and the identity each is taken once by. */
import type { Address } from "../agent/address.ts";
import { DormouseError } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import type { Answer } from "../step/state.ts";
import { unwrap, wrap } from "./codec/header.ts";
import { decodeStrangers, encodeValue } from "./codec/msgpack.ts";
import { bytesAtMost } from "./codec/size.ts";
import { hasFields, isListOf, isMissingOr, isNumber, isObject, isText } from "./shape.ts";

/**
 * Who numbered the envelopes of a message. Numbers are dense, from 1 on, per source and partition; `floor` is the
 * lowest that is still open, so whatever is below it and did not come will not come.
 */
export type Source =
  | {
      readonly kind: "stint";
      /** ULID of one client's numbered run of sends. */
      readonly id: string;
      /** The sequence of the message that opened the stint in this partition; 0 in the opening itself. */
      readonly place: number;
      readonly floor: number;
    }
  | {
      readonly kind: "outbox";
      /** `<birth ULID of the sender's app>/<its partition>`. */
      readonly id: string;
      readonly floor: number;
    }
  /** A message the owner sends itself to learn that it has read all there was. */
  | { readonly kind: "barrier"; readonly id: string };

export interface Batch {
  readonly source: Source;
  readonly envelopes: readonly Envelope[];
}

export interface Envelope {
  readonly n: number;
  /** The message's id, a ULID: kept through forwarding and repeats. */
  readonly id: string;
  readonly to: Address;
  readonly body: Body;
  /** When its sender made it, by the sender's clock; for people, nothing rests on it. */
  readonly sentAt: number;
  /** The agent that sent it; a client's sends have none. */
  readonly from?: string;
  readonly ask?: AskedBy;
  /** The caller's idempotency key. */
  readonly key?: string;
}

export interface AskedBy {
  /** The channel subject that the answer goes to. */
  readonly replyTo: string;
  readonly patienceMs: number;
  /** Not the first with this message id: attach, or answer again; never a second run. */
  readonly isRepeat: boolean;
  /** `taken`: the asker waits until the event is, and for no reply of the machine. */
  readonly until?: "taken";
  /** The agents that wait for the asker, each for the next: what tells a circle. */
  readonly waiting?: readonly string[];
}

/** The agent that started another as its child. */
export interface ParentLink {
  readonly address: Address;
  /** The child's id in the parent's machine. */
  readonly id: string;
  readonly isSnapshotSynced: boolean;
}

export type Body =
  | {
      readonly kind: "event";
      readonly event: EventData;
      /** Not before so long after the mailbox has it, in milliseconds. */
      readonly delayMs?: number;
      /** Not before then, in milliseconds since 1970. */
      readonly due?: number;
    }
  /** Takes back an event that is not due yet, by its message's id. */
  | { readonly kind: "unsend"; readonly id: string }
  /** Makes the agent; one that is there is left as it is. */
  | { readonly kind: "start"; readonly input: unknown }
  | {
      readonly kind: "start-child";
      readonly input: unknown;
      readonly parent: ParentLink;
      /** Names of actors from the type's machine down to the child's logic. */
      readonly path: readonly string[];
    }
  /** From a child to its parent. */
  | {
      readonly kind: "child";
      /** The child's id in the parent's machine. */
      readonly id: string;
      readonly child: Address;
      readonly news:
        | { readonly kind: "done"; readonly output: unknown }
        | { readonly kind: "error"; readonly error: unknown }
        | { readonly kind: "snapshot"; readonly snapshot: unknown };
    }
  /** To a durable function of the agent, which had asked. */
  | {
      readonly kind: "answer";
      /** The function's address. */
      readonly effect: string;
      readonly round: number;
      readonly place: number;
      readonly answer: Answer;
    }
  /** A value for the wait that a token names, by the secret in it. */
  | { readonly kind: "respond"; readonly secret: string; readonly value: unknown }
  /** From a parent: the child ends. */
  | { readonly kind: "stop"; readonly parent: Address }
  | { readonly kind: "command"; readonly command: "cancel" | "terminate" | "remove" | "resume" | "skip" };

export function encodeBatch(batch: Batch, format: number): Uint8Array {
  return wrap("envelope", format, encodeValue(batch));
}

/**
 * @throws DormouseError `corrupt` (`object.unreadable`, `object.checksum`, `object.version`, `envelope.shape`).
 */
export function decodeBatch(bytes: Uint8Array): Batch {
  const { payload } = unwrap(bytes, "envelope", "mailbox message");
  const batch = decodeStrangers(payload);
  if (isBatch(batch)) return batch;
  throw new DormouseError("corrupt", "envelope.shape", "a mailbox message is not a batch of envelopes; it is skipped");
}

/** What everything later relies on. A message with a valid checksum and another shape was made by other code than ours. */
function isBatch(value: unknown): value is Batch {
  if (!isObject(value) || !isObject(value["source"]) || !Array.isArray(value["envelopes"])) return false;
  const { source, envelopes } = value;
  const isSource =
    typeof source["id"] === "string" &&
    (source["kind"] === "barrier" ||
      (isNumber(source["floor"]) &&
        (source["kind"] === "outbox" || (source["kind"] === "stint" && isNumber(source["place"])))));
  return isSource && envelopes.every(isEnvelope);
}

function isEnvelope(value: unknown): value is Envelope {
  return (
    isObject(value) &&
    isNumber(value["n"]) &&
    value["n"] >= 1 &&
    typeof value["id"] === "string" &&
    typeof value["to"] === "string" &&
    isNumber(value["sentAt"]) &&
    isObject(value["body"]) &&
    isBody(value["body"]) &&
    (value["from"] === undefined || typeof value["from"] === "string") &&
    (value["key"] === undefined || typeof value["key"] === "string") &&
    (value["ask"] === undefined ||
      (isObject(value["ask"]) &&
        typeof value["ask"]["replyTo"] === "string" &&
        isNumber(value["ask"]["patienceMs"]) &&
        typeof value["ask"]["isRepeat"] === "boolean" &&
        isMissingOr(isListOf(isText))(value["ask"]["waiting"])))
  );
}

function isBody(body: Record<string, unknown>): boolean {
  switch (body["kind"]) {
    case "event":
      return (
        isObject(body["event"]) &&
        typeof body["event"]["type"] === "string" &&
        isMissingOr(isNumber)(body["delayMs"]) &&
        isMissingOr(isNumber)(body["due"])
      );
    case "unsend":
      return isText(body["id"]);
    case "start":
      return true;
    case "start-child":
      return isParentLink(body["parent"]) && isListOf(isText)(body["path"]);
    case "child":
      return (
        isText(body["id"]) &&
        isText(body["child"]) &&
        isObject(body["news"]) &&
        ["done", "error", "snapshot"].includes(String(body["news"]["kind"]))
      );
    case "answer":
      return isText(body["effect"]) && isNumber(body["round"]) && isNumber(body["place"]) && isAnswer(body["answer"]);
    case "respond":
      return isText(body["secret"]);
    case "stop":
      return typeof body["parent"] === "string";
    case "command":
      return ["cancel", "terminate", "remove", "resume", "skip"].includes(String(body["command"]));
    default:
      return false;
  }
}

function isAnswer(value: unknown): boolean {
  if (!isObject(value) || !isNumber(value["seq"])) return false;
  return (
    value["ok"] === true || (value["ok"] === false && isObject(value["error"]) && isText(value["error"]["message"]))
  );
}

export function isParentLink(value: unknown): value is ParentLink {
  return hasFields(value, { address: isText, id: isText, isSnapshotSynced: (is) => typeof is === "boolean" });
}

/** An envelope without its number: what a sender makes before a source numbers it. */
export type Unnumbered = Omit<Envelope, "n">;

/** What an envelope takes on the wire, when it may be more than `most`; else an upper bound, which is cheaper. */
export function envelopeBytes(envelope: Unnumbered, most: number): number {
  const bound = bytesAtMost(envelope, most);
  return bound <= most ? bound : encodeValue(envelope).length;
}
