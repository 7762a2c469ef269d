/**
 * What a partition takes down: each entry is folded into its state, added to the open record, and lets out what it caused
 * when it is durable. P1 and P2 of `partition.ts` are kept here.
 *
 * Owns: the outbox and the routes to other apps, the watermarks that senders are told, how much no settle has covered yet.
 * Leaves to others: which entries there are (`intake.ts`, `steps.ts`, `shelf.ts`), when they are durable (`commit.ts`).
 */
import { type Address, fullAddress, parseAddress, type Partition, partitionOf } from "../agent/address.ts";
import { assert } from "../agent/assert.ts";
import { recordBytesMax } from "../agent/limits.ts";
import type { App } from "../format/app.ts";
import { bytesAtMost } from "../format/codec/size.ts";
import type { Envelope, Unnumbered } from "../format/message.ts";
import { type LaneKey, parseLane, type PartitionState } from "../format/partition.ts";
import type { Entry, GivenAnswer, NumberedSend, Origin } from "../format/record.ts";
import type { Channel, Mailbox } from "../ports/index.ts";
import type { ResolvedSettings } from "../settings.ts";
import { askedFrom } from "../step/replies.ts";
import { fold } from "../step/fold.ts";
import { qualifyRefs } from "../step/refs.ts";
import { type Send, splitAnswers } from "../step/send.ts";
import type { Activation } from "./activations.ts";
import type { Commit, Committing } from "./commit.ts";
import type { World } from "./insist.ts";
import type { OtherApps } from "./other-apps.ts";
import { Outbox } from "./release/outbox.ts";
import { publishAnswer } from "./release/reply.ts";
import { Routes, type Undelivered } from "./release/routes.ts";
import { Watermarks } from "./release/watermarks.ts";

export interface EntriesOptions {
  readonly app: App;
  readonly partition: Partition;
  readonly state: PartitionState;
  readonly world: World;
  readonly mailbox: Mailbox;
  readonly channel: Channel;
  readonly commit: Commit;
  readonly settings: Pick<ResolvedSettings, "outboxRepeatMs">;
  readonly newId: () => string;
  readonly apps: OtherApps;
  readonly undelivered: Undelivered;
  readonly failed: (error: unknown) => void;
}

/** What an entry takes that holds these values, at most: exact no longer, when they fill a record alone. */
export function entryBytes(values: unknown): number {
  return entryBytesBase + bytesAtMost(values, recordBytesMax);
}

/** What an entry's size is taken for beside the values it holds. */
const entryBytesBase = 160;

export class Entries {
  readonly state: PartitionState;
  readonly #options: EntriesOptions;
  readonly #part: Committing;
  readonly #outbox: Outbox;
  readonly #routes: Routes;
  readonly #watermarks: Watermarks;
  #unsettled = 0;
  #isClosed = false;

  constructor(options: EntriesOptions, part: Committing) {
    const { world, mailbox, app, apps, partition, state, settings } = options;
    this.#options = options;
    this.#part = part;
    this.state = state;
    this.#outbox = new Outbox({
      world,
      mailbox,
      apps,
      id: `${app.birth}/${partition}`,
      state,
      repeatMs: settings.outboxRepeatMs,
    });
    this.#routes = new Routes({
      ...options,
      add: (entry, bytes, release, isWithNext) => {
        // What was looked for when the partition was given up, its next owner looks for.
        if (!this.#isClosed) this.add(entry, bytes, release, isWithNext);
      },
      publish: (sends) => this.#outbox.publish(sends),
    });
    this.#watermarks = new Watermarks({ ...options, clock: world.clock });
  }

  get unsettled(): number {
    return this.#unsettled;
  }

  settledUpToNow(): void {
    this.#unsettled = 0;
  }

  /** As `PartitionLoop.unsettled`. */
  unsettledAgain(count: number): void {
    this.#unsettled += count;
  }

  /** Publishes all that is kept for others, as a new owner does. */
  resume(): void {
    this.#outbox.resume();
    this.#routes.resume();
  }

  stop(): void {
    this.#outbox.stop();
    this.#routes.stop();
  }

  /** Nothing is taken down any more: the partition is given up. What was is still let out. */
  close(): void {
    this.#isClosed = true;
    this.stop();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Adds an entry to the open record, and folds it into memory (P1). */
  add(entry: Entry, bytes: number, release: () => void, isWithNext: boolean = false): void {
    assert(!this.#isClosed, "a partition that was given up takes nothing down");
    fold(this.state, entry);
    this.#unsettled += 1;
    const source = "origin" in entry ? entry.origin?.source : undefined;
    const upTo = source === undefined ? undefined : this.state.sources.get(source)?.low;
    const released = (): void => {
      release();
      // Entries are durable in order: what was decided when this one was added is durable now.
      if (source !== undefined && upTo !== undefined) this.#watermarks.taken(source, upTo);
    };
    this.#options.commit.add(this.#part, entry, bytes, released, isWithNext);
  }

  /** The same of an agent that is in memory until the entry is settled. */
  addOf(activation: Activation, entry: Entry, bytes: number, release: () => void, isWithNext: boolean = false): void {
    activation.uncommitted += 1;
    const released = (): void => {
      activation.uncommitted -= 1;
      activation.isUnsettled = true;
      release();
    };
    this.add(entry, bytes, released, isWithNext);
  }

  /** Decides a message without a step. */
  pass(envelope: Envelope, origin: Origin, why: string, answers: readonly GivenAnswer[]): void {
    const split = splitAnswers(answers);
    this.passOf(envelope.to, origin, why, split.answers, this.number(envelope.to, split.sends));
  }

  passOf(
    agent: Address,
    origin: Origin | undefined,
    why: string,
    answers: readonly GivenAnswer[],
    sends: readonly NumberedSend[],
  ): void {
    const at = this.#options.world.clock.now();
    const release = this.releaseOf(sends, answers);
    this.add({ kind: "pass", agent, at, origin, why, sends, answers }, entryBytes([sends, answers]), release);
  }

  /** Gives what an agent sends its places in the outbox. */
  number(from: Address, sends: readonly Send[]): NumberedSend[] {
    const { app, newId, world } = this.#options;
    const next = new Map<LaneKey, number>();
    // Whoever answers names its sender by this text, in which a key with a "/" is told from another app by the full form.
    const fromHere = parseAddress(from).key.includes("/") ? fullAddress(app.name, from) : from;
    return sends.map(({ app: other = app.name, to: address, body, ask }) => {
      const isHere = other === app.name;
      const to = isHere ? partitionOf(address, app.partitions) : this.#routes.laneFor(other, address);
      const n = next.get(to) ?? this.state.outbox.get(to)?.next ?? 1;
      next.set(to, n + 1);
      const sent = { id: newId(), to: address, sentAt: world.clock.now() };
      const sender = isHere ? fromHere : fullAddress(app.name, from);
      const asked = ask === undefined ? {} : { ask: askedFrom(ask, sender, isHere ? undefined : app.name) };
      const envelope: Unnumbered = {
        ...sent,
        ...asked,
        body: isHere ? body : qualifyRefs(body, app.name),
        from: sender,
      };
      return { to, n, envelope };
    });
  }

  /** What a durable entry lets out (P2). */
  releaseOf(sends: readonly NumberedSend[], answers: readonly GivenAnswer[]): () => void {
    return () => {
      if (sends.length > 0) this.#publish(sends);
      for (const given of answers) publishAnswer(this.#options.channel, given);
    };
  }

  #publish(sends: readonly NumberedSend[]): void {
    this.#outbox.publish(sends.filter(({ to }) => parseLane(to).partition !== undefined));
    for (const { to } of sends) {
      const { app, partition } = parseLane(to);
      if (app !== undefined && partition === undefined) this.#routes.route(app);
    }
  }

  /** A receiver has committed our messages up to `upTo`. */
  confirmed(to: LaneKey, upTo: number): void {
    const kept = this.state.outbox.get(to)?.entries.keys().next().value;
    if (!this.#isClosed && kept !== undefined && kept <= upTo)
      this.add({ kind: "sent", to, upTo }, 16, () => undefined);
  }

  /** Tells a sender of an outbox how far its messages are durably taken. */
  tellTaken(source: string): void {
    this.#watermarks.tell(source);
  }
}
