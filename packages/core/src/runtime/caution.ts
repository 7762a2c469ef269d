/**
 * After hosts died again and again: one thing at a time, noted in the journal before it is begun.
 *
 * A message may kill or hang its host before anything of it can be recorded. So from the second takeover of a dead
 * owner on, until the next settle, each piece of work of this host is noted durably, done alone, and its note is taken
 * back with its outcome. A note that is found without its outcome is tried once more; the second death under one note
 * sets its agent aside, and no other.
 *
 * Owns: the queue of work, and whether caution is on.
 * Called by partition: `add`, `addNext`; by host: `idle`, `end`. Calls a partition's `note`, `unnote`, `blame`.
 */
import type { Address } from "../agent/address.ts";
import { supervise } from "./supervise.ts";

/** A partition as caution sees it. */
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

/** Deaths under one note after which its agent is set aside. */
const deathsMax = 2;

export class Caution {
  readonly #queue: Lone[] = [];
  readonly #failed: (error: unknown) => void;
  #isOn: boolean;
  #isRunning = false;
  readonly #idleWaiters: (() => void)[] = [];

  /** @param isOn - Whether an owner before this host died at least twice since the last settle. */
  constructor(isOn: boolean, failed: (error: unknown) => void) {
    this.#isOn = isOn;
    this.#failed = failed;
  }

  /** Until the queue is empty: what comes for an agent must not overtake what waits for it here (D1). */
  get isOn(): boolean {
    return this.#isOn || this.#isRunning;
  }

  add(work: Lone): void {
    this.#queue.push(work);
    this.#begin();
  }

  /** Before all that waits. */
  addNext(works: readonly Lone[]): void {
    this.#queue.unshift(...works);
    this.#begin();
  }

  #begin(): void {
    if (!this.#isRunning) void supervise(() => this.#run(), this.#failed);
  }

  /** Resolves when nothing is left to be done alone. */
  async idle(): Promise<void> {
    if (this.#isRunning) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** A settle has shown that the host lives with all that it took. */
  end(): void {
    this.#isOn = false;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let work = this.#queue.shift(); work !== undefined; work = this.#queue.shift()) {
      const { partition, agent, id, run } = work;
      if (partition.noted(id) >= deathsMax) partition.blame(agent, id);
      else await partition.note(id);
      await run();
      await partition.unnote(id);
    }
    this.#isRunning = false;
    for (const idle of this.#idleWaiters.splice(0)) idle();
  }
}
