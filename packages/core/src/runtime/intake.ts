/**
 * What comes to a partition: from a mailbox's message to messages for agents, each once and in the order of its source.
 *
 * Owns: the reader; which messages are being decided, and what of the mailbox waits for that.
 * Leaves to others: which messages of a source are in order (`step/dedup.ts`), when an agent's work is done (`agent-work.ts`), what
 * a message does (`partition.ts`, through `take` in its options).
 * Called by partition: `start`, `stop`, `position`, and what a settle asks.
 *
 * I1  A part of a mailbox's message is consumed when its outcome is in the open record, not when it is handed out (D4).
 */
import { parseAddress, type Partition, partitionOf } from "../agent/address.ts";
import { DormouseError, encodeError } from "../agent/errors.ts";
import type { App } from "../format/app.ts";
import { isNewer } from "../format/codec/header.ts";
import { type Batch, decodeBatch, type Envelope } from "../format/message.ts";
import type { PartitionState, Position } from "../format/partition.ts";
import type { Origin } from "../format/record.ts";
import type { Observe } from "../observe.ts";
import type { Channel, Mailbox, MailboxMessage, SentTo } from "../ports/index.ts";
import { InOrder, type NumberedSource, rawName, rawSource, sourceKey } from "../step/dedup.ts";
import { answerTo } from "../step/outcome.ts";
import type { Activation } from "./activations.ts";
import type { Commit } from "./commit.ts";
import type { Entries } from "./entries.ts";
import type { World } from "./insist.ts";
import { readRaw } from "./raw.ts";
import { type Opening, Reader, type Ticket } from "./reader.ts";
import { publishAnswer } from "./release/reply.ts";
import type { AgentWork } from "./agent-work.ts";

export interface IntakeOptions {
  readonly app: App;
  readonly partition: Partition;
  readonly state: PartitionState;
  /** Of a reader from its position on. */
  readonly opening: Opening;
  readonly world: World;
  readonly mailbox: Mailbox;
  readonly channel: Channel;
  readonly commit: Pick<Commit, "isFull" | "room">;
  readonly observe: Observe;
  readonly entries: Entries;
  readonly agentWork: Pick<AgentWork, "do" | "caughtUp">;
  /** Decides a message of an agent. */
  readonly take: (activation: Activation, envelope: Envelope, origin: Origin) => void;
  /** Has the position committed, though no entry says so. */
  readonly touch: () => void;
  readonly failed: (error: unknown) => void;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #reader: Reader;
  readonly #inOrder: InOrder;
  /** Tickets of messages that passed and are being decided, by source and number. */
  readonly #pending = new Map<string, Ticket[]>();
  readonly #started = Promise.withResolvers<void>();
  #standsStill: DormouseError | undefined;

  constructor(options: IntakeOptions) {
    this.#options = options;
    const { world, mailbox, partition, state, opening, commit, observe, entries, agentWork } = options;
    this.#inOrder = new InOrder(state);
    this.#reader = new Reader(
      {
        world,
        mailbox,
        partition,
        isFull: () => commit.isFull(),
        room: () => commit.room(),
        take: (message) => this.#take(message),
        isDecided: ({ sequence, at }) => state.raws?.has(rawName(sequence, at)) === true,
        regressed: (why) => {
          observe({ kind: "regressed", partition, why });
          entries.resume();
        },
        caughtUp: () => {
          observe({ kind: "caught-up", partition });
          agentWork.caughtUp();
          this.#started.resolve();
        },
        waits: () => this.#started.resolve(),
      },
      state.position,
      opening,
    );
  }

  /**
   * Reads; resolves when all that was in the mailbox was handed out, or as much as credit allows: nobody who starts a host
   * waits for a long backlog. Also when it is stopped before: one that was handed on never reads what was in the mailbox,
   * and its host would be starting for ever.
   */
  start(): Promise<void> {
    this.#reader.read().catch(this.#options.failed);
    return this.#started.promise;
  }

  stop(): void {
    this.#reader.stop();
    this.#started.resolve();
  }

  position(): Position {
    return this.#reader.position();
  }

  /** Whether the mailbox holds so much that it is to be settled for the sake of the trim. */
  get isGrown(): boolean {
    return this.#reader.isGrown(this.#options.entries.unsettled > 0);
  }

  settledUpToNow(): void {
    this.#reader.settledUpToNow();
  }

  /** Why it reads no further, if it does not (P5). */
  get standsStill(): DormouseError | undefined {
    return this.#standsStill;
  }

  #take(message: MailboxMessage): void {
    const { observe, partition } = this.#options;
    if (message.sentTo !== undefined) {
      this.#takeRaw(message, message.sentTo);
      return;
    }
    let batch: Batch;
    try {
      batch = decodeBatch(message.bytes);
    } catch (error) {
      if (isNewer(error)) {
        this.#standStill(error);
        return;
      }
      this.#reader.expect(message, 0);
      this.#options.touch();
      observe({ kind: "skipped", partition, why: "a mailbox message cannot be read", error: encodeError(error) });
      return;
    }
    const { source, envelopes } = batch;
    const ticket = this.#reader.expect(message, source.kind === "barrier" ? 0 : Math.max(1, envelopes.length));
    if (source.kind === "barrier") {
      this.#options.touch();
      return;
    }
    if (envelopes.length === 0) this.#open(source, message, ticket);
    for (const envelope of envelopes) this.#admit(source, envelope, ticket);
  }

  /** Reads no further (P5). */
  #standStill(why: DormouseError): void {
    this.#reader.stop();
    this.#standsStill = why;
    const { observe, partition } = this.#options;
    const text = `partition ${partition} waits for a host that reads its next message: ${why.message}`;
    observe({ kind: "warned", about: "format", text });
    this.#started.resolve();
  }

  #takeRaw(message: MailboxMessage, sentTo: SentTo): void {
    const { observe, partition, touch } = this.#options;
    let envelope: Envelope;
    try {
      envelope = readRaw(message, sentTo);
    } catch (error) {
      this.#reader.expect(message, 0);
      touch();
      observe({
        kind: "skipped",
        partition,
        why: "a raw publish is not an event for an agent",
        error: encodeError(error),
      });
      return;
    }
    const ticket = this.#reader.expect(message, 1);
    // Read again, after its stream went backwards, while its agent is being loaded.
    const pending = this.#pending.get(pendingKey(rawSource, envelope));
    if (pending === undefined) this.#deliver(envelope, rawSource, ticket);
    else pending.push(ticket);
  }

  #open(source: NumberedSource, message: MailboxMessage, ticket: Ticket): void {
    if (source.kind === "stint") {
      this.#options.entries.add(
        { kind: "open", stint: source.id, place: message.sequence, at: message.at },
        64,
        () => undefined,
      );
    }
    this.#reader.decided(ticket);
  }

  #admit(source: NumberedSource, envelope: Envelope, ticket: Ticket): void {
    const key = sourceKey(source);
    const verdict = this.#inOrder.admit(source, envelope.n);
    switch (verdict) {
      case "take":
        this.#deliver(envelope, key, ticket);
        return;
      case "closed":
        // By an entry: if that were forgotten in a crash, what comes next would be early, though it was accepted (D4).
        this.#options.entries.pass(envelope, this.#originOf(key, envelope, ticket), "closed", []);
        this.#reader.decided(ticket);
        return;
      case "pending":
        this.#pending.get(`${key}/${envelope.n}`)?.push(ticket);
        return;
      case "repeat":
      case "early":
      case "late":
        this.#options.touch();
        this.#reader.decided(ticket);
        if (verdict === "repeat") this.#options.entries.tellTaken(key);
        if (verdict === "late") this.#refuseLate(envelope);
    }
  }

  #refuseLate(envelope: Envelope): void {
    const { observe, partition, channel } = this.#options;
    observe({ kind: "skipped", partition, why: `a message of a forgotten stint: id=${envelope.id}` });
    const error = encodeError(unknownOutcome(envelope));
    for (const given of answerTo(envelope, { ok: false, seq: 0, error })) publishAnswer(channel, given);
  }

  /** What a message decides, when it is decided: all below it by then. */
  #originOf(source: string, { n }: Envelope, { at }: Ticket): Origin {
    return { source, n, closed: source === rawSource ? 0 : this.#inOrder.closed(source, n), at };
  }

  #deliver(envelope: Envelope, source: string, ticket: Ticket): void {
    const { n } = envelope;
    const { agentWork, take } = this.#options;
    const partition = this.#partitionOf(envelope);
    if (partition !== this.#options.partition) {
      this.#passOn(envelope, this.#originOf(source, envelope, ticket), partition);
      this.#inOrder.decided(source, n);
      this.#reader.decided(ticket);
      return;
    }
    const key = pendingKey(source, envelope);
    const isTaken = agentWork.do(envelope.to, envelope.id, (activation) => {
      take(activation, envelope, this.#originOf(source, envelope, ticket));
      this.#inOrder.decided(source, n);
      const tickets = this.#pending.get(key);
      this.#pending.delete(key);
      for (const one of tickets ?? [ticket]) this.#reader.decided(one);
    });
    // Repeats of a message whose agent is being loaded wait for the same decision: consumed sooner, they would outlive
    // it in the position, and a crash before its commit would lose the message (D4).
    if (!isTaken) this.#pending.set(key, [ticket]);
  }

  /** `undefined` if what it is addressed to is no address. */
  #partitionOf(envelope: Envelope): Partition | undefined {
    try {
      return partitionOf(parseAddress(envelope.to).address, this.#options.app.partitions);
    } catch {
      return undefined;
    }
  }

  /** A message that came to the wrong partition is never stepped here: it goes on to its own, as itself (DESIGN section 4). */
  #passOn({ n: _n, ...envelope }: Envelope, origin: Origin, to: Partition | undefined): void {
    const why = to === undefined ? "a message to no address" : "a message of another partition, passed on";
    const { observe, partition, state, entries } = this.#options;
    observe({ kind: "skipped", partition, why: `${why}: id=${envelope.id}` });
    const sends = to === undefined ? [] : [{ to, n: state.outbox.get(to)?.next ?? 1, envelope }];
    entries.passOf(envelope.to, origin, "elsewhere", [], sends);
  }
}

/** One message while it is being decided; a raw publish's number may be given again, its id is not. */
function pendingKey(source: string, { n, id }: Envelope): string {
  return source === rawSource ? `${source}/${id}` : `${source}/${n}`;
}

/** Whoever asks hears that nobody can tell any more what came of it. */
export function unknownOutcome(envelope: Envelope): DormouseError {
  return new DormouseError(
    "unavailable",
    "outcome.unknown",
    `this message was taken earlier and its answer is no longer kept; read() tells the agent's state: agent=${envelope.to} ` +
      `id=${envelope.id}`,
  );
}
