/**
 * Which format a host writes, so that every host that lives can read what any of them writes.
 *
 * Owns: the format written now, and the one that other hosts were told of.
 * Leaves to others: who lives (`keeper.ts`), what a format is (`format/codec/formats.ts`).
 * Called by keeper: `check`, `look`, `announced`; by whoever encodes: `writes`.
 *
 * G1  A host begins with the oldest format it writes: one of the release before may start next to it at any moment, as in
 *     a rolling restart that has just begun.
 * G2  It writes a newer one when all that live read it, and others know: told first, and written only once a look a round
 *     later finds the same. Whoever starts meanwhile either is seen by that look, or sees what it was told.
 * G3  It never lowers what it writes. A host that cannot read what a living one writes, or is about to, ends.
 */
import { DormouseError } from "../../agent/errors.ts";
import type { Writing } from "../../format/codec/formats.ts";
import type { HostFacts } from "../../format/member.ts";
import type { Clock } from "../../ports/index.ts";

export interface HostFormatsOptions {
  readonly clock: Pick<Clock, "monotonic">;
  /** From telling to writing, in milliseconds. */
  readonly waitMs: number;
  /** What this release writes: from `oldest` to `newest`, which is also the newest that it reads. */
  readonly oldest: number;
  readonly newest: number;
}

/** What another host tells of itself. */
export interface OtherHost {
  readonly incarnation: string;
  readonly facts: Pick<HostFacts, "name" | "reads" | "writes">;
}

export class HostFormats implements Writing {
  readonly #options: HostFormatsOptions;
  #writes: number;
  #told: number;
  /** When others could first see what was told. */
  #toldAt = Infinity;

  constructor(options: HostFormatsOptions) {
    this.#options = options;
    this.#writes = options.oldest;
    this.#told = options.oldest;
  }

  get reads(): number {
    return this.#options.newest;
  }

  get writes(): number {
    return this.#writes;
  }

  /** What others are to be told that it writes. */
  get told(): number {
    return this.#told;
  }

  /** @throws DormouseError `invalid` (`host.too-old`, `host.too-new`): it cannot begin beside one of these. */
  check(others: readonly OtherHost[]): void {
    this.#checkReads(others);
    const older = others.find(({ facts }) => facts.reads < this.#options.oldest);
    if (older !== undefined) throw tooNew(this.#options.oldest, older);
  }

  /**
   * Takes in who lives; whether there is something else to be told now.
   *
   * @throws DormouseError `invalid` (`host.too-old`): it may not live beside one of these (G3).
   */
  look(others: readonly OtherHost[]): boolean {
    this.#checkReads(others);
    const readByAll = Math.min(this.#options.newest, ...others.map(({ facts }) => facts.reads));
    const wanted = Math.max(this.#writes, readByAll);
    if (wanted === this.#told) {
      const { clock, waitMs } = this.#options;
      if (clock.monotonic() - this.#toldAt >= waitMs) this.#writes = this.#told;
      return false;
    }
    this.#told = wanted;
    this.#toldAt = Infinity;
    return true;
  }

  /** Others can see what is told. */
  announced(): void {
    this.#toldAt = this.#options.clock.monotonic();
  }

  #checkReads(others: readonly OtherHost[]): void {
    const newer = others.find(({ facts }) => facts.writes > this.#options.newest);
    if (newer !== undefined) throw tooOld(this.#options.newest, newer);
  }
}

function tooOld(reads: number, { incarnation, facts }: OtherHost): DormouseError {
  const text =
    `another host writes a newer format than this one reads, so all hosts were of a newer release before; start that ` +
    `release here: reads=${reads} writes=${facts.writes} ${nameOf(incarnation, facts)}`;
  return new DormouseError("invalid", "host.too-old", text);
}

function tooNew(writes: number, { incarnation, facts }: OtherHost): DormouseError {
  const text =
    `another host cannot read the oldest format that this one writes; upgrade all hosts by one release after the other: ` +
    `writes=${writes} reads=${facts.reads} ${nameOf(incarnation, facts)}`;
  return new DormouseError("invalid", "host.too-new", text);
}

function nameOf(incarnation: string, { name }: Pick<HostFacts, "name">): string {
  return `host=${name === "" ? incarnation : name}`;
}
