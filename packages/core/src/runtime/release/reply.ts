/** What goes over the channel: answers, step notices, how far messages were taken. Any of it may be lost. */
import type { Address, Partition } from "../../agent/address.ts";
import { decodeError, DormouseError, type ErrorData, isErrorData } from "../../agent/errors.ts";
import type { EventData } from "../../agent/way-out.ts";
import type { App } from "../../format/app.ts";
import { decodeValue, encodeValue } from "../../format/codec/msgpack.ts";
import type { GivenAnswer } from "../../format/record.ts";
import { hasFields, isListOf, isMissingOr, isNumber, isText } from "../../format/shape.ts";
import type { Channel } from "../../ports/index.ts";
import { isAgents } from "../../step/replies.ts";
import type { Answer } from "../../step/state.ts";

/** An answer as its asker gets it: it matches the message id. */
export interface AnswerNotice {
  readonly id: string;
  readonly answer: Answer;
}

/** A committed step, as watchers hear of it; who missed some reads them from history. */
export interface StepNotice {
  readonly seq: number;
  readonly emitted: readonly EventData[];
}

/** How far a partition has committed the messages of one outbox. */
export interface TakenNotice {
  /** The app whose partition it is; missing for the outbox's own. */
  readonly app?: string;
  readonly by: Partition;
  readonly upTo: number;
}

/** A partition that a host has handed over: whoever it is placed on may take it. */
export interface FreedNotice {
  readonly partition: Partition;
  /** Agents that were at work just now: whoever takes it needs them first. */
  readonly agents: readonly Address[];
}

/** A partition that another host hands over was taken up: its agents answer again. */
export interface TakenUpNotice {
  readonly partition: Partition;
}

/**
 * What a host answers to a request: the value, or the error as it was thrown there.
 *
 * @throws DormouseError what the host threw; `internal` (`host.answer`): the answer cannot be read.
 */
export function readAnswered(bytes: Uint8Array): unknown {
  const answer = decodeNotice(bytes);
  if (hasFields(answer, { ok: (ok) => ok === true })) return answer["value"];
  if (hasFields(answer, { ok: (ok) => ok === false, error: isErrorData }))
    throw decodeError(answer["error"] as ErrorData);
  throw new DormouseError("internal", "host.answer", "a host answered what this version cannot read");
}

/** To a client; an agent is answered by a message, or asks in vain until its time-out. */
export function publishAnswer(channel: Channel, { id, replyTo, answer }: GivenAnswer): void {
  if (isAgents(replyTo)) return;
  channel.publish(replyTo, encodeValue({ id, answer } satisfies AnswerNotice));
}

export function publishNotice(channel: Channel, app: App, agent: Address, notice: StepNotice): void {
  channel.publish(noticeSubject(app, agent), encodeValue(notice));
}

export function publishTaken(channel: Channel, outbox: string, notice: TakenNotice): void {
  channel.publish(takenSubject(outbox), encodeValue(notice));
}

export function publishFreed(channel: Channel, app: App, notice: FreedNotice): void {
  channel.publish(freedSubject(app), encodeValue(notice));
}

export function publishTakenUp(channel: Channel, app: App, notice: TakenUpNotice): void {
  channel.publish(takenUpSubject(app), encodeValue(notice));
}

/** `undefined` if it is none: whoever reaches the channel may publish anything. */
export function decodeAnswer(bytes: Uint8Array): AnswerNotice | undefined {
  const notice = decodeNotice(bytes);
  const isAnswer = hasFields(notice, {
    id: isText,
    answer: (answer) => hasFields(answer, { seq: isNumber, ok: (ok) => typeof ok === "boolean" }) && isAnswered(answer),
  });
  return isAnswer ? (notice as unknown as AnswerNotice) : undefined;
}

function isAnswered(answer: { readonly [field: string]: unknown }): boolean {
  return answer["ok"] === true || isErrorData(answer["error"]);
}

/** `undefined` if it is none. */
export function decodeTaken(bytes: Uint8Array): TakenNotice | undefined {
  const notice = decodeNotice(bytes);
  return hasFields(notice, { app: isMissingOr(isText), by: isNumber, upTo: isNumber })
    ? (notice as unknown as TakenNotice)
    : undefined;
}

/** `undefined` if it is none. */
export function decodeFreed(bytes: Uint8Array): FreedNotice | undefined {
  const notice = decodeNotice(bytes);
  const isFreed = hasFields(notice, { partition: isNumber, agents: isListOf(isText) });
  return isFreed ? (notice as unknown as FreedNotice) : undefined;
}

/** `undefined` if it is none. */
export function decodeTakenUp(bytes: Uint8Array): TakenUpNotice | undefined {
  const notice = decodeNotice(bytes);
  return hasFields(notice, { partition: isNumber }) ? (notice as unknown as TakenUpNotice) : undefined;
}

function decodeNotice(bytes: Uint8Array): unknown {
  try {
    return decodeValue(bytes);
  } catch {
    return undefined;
  }
}

export function noticeSubject(app: App, agent: Address): string {
  return `${app.birth}/step/${agent}`;
}

/** @param outbox - `<birth ULID of the app>/<partition>`. */
export function takenSubject(outbox: string): string {
  return `taken/${outbox}`;
}

export function freedSubject(app: App): string {
  return `${app.birth}/freed`;
}

export function takenUpSubject(app: App): string {
  return `${app.birth}/taken-up`;
}

export function readSubject(app: App, partition: Partition): string {
  return `${app.birth}/read/${partition}`;
}
