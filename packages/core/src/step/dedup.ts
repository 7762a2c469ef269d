/** Messages taken once: per source a watermark, and the sparse set of numbers decided above it. DESIGN.md section 4. */
import type { Source } from "../format/message.ts";
import type { PartitionState, SourceState } from "../format/partition.ts";

/** One name for every source of numbered messages. */
export function sourceKey(source: Source): string {
  return `${source.kind}:${source.id}`;
}

/** The source of what a client without numbers published: each is known by its place and the stream's time of it. */
export const rawSource = "raw";

/** One raw publish for all time: a stream may give a number again, and never at an earlier time (FACTS.md). */
export function rawName(sequence: number, at: number): string {
  return `${sequence}@${at}`;
}

export function emptySource(place: number, at: number): SourceState {
  return { low: 0, above: new Set(), place, at };
}

/** Notes that `n` is decided and everything up to `closed` will not come; raises the watermark over what is dense. */
export function decide(source: SourceState, n: number, closed: number): void {
  if (n > source.low) source.above.add(n);
  if (closed > source.low) {
    source.low = closed;
    for (const above of source.above) if (above <= closed) source.above.delete(above);
  }
  while (source.above.delete(source.low + 1)) source.low += 1;
}

/**
 * Numbers of each source pass the reader in order: so a number that comes before one below it is skipped, and its sender
 * publishes it again. What passed but is not decided yet (its agent is cold) is known only here, in memory: whoever
 * takes over reads from the committed position, where it still stands.
 */
export class InOrder {
  /** By source, the highest number that passed, while it is above the watermark: below it the state says as much. */
  readonly #passed = new Map<string, number>();
  /** By source, what passed and is not decided, rising: numbers pass in order. */
  readonly #undecided = new Map<string, Set<number>>();
  readonly #state: PartitionState;

  constructor(state: PartitionState) {
    this.#state = state;
  }

  /** Sources of which it knows more than the state: as a rule those of which something waits for its agent. */
  get size(): number {
    return this.#passed.size;
  }

  /**
   * What to do with number `n` of a source whose floor is `floor`.
   *
   * `take`: it is new; `decided` is to be called when it is. `repeat`: it is decided. `pending`: it was taken before and
   * is being decided. `closed`: a floor closed it, and the state does not say so yet. `early`: a lower one is still to
   * come. `late`: it is of a stint that was forgotten; taking it could be taking it twice.
   */
  admit(source: NumberedSource, n: number): "take" | "repeat" | "pending" | "closed" | "early" | "late" {
    const key = sourceKey(source);
    const known = this.#state.sources.get(key);
    if (known === undefined && source.kind === "stint" && source.place <= this.#state.forgottenPlace) return "late";
    let passed = Math.max(this.#passed.get(key) ?? 0, known?.low ?? 0, source.floor - 1);
    // After a takeover, messages that were consumed above the position are not read again, so nobody else counts them.
    while (known?.above.has(passed + 1) === true) passed += 1;
    const isNext = n === passed + 1;
    this.#note(key, isNext ? n : passed);
    if (isNext) {
      this.#undecidedOf(key).add(n);
      return "take";
    }
    if (n > passed) return "early";
    if (this.#undecided.get(key)?.has(n) === true) return "pending";
    return known !== undefined && (n <= known.low || known.above.has(n)) ? "repeat" : "closed";
  }

  /** A number that was taken is decided. */
  decided(key: string, n: number): void {
    const undecided = this.#undecided.get(key);
    undecided?.delete(n);
    if (undecided?.size === 0) this.#undecided.delete(key);
    this.#note(key, this.#passed.get(key) ?? 0);
  }

  #note(key: string, passed: number): void {
    if (passed > (this.#state.sources.get(key)?.low ?? 0)) this.#passed.set(key, passed);
    else this.#passed.delete(key);
  }

  /**
   * Up to where all numbers are decided or closed once `n` is decided: with those that a floor closed, be it of another
   * message. A floor that is forgotten in a crash would open them again, behind what was taken since (D1). A sender lets
   * its floor rise over what is acknowledged; of that, what waits here for its agent is not decided, and closed it would
   * be lost (D4).
   */
  closed(key: string, n: number): number {
    for (const other of this.#undecided.get(key) ?? []) if (other !== n) return other - 1;
    return Math.max(this.#passed.get(key) ?? 0, this.#state.sources.get(key)?.low ?? 0);
  }

  #undecidedOf(key: string): Set<number> {
    let undecided = this.#undecided.get(key);
    if (undecided === undefined) {
      undecided = new Set();
      this.#undecided.set(key, undecided);
    }
    return undecided;
  }
}

export type NumberedSource = Exclude<Source, { kind: "barrier" }>;
