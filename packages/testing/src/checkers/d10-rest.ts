/**
 * D10: a sleeping agent costs no memory in any host. And hosts: none ends by a bug of its own.
 *
 * By how many agents each living host holds when nothing was done for longer than any of them stays, and by how each host
 * came to its end.
 *
 * Does not verify memory itself, nor what a sleeping agent costs in the mailbox.
 */
import type { Checker, Observation, Violation } from "./checker.ts";

/** What a host may end with besides being drained or sealed: the world did not answer it. */
const kindsExpected = new Set(["unavailable", "closed"]);

export class RestChecker implements Checker {
  readonly name = "D10 rest, and hosts";
  readonly #violations: Violation[] = [];
  /** By party, what it holds though it should not. */
  readonly #rest = new Map<string, Violation>();

  observe(observation: Observation): void {
    const { atMs } = observation;
    if (observation.type === "at-rest") {
      const { party, agentsInMemory, effects } = observation;
      const message = `${party} holds ${agentsInMemory} agents and ${effects} effects, and nothing is done`;
      if (agentsInMemory + effects === 0) this.#rest.delete(party);
      else this.#rest.set(party, { invariant: "D10", message, atMs, mayPass: true });
    }
    if (observation.type === "host-ended") this.#rest.delete(observation.party);
    if (observation.type !== "host-ended" || observation.why.is !== "failed") return;
    const { kind, code, message } = observation.why;
    if (kindsExpected.has(kind)) return;
    this.#violations.push({
      invariant: "host",
      message: `${observation.party} ends: ${kind} ${code}: ${message}`,
      atMs,
    });
  }

  finish(): readonly Violation[] {
    return [...this.#violations, ...this.#rest.values()];
  }
}
