/**
 * After hosts died again and again: one thing at a time, noted in the journal before it is begun.
 *
 * A message may kill or hang its host before anything of it can be recorded. So from the second takeover of a dead
 * owner on, each piece of work that a host finds at its start is noted durably, done alone, and its note is taken back
 * with its outcome; what comes since is done between. Then it settles, and caution ends. A note that is found without its outcome is tried once more; the second death under one note
 * sets its agent aside, and no other.
 *
 * Owns: the queue of work, and whether caution is on.
 * Called by agent-work: `add`, `later`; by shelf: `addNext`; by host: `begin`, `idle`, `end`.
 * Calls a partition's agent-work: `noted`, `note`, `unnote`, `blame`.
 */
import type { Address } from "../agent/address.ts";
import { supervise } from "./supervise.ts";

/** What a partition's agents have to do, as caution sees it. */
export interface Cautious {
  /** How often work of this name was noted and not ended. */
  noted(id: string): number;
  /** Resolves when the note is durable, or the host ends. */
  note(id: string): Promise<void>;
  /** Resolves when the note's end, and all that was added before it, is durable. */
  unnote(id: string): Promise<void>;
  blame(agent: Address, id: string): void;
}

/** Work that is done alone. */
export interface Lone {
  readonly partition: Cautious;
  readonly agent: Address;
  readonly id: string;
  readonly run: () => Promise<void>;
}

/** Deaths of owners in a row, without a settle between, from which on there is caution. */
const deathsCautiousMin = 2;
/** Deaths under one note after which its agent is set aside. */
const deathsMax = 2;
const aloneMsMin = 50;
const aloneMsMax = 2_000;

export class Caution {
  readonly #queue: Lone[] = [];
  /** How much each agent has in the queue. */
  readonly #queued = new Map<Address, number>();
  /** What came since, in order. */
  #later: { readonly agent: Address; readonly run: () => boolean }[] = [];
  readonly #failed: (error: unknown) => void;
  #aloneMs = aloneMsMin;
  #isOn = false;
  #isRunning = false;
  readonly #idleWaiters: (() => void)[] = [];

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  /**
   * Partitions were taken whose owners died; whether that is reason for caution.
   *
   * @param deaths - How many owners of one died in a row since its last settle.
   */
  begin(deaths: number): boolean {
    if (deaths < deathsCautiousMin) return false;
    this.#isOn = true;
    this.#aloneMs = Math.max(this.#aloneMs, Math.min(aloneMsMax, aloneMsMin * 2 ** (deaths - deathsCautiousMin)));
    return true;
  }

  /** How long an agent's effects are alone, in milliseconds: the longer, the more hosts died in a row. */
  get aloneMs(): number {
    return this.#aloneMs;
  }

  /** Until the queue is empty: what comes for an agent must not overtake what waits for it here (D1). */
  get isOn(): boolean {
    return this.#isOn || this.#isRunning;
  }

  /** What was found at the start. */
  add(work: Lone): void {
    this.#queue.push(work);
    this.#count(work.agent, 1);
    this.#begin();
  }

  /** Before all that waits. */
  addNext(works: readonly Lone[]): void {
    this.#queue.unshift(...works);
    for (const { agent } of works) this.#count(agent, 1);
    this.#begin();
  }

  /**
   * What came since: no host died of it yet. It is done between two pieces of work that are alone, unless its agent has
   * something in the queue; whether it was done at once.
   */
  later(agent: Address, run: () => boolean): boolean {
    if (!this.#isRunning) return run();
    this.#later.push({ agent, run });
    return false;
  }

  #begin(): void {
    if (!this.#isRunning) void supervise(() => this.#run(), this.#failed);
  }

  /** Resolves when nothing is left to be done alone. */
  async idle(): Promise<void> {
    if (this.#isRunning) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** A settle has shown that the host lives with all that it took; whether that is so, and ended it. */
  end(): boolean {
    if (!this.#isOn || this.#isRunning) return false;
    this.#isOn = false;
    return true;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let work = this.#queue.shift(); work !== undefined; work = this.#queue.shift()) {
      const { partition, agent, id, run } = work;
      if (partition.noted(id) >= deathsMax) partition.blame(agent, id);
      else await partition.note(id);
      await run();
      await partition.unnote(id);
      this.#count(agent, -1);
      this.#doLater();
    }
    this.#isRunning = false;
    // What the last of them asked for in turn, as an agent that is resumed does: nobody would come back for it.
    this.#doLater();
    // It may have found work to be done alone: that has idle's waiters wait on.
    if (this.#queued.size > 0) return;
    for (const idle of this.#idleWaiters.splice(0)) idle();
  }

  #doLater(): void {
    const waiting = this.#later;
    this.#later = [];
    for (const one of waiting) {
      if (this.#queued.has(one.agent)) this.#later.push(one);
      else one.run();
    }
  }

  #count(agent: Address, by: 1 | -1): void {
    const count = (this.#queued.get(agent) ?? 0) + by;
    if (count > 0) this.#queued.set(agent, count);
    else this.#queued.delete(agent);
  }
}
