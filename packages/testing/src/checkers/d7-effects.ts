/**
 * D6: an effect that runs again is given the same idempotency key, which no other effect is given; none begins at a host that
 * has handed its agent over. D7: one whose result is recorded does not run again.
 *
 * By what effects themselves report, and the records that hold their results.
 *
 * Does not verify what a host does that was sealed and does not know it yet: it may begin what another has finished, and
 * only the key can tell (D6). Nor what goes on of a partition that was handed over, deaf to its signal: where the next
 * attempt begins, also on the same host again, it may still be at it.
 */
import type { Checker, Observation, Violation } from "./checker.ts";
import { Journals } from "./journals.ts";
import { readPartition, readRecord } from "./stored.ts";

interface Running {
  readonly party: string;
  readonly agent: string;
  readonly attempt: number;
  readonly incarnation: string | undefined;
}

export class EffectsChecker implements Checker {
  readonly name = "D6 and D7 effects";
  readonly #violations: Violation[] = [];
  readonly #keyOf = new Map<string, string>();
  readonly #effectOf = new Map<string, string>();
  /** By idempotency key: the record that holds the result. */
  readonly #recorded = new Map<string, string>();
  readonly #running = new Map<string, Running>();
  /** By agent. */
  readonly #partitions = new Map<string, number>();
  /** By partition: who owns it, as its object says. */
  readonly #owners = new Map<number, string | undefined>();
  readonly #journals = new Journals();

  observe(observation: Observation): void {
    switch (observation.type) {
      case "stored":
        if (this.#journals.isNewRecord(observation)) this.#store(observation);
        this.#own(observation);
        return;
      case "effect-began":
        this.#begin(observation);
        return;
      case "effect-ended":
        this.#end(observation);
        return;
      case "host-started":
      case "host-ended":
      case "deleted":
      case "appended":
      case "trimmed":
      case "appended-elsewhere":
      case "appended-raw":
      case "acknowledged":
      case "tail-lost":
      case "published":
      case "told":
      case "called":
      case "returned":
      case "final":
      case "at-rest":
    }
  }

  finish(): readonly Violation[] {
    return this.#violations;
  }

  #store({ name, bytes, atMs }: Extract<Observation, { type: "stored" }>): void {
    for (const { partition, entries } of readRecord(bytes).parts) {
      for (const { kind, agent, cause } of entries) {
        // A message of another partition is passed on by an entry that names its agent.
        if (kind === "step" && agent !== undefined) this.#partitions.set(agent, partition);
        if (cause?.kind !== "effect" || cause.address === undefined) continue;
        const before = this.#recorded.get(cause.address);
        if (before !== undefined && before !== name) {
          this.#broken("D7", `two results of ${cause.address} are recorded, in ${before} and ${name}`, atMs);
        }
        this.#recorded.set(cause.address, name);
      }
    }
  }

  /** What runs of a partition that its host gives up is nobody's. */
  #own({ party, name, bytes }: Extract<Observation, { type: "stored" }>): void {
    const [room = "", number = "", ...rest] = name.split("/");
    if (room !== "partitions" || rest.length > 0) return;
    const partition = Number(number);
    const { owner } = readPartition(bytes);
    this.#owners.set(partition, owner);
    if (owner !== undefined) return;
    for (const [run, running] of this.#running) {
      if (running.party === party && this.#partitions.get(running.agent) === partition) this.#running.delete(run);
    }
  }

  #end({ party, idempotencyKey, attempt }: Extract<Observation, { type: "effect-ended" }>): void {
    const run = `${party} ${idempotencyKey}`;
    if (this.#running.get(run)?.attempt === attempt) this.#running.delete(run);
  }

  #begin({
    party,
    agent,
    effect,
    idempotencyKey,
    attempt,
    atMs,
  }: Extract<Observation, { type: "effect-began" }>): void {
    const name = `${agent} ${effect}`;
    const key = this.#keyOf.get(name) ?? idempotencyKey;
    const owner = this.#effectOf.get(idempotencyKey) ?? name;
    this.#keyOf.set(name, key);
    this.#effectOf.set(idempotencyKey, owner);
    if (key !== idempotencyKey) this.#broken("D6", `${name} runs under ${idempotencyKey}, and ran under ${key}`, atMs);
    if (owner !== name) this.#broken("D6", `${idempotencyKey} is given to ${name}, and was to ${owner}`, atMs);
    const incarnation = this.#journals.incarnationOf(party);
    const record = this.#recorded.get(idempotencyKey);
    if (record !== undefined && !this.#journals.isSealed(party)) {
      this.#broken("D7", `${party} runs ${name} again, whose result is in ${record}`, atMs);
    }
    const partition = this.#partitions.get(agent);
    if (partition !== undefined && this.#owners.get(partition) !== incarnation && !this.#journals.isSealed(party)) {
      this.#broken("D6", `${party} begins ${name}, of partition ${partition}, which it has given up`, atMs);
    }
    const run = `${party} ${idempotencyKey}`;
    const running = this.#running.get(run);
    if (running?.incarnation === incarnation && running !== undefined) {
      this.#broken("D6", `${party} runs attempt ${attempt} of ${name} beside attempt ${running.attempt}`, atMs);
    }
    this.#running.set(run, { party, agent, attempt, incarnation });
  }

  #broken(invariant: "D6" | "D7", message: string, atMs: number): void {
    this.#violations.push({ invariant, message, atMs });
  }
}
