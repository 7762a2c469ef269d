/**
 * The owner's near timers: one wake-up per agent, in a binary heap by due time.
 *
 * Owns: the heap, and the one clock timer armed for its top.
 * Leaves to others: what is due (the agent's own state), what a wake-up does (`under-way.ts`).
 *
 * T1  A wake-up is a hint: an agent that finds nothing due goes back to sleep, so a late or doubled one does no harm.
 *     Replaced ones stay in the heap until they come up, and are dropped then.
 * T2  The clock is looked at every minute: a wall clock that is set forwards would else hold up what is due by it, and all
 *     that is armed behind it, by as much as it was set.
 */
import type { Address } from "../../agent/address.ts";
import type { Cancel, Clock } from "../../ports/index.ts";
import { supervise } from "../supervise.ts";

interface WakeUp {
  readonly due: number;
  readonly agent: Address;
}

export interface TimersOptions {
  readonly clock: Clock;
  readonly wake: (agent: Address) => void;
  readonly failed: (error: unknown) => void;
}

const lookMsMax = 60_000;

export class Timers {
  readonly #options: TimersOptions;
  readonly #heap: WakeUp[] = [];
  /** What is armed for each agent; other entries of the heap are old. */
  readonly #due = new Map<Address, number>();
  #armed: { readonly due: number; readonly cancel: Cancel } | undefined;

  constructor(options: TimersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#due.size;
  }

  /** Arms the agent's wake-up in place of an earlier one, or disarms it. */
  set(agent: Address, due: number | undefined): void {
    if (this.#due.get(agent) === due) return;
    if (due === undefined) {
      this.#due.delete(agent);
      return;
    }
    this.#due.set(agent, due);
    this.#push({ due, agent });
    this.#arm();
  }

  stop(): void {
    this.#armed?.cancel();
    this.#armed = undefined;
    this.#heap.length = 0;
    this.#due.clear();
  }

  #arm(): void {
    const top = this.#heap[0];
    if (top === undefined || (this.#armed !== undefined && this.#armed.due <= top.due)) return;
    this.#armed?.cancel();
    const { clock, failed } = this.#options;
    const delayMs = Math.min(lookMsMax, Math.max(0, top.due - clock.now()));
    const fire = (): void => void supervise(() => this.#fire(), failed);
    this.#armed = { due: top.due, cancel: clock.schedule(delayMs, fire) };
  }

  #fire(): void {
    this.#armed = undefined;
    const { clock, wake } = this.#options;
    const now = clock.now();
    for (let top = this.#heap[0]; top !== undefined && top.due <= now; top = this.#heap[0]) {
      this.#pop();
      if (this.#due.get(top.agent) !== top.due) continue;
      this.#due.delete(top.agent);
      wake(top.agent);
    }
    this.#arm();
  }

  #push(wakeUp: WakeUp): void {
    const heap = this.#heap;
    let index = heap.push(wakeUp) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.due <= wakeUp.due) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = wakeUp;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      const isRightLess = left !== undefined && right !== undefined && right.due < left.due;
      const child = isRightLess ? right : left;
      if (child === undefined || child.due >= last.due) break;
      heap[index] = child;
      index = 2 * index + (isRightLess ? 2 : 1);
    }
    heap[index] = last;
  }
}
