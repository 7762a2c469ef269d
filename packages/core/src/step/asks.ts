/** An agent's open asks and the idempotency keys that it knows: each change gives the next state. */
import { idempotencyKeyMsMax, idempotencyKeyMsMin, idempotencyKeysMax } from "../agent/limits.ts";
import type { Envelope } from "../format/message.ts";
import type { GivenAnswer } from "../format/record.ts";
import type { AgentState, Answer, OpenAsk } from "./state.ts";

/**
 * Whoever asks waits from now on; of a plain message, nothing.
 *
 * @param at - When the message was accepted, in milliseconds since 1970: its patience counts from there.
 * @param handledId - The message whose answer answers it: itself, or the first under its idempotency key.
 */
export function openAsk(
  state: AgentState,
  message: Envelope,
  eventType: string,
  at: number,
  handledId: string,
): AgentState {
  if (message.ask === undefined) return state;
  const { replyTo, patienceMs, waiting } = message.ask;
  const ask: OpenAsk = {
    id: message.id,
    handledId,
    eventType,
    replyTo,
    until: at + patienceMs,
    ...(waiting === undefined ? {} : { waiting }),
  };
  return { ...state, asks: [...state.asks, ask] };
}

/** Answers the open asks that `isMeant` picks, and keeps the answer with their idempotency keys. */
export function answerAsks(
  state: AgentState,
  isMeant: (ask: OpenAsk) => boolean,
  answer: Answer,
): { readonly state: AgentState; readonly given: readonly GivenAnswer[] } {
  const meant = state.asks.filter(isMeant);
  if (meant.length === 0) return { state, given: [] };
  const handled = new Set(meant.map((ask) => ask.handledId));
  let { keys } = state;
  for (const [key, keyed] of keys) {
    if (handled.has(keyed.id)) keys = new Map(keys).set(key, { ...keyed, answer });
  }
  const given = meant.map(({ id, replyTo }) => ({ id, replyTo, answer }));
  return { state: { ...state, keys, asks: state.asks.filter((ask) => !meant.includes(ask)) }, given };
}

/** Forgets asks that nobody waits for any more; those under a key are answered however late. */
export function pruneAsks(state: AgentState): AgentState {
  const { asks, keys, now } = state;
  if (asks.length === 0) return state;
  const keyed = new Set([...keys.values()].map((message) => message.id));
  const open = asks.filter((ask) => ask.until > now || keyed.has(ask.handledId));
  return open.length === asks.length ? state : { ...state, asks: open };
}

/** Keeps a key, and gives up those that are old enough. */
export function rememberKey(state: AgentState, key: string, id: string): AgentState {
  const { now } = state;
  const keys = new Map(state.keys);
  for (const [old, keyed] of keys) {
    const age = now - keyed.at;
    const isOver = age > idempotencyKeyMsMax || (keys.size >= idempotencyKeysMax && age > idempotencyKeyMsMin);
    if (!isOver) break;
    keys.delete(old);
  }
  keys.set(key, { id, at: now });
  return { ...state, keys };
}
