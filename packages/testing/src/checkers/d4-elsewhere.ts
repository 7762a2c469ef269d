/**
 * D4 across apps: what an agent sends to an agent of another app is applied exactly once, or its sender is told exactly
 * once that it could not be sent; never both, never neither.
 *
 * By the books of agents of all apps, each under its full address, and by what records of the sender's app tell of
 * messages that could not be sent.
 *
 * Does not verify that an app which is there is found, only that a message is not lost if it is not.
 */
import type { Book, Checker, Observation, Violation } from "./checker.ts";
import { journalKindOf, readRecord, type StoredEntry } from "./stored.ts";

export class ElsewhereChecker implements Checker {
  readonly name = "D4 elsewhere";
  readonly #books = new Map<string, Book>();
  /** By message id: the sender and its own count of what it sent. */
  readonly #sent = new Map<string, string>();
  /** By sender and its own count: how often it was told that the message could not be sent. */
  readonly #told = new Map<string, number>();
  readonly #records = new Set<string>();
  #atMs = 0;
  #applied = 0;

  observe(observation: Observation): void {
    this.#atMs = observation.atMs;
    if (observation.type === "final") this.#books.set(observation.agent, observation.book ?? { taken: [], sent: [] });
    if (observation.type !== "stored") return;
    const { name, bytes } = observation;
    // One that lands late on the name of a deleted one says nothing new.
    if (!name.startsWith("journal/") || journalKindOf(bytes) !== "record" || this.#records.has(name)) return;
    this.#records.add(name);
    for (const { entries } of readRecord(bytes).parts) for (const entry of entries) this.#take(entry);
  }

  finish(): readonly Violation[] {
    this.#applied = 0;
    return [...this.#books].flatMap(([agent, { sent }]) =>
      sent.flatMap(({ to, n }) => (to.startsWith("/") ? this.#check(agent, to, n) : [])),
    );
  }

  report(): { readonly [figure: string]: number } {
    return {
      "applied in another app": this.#applied,
      "told to be undeliverable": [...this.#told.values()].reduce((total, times) => total + times, 0),
    };
  }

  #take({ agent = "", sends = [], cause }: StoredEntry): void {
    for (const { to, envelope } of sends) {
      if (typeof to !== "string") continue;
      const { event } = envelope.body as { readonly event?: { readonly n?: number } };
      this.#sent.set(envelope.id, `${agent} #${event?.n}`);
    }
    if (cause?.kind !== "undelivered") return;
    const send = this.#sent.get(cause.id ?? "") ?? `${agent} ${cause.id}`;
    this.#told.set(send, (this.#told.get(send) ?? 0) + 1);
  }

  #check(agent: string, to: string, n: number): Violation[] {
    const applied = this.#books.get(to)?.taken.filter((one) => one.from === agent && one.n === n).length ?? 0;
    const told = this.#told.get(`${agent} #${n}`) ?? 0;
    this.#applied += applied;
    if (applied + told === 1) return [];
    const how = `applied ${applied} times, and told to be undeliverable ${told} times`;
    const violation: Violation = {
      invariant: "D4",
      message: `#${n} of ${agent} to ${to} was ${how}`,
      atMs: this.#atMs,
    };
    return [applied + told === 0 ? { ...violation, mayPass: true } : violation];
  }
}
