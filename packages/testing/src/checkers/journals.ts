/** Whose journals there are, by what parties store: which incarnation a party is, and whether its journal is sealed. */
import type { Observation } from "./checker.ts";
import { journalKindOf } from "./stored.ts";

export class Journals {
  readonly #incarnations = new Map<string, string>();
  readonly #sealed = new Set<string>();
  readonly #read = new Set<string>();

  /** Whether it is a record that was not seen before: one that lands late on its own name, when that is deleted, says nothing new. */
  isNewRecord({ party, name, bytes }: Extract<Observation, { type: "stored" }>): boolean {
    const [room = "", incarnation = ""] = name.split("/");
    // An incarnation probes the store before all else, under its own name.
    if (room === "probe") this.#incarnations.set(party, incarnation);
    if (room !== "journal") return false;
    const kind = journalKindOf(bytes);
    if (kind === "seal") this.#sealed.add(incarnation);
    if (kind !== "record" || this.#read.has(name)) return false;
    this.#read.add(name);
    return true;
  }

  incarnationOf(party: string): string | undefined {
    return this.#incarnations.get(party);
  }

  /** Whether another has taken over from the party; it may not know yet. */
  isSealed(party: string): boolean {
    const incarnation = this.#incarnations.get(party);
    return incarnation !== undefined && this.#sealed.has(incarnation);
  }
}
