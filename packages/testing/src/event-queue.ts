/** What is pending, by due time and then by order: a binary heap, with cancelled events swept out now and then. */

export interface Queued {
  /** Virtual milliseconds. */
  dueMs: number;
  /** Among events due at one time: the lower goes first. */
  order: number;
  /** Among those of one order too: the older goes first. */
  readonly id: number;
  isCancelled: boolean;
}

const sweptAtLeast = 256;

export class EventQueue<E extends Queued> {
  #heap: E[] = [];
  #cancelledCount = 0;

  /** Events that are neither taken nor cancelled. */
  get size(): number {
    return this.#heap.length - this.#cancelledCount;
  }

  push(event: E): void {
    this.#heap.push(event);
    this.#siftUp(this.#heap.length - 1);
  }

  /** The next event, which stays. */
  peek(): E | undefined {
    let first = this.#heap[0];
    while (first?.isCancelled === true) {
      this.#takeFirst();
      this.#cancelledCount -= 1;
      first = this.#heap[0];
    }
    return first;
  }

  pop(): E | undefined {
    const first = this.peek();
    if (first !== undefined) this.#takeFirst();
    return first;
  }

  /** Cancels an event that is still queued. */
  cancel(event: E): void {
    event.isCancelled = true;
    this.#cancelledCount += 1;
    if (this.#cancelledCount < sweptAtLeast || this.#cancelledCount * 2 < this.#heap.length) return;
    this.#heap = this.pending().toSorted((left, right) => (isBefore(left, right) ? -1 : 1));
    this.#cancelledCount = 0;
  }

  /** All that is pending, in no particular order, though in the same order in every run of one seed. */
  pending(): readonly E[] {
    return this.#heap.filter((event) => !event.isCancelled);
  }

  #takeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#siftDown();
  }

  #siftUp(from: number): void {
    const heap = this.#heap;
    const event = heap[from] as E;
    let index = from;
    while (index > 0) {
      const parentIndex = (index - 1) >>> 1;
      const parent = heap[parentIndex] as E;
      if (isBefore(parent, event)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = event;
  }

  #siftDown(): void {
    const heap = this.#heap;
    const event = heap[0] as E;
    let index = 0;
    for (;;) {
      let childIndex = 2 * index + 1;
      const left = heap[childIndex];
      if (left === undefined) break;
      const right = heap[childIndex + 1];
      if (right !== undefined && isBefore(right, left)) childIndex += 1;
      const child = heap[childIndex] as E;
      if (isBefore(event, child)) break;
      heap[index] = child;
      index = childIndex;
    }
    heap[index] = event;
  }
}

function isBefore(left: Queued, right: Queued): boolean {
  if (left.dueMs !== right.dueMs) return left.dueMs < right.dueMs;
  if (left.order !== right.order) return left.order < right.order;
  return left.id < right.id;
}
