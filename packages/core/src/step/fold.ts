/**
 * What a committed entry makes of its partition's state. The owner applies an entry when it adds it to the open record;
 * whoever takes over applies the same entries in the same order to the settled state, and has the same.
 */
import type { Partition } from "../agent/address.ts";
import { encodeValue } from "../format/codec/msgpack.ts";
import type { AgentState, Answer } from "./state.ts";
import {
  type Lane,
  type LaneKey,
  laneTo,
  parseLane,
  type PartitionState,
  type Position,
  type SourceState,
} from "../format/partition.ts";
import type { Entry, GivenAnswer, NumberedSend, Origin, StepEntry } from "../format/record.ts";
import { patch } from "../format/codec/delta.ts";
import { answerMsMax, answersBytesMax, stintsMax, stintSilenceMsMax } from "../agent/limits.ts";
import { decide, emptySource, rawName, rawSource } from "./dedup.ts";

export function fold(state: PartitionState, entry: Entry): void {
  switch (entry.kind) {
    case "step":
      foldOrigin(state, entry.origin);
      foldSends(state, entry.sends);
      foldAnswers(state, entry.answers, entry.at);
      if (entry.wakeUp === undefined) state.wakeUps.delete(entry.agent);
      else state.wakeUps.set(entry.agent, entry.wakeUp);
      if (entry.isBusy) state.busy.add(entry.agent);
      else state.busy.delete(entry.agent);
      return;
    case "pass":
      foldOrigin(state, entry.origin);
      foldSends(state, entry.sends);
      foldAnswers(state, entry.answers, entry.at);
      return;
    case "open":
      foldOpening(state, entry.stint, entry.place, entry.at);
      return;
    case "sent":
      foldSent(state, entry.to, entry.upTo);
      return;
    case "route":
      foldRoute(state, entry.app, entry.to);
      return;
    case "shelve": {
      foldOrigin(state, entry.origin);
      const shelved = state.shelf.get(entry.envelope.to);
      if (shelved === undefined) state.shelf.set(entry.envelope.to, [entry.envelope]);
      else shelved.push(entry.envelope);
      return;
    }
    case "remove":
      state.wakeUps.delete(entry.agent);
      state.busy.delete(entry.agent);
      return;
    case "unshelve": {
      const left = state.shelf.get(entry.agent)?.slice(entry.count) ?? [];
      if (left.length === 0) state.shelf.delete(entry.agent);
      else state.shelf.set(entry.agent, left);
      return;
    }
    case "note":
      state.notes.set(entry.id, (state.notes.get(entry.id) ?? 0) + 1);
      return;
    case "unnote":
      state.notes.delete(entry.id);
      return;
    case "quarantine":
      if (entry.quarantine === undefined) state.quarantine.delete(entry.agent);
      else state.quarantine.set(entry.agent, entry.quarantine);
  }
}

/** A position that is durable, and with it all entries that it tells of: it covers raw publishes, unless it is of a re-read. */
export function foldPosition(state: PartitionState, position: Position): void {
  state.position = position;
  if (position.before === undefined) delete state.raws;
}

/** The agent's state after a step, from its state before. */
export function foldStep(before: AgentState | undefined, entry: Pick<StepEntry, "delta">): AgentState | undefined {
  return entry.delta === undefined ? before : (patch(before, entry.delta) as AgentState);
}

function foldOrigin(state: PartitionState, origin: Origin | undefined): void {
  if (origin === undefined) return;
  if (origin.source === rawSource) {
    state.raws = (state.raws ?? new Set()).add(rawName(origin.n, origin.at));
    return;
  }
  let source = state.sources.get(origin.source);
  source ??= emptySource(0, origin.at);
  decide(source, origin.n, origin.closed);
  heardOf(state, origin.source, source, origin.at);
}

/** Those that were silent the longest stand first. */
function heardOf(state: PartitionState, key: string, source: SourceState, at: number): void {
  source.at = Math.max(source.at, at);
  state.sources.delete(key);
  state.sources.set(key, source);
}

function foldOpening(state: PartitionState, stint: string, place: number, at: number): void {
  forgetStints(state, at);
  const key = `stint:${stint}`;
  const source = state.sources.get(key) ?? emptySource(place, at);
  source.place = Math.max(source.place, place);
  heardOf(state, key, source, at);
}

/**
 * By the mailbox's times alone, so that no host's clock decides what is late. Many at once, when the first has been silent
 * for a while longer than it must: at each opening, that would be a walk over all of them.
 */
function forgetStints(state: PartitionState, at: number): void {
  if (state.sources.size <= stintsMax || oldestStintAt(state) > at - stintSilenceMsMax - stintsForgottenMs) return;
  const stints = [...state.sources].filter(([key]) => isStint(key));
  for (const [key, source] of stints.slice(0, Math.max(0, stints.length - stintsMax))) {
    if (source.at > at - stintSilenceMsMax) return;
    state.forgottenPlace = Math.max(state.forgottenPlace, source.place);
    state.sources.delete(key);
  }
}

function oldestStintAt(state: PartitionState): number {
  for (const [key, { at }] of state.sources) if (isStint(key)) return at;
  return Infinity;
}

function isStint(key: string): boolean {
  return key.startsWith("stint:");
}

function foldSends(state: PartitionState, sends: readonly NumberedSend[]): void {
  for (const { to, n, envelope } of sends) {
    const lane = laneOf(state, to);
    lane.entries.set(n, envelope);
    lane.next = n + 1;
  }
}

function laneOf(state: PartitionState, to: LaneKey): Lane {
  let lane = state.outbox.get(to);
  if (lane === undefined) {
    lane = { next: 1, entries: new Map() };
    state.outbox.set(to, lane);
  }
  return lane;
}

function foldRoute(state: PartitionState, app: string, to: readonly Partition[]): void {
  foldSends(state, routed(state, app, to));
  const waiting = state.outbox.get(app);
  for (const n of [...(waiting?.entries.keys() ?? [])].slice(0, to.length)) waiting?.entries.delete(n);
  if (waiting?.entries.size === 0) state.outbox.delete(app);
}

/** What waits to be routed to another app, the first of it, with the places that it gets. */
export function routed(state: PartitionState, app: string, to: readonly Partition[]): NumberedSend[] {
  const next = new Map<LaneKey, number>();
  const waiting = [...(state.outbox.get(app)?.entries.values() ?? [])].slice(0, to.length);
  return waiting.map((envelope, index) => {
    const lane = laneTo(app, to[index] as Partition);
    const n = next.get(lane) ?? state.outbox.get(lane)?.next ?? 1;
    next.set(lane, n + 1);
    return { to: lane, n, envelope };
  });
}

function foldSent(state: PartitionState, to: LaneKey, upTo: number): void {
  const lane = state.outbox.get(to);
  if (lane === undefined) return;
  for (const n of lane.entries.keys()) {
    if (n > upTo) break;
    lane.entries.delete(n);
  }
  // One to a partition is kept, since its numbers count on; of apps there may be as many as senders can misspell.
  if (lane.entries.size === 0 && parseLane(to).partition === undefined) state.outbox.delete(to);
}

function foldAnswers(state: PartitionState, answers: readonly GivenAnswer[], at: number): void {
  for (const [id, kept] of state.answers) {
    if (kept.until > at) break;
    forgetAnswer(state, id);
  }
  for (const { id, answer } of answers) {
    forgetAnswer(state, id);
    const bytes = sizeOf(answer);
    state.answers.set(id, { answer, until: at + answerMsMax, bytes });
    state.answersBytes += bytes;
  }
  for (const id of state.answers.keys()) {
    if (state.answersBytes <= answersBytesMax) break;
    forgetAnswer(state, id);
  }
}

function forgetAnswer(state: PartitionState, id: string): void {
  state.answersBytes -= state.answers.get(id)?.bytes ?? 0;
  state.answers.delete(id);
}

/** About what an answer takes; exact for what is large. */
function sizeOf(answer: Answer): number {
  const value = answer.ok ? answer.value : answer.error;
  if (typeof value === "string") return answerBytesBase + value.length;
  return answerBytesBase + (typeof value === "object" && value !== null ? encodeValue(value).length : 0);
}

const answerBytesBase = 64;
/** How much is forgotten at once: what fell silent within so long. */
const stintsForgottenMs = stintSilenceMsMax / 10;
