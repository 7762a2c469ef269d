/**
 * The states of agents, step by step, as records tell them: each state is the one before it and the change recorded.
 *
 * An independent reader of deltas: it shares no code with the runtime. What is stored first counts: a record that lands
 * late on the name of a deleted one says nothing new.
 */
import { assert } from "../assert.ts";
import type { Observation } from "./checker.ts";
import {
  journalKindOf,
  rawId,
  readBatch,
  readRecord,
  type StoredCause,
  type StoredEntry,
  type StoredEnvelope,
  type StoredOrigin,
  type StoredPart,
  type StoredState,
  type StoredStep,
} from "./stored.ts";

/** A recorded step, and the durable state around it. */
export interface RecordedStep {
  readonly record: string;
  readonly step: StoredStep;
  /** `undefined` before an agent's first. */
  readonly before: StoredState | undefined;
  readonly after: StoredState;
  /** The last number before this step; of an earlier life, if it is the first of one. */
  readonly seqBefore: number;
  /** The message that it took. */
  readonly message: StoredEnvelope | undefined;
}

interface Agent {
  seq: number;
  state: StoredState | undefined;
}

export class StoredAgents {
  readonly #agents = new Map<string, Agent>();
  readonly #records = new Set<string>();
  /** By partition, source and number: every copy of a message says the same. */
  readonly #messages = new Map<string, StoredEnvelope>();
  readonly #messagesById = new Map<string, StoredEnvelope>();
  readonly #shelves = new Map<string, StoredEnvelope[]>();
  /** Taken off the shelf, and not stepped yet. */
  readonly #offShelf = new Map<string, StoredEnvelope>();

  /** Takes in a mailbox message. */
  append(partition: number, bytes: Uint8Array): void {
    const { source, envelopes } = readBatch(bytes);
    for (const envelope of envelopes) {
      this.#messages.set(`${partition} ${source.kind}:${source.id} ${envelope.n}`, envelope);
      this.#messagesById.set(envelope.id, envelope);
    }
  }

  /** Takes in what a client without our code published. */
  appendRaw(raw: Extract<Observation, { type: "appended-raw" }>): void {
    const { partition, sequence, at, agent, event } = raw;
    const body = { kind: "event", event };
    const envelope = { n: sequence, id: rawId(raw), to: agent, body, sentAt: Math.floor(at) };
    this.#messages.set(`${partition} raw@${at} ${sequence}`, envelope);
    this.#messagesById.set(envelope.id, envelope);
  }

  /** Takes in a stored object; gives the steps that it records, in order. */
  store(name: string, bytes: Uint8Array): readonly RecordedStep[] {
    if (!name.startsWith("journal/") || journalKindOf(bytes) !== "record" || this.#records.has(name)) return [];
    this.#records.add(name);
    const steps: RecordedStep[] = [];
    for (const part of readRecord(bytes).parts) {
      for (const entry of part.entries) {
        if (isStep(entry)) steps.push(this.#step(name, part, entry));
        else this.#fold(entry);
      }
    }
    return steps;
  }

  #step(record: string, { partition }: StoredPart, step: StoredStep): RecordedStep {
    const { agent, seq, delta, origin, cause } = step;
    const known = this.#agent(agent);
    const { state: before, seq: seqBefore } = known;
    const after = (delta === undefined ? before : applyDelta(before, delta)) as StoredState;
    this.#agents.set(agent, { seq, state: after });
    const message =
      origin === undefined
        ? this.#messageOf(agent, cause)
        : this.#messages.get(`${partition} ${sourceOf(origin)} ${origin.n}`);
    return { record, step, before, after, seqBefore, message };
  }

  /** Of a step that decides no message of the mailbox: what it took off the shelf, or what begins the agent. */
  #messageOf(agent: string, { kind, id }: StoredCause): StoredEnvelope | undefined {
    const offShelf = this.#offShelf.get(agent);
    if (["timer", "effect", "attempt", "action", "undelivered"].includes(kind)) return undefined;
    if (offShelf === undefined || (id !== undefined && id !== offShelf.id)) return this.#messagesById.get(id ?? "");
    // Begun by a plain message: that message's own step is still to come.
    if (kind !== "start" || offShelf.body.kind !== "event") this.#offShelf.delete(agent);
    return offShelf;
  }

  #fold({ kind, agent = "", seq = 0, envelope, count = 0 }: StoredEntry): void {
    if (kind === "remove") this.#agents.set(agent, { seq, state: undefined });
    if (kind === "shelve" && envelope !== undefined) {
      this.#shelves.set(envelope.to, [...(this.#shelves.get(envelope.to) ?? []), envelope]);
    }
    if (kind === "unshelve") {
      const taken = this.#shelves.get(agent)?.splice(0, count).at(-1);
      if (taken !== undefined) this.#offShelf.set(agent, taken);
    }
  }

  #agent(agent: string): Agent {
    return this.#agents.get(agent) ?? { seq: 0, state: undefined };
  }
}

/** A stream may give the number of a raw publish again, at a later time. */
function sourceOf({ source, at }: StoredOrigin): string {
  return source === "raw" ? `raw@${at}` : source;
}

export function isStep(entry: StoredEntry): entry is StoredStep {
  return entry.kind === "step";
}

/** The value after a change: DESIGN.md, section 8. What did not change is shared with the value before. */
function applyDelta(before: unknown, delta: unknown): unknown {
  const [op, ...about] = delta as readonly [number, ...unknown[]];
  switch (op) {
    case 0:
      return about[0];
    case 1:
      return append(before, about[0]);
    case 2:
      return before instanceof Map ? changeKeys(before, about) : changeFields(before as object, about);
    case 3:
      return before instanceof Set
        ? new Set(changeElements([...before], about))
        : changeElements(before as readonly unknown[], about);
    default:
      throw new Error(`a change of an unknown kind is recorded: op=${op}`);
  }
}

function append(before: unknown, rest: unknown): unknown {
  if (typeof before === "string") return before + String(rest);
  return Uint8Array.from([...(before as Uint8Array), ...(rest as Uint8Array)]);
}

function changeFields(before: object, about: readonly unknown[]): object {
  return Object.fromEntries(changeKeys(new Map<unknown, unknown>(Object.entries(before)), about));
}

function changeKeys(
  before: ReadonlyMap<unknown, unknown>,
  [changes, removed, order]: readonly unknown[],
): Map<unknown, unknown> {
  const after = new Map(before);
  for (const key of (removed ?? []) as readonly unknown[]) after.delete(key);
  for (const [key, delta] of pairs(changes as readonly unknown[])) after.set(key, applyDelta(after.get(key), delta));
  if (order === undefined) return after;
  return new Map((order as readonly unknown[]).map((key) => [key, after.get(key)]));
}

function changeElements(before: readonly unknown[], edits: readonly unknown[]): unknown[] {
  const after: unknown[] = [];
  let at = 0;
  for (const [edit, about] of pairs(edits)) {
    const count = Number(about);
    if (edit === 0) after.push(...before.slice(at, at + count));
    if (edit === 2) after.push(...(about as readonly unknown[]));
    if (edit === 3) after.push(applyDelta(before[at], about));
    at += edit === 3 ? 1 : edit === 2 ? 0 : count;
    assert(at <= before.length, "a change is of elements that were there");
  }
  return [...after, ...before.slice(at)];
}

function pairs(list: readonly unknown[]): (readonly [unknown, unknown])[] {
  return Array.from({ length: list.length / 2 }, (_, index) => [list[2 * index], list[2 * index + 1]]);
}
