/**
 * Where an answer goes: to a client, a subject of the channel; to a durable function of an agent, a message.
 *
 * Owns: the text that names a function's open ask: `agent <effect> <round> <place> <agent>`; no subject has a space.
 */
import { fullAddress } from "../agent/address.ts";
import type { AskedBy, Body } from "../format/message.ts";
import type { Answer } from "./state.ts";

const prefix = "agent ";
const pattern = /^agent (\S+) (\d+) (\d+) (.+)$/s;

/** What an answer to an open ask of a function goes to. */
export function replyToCall(effect: string, round: number, place: number, agent: string): string {
  return `${prefix}${effect} ${round} ${place} ${agent}`;
}

/** Whether an agent asked, and no client. */
export function isAgents(replyTo: string): boolean {
  return replyTo.startsWith(prefix);
}

/** The agent that asked; `undefined` of a client's ask. */
export function askerOf(replyTo: string): string | undefined {
  return pattern.exec(replyTo)?.[4];
}

/** The message that an answer to an agent's ask goes in; `undefined` of a client's ask. */
export function answerBody(replyTo: string, answer: Answer): { readonly to: string; readonly body: Body } | undefined {
  const [, effect, round, place, to] = pattern.exec(replyTo) ?? [];
  if (effect === undefined || to === undefined) return undefined;
  return { to, body: { kind: "answer", effect, round: Number(round), place: Number(place), answer } };
}

/**
 * The same ask, its agents named so that they are found from where it goes.
 *
 * @param from - The asker, as the receiver knows it.
 * @param app - The asker's, where the receiver is of another.
 */
export function askedFrom(asked: AskedBy, from: string, app: string | undefined): AskedBy {
  const [, effect = "", round, place] = pattern.exec(asked.replyTo) ?? [];
  const replyTo = replyToCall(effect, Number(round), Number(place), from);
  if (app === undefined || asked.waiting === undefined) return { ...asked, replyTo };
  const waiting = asked.waiting.map((one) => (one.startsWith("/") ? one : fullAddress(app, one)));
  return { ...asked, replyTo, waiting };
}
