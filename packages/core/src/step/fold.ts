/**
 * What a committed entry makes of its partition's state. The owner applies an entry when it adds it to the open record;
 * whoever takes over applies the same entries in the same order to the settled state, and has the same.
 */
import { encodeValue } from "../format/codec/msgpack.ts";
import type { AgentState, Answer } from "./state.ts";
import type { PartitionState, SourceState } from "../format/partition.ts";
import type { Entry, GivenAnswer, NumberedSend, Origin, StepEntry } from "../format/record.ts";
import { patch } from "../format/codec/delta.ts";
import { answerMsMax, answersBytesMax, stintsMax, stintSilenceMsMax } from "../agent/limits.ts";
import { decide, emptySource } from "./dedup.ts";

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

/** The agent's state after a step, from its state before. */
export function foldStep(before: AgentState | undefined, entry: Pick<StepEntry, "delta">): AgentState | undefined {
  return entry.delta === undefined ? before : (patch(before, entry.delta) as AgentState);
}

function foldOrigin(state: PartitionState, origin: Origin | undefined): void {
  if (origin === undefined) return;
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
    let lane = state.outbox.get(to);
    if (lane === undefined) {
      lane = { next: 1, entries: new Map() };
      state.outbox.set(to, lane);
    }
    lane.entries.set(n, envelope);
    lane.next = n + 1;
  }
}

function foldSent(state: PartitionState, to: number, upTo: number): void {
  const lane = state.outbox.get(to);
  if (lane === undefined) return;
  for (const n of lane.entries.keys()) {
    if (n > upTo) break;
    lane.entries.delete(n);
  }
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
