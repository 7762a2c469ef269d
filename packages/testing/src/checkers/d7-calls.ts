/**
 * D7, of durable functions: the body of a marked call does not begin when its result is recorded, or was told to the function;
 * and no call has two results.
 *
 * By what bodies and functions themselves report, and the records that tell which calls ended.
 *
 * Does not verify what a host does that was sealed and does not know it yet (D6), nor which result was told: the workload's
 * own check does.
 */
import { toldSuffix } from "../workloads/permit.ts";
import type { Checker, Observation, Violation } from "./checker.ts";
import { Journals } from "./journals.ts";
import { readRecord } from "./stored.ts";

interface Note {
  readonly what: string;
  readonly place?: number;
}

export class CallsChecker implements Checker {
  readonly name = "D7 calls";
  readonly #violations: Violation[] = [];
  /** How often a function began anew, by address: its calls have other keys after. */
  readonly #rounds = new Map<string, number>();
  /** By key: where the end of a call is recorded. */
  readonly #ended = new Map<string, string>();
  readonly #told = new Set<string>();
  readonly #journals = new Journals();
  #count = 0;

  observe(observation: Observation): void {
    if (observation.type === "stored" && this.#journals.isNewRecord(observation)) this.#store(observation);
    if (observation.type === "effect-began") this.#begin(observation);
  }

  finish(): readonly Violation[] {
    return this.#violations;
  }

  report(): { readonly [figure: string]: number } {
    return { "calls recorded": this.#count };
  }

  #store({ name, bytes, atMs }: Extract<Observation, { type: "stored" }>): void {
    for (const { entries } of readRecord(bytes).parts) {
      for (const { cause } of entries) {
        const {
          kind: of,
          address,
          calls,
        } = (cause ?? {}) as { kind?: string; address?: string; calls?: readonly Note[] };
        if (of === "calls" && address !== undefined) this.#take(address, calls ?? [], name, atMs);
      }
    }
  }

  #take(address: string, calls: readonly Note[], record: string, atMs: number): void {
    for (const { what, place } of calls) {
      const round = this.#rounds.get(address) ?? 0;
      if (what === "restart") this.#rounds.set(address, round + 1);
      if (what !== "ended") continue;
      const key = `${address}/${round}/${place}`;
      const before = this.#ended.get(key);
      if (before !== undefined)
        this.#broken(`two ends of the call ${key} are recorded, in ${before} and ${record}`, atMs);
      this.#ended.set(key, record);
      this.#count += 1;
    }
  }

  #begin({ party, effect, idempotencyKey, atMs }: Extract<Observation, { type: "effect-began" }>): void {
    if (idempotencyKey.endsWith(toldSuffix)) {
      const key = idempotencyKey.slice(0, -toldSuffix.length);
      this.#told.add(key);
      if (!this.#ended.has(key)) this.#broken(`${party} tells what ${effect} came to, which is not recorded`, atMs);
      return;
    }
    if (this.#journals.isSealed(party)) return;
    const record = this.#ended.get(idempotencyKey);
    if (record !== undefined) this.#broken(`${party} does ${effect} again, whose end is in ${record}`, atMs);
    else if (this.#told.has(idempotencyKey)) this.#broken(`${party} does ${effect} again, which was told`, atMs);
  }

  #broken(message: string, atMs: number): void {
    this.#violations.push({ invariant: "D7", message, atMs });
  }
}
