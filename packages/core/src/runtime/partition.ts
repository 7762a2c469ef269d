/**
 * The loop of an owned partition: message → agent → step → open record → release.
 *
 * Owns: the partition's state, and the stages that change it, put together; what a message for an agent comes to.
 * Leaves to others: which messages come (`intake.ts`), when an agent's work is done (`agent-work.ts`), its steps (`steps.ts`),
 * entries and what they let out (`entries.ts`, `commit.ts`, `release/`), agents that cannot step (`shelf.ts`), what an agent
 * does by itself (`under-way.ts`).
 * Called by partitions: `start`, `confirmed`, `stop`; by host: `effectEnded`, `effectTells`; by settler: `activateTails`, `armNear`,
 * `setAsideDamaged`, `close`; by reads.
 *
 * P1  Every change of state is an entry, folded into memory when it joins the open record: so a reader of the journal
 *     comes to the same state (D4, D7). Wake-ups alone also change without one, in `under-way.ts` and `settle/far.ts`: each
 *     is a hint, and one too many finds nothing to do (T1).
 * P2  What an entry caused is let out by its release, which commit calls when it is durable (D3).
 * P3  A message of another partition, of an unknown type, or that does not decode never stops the loop (D9).
 * P4  After `close` nothing is taken or decided: what was handed out and not decided is not consumed, so the next owner
 *     reads it again; what comes from here (effects, timers, actions) begins anew there (D4, D6).
 * P5  A message in a newer format than this host reads is neither taken nor skipped: nothing behind it is read here, and
 *     the next owner begins with it (D1, D4).
 */ import { type Address, fullAddress, parseTarget, type Partition } from "../agent/address.ts";
import { DormouseError, encodeError } from "../agent/errors.ts";
import type { App } from "../format/app.ts";
import type { Body, Envelope } from "../format/message.ts";
import type { LaneKey, PartitionState, Position } from "../format/partition.ts";
import type { Entry, Origin } from "../format/record.ts";
import type { Observe } from "../observe.ts";
import type { Channel, Mailbox } from "../ports/index.ts";
import type { ResolvedSettings } from "../settings.ts";
import type { CallNews } from "../step/durable.ts";
import { foldPosition } from "../step/fold.ts";
import { inputOf, type StepInput } from "../step/input.ts";
import type { Registry } from "../step/registry.ts";
import type { EffectResult } from "../step/state.ts";
import { answerTo } from "../step/outcome.ts";
import { type Activation, Activations } from "./activations.ts";
import type { Caution } from "./caution.ts";
import type { Commit, Committing } from "./commit.ts";
import { Entries } from "./entries.ts";
import type { World } from "./insist.ts";
import { Intake, unknownOutcome } from "./intake.ts";
import type { OtherApps } from "./other-apps.ts";
import type { Opening } from "./reader.ts";
import type { QuarantineView, Readable } from "./reads.ts";
import type { EffectCall, Effects } from "./release/effect.ts";
import type { Lost } from "./release/routes.ts";
import { isOfHost, Shelf } from "./shelf.ts";
import { Steps } from "./steps.ts";
import { AgentWork } from "./agent-work.ts";
import { UnderWay } from "./under-way.ts";

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
export class PartitionLoop implements Committing, Readable {
  readonly partition: Partition;
  readonly epoch: number;
  readonly activations: Activations;
  readonly state: PartitionState;
  /** Objects of far wake-ups that were taken in: deleted when the partition object names them no more. */
  readonly takenBuckets: string[] = [];
  /** Those that could not be read: told of once, and left to the next owner. */
  readonly unreadableBuckets: Set<string> = new Set();
  readonly #options: PartitionOptions;
  readonly #entries: Entries;
  readonly #agentWork: AgentWork;
  readonly #steps: Steps;
  readonly #underWay: UnderWay;
  readonly #shelf: Shelf;
  readonly #intake: Intake;

  constructor(options: PartitionOptions) {
    this.#options = options;
    this.partition = options.partition;
    this.epoch = options.epoch;
    this.state = options.state;
    this.#entries = new Entries({ ...options, undelivered: (lost, drop) => this.#undelivered(lost, drop) }, this);
    this.activations = new Activations({ ...options, loaded: (activation) => this.#loaded(activation) });
    const stages = { ...options, entries: this.#entries, activations: this.activations };
    this.#agentWork = new AgentWork({ ...stages, blame: (agent, id) => this.#shelf.blame(agent, id) });
    this.#steps = new Steps({
      ...stages,
      letRun: (activation, state) => this.#underWay.letRun(activation, state),
      runAction: (agent, action) => this.#underWay.runAction(agent, action),
    });
    this.#underWay = new UnderWay({ ...stages, agentWork: this.#agentWork, steps: this.#steps });
    this.#shelf = new Shelf({
      ...stages,
      agentWork: this.#agentWork,
      steps: this.#steps,
      resumeWork: (agent) => this.#resumeWork(agent),
    });
    this.#intake = new Intake({
      ...stages,
      agentWork: this.#agentWork,
      take: (activation, envelope, origin) => this.#take(activation, envelope, origin),
      touch: () => options.commit.touch(this),
    });
  }

  /** It is likely to be needed: read while the mailbox is being opened. */
  activate(agent: Address): void {
    this.activations.use(agent, () => undefined);
  }

  /** Lets out again what a takeover found, and reads; resolves when all that was in the mailbox was handed out, or it stops. */
  start(): Promise<void> {
    this.#resume();
    return this.#intake.start();
  }

  /** After a takeover: what the last owner may not have let out is let out again, under the same ids (D6). */
  #resume(): void {
    this.#entries.resume();
    this.armNear();
    for (const agent of this.state.shelf.keys()) this.#shelf.take(agent);
    for (const agent of this.state.busy) this.#underWay.resume(agent);
  }

  /** Of one that is taken back; timers that came due meanwhile wake it now. */
  #resumeWork(agent: Address): void {
    if (this.state.busy.has(agent)) this.#underWay.resume(agent);
    this.armNear();
  }

  /** Reads no more and lets no more out by itself; what is in the open record is still committed. */
  stop(): void {
    this.#intake.stop();
    this.#underWay.stop();
    this.#entries.stop();
  }

  /** For good: the partition is given up (P4). */
  close(): void {
    this.stop();
    this.#entries.close();
    this.#agentWork.close();
    this.#options.effects.abort(this.partition);
  }

  // ------------------------------------------------------------------------------------------------------------ messages

  #take(activation: Activation, envelope: Envelope, origin: Origin): void {
    const { body } = envelope;
    if (this.#answerRepeat(activation, envelope, origin)) return;
    if (body.kind === "command") {
      this.#takeCommand(activation, envelope, body, origin);
      return;
    }
    const known = this.#steps.known(activation, body.kind === "start-child" ? body.path : undefined);
    if (known instanceof DormouseError) this.#shelf.setAside(activation, envelope, origin, known);
    else this.#steps.takeMessage(activation, known, envelope, origin.at, origin);
  }

  #takeCommand(
    activation: Activation,
    envelope: Envelope,
    body: Extract<Body, { kind: "command" }>,
    origin: Origin,
  ): void {
    switch (body.command) {
      case "cancel":
        this.#takeInput(activation, envelope, origin, inputOf(envelope, origin.at));
        return;
      case "terminate":
        this.#takeInput(activation, envelope, origin, { kind: "end", how: "terminate", message: envelope });
        return;
      case "remove":
        this.#shelf.remove(activation, envelope, origin);
        return;
      case "resume":
      case "skip":
        this.#shelf.resume(activation, envelope, origin, body.command);
    }
  }

  #takeInput(activation: Activation, envelope: Envelope, origin: Origin, input: StepInput): void {
    const known = this.#steps.known(activation);
    if (known instanceof DormouseError) this.#shelf.setAside(activation, envelope, origin, known);
    else this.#steps.take(activation, known, input, origin);
  }

  /** Another copy of an ask, sent because no answer came: it attaches, or is answered again, and never runs again. */
  #answerRepeat(activation: Activation, envelope: Envelope, origin: Origin): boolean {
    if (envelope.ask?.isRepeat !== true) return false;
    const kept = this.state.answers.get(envelope.id);
    const isShelved = this.state.shelf.get(envelope.to)?.some(({ id }) => id === envelope.id) === true;
    const isOpen = isShelved || activation.state?.asks.some((open) => open.id === envelope.id) === true;
    // What was asked under a key, the agent itself answers again, for much longer.
    if (kept === undefined && !isOpen && mayKnowKey(activation, envelope)) return false;
    const answer = kept?.answer ?? { ok: false, seq: 0, error: encodeError(unknownOutcome(envelope)) };
    this.#entries.pass(envelope, origin, "repeat", isOpen ? [] : answerTo(envelope, answer));
    return true;
  }

  /**
   * A message to another app cannot be sent: its sender counts it among its errors, in one record with its end. Not on a
   * host that lacks the sender's code, nor when the partition was given up while it was loaded: the next owner tells (P4).
   * A sender that cannot be read is told when it can.
   */
  #undelivered({ app, envelope, error }: Lost, drop: (isWithNext: boolean) => void): Promise<boolean> {
    const { id, from } = envelope;
    const to = fullAddress(app, envelope.to);
    const give = (activation: Activation | undefined): boolean => {
      // None of its code runs, so it may be in quarantine.
      const known = activation?.state === undefined ? undefined : this.#steps.code(activation);
      if (this.#entries.isClosed || (known instanceof DormouseError && isOfHost(known))) return false;
      if (activation?.phase === "unreadable") return false;
      const why = `a message to ${to}: id=${id}`;
      this.#options.observe({ kind: "skipped", partition: this.partition, why, error });
      const isTold = known !== undefined && !(known instanceof DormouseError);
      drop(isTold);
      if (isTold && activation !== undefined)
        this.#steps.take(activation, known, { kind: "undelivered", id, to, error }, undefined);
      return true;
    };
    if (from === undefined) return Promise.resolve(give(undefined));
    return new Promise((resolve) => {
      this.activations.use(parseTarget(from).address, (activation) => resolve(give(activation)));
    });
  }

  /** An effect of one of our agents has ended. */
  effectEnded(call: EffectCall, result: EffectResult): void {
    this.#underWay.effectEnded(call, result);
  }

  /** A durable function of one of our agents tells of its calls. */
  effectTells(call: EffectCall, calls: readonly CallNews[]): void {
    this.#underWay.effectTells(call, calls);
  }

  /** A receiver has committed our messages up to `upTo`. */
  confirmed(to: LaneKey, upTo: number): void {
    this.#entries.confirmed(to, upTo);
  }

  #loaded({ agent, phase, state, error, waiting }: Activation): void {
    if (state !== undefined) this.#options.observe({ kind: "activated", agent, seq: state.seq });
    if (phase !== "unreadable" || error === undefined || isOfHost(error)) return;
    // Also where nobody sent it anything, as at a takeover: else it is in no list, and nobody takes it back (D9). After what
    // waits for it: a message is what it stumbled over.
    waiting.push(() => this.setAsideDamaged(agent, error));
  }

  // ------------------------------------------------------------------------------------------ what settles and reads ask

  position(): Position {
    const position = this.#intake.position();
    foldPosition(this.state, position);
    return position;
  }

  get entriesUnsettled(): number {
    return this.#entries.unsettled;
  }

  /** Whether its mailbox holds so much that it is to be settled for the sake of the trim. */
  get isMailboxGrown(): boolean {
    return this.#intake.isGrown;
  }

  settledUpToNow(): void {
    this.#entries.settledUpToNow();
    this.#intake.settledUpToNow();
  }

  /** So much is not settled: a settle came to nothing, or a takeover found it. */
  unsettled(count: number): void {
    this.#entries.unsettledAgain(count);
  }

  /**
   * What the store has of an agent cannot be built on. Memory and the journals keep what its head lacks until that is
   * mended or the agent removed. Of one whose partition was given up, its next owner says so (P4).
   */
  setAsideDamaged(agent: Address, error: DormouseError): void {
    if (!this.#entries.isClosed) this.#shelf.setAsideDamaged(agent, error);
  }

  /** Whether it was given up, durably or not. */
  get isClosed(): boolean {
    return this.#entries.isClosed;
  }

  /** Takes up the wake-ups that have come near. */
  armNear(): void {
    this.#underWay.armNear();
  }

  quarantined(): readonly QuarantineView[] {
    return this.#shelf.quarantined();
  }

  /** Why it reads no further, if it does not (P5). */
  get standsStill(): DormouseError | undefined {
    return this.#intake.standsStill;
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
}

/** Whether its agent knows the key of a message; of one that cannot be read, nobody can say that it does not. */
function mayKnowKey({ phase, state }: Activation, { key }: Envelope): boolean {
  return key !== undefined && (phase === "unreadable" || state?.keys.has(key) === true);
}
