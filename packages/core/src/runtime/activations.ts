/**
 * Agents of one partition in memory.
 *
 * Owns: what is in memory of each agent, speculative and committed; the queue of work for those being loaded.
 * Leaves to others: steps (`steps.ts`), heads (`settle/settle.ts`).
 * Called by agent-work and partition: `use`; by shelf: `giveUpUnread`, `forget`; by settler: `values`, `passivate`; by reads: `use`, `values`.
 *
 * A1  Work for an agent runs in the order it came; an agent that is loading holds up no other.
 * A2  An agent leaves memory only when all that memory holds of it is settled: then its head is the whole truth.
 */
import type { Address, Partition } from "../agent/address.ts";
import { DormouseError } from "../agent/errors.ts";
import { type ChapterRef, decodeHead, historyStep, type HistoryStep } from "../format/head.ts";
import { headKey } from "../format/keys.ts";
import type { Entry } from "../format/record.ts";
import type { Etag, StoredObject } from "../ports/index.ts";
import type { Live } from "../step/engine.ts";
import { foldStep } from "../step/fold.ts";
import type { AgentState } from "../step/state.ts";
import { insist, type World } from "./insist.ts";
import { foldRun, type Kept, readRun } from "./run.ts";
import { supervise } from "./supervise.ts";

export interface Activation {
  readonly agent: Address;
  phase: "loading" | "ready" | "unreadable";
  /** After the last step taken, durable or not; `undefined`: there is no such agent. */
  state: AgentState | undefined;
  /** The same as the engine runs it; made when first needed. */
  live: Live | undefined;
  /** After the last durable step: what is read, and what effects run by. */
  committed: AgentState | undefined;
  /** Its effects as they were when it was loaded, or taken back: attempts that nobody here waits for. */
  effectsFound: AgentState["effects"];
  /** The last number of an earlier life of the key. */
  seqBefore: number;
  /** The same, of a life that is durably over. */
  committedSeqBefore: number;
  /** The head as it was read or written last; `undefined`: there is none. */
  head: ReadHead | undefined;
  /** As the head tells of this life; `undefined` while none does. */
  settled: AgentState | undefined;
  /** Committed steps of this life that the head does not have yet, in order: they lead from `settled` to `committed`. */
  steps: HistoryStep[];
  /** Of chapters that a reader of the history came by: the one before each. */
  chapters: Map<string, ChapterRef | undefined> | undefined;
  /** How often it was removed since it was activated: what a head tells of an earlier life is over. */
  lives: number;
  /** The life that the head tells of. */
  headLife: number;
  /** Entries in the open record or being written. */
  uncommitted: number;
  /** Committed and not in the head yet. */
  isUnsettled: boolean;
  /** Monotonic, of its last work. */
  usedAt: number;
  /** Why it cannot be read; of one that was given up, until it is durably gone. */
  error: DormouseError | undefined;
  waiting: Work[];
}

export interface ActivationsOptions {
  readonly world: World;
  readonly partition: Partition;
  /** Entries of agents that are in journals and not yet in heads, from a takeover. */
  readonly tails: Map<Address, Entry[]>;
  readonly loaded: (activation: Activation) => void;
  /** What no one can go on from: the host ends. */
  readonly failed: (error: unknown) => void;
}

/** What is to be done with an agent when it is in memory. */
export type Work = (activation: Activation) => void | Promise<void>;

export class Activations {
  readonly #options: ActivationsOptions;
  readonly #byAgent = new Map<Address, Activation>();

  constructor(options: ActivationsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byAgent.size;
  }

  values(): IterableIterator<Activation> {
    return this.#byAgent.values();
  }

  /** Those that were used last, the latest first. */
  newest(most: number): readonly Address[] {
    const byUse = [...this.#byAgent.values()].toSorted((a, b) => b.usedAt - a.usedAt);
    return byUse.slice(0, most).map(({ agent }) => agent);
  }

  get(agent: Address): Activation | undefined {
    return this.#byAgent.get(agent);
  }

  /** Runs `work` on the agent, at once if it is in memory, else when it is loaded (A1); whether it ran at once. */
  use(agent: Address, work: Work): boolean {
    const { world, failed } = this.#options;
    const known = this.#byAgent.get(agent);
    if (known !== undefined && known.phase !== "loading") {
      known.usedAt = world.clock.monotonic();
      void supervise(() => work(known), failed);
      return true;
    }
    const activation = known ?? this.#begin(agent);
    activation.waiting.push(work);
    return false;
  }

  /** Drops an agent from memory if it may leave (A2). */
  passivate(activation: Activation): boolean {
    const isHeld = activation.phase === "loading" || activation.uncommitted > 0 || activation.isUnsettled;
    if (isHeld) return false;
    // Its head covers them.
    this.#options.tails.delete(activation.agent);
    return this.#byAgent.delete(activation.agent);
  }

  /** Drops an agent that could not be read, to try again. */
  forget(activation: Activation): void {
    this.#byAgent.delete(activation.agent);
  }

  /**
   * Makes an agent that cannot be read one that is gone. Its numbers count on from above all that it can have had, so
   * that no id is ever made twice.
   */
  giveUpUnread(activation: Activation): void {
    if (activation.phase !== "unreadable") return;
    activation.phase = "ready";
    const tail = this.#options.tails.get(activation.agent) ?? [];
    const known = tail.map((entry) => (entry.kind === "step" || entry.kind === "remove" ? entry.seq : 0));
    activation.seqBefore = Math.max(activation.head?.seq ?? 0, ...known);
  }

  #begin(agent: Address): Activation {
    const activation: Activation = {
      agent,
      phase: "loading",
      state: undefined,
      live: undefined,
      committed: undefined,
      effectsFound: {},
      seqBefore: 0,
      committedSeqBefore: 0,
      head: undefined,
      settled: undefined,
      steps: [],
      chapters: undefined,
      lives: 0,
      headLife: 0,
      uncommitted: 0,
      isUnsettled: false,
      usedAt: this.#options.world.clock.monotonic(),
      error: undefined,
      waiting: [],
    };
    this.#byAgent.set(agent, activation);
    void supervise(() => this.#load(activation), this.#options.failed);
    return activation;
  }

  async #load(activation: Activation): Promise<void> {
    try {
      await this.#readHead(activation);
      activation.phase = "ready";
    } catch (error) {
      if (error instanceof DormouseError && error.kind === "closed") return;
      // The store gave no answer for too long: that says nothing of the agent.
      if (error instanceof DormouseError && error.kind === "unavailable") throw error;
      activation.error = error instanceof DormouseError ? error : unreadable(error);
      activation.phase = "unreadable";
    }
    const { loaded, failed } = this.#options;
    loaded(activation);
    for (const work of activation.waiting.splice(0)) void supervise(() => work(activation), failed);
  }

  async #readHead(activation: Activation): Promise<void> {
    const { world, tails } = this.#options;
    const name = headKey(activation.agent);
    const tail = tails.get(activation.agent) ?? [];
    // All that came before is over: of an agent that was removed since, not even its head need be readable.
    const removedAt = tail.findLastIndex(({ kind }) => kind === "remove");
    let object = await insist(world, () => world.store.get(name));
    for (;;) {
      activation.head = undefined;
      try {
        if (object !== undefined) await this.#restore(activation, (activation.head = asRead(object, name)));
        break;
      } catch (error) {
        // Merged meanwhile by an owner that is late: missing only if a fresh head still names it (DESIGN section 11).
        const again = await insist(world, () => world.store.get(name));
        if (again?.etag === object?.etag) {
          if (object !== undefined) activation.head ??= unknownHead(world, object);
          if (removedAt < 0) throw error;
          break;
        }
        object = again;
      }
    }
    activation.settled = activation.state;
    for (const entry of tail.slice(Math.max(0, removedAt))) applyEntry(activation, entry);
    activation.isUnsettled = activation.steps.length > 0 || activation.lives > 0;
    activation.committed = activation.state;
    activation.committedSeqBefore = activation.seqBefore;
    activation.effectsFound = activation.state?.effects ?? {};
  }

  async #restore(activation: Activation, { kept, seq }: ReadHead): Promise<void> {
    if (kept === undefined) {
      activation.seqBefore = seq;
      return;
    }
    const { base, steps } = await readRun(this.#options.world, kept.run, headKey(activation.agent));
    activation.state = foldRun(base, steps);
  }
}

/** A state that cannot be had from what is stored, for a reason that nobody foresaw: of this agent alone (D9). */
export function unreadable(cause: unknown): DormouseError {
  return new DormouseError("corrupt", "state.unreadable", String(cause), { cause });
}

/** A head as it stands in the store. */
export interface ReadHead {
  readonly etag: Etag;
  readonly epoch: number;
  readonly seq: number;
  /** `undefined` in a tombstone. */
  readonly kept: Kept | undefined;
}

export async function readHead(world: World, agent: Address): Promise<ReadHead | undefined> {
  const name = headKey(agent);
  const object = await insist(world, () => world.store.get(name));
  return object === undefined ? undefined : asRead(object, name);
}

export function asRead({ bytes, etag }: StoredObject, name: string): ReadHead {
  const { epoch, seq, run, chapter } = decodeHead(bytes, name);
  return { etag, epoch, seq, kept: run === undefined ? undefined : { run, chapter } };
}

/**
 * A head that does not tell its number stands for the highest that its agent can have come to: nobody takes a step in
 * each millisecond since 1970.
 */
export function unknownHead({ clock }: Pick<World, "clock">, { etag }: StoredObject): ReadHead {
  return { etag, epoch: 0, seq: clock.now(), kept: undefined };
}

/** A head that was there is gone, or an older one stands in its place: what memory or a journal holds goes on from it. */
export function lostHead(name: string, wanted: number, found: { readonly seq: number } | undefined): DormouseError {
  return new DormouseError(
    "corrupt",
    "head.lost",
    `an agent's head is not what was written there last; put that back and resume the agent, or remove it: object=${name} ` +
      `wanted=${wanted} found=${found?.seq ?? "nothing"}`,
  );
}

/** Brings an agent over one entry of a journal; what its head already covers is skipped. */
function applyEntry(activation: Activation, entry: Entry): void {
  if (entry.kind !== "step" && entry.kind !== "remove") return;
  const seq = activation.state?.seq ?? activation.seqBefore;
  if (entry.kind === "remove") {
    if (entry.seq < seq) return;
    activation.state = undefined;
    activation.settled = undefined;
    activation.steps = [];
    activation.lives += 1;
    activation.seqBefore = entry.seq;
  } else if (entry.seq > seq) {
    if (entry.seq > seq + 1) throw lostHead(headKey(activation.agent), entry.seq - 1, activation.head);
    activation.state = foldStep(activation.state, entry);
    activation.steps.push(historyStep(entry));
  }
}
