/**
 * D8: bytes written grow with what changed, not with steps × state size.
 *
 * Every object that a store took and every message that a stream took is weighed against what its bytes may be for: what
 * the steps in it changed, as an estimate of its own finds by comparing the states before and after (`changed-bytes.ts`),
 * and what they took and asked for; a constant for each step, entry, part and object; and, of an agent's objects, what
 * DESIGN.md section 11 allows:
 *
 * - a record, a mailbox message: what is new in it
 * - a head: its agent's whole history, up to 16 kB
 * - bases, pieces and chapters of an agent, together: three times its history, for all that merges write again; and what
 *   other hosts wrote of them and named in no head, since they were stopped or replaced: the next owner writes it again
 * - a partition object: what the partition keeps. Of answers, and of what it let go of, ten minutes are allowed
 *
 * The constants are a third to a half above what records take today, so that what doubles is found.
 * Does not verify bundles (`d3-bundles.ts`), that bytes that compress well are few, nor how often a message is published again: that is reported.
 */
import { changedBytes, sizeOf } from "./changed-bytes.ts";
import type { Checker, Observation, Violation } from "./checker.ts";
import { keyOf } from "./history.ts";
import { journalKindOf, readBatch, readHead, readRecord, type StoredEntry } from "./stored.ts";
import { isStep, type RecordedStep, StoredAgents } from "./stored-agents.ts";

/** What things cost beside what changed. */
const recordBytes = 300;
const partBytes = 120;
const stepBytes = 350;
const entryBytes = 200;
const changedFactor = 1.05;
const messageBytes = 120;
const envelopeBytes = 200;
const headBytes = 500;
const headBytesMax = 16_384 * 1.25;
const partsFactor = 3.5;
const partitionBytes = 700;
const sourceBytes = 110;
const agentBytes = 80;
const smallBytesMax = 300;
/**
 * How long answers are kept for at most: a minute, as hosts' clocks have it that are set back and forth. And how late a
 * partition object may be written that still says what was let go of.
 */
const keptMsMax = 600_000;

const kinds = ["records", "heads", "bases, pieces, chapters", "partition objects", "mailbox", "other objects"] as const;
type Kind = (typeof kinds)[number];

interface Weighed {
  written: number;
  /** The object that takes most of what it may. */
  worst: { readonly ratio: number; readonly message: string; readonly atMs: number };
}

/** What a partition keeps, as far as its object grows with it. */
interface Kept {
  readonly sources: Set<string>;
  readonly agents: Set<string>;
  readonly sends: Map<number | string, Map<number, number>>;
  readonly next: Map<number | string, number>;
  /** Answers, and what was let go of since. */
  lately: { readonly atMs: number; readonly bytes: number }[];
  shelved: number;
  objectBytes: number;
}

export class BytesChecker implements Checker {
  readonly name = "D8 bytes";
  readonly #agents = new StoredAgents();
  readonly #weighed = new Map<Kind, Weighed>(
    kinds.map((kind) => [kind, { written: 0, worst: { ratio: 0, message: "", atMs: 0 } }]),
  );
  readonly #kept = new Map<number, Kept>();
  /** By agent: what its steps changed, took and asked for. */
  readonly #histories = new Map<string, number>();
  /** By agent: bytes of bases, pieces and chapters. */
  readonly #parts = new Map<string, number>();
  /** By agent and host: of these, what was written since the host's last head of the agent. */
  readonly #unnamed = new Map<string, Map<string, number>>();
  readonly #heads = new Set<string>();
  readonly #envelopes = new Set<string>();
  readonly #names = new Set<string>();
  #changed = 0;
  #repeats = 0;
  #headsAgain = 0;

  observe(observation: Observation): void {
    if (observation.type === "appended") this.#append(observation);
    if (observation.type === "stored") this.#store(observation);
  }

  finish(): readonly Violation[] {
    const over = [...this.#weighed.values()].filter(({ worst }) => worst.ratio > 1);
    return over.map(({ worst: { message, atMs } }) => ({ invariant: "D8", message, atMs }));
  }

  report(): { readonly [figure: string]: number } {
    const written = [...this.#weighed].map(([kind, weighed]) => [`bytes of ${kind}`, weighed.written] as const);
    return {
      "bytes changed": this.#changed,
      ...Object.fromEntries(written),
      "envelopes appended": this.#envelopes.size,
      "envelopes appended again": this.#repeats,
      "heads that say nothing new": this.#headsAgain,
    };
  }

  #append({ partition, party, sequence, bytes, atMs }: Extract<Observation, { type: "appended" }>): void {
    const { source, envelopes } = readBatch(bytes);
    for (const { n } of envelopes) {
      const envelope = `${partition} ${source.id} ${n}`;
      if (this.#envelopes.has(envelope)) this.#repeats += 1;
      this.#envelopes.add(envelope);
    }
    const allowed = messageBytes + sum(envelopes.map(({ body }) => envelopeBytes + changedFactor * sizeOf(body)));
    this.#weigh("mailbox", bytes.length, allowed, `message ${sequence} of ${party} to partition ${partition}`, atMs);
  }

  #store({ name, party, bytes, atMs }: Extract<Observation, { type: "stored" }>): void {
    const isNew = !this.#names.has(name);
    this.#names.add(name);
    const [room = "", first = "", second = "", last = ""] = name.split("/");
    if (room === "journal" && journalKindOf(bytes) === "record") {
      // One that lands late on the name of a deleted one is a repeat of it.
      if (isNew) this.#record(name, bytes, atMs);
    } else if (room === "agents" && last === "head") this.#head(name, party, `${first}/${second}`, bytes, atMs);
    else if (room === "agents") this.#part(name, party, `${first}/${second}`, bytes, atMs);
    else if (room === "partitions" && second === "") this.#partition(name, Number(first), bytes, atMs);
    else if (room !== "partitions" && room !== "bundles")
      this.#weigh("other objects", bytes.length, smallBytesMax, name, atMs);
  }

  #record(name: string, bytes: Uint8Array, atMs: number): void {
    let allowed = recordBytes;
    for (const recorded of this.#agents.store(name, bytes)) {
      const { agent } = recorded.step;
      const changed = changedBytesOf(recorded);
      this.#changed += changed;
      this.#histories.set(agent, (this.#histories.get(agent) ?? 0) + stepBytes + changed);
      allowed += stepBytes + changedFactor * changed;
    }
    for (const { partition, position, entries } of readRecord(bytes).parts) {
      // A position is exact: with agents that take long to be read, or a stream that went backwards, it has many ranges.
      allowed += partBytes + sizeOf(position?.above) + sizeOf(position?.before);
      const kept = this.#keptOf(partition);
      for (const entry of entries) {
        keep(kept, entry, atMs);
        if (isStep(entry)) continue;
        // What is passed on, or kept for an agent that cannot step, is written as it came.
        const { answers, envelope, sends, to } = entry;
        allowed += entryBytes + changedFactor * (sizeOf(answers) + sizeOf(envelope) + sizeOf(sends) + sizeOf(to));
      }
    }
    this.#weigh("records", bytes.length, allowed, name, atMs);
  }

  #head(name: string, party: string, token: string, bytes: Uint8Array, atMs: number): void {
    this.#unnamed.get(token)?.delete(party);
    const { epoch, seq } = readHead(bytes);
    const version = `${name} of step ${seq} in epoch ${epoch}`;
    if (this.#heads.has(version)) this.#headsAgain += 1;
    this.#heads.add(version);
    const history = headBytes + this.#historyOf(token);
    this.#weigh("heads", bytes.length, Math.min(headBytesMax, history), name, atMs);
  }

  #part(name: string, party: string, token: string, bytes: Uint8Array, atMs: number): void {
    const written = (this.#parts.get(token) ?? 0) + bytes.length;
    this.#parts.set(token, written);
    const unnamed = this.#unnamed.get(token) ?? new Map<string, number>();
    this.#unnamed.set(token, unnamed.set(party, (unnamed.get(party) ?? 0) + bytes.length));
    const ofOthers = sum([...unnamed].filter(([other]) => other !== party).map(([, count]) => count));
    const allowed = partsFactor * this.#historyOf(token) + ofOthers;
    this.#weigh("bases, pieces, chapters", written, allowed, `${name} and all before it`, atMs, bytes.length);
  }

  #partition(name: string, partition: number, bytes: Uint8Array, atMs: number): void {
    const kept = this.#keptOf(partition);
    kept.lately = kept.lately.filter((one) => one.atMs > atMs - keptMsMax);
    const sends = [...kept.sends.values()].flatMap((lane) => [...lane.values()]);
    const allowed =
      partitionBytes +
      sourceBytes * kept.sources.size +
      agentBytes * kept.agents.size +
      changedFactor * (sum(sends) + sum(kept.lately.map((one) => one.bytes)) + kept.shelved);
    // A claim writes what was settled before, however long ago that was.
    const again = kept.objectBytes + smallBytesMax;
    this.#weigh("partition objects", bytes.length, Math.max(allowed, again), name, atMs);
    kept.objectBytes = bytes.length;
  }

  #weigh(kind: Kind, bytes: number, allowed: number, what: string, atMs: number, written: number = bytes): void {
    const weighed = this.#weighed.get(kind);
    if (weighed === undefined) return;
    weighed.written += written;
    const ratio = bytes / allowed;
    if (ratio <= weighed.worst.ratio) return;
    const message = `${what}: ${bytes} bytes, and what changed allows ${Math.round(allowed)}`;
    weighed.worst = { ratio, message, atMs };
  }

  #historyOf(token: string): number {
    return this.#histories.get(keyOf(token)) ?? 0;
  }

  #keptOf(partition: number): Kept {
    const known = this.#kept.get(partition);
    if (known !== undefined) return known;
    const kept: Kept = {
      sources: new Set(),
      agents: new Set(),
      sends: new Map(),
      next: new Map(),
      lately: [],
      shelved: 0,
      objectBytes: 0,
    };
    this.#kept.set(partition, kept);
    return kept;
  }
}

/** What a step changed, took and asked for. */
function changedBytesOf({ step, before, after }: RecordedStep): number {
  const { cause, sends, answers, emitted, error } = step;
  const asked = sum(sends.map(({ envelope }) => sizeOf(envelope.body))) + sizeOf(answers) + sizeOf(emitted);
  return changedBytes(before, after) + sizeOf(cause.event ?? cause.input) + asked + sizeOf(error);
}

function keep(kept: Kept, entry: StoredEntry, atMs: number): void {
  const { kind, agent, origin, stint, sends = [], answers = [], to = -1, upTo = 0, envelope } = entry;
  if (origin !== undefined) kept.sources.add(origin.source);
  if (stint !== undefined) kept.sources.add(`stint:${stint}`);
  if (agent !== undefined) kept.agents.add(agent);
  if (answers.length > 0) kept.lately.push({ atMs, bytes: sizeOf(answers) + answers.length * agentBytes });
  if (envelope !== undefined) kept.shelved += envelopeBytes + sizeOf(envelope.body);
  for (const send of sends) keepSend(kept, send.to, send.n, envelopeBytes + sizeOf(send.envelope.body));
  if (kind === "route") route(kept, entry);
  if (kind !== "sent" || typeof to === "object") return;
  const lane = kept.sends.get(to);
  for (const [n, bytes] of lane ?? []) {
    if (n > upTo) continue;
    lane?.delete(n);
    kept.lately.push({ atMs, bytes });
  }
}

/** What waited for another app goes to the lanes of its partitions, and is numbered anew there. */
function route(kept: Kept, { app = "", to = [] }: StoredEntry): void {
  const waiting = [...(kept.sends.get(app) ?? [])];
  for (const [index, partition] of (to as readonly number[]).entries()) {
    const [n, bytes] = waiting[index] ?? [0, 0];
    kept.sends.get(app)?.delete(n);
    const lane = `${app}/${partition}`;
    keepSend(kept, lane, kept.next.get(lane) ?? 1, bytes);
  }
}

function keepSend(kept: Kept, to: number | string, n: number, bytes: number): void {
  kept.sends.set(to, (kept.sends.get(to) ?? new Map<number, number>()).set(n, bytes));
  kept.next.set(to, n + 1);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
