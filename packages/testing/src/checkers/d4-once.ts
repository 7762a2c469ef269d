/**
 * D4: a message that was accepted is applied exactly once; D9: one whose step throws leaves no trace.
 *
 * A model of its own: every operation of a client, what its caller was told, and the books of agents at the end. An
 * operation under an idempotency key stands for all under that key.
 *
 * - accepted or answered: once in its agent's book; unknown: once or not at all; refused: not at all
 * - an answer names the place in the book where its message stands
 * - what an agent's book says it sent stands once in the receiver's, and nothing else does
 *
 * Excused: an accepted message of a client whose acknowledged copy a stream lost with its tail (DESIGN.md section 13): of
 * several, the copy acknowledged last, since a client that sends again no longer counts on the earlier ones. An agent's
 * sends are not: its outbox publishes them again.
 * Does not verify of agents that were removed more than that nothing stands twice in the book of the last life, nor when a message is applied, only that it is when the world had its time.
 */
import type { Book, Checker, ClientCall, ClientOutcome, Observation, Taken, Violation } from "./checker.ts";
import { readBatch } from "./stored.ts";

interface Operation {
  readonly n: number;
  readonly party: string;
  readonly call: ClientCall;
  readonly calledAtMs: number;
  outcome: ClientOutcome | undefined;
}

/** A message in a stream, by the clients' operations that it carries. */
interface Carried {
  readonly sequence: number;
  readonly append: number;
  readonly operations: readonly number[];
}

/** How steps fail that are to fail: by what their code throws, or by a state that grows too large. */
const failuresWanted = new Set(["agent.step-failed", "state.too-large"]);
/** Refusals that the simulation itself brings about. */
const refusalsExpected = new Set(["agent.quarantined", "agent.unknown-type", "agent.newer-state"]);

export class OnceChecker implements Checker {
  readonly name = "D4 once";
  readonly #operations = new Map<number, Operation>();
  readonly #books = new Map<string, Book>();
  readonly #streams = new Map<number, Carried[]>();
  /** Of clients, by append: the operations that it carries. */
  readonly #carried = new Map<number, readonly number[]>();
  /** By operation: the append that was acknowledged last. */
  readonly #acknowledged = new Map<number, number>();
  /** Appends that a stream lost with its tail. */
  readonly #lost = new Set<number>();
  /** Operations of which a copy was lost so. */
  readonly #maybeLost = new Set<number>();
  /** Agents that someone removed, or tried to: what an earlier life took is gone with its book. */
  readonly #removed = new Set<string>();
  readonly #wasDamaged: (agent: string) => boolean;
  #atMs = 0;

  /** @param wasDamaged - Of which agents what is stored was damaged: whoever asks them is told so. Default: of none. */
  constructor(wasDamaged: (agent: string) => boolean = () => false) {
    this.#wasDamaged = wasDamaged;
  }

  observe(observation: Observation): void {
    this.#atMs = observation.atMs;
    switch (observation.type) {
      case "called": {
        const { operation: n, party, what: call, atMs: calledAtMs } = observation;
        if (call.verb === "remove") this.#removed.add(call.agent);
        this.#operations.set(n, { n, party, call, calledAtMs, outcome: undefined });
        return;
      }
      case "returned": {
        const operation = this.#operations.get(observation.operation);
        if (operation !== undefined) operation.outcome = observation.outcome;
        return;
      }
      case "final":
        this.#books.set(observation.agent, observation.book ?? { taken: [], sent: [] });
        return;
      case "appended": {
        if (!observation.party.startsWith("client-")) return;
        this.#carry(observation, operationsIn(observation.bytes));
        return;
      }
      case "appended-raw":
        this.#carry(observation, [observation.event.n]);
        this.#acknowledge(observation.append);
        return;
      case "acknowledged":
        this.#acknowledge(observation.append);
        return;
      case "tail-lost":
        this.#loseTail(observation.partition, observation.from);
        return;
      case "host-started":
      case "host-ended":
      case "stored":
      case "deleted":
      case "trimmed":
      case "published":
      case "told":
      case "effect-began":
      case "effect-ended":
      case "appended-elsewhere":
      case "at-rest":
    }
  }

  finish(): readonly Violation[] {
    const groups = Map.groupBy(
      [...this.#operations.values()].filter(({ call }) => call.verb !== "read"),
      ({ n, call }) => `${call.agent} ${call.idempotencyKey ?? `#${n}`}`,
    );
    return [
      ...[...groups.values()].flatMap((group) => this.#checkGroup(group)),
      ...[...this.#books].flatMap(([agent, book]) => this.#checkBook(agent, book)),
    ];
  }

  #carry(
    { partition, sequence, append }: { readonly partition: number; readonly sequence: number; readonly append: number },
    operations: readonly number[],
  ): void {
    const carried = this.#streams.get(partition) ?? [];
    this.#streams.set(partition, carried);
    carried.push({ sequence, append, operations });
    this.#carried.set(append, operations);
  }

  #acknowledge(append: number): void {
    for (const n of this.#carried.get(append) ?? []) this.#acknowledged.set(n, append);
  }

  #loseTail(partition: number, from: number): void {
    const carried = this.#streams.get(partition) ?? [];
    for (const { sequence, append, operations } of carried) {
      if (sequence < from) continue;
      this.#lost.add(append);
      for (const n of operations) this.#maybeLost.add(n);
    }
    this.#streams.set(
      partition,
      carried.filter(({ sequence }) => sequence < from),
    );
  }

  #checkGroup(group: readonly Operation[]): Violation[] {
    const [first] = group;
    if (first === undefined) return [];
    const { agent } = first.call;
    const taken = this.#books.get(agent)?.taken ?? [];
    const isOfGroup = ({ from, n }: Taken): boolean => group.some((one) => one.n === n && one.party === from);
    const count = taken.filter(isOfGroup).length;
    const name = group.map(({ n }) => `#${n}`).join(" ");
    if (this.#removed.has(agent)) {
      const open = group
        .filter(({ outcome }) => outcome === undefined)
        .map(({ n }) => this.#coming(`#${n} has not returned`));
      return count > 1 ? [...open, this.#broken("D4", `${name} was applied ${count} times to ${agent}`)] : open;
    }
    const violations = group.flatMap((operation) => this.#checkOutcome(operation, taken, isOfGroup, name));
    if (first.call.isToFail === true) {
      if (count > 0) violations.push(this.#broken("D9", `${name} was to fail and left a trace in ${agent}`));
      return violations;
    }
    if (count > 1) violations.push(this.#broken("D4", `${name} was applied ${count} times to ${agent}`));
    const isOwed = group.some(({ n, outcome }) => outcome?.is === "accepted" && !this.#isLost(n));
    if (count === 0 && isOwed) {
      violations.push(this.#coming(`${name} was accepted for ${agent} and is not applied`));
    }
    return violations;
  }

  /** Whether what its client counts on is gone. */
  #isLost(n: number): boolean {
    const append = this.#acknowledged.get(n);
    return append !== undefined && this.#lost.has(append);
  }

  #checkOutcome(
    { n, call, outcome }: Operation,
    taken: readonly Taken[],
    isOfGroup: (one: Taken) => boolean,
    name: string,
  ): Violation[] {
    switch (outcome?.is) {
      case undefined:
        return [this.#coming(`#${n} has not returned`)];
      case "answered":
        if (call.isToFail === true) return [this.#broken("D9", `${name} was to fail and was answered`)];
        return isTold(outcome.value, taken, isOfGroup)
          ? []
          : [
              this.#broken(
                "D4",
                `${name} was answered ${JSON.stringify(outcome.value)}, which ${call.agent} does not bear out`,
              ),
            ];
      case "refused":
        if (call.isToFail === true && failuresWanted.has(outcome.code)) return [];
        if (refusalsExpected.has(outcome.code)) return [];
        if (outcome.kind === "corrupt" && this.#wasDamaged(call.agent)) return [];
        return [
          this.#broken("D9", `${name} ${call.event} to ${call.agent} was refused: ${outcome.kind} ${outcome.code}`),
        ];
      case "unknown":
        // What its agent took under a key it answers for a day; only a lost message can make its outcome unknown. A
        // refusal by a host that lacked its code is kept for a minute of the host's clock, which may be an hour.
        if (outcome.code !== "outcome.unknown" || call.idempotencyKey === undefined || this.#maybeLost.has(n))
          return [];
        if (!taken.some(isOfGroup)) return [];
        return [this.#broken("D4", `${name} was asked under a key, and its outcome is said to be unknown`)];
      case "accepted":
      case "removed":
      case "read":
        return [];
    }
  }

  #checkBook(agent: string, { taken, sent }: Book): Violation[] {
    const violations: Violation[] = [];
    for (const { from, n } of taken) {
      if (from.includes("/")) {
        if (this.#books.get(from)?.sent.some((one) => one.to === agent && one.n === n) === true) continue;
        violations.push(this.#coming(`${agent} took #${n} of ${from}, which did not send it`));
      } else {
        const operation = this.#operations.get(n);
        if (operation?.party === from && operation.call.agent === agent) continue;
        violations.push(this.#broken("D4", `${agent} took #${n} of ${from}, which did not send it`));
      }
    }
    for (const { to, n } of sent) {
      // What goes to another app, `d4-elsewhere.ts` looks for.
      if (to.startsWith("/")) continue;
      const count = this.#books.get(to)?.taken.filter((one) => one.from === agent && one.n === n).length ?? 0;
      if (count === 0) violations.push(this.#coming(`#${n} of ${agent} is not applied to ${to}`));
      if (count > 1) violations.push(this.#broken("D4", `#${n} of ${agent} was applied ${count} times to ${to}`));
    }
    return violations;
  }

  #broken(invariant: "D4" | "D9", message: string): Violation {
    return { invariant, message, atMs: this.#atMs };
  }

  #coming(message: string): Violation {
    return { invariant: "D4", message, atMs: this.#atMs, mayPass: true };
  }
}

/** Whether the agent's book bears out what an answer told of it. */
function isTold(value: unknown, taken: readonly Taken[], isOfGroup: (one: Taken) => boolean): boolean {
  const { position, covers } = value as { readonly position?: number; readonly covers?: number };
  if (position !== undefined) {
    const told = taken[position - 1];
    return told !== undefined && isOfGroup(told);
  }
  return covers !== undefined && covers <= taken.length && taken.slice(0, covers).some(isOfGroup);
}

/** The numbers of the clients' events in a mailbox message. */
function operationsIn(bytes: Uint8Array): number[] {
  return readBatch(bytes).envelopes.flatMap(({ body }) => (body.event?.n === undefined ? [] : [body.event.n]));
}
