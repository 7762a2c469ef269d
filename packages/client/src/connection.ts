/**
 * What all refs of one client share: its stints, its open asks, its reads.
 *
 * Owns: one stint per partition, the subject that answers come to, who waits for which message.
 * Leaves to others: types (`handle.ts`), numbering and repeats on the way to the mailbox (`stint.ts`).
 *
 * Q1  An ask whose answer does not come is sent again under the same message id: it attaches, or is answered again, and
 *     never runs again (DESIGN.md section 10).
 */
import {
  type Address,
  type App,
  type Body,
  decodeAnswer,
  decodeError,
  DormouseError,
  envelopeBytes,
  eventBytesMax,
  formatOldest,
  keyBytesMax,
  makeIds,
  type MessageId,
  noticeSubject,
  type Partition,
  partitionOf,
  type ReadRequest,
  type StateView,
  requestRead,
  type Unnumbered,
  type Writing,
} from "@dormouse/core/protocol";
import type { Cancel, Channel, Clock, Entropy, Mailbox, Acceptance, Unsubscribe } from "@dormouse/core/ports";
import { type Call, Calls, type Limits, timeoutError } from "./calls.ts";
import { Stint } from "./stint.ts";

/** What a client needs of the world; a host has it, and a connection to one. */
export interface ClientPorts {
  readonly mailbox: Pick<Mailbox, "append">;
  readonly channel: Pick<Channel, "subscribe" | "request">;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

export interface ConnectionOptions {
  readonly app: App;
  readonly ports: ClientPorts;
  /** Throws if nobody can answer: no host runs. */
  readonly checkHost?: () => void;
  /** Throws if nothing may be sent any more: the app is another by now. */
  readonly checkApp?: () => void;
  /** What the app's hosts read. Default: the oldest format of this release, which those of the release before read too. */
  readonly formats?: Writing;
}

export interface AskLimits extends Limits {
  readonly timeoutMs: number;
  /** `taken`: for no reply is waited. */
  readonly until?: "taken";
}

/** An ask that waits for its answer. */
interface OpenAsk {
  readonly envelope: Unnumbered;
  readonly patienceMs: number;
  readonly until: "taken" | undefined;
  readonly call: Call<unknown>;
  /** Where it waits to be accepted by the mailbox for the first time. */
  opening: Stint | undefined;
  /** Of what was sent last: gives it up. */
  giveUp: () => void;
  repeatMs: number;
  /** Monotonic; not while it is on its way to the mailbox. */
  repeatAt: number;
}

const sweepMs = 500;
const stintSilenceMsMax = 600_000;
const repeatMsMin = 1_000;
const repeatMsMax = 15_000;
/** Of its patience, what an ask waits between repeats at most: one that may take days need not fill the mailbox. */
const repeatPatienceShare = 0.01;
const readAttemptMs = 5_000;
/** Between two of them: the gap of a takeover is short, that of an outage long. */
const readPauseMsMin = 50;
const readPauseMsMax = 400;
/** Why a read is asked again: nobody answers now, or went away over it, or is no longer the owner. */
const passingCodes = new Set(["channel.failed", "channel.nobody", "channel.timeout", "read.behind"]);
/** Agents of which a client remembers the newest step it was told of; of others it may read an older state. */
const seenMax = 10_000;

export class Connection {
  readonly app: App;
  readonly #ports: ClientPorts;
  readonly #checkHost: () => void;
  readonly #checkApp: () => void;
  readonly #formats: Writing;
  readonly #life = new AbortController();
  readonly #newId: () => string;
  readonly #replyTo: string;
  readonly #stints = new Map<Partition, Stint>();
  readonly #calls: Calls;
  /** By message id. */
  readonly #asks = new Map<string, OpenAsk>();
  #nextSweep: { readonly at: number; readonly cancel: Cancel } | undefined;
  /** By agent, the newest step that this client was told of; least lately used first. */
  readonly #seen = new Map<Address, number>();
  readonly #unsubscribe: Unsubscribe;

  constructor({ app, ports, checkHost, checkApp, formats }: ConnectionOptions) {
    this.app = app;
    this.#ports = ports;
    this.#checkHost = checkHost ?? (() => undefined);
    this.#checkApp = checkApp ?? (() => undefined);
    this.#formats = formats ?? { writes: formatOldest };
    this.#newId = makeIds(ports);
    this.#calls = new Calls(ports.clock);
    this.#replyTo = `${app.birth}/reply/${this.#newId()}`;
    this.#unsubscribe = ports.channel.subscribe(this.#replyTo, (bytes) => {
      const notice = decodeAnswer(bytes);
      const ask = notice === undefined ? undefined : this.#asks.get(notice.id);
      if (notice === undefined || ask === undefined) return;
      const { answer } = notice;
      this.#see(ask.envelope.to, answer.seq);
      if (answer.ok) ask.call.resolve(answer.value);
      else ask.call.reject(decodeError(answer.error));
    });
  }

  close(): void {
    this.#calls.close();
    this.#nextSweep?.cancel();
    this.#life.abort();
    this.#unsubscribe();
  }

  /** Resolves with the message's id when the mailbox holds it. */
  async send(to: Address, body: Body, limits: Limits, key: string | undefined): Promise<MessageId> {
    this.#checkApp();
    const envelope = this.#envelope(to, body, key);
    const stint = this.#stint(to);
    await this.#calls.run<Acceptance>(limits, (call) => {
      call.timedOut = (timeoutMs) => messageError(body, timeoutMs, stint.refusal);
      const giveUp = stint.push(envelope, (result) => {
        if (result instanceof DormouseError) call.reject(result);
        else call.resolve(result);
      });
      call.onEnd = giveUp;
    });
    return envelope.id as MessageId;
  }

  /** Resolves with the answer; rejects with the error that was the answer. */
  async ask(to: Address, body: Body, limits: AskLimits, key: string | undefined): Promise<unknown> {
    this.#checkHost();
    this.#checkApp();
    const envelope = this.#envelope(to, body, key);
    return this.#calls.run<unknown>(limits, (call) => {
      const { timeoutMs: patienceMs, until } = limits;
      const opening = this.#stint(to);
      const unsent = { opening, giveUp: () => undefined, repeatMs: repeatMsMin, repeatAt: Infinity };
      const ask: OpenAsk = { envelope, patienceMs, until, call, ...unsent };
      call.timedOut = (timeoutMs) => messageError(body, timeoutMs, ask.opening?.refusal);
      this.#asks.set(envelope.id, ask);
      this.#sendAsk(ask, false);
      call.onEnd = () => {
        this.#asks.delete(envelope.id);
        ask.giveUp();
      };
    });
  }

  #sendAsk(ask: OpenAsk, isRepeat: boolean): void {
    const { envelope, patienceMs, until, call } = ask;
    const wanted = until === undefined ? {} : { until };
    const asked = { ...envelope, ask: { replyTo: this.#replyTo, patienceMs, isRepeat, ...wanted } };
    ask.repeatAt = Infinity;
    ask.giveUp = this.#stint(envelope.to).push(asked, (result) => {
      if (result instanceof DormouseError) {
        call.reject(result);
        return;
      }
      ask.opening = undefined;
      ask.repeatAt = this.#ports.clock.monotonic() + ask.repeatMs;
      if (this.#asks.has(envelope.id)) this.#sweepAt(ask.repeatAt);
    });
  }

  /** Sees to a sweep then, or sooner. */
  #sweepAt(at: number): void {
    if (this.#nextSweep !== undefined && this.#nextSweep.at <= at) return;
    this.#nextSweep?.cancel();
    const { clock } = this.#ports;
    const delayMs = Math.max(sweepMs, at - clock.monotonic());
    this.#nextSweep = { at: clock.monotonic() + delayMs, cancel: clock.schedule(delayMs, () => this.#sweep()) };
  }

  /** Sends again what was accepted a while ago and not answered (Q1). */
  #sweep(): void {
    this.#nextSweep = undefined;
    const now = this.#ports.clock.monotonic();
    let next = Infinity;
    for (const ask of this.#asks.values()) {
      if (ask.repeatAt <= now) {
        ask.repeatMs = Math.min(2 * ask.repeatMs, Math.max(repeatMsMax, ask.patienceMs * repeatPatienceShare));
        this.#sendAsk(ask, true);
      }
      next = Math.min(next, ask.repeatAt);
    }
    // What is on its way to the mailbox tells of itself when it is there.
    if (next < Infinity) this.#sweepAt(next);
  }

  partitions(): readonly Partition[] {
    return Array.from({ length: this.app.partitions }, (_, partition) => partition as Partition);
  }

  /**
   * The newest committed state: one that includes all that this client was told of the agent, also by an owner that was
   * replaced and does not know it yet.
   */
  async readState(agent: Address, limits: Limits): Promise<StateView | undefined> {
    const atLeast = this.#seen.get(agent) ?? 0;
    const state = (await this.read(agent, { what: "state", agent, atLeast }, limits)) as StateView | undefined;
    if (state !== undefined) this.#see(agent, state.seq);
    return state;
  }

  #see(agent: Address, seq: number): void {
    const seen = Math.max(seq, this.#seen.get(agent) ?? 0);
    this.#seen.delete(agent);
    this.#seen.set(agent, seen);
    if (this.#seen.size <= seenMax) return;
    const [oldest] = this.#seen.keys();
    if (oldest !== undefined) this.#seen.delete(oldest);
  }

  /** Asks the owner of an agent's partition, again while nobody owns it. */
  read(agent: Address, request: ReadRequest, limits: Limits): Promise<unknown> {
    return this.readFrom(partitionOf(agent, this.app.partitions), request, limits);
  }

  readFrom(partition: Partition, request: ReadRequest, limits: Limits): Promise<unknown> {
    const { channel, clock } = this.#ports;
    const until = clock.monotonic() + (limits.timeoutMs ?? Infinity);
    return this.#calls.run<unknown>(limits, (call) => {
      const life = new AbortController();
      let last: DormouseError | undefined;
      call.onEnd = () => life.abort();
      call.timedOut = (timeoutMs) => timeoutError("no answer in time; read again, or wait longer", timeoutMs, last);
      const read = async (): Promise<void> => {
        for (let pauseMs = readPauseMsMin; !life.signal.aborted; pauseMs = Math.min(2 * pauseMs, readPauseMsMax)) {
          const attemptMs = Math.min(readAttemptMs, Math.max(1, until - clock.monotonic()));
          try {
            call.resolve(await requestRead(channel, this.app, partition, request, attemptMs));
          } catch (error) {
            if (!(error instanceof DormouseError && passingCodes.has(error.code))) throw error;
            last = error;
            await this.pause(pauseMs, limits.signal);
          }
        }
      };
      read().catch((error: unknown) => call.reject(error instanceof Error ? error : new Error(String(error))));
    });
  }

  /** For a call that reads page after page: together they take no longer than its limits say. */
  shared(limits: Limits): ReturnType<Calls["shared"]> {
    return this.#calls.shared(limits);
  }

  /** Calls `changed` after each committed step that it hears of; some may be lost. */
  onStep(agent: Address, changed: () => void): Unsubscribe {
    return this.#ports.channel.subscribe(noticeSubject(this.app, agent), changed);
  }

  /** @param begun - Told how to end the pause sooner. */
  pause(delayMs: number, signal: AbortSignal | undefined, begun?: (end: () => void) => void): Promise<void> {
    return this.#calls.pause(delayMs, signal, begun);
  }

  /** Waits within the caller's limits. */
  within<T>(promise: Promise<T>, limits: Limits): Promise<T> {
    return this.#calls.within(promise, limits);
  }

  #envelope(to: Address, body: Body, key: string | undefined): Unnumbered {
    if (key !== undefined) checkIdempotencyKey(key);
    const id = this.#newId();
    const envelope = { id, to, body, sentAt: this.#ports.clock.now(), ...(key === undefined ? {} : { key }) };
    const bytes = envelopeBytes(envelope, eventBytesMax);
    if (bytes <= eventBytesMax) return envelope;
    throw new DormouseError(
      "invalid",
      "event.too-large",
      `an event must fit ${eventBytesMax} bytes encoded; send a reference to what is large: agent=${to} bytes=${bytes}`,
    );
  }

  #stint(agent: Address): Stint {
    const partition = partitionOf(agent, this.app.partitions);
    let stint = this.#stints.get(partition);
    if (stint === undefined || stint.isStale(stintSilenceMsMax)) {
      const { signal } = this.#life;
      stint = new Stint({ id: this.#newId(), partition, ...this.#ports, signal, formats: this.#formats });
      this.#stints.set(partition, stint);
    }
    return stint;
  }
}

/** The time of a call that sends is over. @param refusal - Why the mailbox has not accepted the message, if it says so. */
function messageError({ kind }: Body, timeoutMs: number, refusal: DormouseError | undefined): DormouseError {
  const what =
    kind === "event"
      ? "no answer in time; the message may still be taken: call again with the same idempotency key, it is applied once"
      : "no answer in time, by reply() or replyTo() of the machine; the message may still be taken: read the agent to learn what became of it, or call again";
  return timeoutError(what, timeoutMs, refusal);
}

/** One envelope that is no envelope would have its whole batch skipped. */
function checkIdempotencyKey(key: unknown): void {
  if (typeof key === "string" && key !== "" && utf8.encode(key).length <= keyBytesMax && key.isWellFormed()) return;
  throw new DormouseError(
    "invalid",
    "call.idempotency-key",
    `an idempotency key is a non-empty, well-formed string of at most ${keyBytesMax} bytes of UTF-8; this is ` +
      (typeof key === "string" ? `none: bytes=${utf8.encode(key).length}` : `of type ${typeof key}`),
  );
}

const utf8 = new TextEncoder();
