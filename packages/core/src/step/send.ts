/** What an agent sends to others, answers among it; each must fit a mailbox. */
import { type Address, parseTarget } from "../agent/address.ts";
import { DormouseError, encodeError } from "../agent/errors.ts";
import { eventBytesMax } from "../agent/limits.ts";
import { measuredDiff } from "../format/codec/delta.ts";
import { encodeValue } from "../format/codec/msgpack.ts";
import { bytesAtMost } from "../format/codec/size.ts";
import type { AskedBy, Body } from "../format/message.ts";
import type { GivenAnswer } from "../format/record.ts";
import { answerBody } from "./replies.ts";
import { textBytesMax } from "./size.ts";

export interface Send {
  /** The app that the receiver belongs to; missing: the sender's own, or so it is not said. */
  readonly app?: string;
  readonly to: Address;
  readonly body: Body;
  readonly ask?: AskedBy;
}

export function sendTo(target: string, body: Body, ask?: AskedBy): Send {
  const { app, address } = parseTarget(target);
  return { ...(app === undefined ? {} : { app }), to: address, body, ...(ask === undefined ? {} : { ask }) };
}

/** What goes to clients, and, as messages, to agents. */
export function splitAnswers(given: readonly GivenAnswer[]): {
  readonly answers: readonly GivenAnswer[];
  readonly sends: readonly Send[];
} {
  const answers: GivenAnswer[] = [];
  const sends: Send[] = [];
  for (const one of given) {
    const sent = answerBody(one.replyTo, one.answer);
    if (sent === undefined) answers.push(one);
    else sends.push(sendTo(sent.to, fittingAnswer(sent.to, sent.body)));
  }
  return { answers, sends };
}

/** One that no mailbox would take is an error for who asked. */
function fittingAnswer(asker: string, body: Body): Body {
  if (body.kind !== "answer" || !body.answer.ok) return body;
  if (bytesAtMost([body.answer.value], mailboxBytesMax) <= mailboxBytesMax) return body;
  const bytes = encodeValue(body.answer.value).length;
  if (bytes <= mailboxBytesMax) return body;
  const text =
    `a reply to an agent must fit ${mailboxBytesMax} bytes; reply with a reference to what is large: asked by=${asker} ` +
    `bytes=${bytes}`;
  const error = encodeError(new DormouseError("invalid", "reply.too-large", text));
  return { ...body, answer: { ok: false, seq: body.answer.seq, error } };
}

/**
 * Refuses an event that no mailbox would take; measured only when by its length it may be too large.
 *
 * @param agent - For the error: whose it is.
 */
export function checkEventBytes(agent: string, event: unknown, what: "event" | "input" | "output" | "snapshot"): void {
  if (measuredDiff(undefined, event).bytes * textBytesMax <= mailboxBytesMax) return;
  const bytes = encodeValue(event).length;
  if (bytes <= mailboxBytesMax) return;
  throw new DormouseError(
    "invalid",
    `${what}.too-large`,
    `what goes to another agent, its ${what}, must fit ${eventBytesMax} bytes with its envelope; send a reference to ` +
      `what is large: ` +
      `agent=${agent} bytes=${bytes}`,
  );
}

/** What an envelope holds beside its event: two addresses and their like. */
const envelopeBytesMax = 4_096;
/** What a value may take that goes to another agent. */
const mailboxBytesMax = eventBytesMax - envelopeBytesMax;
