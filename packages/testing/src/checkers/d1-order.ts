/**
 * D1: messages from one sender to one agent are taken in the order they were sent.
 *
 * By the books of agents at the end: of each sender, the numbers rise. A client numbers its operations as it calls them,
 * an agent its sends.
 *
 * Does not verify that an agent takes one step at a time: two at once would show as a message taken and not in the book (D4).
 */
import type { Book, Checker, Observation, Violation } from "./checker.ts";

export class OrderChecker implements Checker {
  readonly name = "D1 order";
  readonly #books = new Map<string, Book>();
  #atMs = 0;

  observe(observation: Observation): void {
    this.#atMs = observation.atMs;
    if (observation.type === "final" && observation.book !== undefined) {
      this.#books.set(observation.agent, observation.book);
    }
  }

  finish(): readonly Violation[] {
    return [...this.#books].flatMap(([agent, book]) => this.#check(agent, book));
  }

  #check(agent: string, { taken }: Book): Violation[] {
    const violations: Violation[] = [];
    const last = new Map<string, number>();
    for (const { from, n } of taken) {
      const before = last.get(from) ?? 0;
      // Taken twice is D4's.
      if (n < before) {
        const message = `${agent} took #${n} of ${from} after #${before}`;
        violations.push({ invariant: "D1", message, atMs: this.#atMs });
      }
      last.set(from, n);
    }
    return violations;
  }
}
