/**
 * D3: nothing leaves before the commit that caused it is durable. And what is read is committed state only: it is never
 * taken back, and who got an answer reads a state that includes it.
 *
 * By what is stored when something is seen outside:
 * - an answer or step notice on the channel: a stored record holds that answer, that step
 * - a state that a host tells a reader: a stored record holds the step that led to it
 * - an outbox message in a mailbox, of this app or another: a stored record holds that send
 * - a notice of how far messages were taken: stored records decide or close that number
 * - an effect that begins: a stored record names its address; a later attempt: a record begins that attempt
 * - a book that a client read: at the end, the agent's book begins with it, unless someone removed the agent
 *
 * Does not verify which step caused what, only that it is stored; and not logs, which go nowhere.
 */
import type { Book, Checker, Observation, Violation } from "./checker.ts";
import {
  journalKindOf,
  readBatch,
  readRecord,
  recordPayload,
  type StoredEntry,
  type StoredPart,
  readValue,
} from "./stored.ts";

interface Read {
  readonly operation: number;
  readonly agent: string;
  readonly party: string;
  readonly book: Book;
  /** The highest place that an answer had told its client of before it asked. */
  readonly toldBefore: number;
}

const callPattern = /^(.+)\/\d+\/\d+(?:!told)?$/;

export class DurableChecker implements Checker {
  readonly name = "D3 durable";
  readonly #violations: Violation[] = [];
  readonly #answers = new Set<string>();
  readonly #steps = new Set<string>();
  readonly #sends = new Set<string>();
  readonly #sent = new Set<string>();
  /** The highest number decided or closed, by partition and source. */
  readonly #decided = new Map<string, number>();
  readonly #attempts = new Set<string>();
  readonly #records: Buffer[] = [];
  readonly #named = new Set<string>();
  readonly #reads: Read[] = [];
  readonly #calls = new Map<number, { readonly agent: string; readonly party: string; readonly toldBefore: number }>();
  readonly #told = new Map<string, number>();
  /** Agents that someone removed, or tried to. */
  readonly #removed = new Set<string>();
  readonly #books = new Map<string, Book>();

  observe(observation: Observation): void {
    switch (observation.type) {
      case "stored":
        if (observation.name.startsWith("journal/")) this.#store(observation.bytes);
        return;
      case "published":
        this.#publish(observation);
        return;
      case "told":
        this.#tell(observation);
        return;
      case "appended":
        if (observation.party.startsWith("host-") && observation.isFromElsewhere !== true) this.#append(observation);
        return;
      case "appended-elsewhere":
        this.#appendElsewhere(observation);
        return;
      case "effect-began":
        this.#begin(observation);
        return;
      case "called": {
        const { operation, party, what } = observation;
        if (what.verb === "remove") this.#removed.add(what.agent);
        const toldBefore = this.#told.get(`${party} ${what.agent}`) ?? 0;
        this.#calls.set(operation, { agent: what.agent, party, toldBefore });
        return;
      }
      case "returned":
        this.#return(observation);
        return;
      case "final":
        if (observation.book !== undefined) this.#books.set(observation.agent, observation.book);
        return;
      case "host-started":
      case "host-ended":
      case "deleted":
      case "trimmed":
      case "appended-raw":
      case "acknowledged":
      case "tail-lost":
      case "effect-ended":
      case "at-rest":
    }
  }

  finish(): readonly Violation[] {
    return [...this.#violations, ...this.#reads.flatMap((read) => this.#checkRead(read))];
  }

  #store(bytes: Uint8Array): void {
    if (journalKindOf(bytes) !== "record") return;
    this.#records.push(Buffer.from(recordPayload(bytes)));
    for (const part of readRecord(bytes).parts) for (const entry of part.entries) this.#storeEntry(part, entry);
  }

  #storeEntry(part: StoredPart, entry: StoredEntry): void {
    const { kind, agent, seq, origin, cause, sends = [], answers = [] } = entry;
    for (const { id } of answers) this.#answers.add(id);
    for (const { to, n, envelope } of sends) {
      this.#sends.add(`${part.partition} > ${to} #${n} ${envelope.id}`);
      this.#sent.add(envelope.id);
    }
    if (kind === "step") this.#steps.add(`${agent} ${seq}`);
    if (cause?.kind === "attempt") this.#attempts.add(`${cause.address} ${cause.attempt}`);
    if (origin !== undefined) {
      const source = `${part.partition} ${origin.source}`;
      this.#decided.set(source, Math.max(this.#decided.get(source) ?? 0, origin.n, origin.closed));
    }
  }

  #publish({ atMs, party, subject, bytes }: Extract<Observation, { type: "published" }>): void {
    const notice = readValue(bytes) as Partial<AnswerNotice & { by: number; upTo: number; seq: number }>;
    if (subject.startsWith("taken/")) {
      const { by, upTo = 0 } = notice;
      if (upTo <= (this.#decided.get(`${by} outbox:${subject.slice("taken/".length)}`) ?? 0)) return;
      this.#early(atMs, `${party} says that partition ${by} took ${subject} up to ${upTo}`);
    } else if (subject.includes("/reply/")) {
      const { id = "", answer } = notice;
      // That an outcome is not known any more is no outcome.
      if (this.#answers.has(id) || answer?.error?.code === "outcome.unknown") return;
      this.#early(atMs, `${party} answers ${id}: ${JSON.stringify(answer)}`);
    } else if (!/\/(?:freed|taken-up)$/.test(subject)) {
      // That a partition was handed over, or answers again, is a hint: who heeds it reads the partition object, or waits less.
      const agent = subject.split("/").slice(2).join("/");
      if (this.#steps.has(`${agent} ${notice.seq}`)) return;
      this.#early(atMs, `${party} tells of step ${notice.seq} of ${agent} on ${subject}`);
    }
  }

  #tell({ atMs, party, request, answer }: Extract<Observation, { type: "told" }>): void {
    const { what, agent } = readValue(request) as { readonly what: string; readonly agent?: string };
    if (what !== "state") return;
    const { value } = readValue(answer) as { readonly value?: { readonly seq: number } };
    if (value === undefined || this.#steps.has(`${agent} ${value.seq}`)) return;
    this.#early(atMs, `${party} tells a reader the state of ${agent} after step ${value.seq}`);
  }

  #append({ atMs, party, partition, bytes }: Extract<Observation, { type: "appended" }>): void {
    const { source, envelopes } = readBatch(bytes);
    if (source.kind !== "outbox") return;
    const from = source.id.slice(source.id.lastIndexOf("/") + 1);
    for (const { n, id } of envelopes) {
      if (this.#sends.has(`${from} > ${partition} #${n} ${id}`)) continue;
      this.#early(atMs, `${party} publishes #${n} (${id}) of partition ${from} to partition ${partition}`);
    }
  }

  /** Numbered when it is known to which partitions they go: here their ids tell. */
  #appendElsewhere({ atMs, party, app, bytes }: Extract<Observation, { type: "appended-elsewhere" }>): void {
    for (const { n, id } of readBatch(bytes).envelopes) {
      if (!this.#sent.has(id)) this.#early(atMs, `${party} publishes #${n} (${id}) to the app ${app}`);
    }
  }

  #begin({ atMs, party, idempotencyKey, effect, attempt }: Extract<Observation, { type: "effect-began" }>): void {
    // A marked call begins with nothing recorded but its function.
    const [, ofCall] = callPattern.exec(idempotencyKey) ?? [];
    const isStored =
      ofCall !== undefined || attempt === 1
        ? this.#isNamed(ofCall ?? idempotencyKey)
        : this.#attempts.has(`${idempotencyKey} ${attempt}`);
    if (!isStored) this.#early(atMs, `${party} begins attempt ${attempt} of ${effect} (${idempotencyKey})`);
  }

  /** Whether a stored record holds this text. */
  #isNamed(text: string): boolean {
    if (this.#named.has(text)) return true;
    if (!this.#records.some((record) => record.includes(text))) return false;
    this.#named.add(text);
    return true;
  }

  #return({ operation, outcome }: Extract<Observation, { type: "returned" }>): void {
    const call = this.#calls.get(operation);
    if (call === undefined) return;
    const { agent, party, toldBefore } = call;
    if (outcome.is === "read") {
      this.#reads.push({ operation, agent, party, toldBefore, book: outcome.book ?? { taken: [], sent: [] } });
    }
    if (outcome.is !== "answered") return;
    const { position, covers } = outcome.value as { readonly position?: number; readonly covers?: number };
    const key = `${party} ${agent}`;
    this.#told.set(key, Math.max(this.#told.get(key) ?? 0, position ?? 0, covers ?? 0));
  }

  #checkRead({ operation, agent, party, book, toldBefore }: Read): Violation[] {
    if (this.#removed.has(agent)) return [];
    const { taken } = this.#books.get(agent) ?? { taken: [] };
    const violations: Violation[] = [];
    const wrong = book.taken.findIndex(({ from, n }, index) => taken[index]?.from !== from || taken[index].n !== n);
    if (wrong >= 0) {
      const { from, n } = book.taken[wrong] ?? { from: "", n: 0 };
      violations.push({
        invariant: "D3",
        message: `#${operation} read of ${agent} at place ${wrong + 1}: #${n} of ${from}, which is not there`,
        atMs: 0,
      });
    }
    if (book.taken.length < toldBefore) {
      const message = `#${operation} of ${party} read ${book.taken.length} messages of ${agent}, which had answered it from the ${toldBefore}th`;
      violations.push({ invariant: "D3", message, atMs: 0 });
    }
    return violations;
  }

  #early(atMs: number, what: string): void {
    this.#violations.push({ invariant: "D3", message: `${what}, of which no record is stored`, atMs });
  }
}

interface AnswerNotice {
  readonly id: string;
  readonly answer: { readonly error?: { readonly code?: string } };
}
