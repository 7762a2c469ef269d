/**
 * The loop of an owned partition: message → agent → step → open record → release.
 *
 * Owns: the partition's state and its agents in memory.
 * Leaves to others: reading (`reader.ts`), steps (`step/step.ts`), entries and what they let out (`entries.ts`, `commit.ts`,
 * `release/`), agents that cannot step (`shelf.ts`).
 * Called by host: `start`, `effectEnded`, `confirmed`, `stop`; by settler: `activateTails`, `armNear`,
 * `setAsideDamaged`, `close`; by reads.
 *
 * P1  Every change of state is an entry, folded into memory when it joins the open record: so a reader of the journal
 *     comes to the same state (D4, D7). Wake-ups alone also change without one, here and in `settle/far.ts`: each is a
 *     hint, and one too many finds nothing to do (T1).
 * P2  What an entry caused is let out by its release, which commit calls when it is durable (D3).
 * P3  A message of another partition, of an unknown type, or that does not decode never stops the loop (D9).
 * P4  After `close` nothing is taken or decided: what was handed out and not decided is not consumed, so the next owner
 *     reads it again; what comes from here (effects, timers, actions) begins anew there (D4, D6).
 * P5  A message in a newer format than this host reads is neither taken nor skipped: nothing behind it is read here, and
 *     the next owner begins with it (D1, D4).
 */
import { type Address, fullAddress, parseAddress, parseTarget, type Partition, partitionOf } from "../agent/address.ts";
import { decodeError, DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import { nearMs } from "../agent/limits.ts";
import type { App } from "../format/app.ts";
import { isNewer } from "../format/codec/header.ts";
import { historyStep } from "../format/head.ts";
import { type Batch, type Body, decodeBatch, type Envelope } from "../format/message.ts";
import type { LaneKey, PartitionState, Position } from "../format/partition.ts";
import type { Entry, Origin, StepEntry } from "../format/record.ts";
import type { Observe } from "../observe.ts";
import type { Channel, Mailbox, MailboxMessage, SentTo } from "../ports/index.ts";
import type { ResolvedSettings } from "../settings.ts";
import type { CallNews } from "../step/durable.ts";
import { InOrder, type NumberedSource, rawName, rawSource, sourceKey } from "../step/dedup.ts";
import { decode } from "../step/engine.ts";
import { foldPosition } from "../step/fold.ts";
import { asDurable, inputOf } from "../step/input.ts";
import { type Known, newerState, type Registry } from "../step/registry.ts";
import { restorer } from "../step/restore.ts";
import { type AgentState, earliestDue, type EffectResult, isBusy } from "../step/state.ts";
import { answerTo, type InlineAction, type Outcome, type StepInput, type Stepped, takeStep } from "../step/step.ts";
import { type Activation, Activations, unreadable, type Work } from "./activations.ts";
import type { Caution, Cautious, Lone } from "./caution.ts";
import type { Commit, Committing } from "./commit.ts";
import { Entries, entryBytes } from "./entries.ts";
import { pause, type World } from "./insist.ts";
import { readRaw } from "./raw.ts";
import type { QuarantineView, Readable } from "./reads.ts";
import { type Opening, Reader, type Ticket } from "./reader.ts";
import type { OtherApps } from "./other-apps.ts";
import type { EffectCall, Effects } from "./release/effect.ts";
import type { Lost } from "./release/routes.ts";
import { publishAnswer, publishNotice } from "./release/reply.ts";
import { Timers } from "./release/timer.ts";
import { isOfHost, Shelf } from "./shelf.ts";

export interface PartitionOptions {
  readonly app: App;
  readonly partition: Partition;
  readonly epoch: number;
  readonly state: PartitionState;
  readonly tails: Map<Address, Entry[]>;
  /** Of a reader from its position on. */
  readonly opening: Opening;
  /** Its signal is the partition's own. */
  readonly world: World;
  readonly mailbox: Mailbox;
  readonly channel: Channel;
  readonly commit: Commit;
  readonly effects: Effects;
  readonly caution: Caution;
  readonly registry: Registry;
  readonly settings: ResolvedSettings;
  readonly observe: Observe;
  readonly newId: () => string;
  readonly apps: OtherApps;
  /** Whether each step goes on from what one who reads the last one back would have, for tests. */
  readonly restoreEveryStep: boolean;
  /** What no one can go on from: the host ends. */
  readonly failed: (error: unknown) => void;
}

export class PartitionLoop implements Committing, Readable, Cautious {
  readonly partition: Partition;
  readonly epoch: number;
  readonly activations: Activations;
  readonly state: PartitionState;
  /** Objects of far wake-ups that were taken in: deleted when the partition object names them no more. */
  readonly takenBuckets: string[] = [];
  /** Those that could not be read: told of once, and left to the next owner. */
  readonly unreadableBuckets: Set<string> = new Set();
  readonly #options: PartitionOptions;
  readonly #reader: Reader;
  readonly #inOrder: InOrder;
  readonly #entries: Entries;
  readonly #shelf: Shelf;
  readonly #timers: Timers;
  /** Tickets of messages that passed and are being decided, by source and number. */
  readonly #pending = new Map<string, Ticket[]>();
  #started: (() => void) | undefined;
  /** Whether all that was in the mailbox when this owner began was handed out. */
  #isCaughtUp = false;
  #standsStill: DormouseError | undefined;
  readonly #closed = Promise.withResolvers<void>();

  constructor(options: PartitionOptions) {
    this.#options = options;
    this.partition = options.partition;
    this.epoch = options.epoch;
    this.state = options.state;
    const { world, mailbox, partition, commit, observe, failed } = options;
    this.#inOrder = new InOrder(this.state);
    this.#timers = new Timers({ clock: world.clock, wake: (agent) => this.#wake(agent), failed });
    this.#entries = new Entries({ ...options, undelivered: (lost, drop) => this.#undelivered(lost, drop) }, this);
    this.activations = new Activations({
      world,
      partition,
      tails: options.tails,
      loaded: (activation) => this.#loaded(activation),
      failed,
    });
    this.#shelf = new Shelf({
      ...options,
      entries: this.#entries,
      activations: this.activations,
      use: (agent, work) => this.#use(agent, work),
      known: (activation, path) => this.#known(activation, path),
      step: (activation, known, envelope) =>
        // An ask was not given up by whoever waits for it: its patience counts from here on.
        this.#stepEnvelope(activation, known, envelope, envelope.ask ? world.clock.now() : envelope.sentAt, undefined),
      end: (activation, known, message) =>
        void this.#step(activation, known, { kind: "end", how: "terminate", message }, undefined),
      forget: (activation) => this.#forget(activation),
      resumeWork: (agent) => this.#resumeWork(agent),
      unstick: (activation, id) => this.#stepLocal(activation, { kind: "unstick", id }),
      alone: (agent, id, work) => this.#alone(agent, id, work),
    });
    this.#reader = new Reader(
      {
        world,
        mailbox,
        partition,
        isFull: () => commit.isFull(),
        room: () => commit.room(),
        take: (message) => this.#take(message),
        isDecided: ({ sequence, at }) => this.state.raws?.has(rawName(sequence, at)) === true,
        regressed: (why) => {
          observe({ kind: "regressed", partition, why });
          this.#entries.resume();
        },
        caughtUp: () => {
          observe({ kind: "caught-up", partition });
          this.#isCaughtUp = true;
          this.#started?.();
        },
        waits: () => this.#started?.(),
      },
      this.state.position,
      options.opening,
    );
  }

  /**
   * Lets out again what a takeover found, and reads; resolves when all that was in the mailbox was handed out, or as much
   * as credit allows: nobody who starts a host waits for a long backlog. Also when it is stopped before: one that was handed
   * on never reads what was in the mailbox, and its host would be starting for ever.
   */
  start(): Promise<void> {
    const isStarted = new Promise<void>((resolve) => (this.#started = resolve));
    this.#resume();
    this.#reader.read().catch(this.#options.failed);
    return isStarted;
  }

  /** Reads no more and lets no more out by itself; what is in the open record is still committed. */
  stop(): void {
    this.#reader.stop();
    this.#timers.stop();
    this.#entries.stop();
    this.#started?.();
  }

  /** For good: the partition is given up (P4). */
  close(): void {
    this.stop();
    this.#entries.close();
    this.#closed.resolve();
    this.#options.effects.abort(this.partition);
  }

  position(): Position {
    const position = this.#reader.position();
    foldPosition(this.state, position);
    return position;
  }

  get entriesUnsettled(): number {
    return this.#entries.unsettled;
  }

  /** Whether its mailbox holds so much that it is to be settled for the sake of the trim. */
  get isMailboxGrown(): boolean {
    return this.#reader.isGrown(this.entriesUnsettled > 0);
  }

  settledUpToNow(): void {
    this.#entries.settledUpToNow();
    this.#reader.settledUpToNow();
  }

  /** A settle of so many entries came to nothing. */
  unsettled(count: number): void {
    this.#entries.unsettledAgain(count);
  }

  /**
   * What the store has of an agent cannot be built on. Memory and the journals keep what its head lacks until that is
   * mended or the agent removed.
   *
   * @throws The error itself when the partition was given up: nothing more can be said of its agents here.
   */
  setAsideDamaged(agent: Address, error: DormouseError): void {
    if (this.#entries.isClosed) throw error;
    this.#shelf.setAsideDamaged(agent, error);
  }

  quarantined(): readonly QuarantineView[] {
    return this.#shelf.quarantined();
  }

  /** Why it reads no further, if it does not (P5). */
  get standsStill(): DormouseError | undefined {
    return this.#standsStill;
  }

  /** A receiver has committed our messages up to `upTo`. */
  confirmed(to: LaneKey, upTo: number): void {
    this.#entries.confirmed(to, upTo);
  }

  /** A sealed journal refuses the next record, and the host ends (D5). */
  checkOwned(): void {
    void this.#options.commit.cut(() => undefined);
  }

  /**
   * Loads the agents of whom journals hold what no head covers, so that they can be settled; whether all could be read.
   * While one cannot, its journals are kept: they hold what its head lacks.
   */
  async activateTails(): Promise<boolean> {
    const { tails } = this.#options;
    const load = async (agent: Address): Promise<void> => {
      const phase = await new Promise((done) => this.activations.use(agent, (activation) => done(activation.phase)));
      if (phase === "ready") tails.delete(agent);
    };
    await Promise.all([...tails.keys()].map(load));
    return tails.size === 0;
  }

  // ------------------------------------------------------------------------------------------------------------ messages

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
      this.#options.commit.touch(this);
      observe({ kind: "skipped", partition, why: "a mailbox message cannot be read", error: encodeError(error) });
      return;
    }
    const { source, envelopes } = batch;
    const ticket = this.#reader.expect(message, source.kind === "barrier" ? 0 : Math.max(1, envelopes.length));
    if (source.kind === "barrier") {
      this.#options.commit.touch(this);
      return;
    }
    if (envelopes.length === 0) this.#open(source, message, ticket);
    for (const envelope of envelopes) this.#admit(source, envelope, ticket);
  }

  /** Reads no further (P5). */
  #standStill(why: DormouseError): void {
    this.#reader.stop();
    this.#standsStill = why;
    const text = `partition ${this.partition} waits for a host that reads its next message: ${why.message}`;
    this.#options.observe({ kind: "warned", about: "format", text });
    this.#started?.();
  }

  #takeRaw(message: MailboxMessage, sentTo: SentTo): void {
    const { commit, observe, partition } = this.#options;
    let envelope: Envelope;
    try {
      envelope = readRaw(message, sentTo);
    } catch (error) {
      this.#reader.expect(message, 0);
      commit.touch(this);
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
      this.#entries.add(
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
        this.#entries.pass(envelope, this.#originOf(key, envelope, ticket), "closed", []);
        this.#reader.decided(ticket);
        return;
      case "pending":
        this.#pending.get(`${key}/${envelope.n}`)?.push(ticket);
        return;
      case "repeat":
      case "early":
      case "late":
        this.#options.commit.touch(this);
        this.#reader.decided(ticket);
        if (verdict === "repeat") this.#entries.tellTaken(key);
        if (verdict === "late") this.#refuseLate(envelope);
    }
  }

  #refuseLate(envelope: Envelope): void {
    this.#options.observe({
      kind: "skipped",
      partition: this.partition,
      why: `a message of a forgotten stint: id=${envelope.id}`,
    });
    const error = encodeError(unknownOutcome(envelope));
    for (const given of answerTo(envelope, { ok: false, seq: 0, error })) publishAnswer(this.#options.channel, given);
  }

  /** What a message decides, when it is decided: all below it by then. */
  #originOf(source: string, { n }: Envelope, { at }: Ticket): Origin {
    return { source, n, closed: source === rawSource ? 0 : this.#inOrder.closed(source, n), at };
  }

  #deliver(envelope: Envelope, source: string, ticket: Ticket): void {
    const { n } = envelope;
    const partition = this.#partitionOf(envelope);
    if (partition !== this.partition) {
      this.#passOn(envelope, this.#originOf(source, envelope, ticket), partition);
      this.#inOrder.decided(source, n);
      this.#reader.decided(ticket);
      return;
    }
    const key = pendingKey(source, envelope);
    const isTaken = this.#do(envelope.to, envelope.id, (activation) => {
      this.#takeEnvelope(activation, envelope, this.#originOf(source, envelope, ticket));
      this.#inOrder.decided(source, n);
      const tickets = this.#pending.get(key);
      this.#pending.delete(key);
      for (const one of tickets ?? [ticket]) this.#reader.decided(one);
    });
    // Repeats of a message whose agent is being loaded wait for the same decision: consumed sooner, they would outlive
    // it in the position, and a crash before its commit would lose the message (D4).
    if (!isTaken) this.#pending.set(key, [ticket]);
  }

  /** Work of one agent: at once if it is in memory, noted and alone under caution; whether it was done at once. */
  #do(agent: Address, id: string, work: Work): boolean {
    const { caution } = this.#options;
    if (!caution.isOn) return this.#use(agent, work);
    if (this.#isCaughtUp) return caution.later(agent, () => this.#use(agent, work));
    caution.add(this.#alone(agent, id, work));
    return false;
  }

  #alone(agent: Address, id: string, work: Work): Lone {
    const done = (): Promise<void> =>
      new Promise((resolve) => {
        this.activations.use(agent, async (activation) => {
          if (!this.#entries.isClosed) await work(activation);
          resolve();
        });
      });
    // An agent that is being loaded when its partition is given up never is: all other work would wait for it.
    return { partition: this, agent, id, run: () => Promise.race([done(), this.#closed.promise]) };
  }

  #use(agent: Address, work: Work): boolean {
    return this.activations.use(agent, (activation) => (this.#entries.isClosed ? undefined : work(activation)));
  }

  noted(id: string): number {
    return this.state.notes.get(id) ?? 0;
  }

  note(id: string): Promise<void> {
    return this.#noteDown({ kind: "note", id });
  }

  unnote(id: string): Promise<void> {
    return this.#noteDown({ kind: "unnote", id });
  }

  async #noteDown(entry: Entry): Promise<void> {
    if (!this.#entries.isClosed) await new Promise<void>((resolve) => this.#entries.add(entry, 64, resolve));
  }

  blame(agent: Address, id: string): void {
    if (!this.#entries.isClosed) this.#shelf.blame(agent, id);
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
    this.#options.observe({ kind: "skipped", partition: this.partition, why: `${why}: id=${envelope.id}` });
    const sends = to === undefined ? [] : [{ to, n: this.state.outbox.get(to)?.next ?? 1, envelope }];
    this.#entries.passOf(envelope.to, origin, "elsewhere", [], sends);
  }

  #takeEnvelope(activation: Activation, envelope: Envelope, origin: Origin): void {
    const { body } = envelope;
    if (this.#answerRepeat(activation, envelope, origin)) return;
    if (body.kind === "command") {
      this.#takeCommand(activation, envelope, body, origin);
      return;
    }
    const known = this.#known(activation, body.kind === "start-child" ? body.path : undefined);
    if (known instanceof DormouseError) this.#shelf.setAside(activation, envelope, origin, known);
    else this.#stepEnvelope(activation, known, envelope, origin.at, origin);
  }

  /** @param origin - What the message decides; `undefined` for one off the shelf, which was decided when it was put there. */
  #stepEnvelope(
    activation: Activation,
    known: Known,
    envelope: Envelope,
    at: number,
    origin: Origin | undefined,
  ): void {
    const isFirst = activation.state === undefined;
    if (isFirst && envelope.body.kind === "event" && !parseAddress(envelope.to).key.startsWith("~")) {
      // Begun by a plain message, as children never are: two steps, init and then the event, of which only the second decides the message.
      const start = { kind: "start", message: envelope, input: undefined, child: undefined, isImplied: true } as const;
      // Of one off the shelf, in one record with its event: between the two, a crash would lose it.
      const outcome = this.#step(activation, known, start, undefined, origin === undefined);
      if (outcome.kind === "passed") {
        const { why, answers, sends } = outcome;
        const numbered = this.#entries.number(envelope.to, sends);
        if (origin !== undefined) this.#entries.passOf(envelope.to, origin, why, answers, numbered);
        return;
      }
    }
    this.#step(activation, known, inputOf(envelope, at), origin);
  }

  /** Another copy of an ask, sent because no answer came: it attaches, or is answered again, and never runs again. */
  #answerRepeat(activation: Activation, envelope: Envelope, origin: Origin): boolean {
    if (envelope.ask?.isRepeat !== true) return false;
    const kept = this.state.answers.get(envelope.id);
    const isShelved = this.state.shelf.get(envelope.to)?.some(({ id }) => id === envelope.id) === true;
    const isOpen = isShelved || activation.state?.asks.some((open) => open.id === envelope.id) === true;
    // What was asked under a key, the agent itself answers again, for much longer.
    if (kept === undefined && !isOpen && activation.state?.keys.has(envelope.key ?? "") === true) return false;
    const answer = kept?.answer ?? { ok: false, seq: 0, error: encodeError(unknownOutcome(envelope)) };
    this.#entries.pass(envelope, origin, "repeat", isOpen ? [] : answerTo(envelope, answer));
    return true;
  }

  #takeCommand(
    activation: Activation,
    envelope: Envelope,
    body: Extract<Body, { kind: "command" }>,
    origin: Origin,
  ): void {
    switch (body.command) {
      case "cancel": {
        const known = this.#known(activation);
        if (known instanceof DormouseError) this.#shelf.setAside(activation, envelope, origin, known);
        else this.#step(activation, known, inputOf(envelope, origin.at), origin);
        return;
      }
      case "terminate": {
        const known = this.#known(activation);
        if (known instanceof DormouseError) this.#shelf.setAside(activation, envelope, origin, known);
        else this.#step(activation, known, { kind: "end", how: "terminate", message: envelope }, origin);
        return;
      }
      case "remove":
        this.#shelf.remove(activation, envelope, origin);
        return;
      case "resume":
      case "skip":
        this.#shelf.resume(activation, envelope, origin, body.command);
    }
  }

  #forget(activation: Activation): void {
    const seq = activation.state?.seq ?? activation.seqBefore;
    activation.seqBefore = seq;
    activation.state = undefined;
    activation.live = undefined;
    this.#entries.addOf(activation, { kind: "remove", agent: activation.agent, seq }, 32, () => {
      activation.committed = undefined;
      activation.committedSeqBefore = seq;
      activation.settled = undefined;
      activation.error = undefined;
      activation.steps = [];
      activation.lives += 1;
      this.#letRun(activation, undefined);
    });
  }

  // --------------------------------------------------------------------------------------------------------------- steps

  /** The machine that runs an agent, or why it cannot step now. */
  #known(activation: Activation, path?: readonly string[]): Known | DormouseError {
    const { agent } = activation;
    const quarantine = this.state.quarantine.get(agent);
    if (quarantine !== undefined) {
      return new DormouseError(
        "failed",
        "agent.quarantined",
        `the agent is set aside until someone resumes it (dormouse resume ${agent}): ${quarantine.error.message}`,
      );
    }
    return this.#code(activation, path);
  }

  /** The same, whether or not the agent is in quarantine. */
  #code(activation: Activation, path: readonly string[] = activation.state?.path ?? []): Known | DormouseError {
    const { agent } = activation;
    const { type } = parseAddress(agent);
    if (activation.phase === "unreadable" && activation.error !== undefined) return activation.error;
    const known = this.#options.registry.find(type, path);
    if (known === undefined) {
      return new DormouseError(
        "invalid",
        "agent.unknown-type",
        `this host runs no agents of this type; add it to startHost({ agents }): type=${type} agent=${agent}`,
      );
    }
    const newer = newerState(agent, activation.state, known);
    if (newer !== undefined) return newer;
    if (activation.state !== undefined && activation.live === undefined) {
      try {
        activation.live = decode(known.machine, activation.state.machine);
      } catch (error) {
        return error instanceof DormouseError ? error : unreadable(error);
      }
    }
    return known;
  }

  #step(
    activation: Activation,
    known: Known,
    input: StepInput,
    origin: Origin | undefined,
    isWithNext: boolean = false,
  ): Outcome {
    const { world, settings, restoreEveryStep, observe } = this.#options;
    const { agent, state, live } = activation;
    const restore = restoreEveryStep ? restorer(state) : undefined;
    const outcome = takeStep({
      agent,
      definition: known.definition,
      machine: known.machine,
      before: state === undefined || live === undefined ? undefined : { state, live },
      input,
      now: world.clock.now(),
      birth: state === undefined ? world.entropy.bytes(16) : state.birth,
      seqBefore: activation.seqBefore,
      freezeContexts: settings.freezeContexts,
      stateBytesMax: settings.stateBytesMax,
    });
    if (outcome.kind === "passed" && outcome.error !== undefined && "message" in input) {
      const { id, ask } = input.message;
      observe({ kind: "refused", agent, id, isAsked: ask !== undefined, error: outcome.error });
    }
    if (outcome.kind === "stepped") this.#stepped(activation, restore?.(outcome) ?? outcome, origin, isWithNext);
    else if (origin !== undefined || outcome.sends.length > 0) {
      this.#entries.passOf(agent, origin, outcome.why, outcome.answers, this.#entries.number(agent, outcome.sends));
    }
    return outcome;
  }

  #stepped(activation: Activation, outcome: Stepped, origin: Origin | undefined, isWithNext: boolean): void {
    const { observe, channel, app } = this.#options;
    const { agent } = activation;
    const { state, live } = outcome.after;
    const sends = this.#entries.number(agent, outcome.sends);
    const entry: StepEntry = {
      kind: "step",
      agent,
      seq: state.seq,
      at: state.now,
      origin,
      cause: outcome.cause,
      delta: outcome.delta,
      sends,
      answers: outcome.answers,
      wakeUp: earliestDue(state),
      isBusy: isBusy(state),
      error: outcome.error,
      emitted: outcome.emitted,
    };
    activation.state = state;
    activation.live = live;
    const release = this.#entries.releaseOf(sends, outcome.answers);
    const bytes = outcome.deltaBytes + entryBytes([outcome.cause, sends, outcome.answers, outcome.emitted]);
    const released = (): void => {
      activation.committed = state;
      activation.steps.push(historyStep(entry));
      observe({ kind: "stepped", agent, seq: state.seq, error: outcome.error, thrown: outcome.thrown });
      release();
      this.#letRun(activation, state);
      for (const { label, value } of outcome.logs) observe({ kind: "logged", agent, label, value });
      // What is owed, the next owner of a partition that was given up runs.
      const isClosed = this.#entries.isClosed;
      for (const action of outcome.actions) if (!isClosed || !action.isOwed) this.#runAction(agent, action);
      publishNotice(channel, app, agent, { seq: state.seq, emitted: outcome.emitted });
      observe({ kind: "released", agent, seq: state.seq });
    };
    this.#entries.addOf(activation, entry, bytes, released, isWithNext);
  }

  #letRun(activation: Activation, state: AgentState | undefined): void {
    // Its effects and timers are the next owner's (P4).
    if (this.#entries.isClosed) return;
    this.#arm(activation.agent, state === undefined ? undefined : earliestDue(state));
    this.#options.effects.reconcile(activation.agent, begunHere(activation, state));
  }

  /** Arms what is near; what is far leaves memory at the next settle (D10). */
  #arm(agent: Address, due: number | undefined): void {
    const isNear = due !== undefined && due <= this.#options.world.clock.now() + 2 * nearMs;
    this.#timers.set(agent, isNear ? due : undefined);
  }

  armNear(): void {
    for (const [agent, due] of this.state.wakeUps) this.#arm(agent, due);
  }

  // -------------------------------------------------------------------------------------------------- what comes from here

  /** An effect of one of our agents has ended: its result is a message to itself. */
  effectEnded({ agent, address, effect }: EffectCall, result: EffectResult): void {
    const durable = asDurable(agent, result);
    const { attempt } = effect;
    this.#local(agent, `${address}/result`, { kind: "effect", address, attempt, result: durable });
  }

  /** A durable function of one of our agents tells of its calls: a message of the agent to itself. */
  effectTells({ agent, address, effect }: EffectCall, calls: readonly CallNews[]): void {
    this.#local(agent, `${address}/calls`, { kind: "calls", address, attempt: effect.attempt, calls });
  }

  /**
   * A message to another app cannot be sent: its sender counts it among its errors, in one record with its end. Not on a
   * host that lacks the sender's code, nor when the partition was given up while it was loaded: the next owner tells (P4).
   */
  #undelivered({ app, envelope, error }: Lost, drop: (isWithNext: boolean) => void): Promise<boolean> {
    const { id, from } = envelope;
    const to = fullAddress(app, envelope.to);
    const give = (activation: Activation | undefined): boolean => {
      // None of its code runs, so it may be in quarantine.
      const known = activation?.state === undefined ? undefined : this.#code(activation);
      if (this.#entries.isClosed || (known instanceof DormouseError && isOfHost(known))) return false;
      const why = `a message to ${to}: id=${id}`;
      this.#options.observe({ kind: "skipped", partition: this.partition, why, error });
      const isTold = known !== undefined && !(known instanceof DormouseError);
      drop(isTold);
      if (isTold && activation !== undefined)
        this.#step(activation, known, { kind: "undelivered", id, to, error }, undefined);
      return true;
    };
    if (from === undefined) return Promise.resolve(give(undefined));
    return new Promise((resolve) => {
      this.activations.use(parseTarget(from).address, (activation) => resolve(give(activation)));
    });
  }

  #wake(agent: Address): void {
    this.#use(agent, (activation) => {
      const now = this.#options.world.clock.now();
      const due = Object.entries(activation.state?.timers ?? {}).filter(([, timer]) => timer.due <= now);
      due.sort(([, a], [, b]) => a.due - b.due || a.generation - b.generation);
      for (const [id, { generation }] of due)
        this.#local(agent, `${agent}/timer/${id}`, { kind: "timer", id, generation });
      // What is due now fires, and is armed anew by its commit: armed here, it would be due again at once, for ever.
      const next = activation.state === undefined ? undefined : earliestDue(activation.state);
      if (next !== undefined && next > now) this.#arm(agent, next);
      // One from a bucket may be older than what the agent did since: kept, it would wake it at every round, for ever.
      if (next === undefined) this.state.wakeUps.delete(agent);
    });
  }

  #runAction(agent: Address, { name, seq, index, isOwed, run }: InlineAction): void {
    const end = (error: ErrorData | undefined, thrown?: unknown): void => {
      if (error !== undefined) this.#options.observe({ kind: "action-failed", agent, name, error, thrown });
      if (!isOwed && error === undefined) return;
      this.#local(agent, `${agent}/action/${name}`, { kind: "action", name, seq, index, isOwed, error });
    };
    const fail = (thrown: unknown): void => end(encodeError(actionError(agent, name, thrown)), thrown);
    try {
      const result = run();
      // XState ignores what an async action comes to; that it failed must not end the host.
      if (result instanceof Promise) result.then(() => end(undefined), fail).catch(this.#options.failed);
      else end(undefined);
    } catch (thrown) {
      fail(thrown);
    }
  }

  #local(agent: Address, id: string, input: StepInput): void {
    this.#do(agent, id, (activation) => this.#stepLocal(activation, input));
  }

  #stepLocal(activation: Activation, input: StepInput): void {
    if (activation.state === undefined) return;
    const known = this.#known(activation);
    if (!(known instanceof DormouseError)) this.#step(activation, known, input, undefined);
  }

  #loaded(activation: Activation): void {
    if (activation.state === undefined) return;
    this.#options.observe({ kind: "activated", agent: activation.agent, seq: activation.state.seq });
  }

  /** After a takeover: what the last owner may not have let out is let out again, under the same ids (D6). */
  #resume(): void {
    this.#entries.resume();
    this.armNear();
    for (const agent of this.state.shelf.keys()) this.#shelf.take(agent);
    for (const agent of this.state.busy) this.#resumeWork(agent);
  }

  /** What was under way begins anew; each attempt at an effect is recorded before it starts. */
  #resumeWork(agent: Address): void {
    this.#do(agent, `${agent}/resumed`, async (activation) => {
      if (activation.state === undefined) return;
      // Not of what a kept message asked for since: that begins by itself.
      for (const [address, { attempt, durable }] of Object.entries(activation.state.effects)) {
        const isFound = activation.effectsFound[address]?.attempt === attempt && durable?.rest === undefined;
        if (isFound) this.#stepLocal(activation, { kind: "attempt", address });
      }
      this.#runOwed(activation);
      // Under caution it is alone with its effects for a while, so that it is known whom a death is due to; not until
      // they end, since others wait.
      const { caution, commit, effects, world } = this.#options;
      if (!caution.isOn) return;
      // They start when their attempts are durable: asked before, none would be running.
      await commit.cut(() => undefined);
      await Promise.race([effects.ended(agent), pause(world, caution.aloneMs)]);
    });
  }

  #runOwed(activation: Activation): void {
    const { agent, state } = activation;
    if (state === undefined) return;
    const known = this.#known(activation);
    if (known instanceof DormouseError) return;
    for (const { seq, index, name, params, event } of state.owed) {
      const run = known.machine.action(name, params, { machine: state.machine, agent, event });
      this.#runAction(agent, { name, seq, index, isOwed: true, run });
    }
  }
}

/** The effects without those found: these begin anew by their next attempt (D6). */
function begunHere({ effectsFound }: Activation, state: AgentState | undefined): AgentState["effects"] {
  const effects = state?.effects ?? {};
  return Object.fromEntries(
    Object.entries(effects).filter(([address, { attempt }]) => effectsFound[address]?.attempt !== attempt),
  );
}

/** One message while it is being decided; a raw publish's number may be given again, its id is not. */
function pendingKey(source: string, { n, id }: Envelope): string {
  return source === rawSource ? `${source}/${id}` : `${source}/${n}`;
}

function unknownOutcome(envelope: Envelope): DormouseError {
  return new DormouseError(
    "unavailable",
    "outcome.unknown",
    `this message was taken earlier and its answer is no longer kept; read() tells the agent's state: agent=${envelope.to} ` +
      `id=${envelope.id}`,
  );
}

function actionError(agent: Address, name: string, thrown: unknown): DormouseError {
  const cause = encodeError(thrown);
  return new DormouseError(
    "failed",
    "agent.action-failed",
    `an action of the agent threw, after the step that asked for it was stored; use an effect for what must succeed: ` +
      `${cause.message}: agent=${agent} action=${name}`,
    { cause: decodeError(cause) },
  );
}
