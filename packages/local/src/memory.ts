/**
 * Every port in memory: one world of plain data, opened by any number of parties.
 *
 * Owns: streams, objects and members of each app, channel subjects of all, shared by all parties.
 * Leaves to others: when a call takes effect and whether its answer comes back (`wire.ts`), and what time it is.
 *
 * W1  A call changes the world in one synchronous effect, so nothing is ever half done (O2, O5).
 * W2  Bytes are copied when the call is made and again when they are handed out, so nobody can alter what is stored (O5).
 * W3  Stream timestamps rise strictly across the whole world, also over a lost tail: number and timestamp together name
 *     one message for all time, as JetStream's nanoseconds do (M4).
 * W4  A party that has ended gets no answers, no deliveries, and its new calls go nowhere. Calls on their way may arrive.
 */
import { hash } from "node:crypto";
import {
  DormouseError,
  type Channel,
  type Clock,
  type Elsewhere,
  type Entropy,
  type Etag,
  type Mailbox,
  type MailboxMessage,
  type MemberState,
  type ObjectStore,
  type Partition,
  type Place,
  type Ports,
  type PutAnswer,
  type PutCondition,
  type SentTo,
  type StoredObject,
} from "@dormouse/core/ports";
import {
  channelFailed,
  channelNobody,
  channelTimeout,
  mailboxFull,
  mailboxInterrupted,
  mailboxNoAck,
  mailboxNoStream,
  storeNoAnswer,
} from "./errors.ts";
import { type Heartbeats, Members } from "./memory-members.ts";
import { PullReader } from "./reader.ts";
import { directWire, LostAnswer, type Call, type Wire } from "./wire.ts";

/** What the memory drivers of one party run on. */
export interface MemoryPortsOptions {
  /** Default: `directWire`, where everything arrives at once and in order. */
  readonly wire?: Wire;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/** A stream as it is now, for checkers. */
export interface StreamView {
  readonly stream: string;
  /** The number that the next message gets. */
  readonly nextSequence: number;
  readonly messages: readonly MailboxMessage[];
}

const listLimitMax = 1_000;
/** How long a reader waits for a wake-up that the wire may have lost. */
const recheckMs = 2_000;
/** The smallest step of a stream's time: what a double still tells apart for the next 200 years, with room. */
const timestampStepMs = 1 / 1_024;

/**
 * A mailbox, an object store, a membership and a channel in memory, shared by every party that opens it.
 *
 * @example
 * ```ts
 * const world = new MemoryWorld(realClock);
 * const ports = world.open("host-1", { clock: realClock, entropy: realEntropy });
 * await ports.mailbox.create(8);
 * ```
 * @see DESIGN.md, sections 5 and 14
 */
export class MemoryWorld {
  readonly #clock: Pick<Clock, "now">;
  readonly #streams = new Map<number, Stream>();
  readonly #objects = new Objects();
  readonly #members: Members;
  readonly #cluster: Cluster;
  readonly #heartbeats: Heartbeats | undefined;

  /**
   * @param clock - The world's own time, which the streams stamp messages with; no party's.
   * @param heartbeats - How hosts show that they live. Default: not at all, and none is suspected.
   * @param beside - A world that this one is another app of; `app` makes it so.
   */
  constructor(clock: Pick<Clock, "now">, heartbeats?: Heartbeats, beside?: MemoryWorld) {
    this.#clock = clock;
    this.#heartbeats = heartbeats;
    this.#members = new Members(clock, heartbeats);
    this.#cluster = beside === undefined ? new Cluster(this) : beside.#cluster;
  }

  /**
   * Another app of the same cluster: streams, objects and hosts of its own, the same time, channel and parties. The world
   * that was made first is the app `default`.
   */
  app(name: string): MemoryWorld {
    const { apps } = this.#cluster;
    const app = apps.get(name) ?? new MemoryWorld(this.#clock, this.#heartbeats, this);
    apps.set(name, app);
    return app;
  }

  /** The ports as `party` sees them. One name may be opened again, also after it has ended. */
  open(party: string, options: MemoryPortsOptions): Ports {
    const member = new Party(party, options);
    const { parties, subjects } = this.#cluster;
    parties.set(party, (parties.get(party) ?? new Set()).add(member));
    return {
      mailbox: this.#mailbox(member),
      store: openStore(this.#objects, member),
      membership: this.#members.open(member),
      channel: openChannel(subjects, member),
      clock: options.clock,
      entropy: options.entropy,
      elsewhere: (app) => this.app(app).#open(member, app),
    };
  }

  /** What a party of another app reaches of this one. */
  #open(member: Party, app: string): Elsewhere {
    const append = (partition: Partition, bytes: Uint8Array): Promise<Place> => {
      const copy = Uint8Array.from(bytes);
      const call = { port: "mailbox", operation: "append", about: `${partition} of ${app}` } as const;
      return member.call(call, mailboxNoAck, () => this.#accept(partition, copy));
    };
    const get = (name: string): Promise<StoredObject | undefined> =>
      member.call({ port: "store", operation: "get", about: `${app}/${name}` }, storeNoAnswer, () =>
        this.#objects.get(name),
      );
    return { store: { get }, mailbox: { append } };
  }

  /** Publishes as a client without our code does, past the wire: an event as JSON to the agent that a subject names. */
  publishRaw(partition: number, sentTo: SentTo, bytes: Uint8Array): Place {
    const { type, key } = sentTo;
    return this.#append(partition, Uint8Array.from(bytes), { type, key });
  }

  /**
   * Ends a party as a crash ends a process: at once, and without a word to anyone (W4).
   *
   * @param isKnown - Whether membership knows at once, as of a killed process; else it only falls silent. Default: true.
   */
  end(party: string, isKnown: boolean = true): void {
    const { apps, parties } = this.#cluster;
    for (const member of parties.get(party) ?? []) {
      member.end();
      if (isKnown) for (const app of apps.values()) app.#members.ended(member);
    }
    parties.delete(party);
  }

  /** Drops the last `count` messages of a stream; their numbers are given again (M4). Readers are cut off. */
  loseTail(partition: number, count: number): void {
    const stream = this.#stream(partition);
    const lost = stream.messages.splice(Math.max(0, stream.messages.length - count));
    stream.nextSequence = lost[0]?.sequence ?? stream.nextSequence;
    stream.cutReaders("the stream lost its tail");
  }

  /** Replaces a stream by an empty one of another name. Readers are cut off. */
  recreateStream(partition: number): void {
    this.#stream(partition).cutReaders("the stream was made anew");
    this.#streams.set(partition, this.#makeStream(partition));
  }

  /** Removes a stream, as an operator's mistake would; `create` makes it again. Readers are cut off. */
  removeStream(partition: number): void {
    this.#stream(partition).cutReaders("the stream is gone");
    this.#streams.delete(partition);
  }

  /** Cuts off the readers of a stream, as a lost connection does. */
  interruptReaders(partition: number): void {
    this.#stream(partition).cutReaders("the connection was lost");
  }

  /** While on, `append` finds the stream full; `barrier` still finds room. */
  refuseAppends(partition: number, on: boolean): void {
    this.#stream(partition).isFull = on;
  }

  /** What membership says of an incarnation from now on, true or not; `unknown` forgets it. */
  membershipSays(incarnation: string, state: MemberState): void {
    this.#members.say(incarnation, state);
  }

  /** Puts bytes in the place of an object, or removes it, past every condition: damage, or an operator's hand. */
  overwriteObject(name: string, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) this.#objects.delete(name);
    else this.#objects.put(name, Uint8Array.from(bytes), { if: "any" });
  }

  /** The bytes of one object, as they are now, past the wire. */
  objectBytes(name: string): Uint8Array | undefined {
    return this.#objects.get(name)?.bytes;
  }

  /** All object names, in the order of their UTF-8 bytes. */
  objectNames(prefix: string = ""): readonly string[] {
    return this.#objects.list(prefix, undefined, Number.MAX_SAFE_INTEGER);
  }

  /** One stream as it is now, or `undefined` if there is none. */
  stream(partition: number): StreamView | undefined {
    const stream = this.#streams.get(partition);
    if (stream === undefined) return undefined;
    return { stream: stream.name, nextSequence: stream.nextSequence, messages: stream.messages.map(copyMessage) };
  }

  /** The partitions that have a stream. */
  streamPartitions(): readonly number[] {
    return [...this.#streams.keys()].toSorted((left, right) => left - right);
  }

  #mailbox(party: Party): Mailbox {
    return {
      create: (count) =>
        party.call({ port: "mailbox", operation: "create", about: String(count) }, mailboxNoAck, () => {
          for (let partition = 0; partition < count; partition += 1) {
            if (!this.#streams.has(partition)) this.#streams.set(partition, this.#makeStream(partition));
          }
        }),
      append: (partition, bytes) => {
        const copy = Uint8Array.from(bytes);
        const call = { port: "mailbox", operation: "append", about: String(partition) } as const;
        return party.call(call, mailboxNoAck, () => this.#accept(partition, copy));
      },
      barrier: (partition, bytes) => {
        const copy = Uint8Array.from(bytes);
        const call = { port: "mailbox", operation: "barrier", about: String(partition) } as const;
        return party.call(call, mailboxNoAck, () => this.#append(partition, copy));
      },
      trim: (partition, below) =>
        party.call({ port: "mailbox", operation: "trim", about: `${partition} below ${below}` }, mailboxNoAck, () => {
          const stream = this.#stream(partition);
          stream.messages.splice(0, stream.indexFrom(below));
        }),
      read: (partition, from) => this.#read(party, partition, from),
    };
  }

  #accept(partition: Partition, bytes: Uint8Array): Place {
    if (this.#stream(partition).isFull) throw mailboxFull(partition);
    return this.#append(partition, bytes);
  }

  #append(partition: number, bytes: Uint8Array, sentTo?: SentTo): Place {
    const stream = this.#stream(partition);
    const place: Place = { sequence: stream.nextSequence, at: this.#cluster.stamp(this.#clock), stream: stream.name };
    stream.nextSequence += 1;
    stream.messages.push({ ...place, bytes, ...(sentTo === undefined ? {} : { sentTo }) });
    stream.wakeReaders();
    return place;
  }

  #read(party: Party, partition: Partition, from: number): PullReader {
    /** The stream that the first pull found; messages of another would not follow on from its. */
    let source: Stream | undefined;
    let cut: string | undefined;
    let isEnded = false;
    const entry: StreamReader = {
      wake: () => party.push({ port: "mailbox", operation: "wake", about: String(partition) }, () => reader.wake()),
      cut: (why) => {
        cut = why;
        entry.wake();
      },
    };
    const reader = new PullReader({
      from,
      recheckMs,
      clock: party.clock,
      pull: (next, messagesMax) =>
        party.call(
          { port: "mailbox", operation: "read", about: `${partition} from ${next}` },
          (cause) => mailboxInterrupted(partition, "an answer was lost", cause),
          () => {
            const stream = this.#streams.get(partition);
            if (cut !== undefined) throw mailboxInterrupted(partition, cut);
            if (stream === undefined || isEnded) throw mailboxInterrupted(partition, "there is no such stream");
            source ??= stream;
            source.readers.add(entry);
            const start = stream.indexFrom(next);
            return stream.messages.slice(start, start + messagesMax).map(copyMessage);
          },
        ),
      ended: () => {
        isEnded = true;
        forget();
        source?.readers.delete(entry);
      },
    });
    const forget = party.onEnd(() => void source?.readers.delete(entry));
    return reader;
  }

  #stream(partition: number): Stream {
    const stream = this.#streams.get(partition);
    if (stream === undefined) throw mailboxNoStream(partition);
    return stream;
  }

  #makeStream(partition: number): Stream {
    this.#cluster.streamsMade += 1;
    return new Stream(`memory-${partition}-${this.#cluster.streamsMade}`);
  }
}

/** What all apps of one cluster share. */
class Cluster {
  readonly apps: Map<string, MemoryWorld>;
  readonly subjects = new Subjects();
  readonly parties = new Map<string, Set<Party>>();
  streamsMade = 0;
  #lastAt = 0;

  constructor(first: MemoryWorld) {
    this.apps = new Map([["default", first]]);
  }

  /** A time above all before (W3). */
  stamp(clock: Pick<Clock, "now">): number {
    const nowMs = clock.now();
    this.#lastAt = nowMs > this.#lastAt ? nowMs : this.#lastAt + timestampStepMs;
    return this.#lastAt;
  }
}

/** One opening of the world by one party: its wire, and whether it still runs (W4). */
class Party {
  readonly clock: Clock;
  readonly #name: string;
  readonly #wire: Wire;
  readonly #endings = new Set<() => void>();
  #isEnded = false;

  constructor(name: string, options: MemoryPortsOptions) {
    this.#name = name;
    this.#wire = options.wire ?? directWire;
    this.clock = options.clock;
  }

  /** Carries a call; a lost answer is thrown as what `lost` makes of it. Never settles once the party has ended (W4). */
  async call<T>(call: Omit<Call, "party">, lost: (cause: LostAnswer) => unknown, effect: () => T): Promise<T> {
    if (this.hasEnded()) return never();
    try {
      const answer = await this.#wire.carry({ party: this.#name, ...call }, effect);
      return this.hasEnded() ? await never() : answer;
    } catch (error) {
      if (this.hasEnded()) return never();
      throw error instanceof LostAnswer ? lost(error) : error;
    }
  }

  /** Carries something to this party. */
  push(call: Omit<Call, "party">, deliver: () => void): void {
    if (this.#isEnded) return;
    this.#wire.push({ party: this.#name, ...call }, () => {
      if (!this.#isEnded) deliver();
    });
  }

  /** Runs `ending` if the party ends; returns how to forget that. */
  onEnd(ending: () => void): () => void {
    this.#endings.add(ending);
    return () => void this.#endings.delete(ending);
  }

  end(): void {
    this.#isEnded = true;
    for (const ending of this.#endings) ending();
    this.#endings.clear();
  }

  hasEnded(): boolean {
    return this.#isEnded;
  }
}

interface StreamReader {
  wake(): void;
  cut(why: string): void;
}

class Stream {
  readonly name: string;
  readonly messages: MailboxMessage[] = [];
  readonly readers = new Set<StreamReader>();
  nextSequence = 1;
  isFull = false;

  constructor(name: string) {
    this.name = name;
  }

  /** Where the first message numbered `sequence` or above stands. */
  indexFrom(sequence: number): number {
    return lowerBound(this.messages, (message) => message.sequence < sequence);
  }

  wakeReaders(): void {
    for (const reader of this.readers) reader.wake();
  }

  cutReaders(why: string): void {
    for (const reader of this.readers) reader.cut(why);
    this.readers.clear();
  }
}

/** Objects with their names in order. ETags are content hashes, as many S3 servers give: equal contents share one (O3). */
class Objects {
  readonly #objects = new Map<string, StoredObject>();
  readonly #names: string[] = [];

  get(name: string): StoredObject | undefined {
    const object = this.#objects.get(name);
    return object === undefined ? undefined : { etag: object.etag, bytes: Uint8Array.from(object.bytes) };
  }

  put(name: string, bytes: Uint8Array, condition: PutCondition): PutAnswer {
    const current = this.#objects.get(name);
    if (condition.if === "absent" && current !== undefined) return { outcome: "refused" };
    if (condition.if === "match" && current?.etag !== condition.etag) return { outcome: "refused" };
    const etag = hash("sha256", bytes, "base64url") as Etag;
    if (current === undefined) this.#names.splice(this.#indexFrom(name), 0, name);
    this.#objects.set(name, { bytes, etag });
    return { outcome: "stored", etag };
  }

  delete(name: string): void {
    if (this.#objects.delete(name)) this.#names.splice(this.#indexFrom(name), 1);
  }

  list(prefix: string, after: string | undefined, limit: number): readonly string[] {
    const names: string[] = [];
    let index = this.#indexFrom(after !== undefined && compareUtf8(after, prefix) > 0 ? after : prefix);
    for (; index < this.#names.length && names.length < limit; index += 1) {
      const name = this.#names[index] ?? "";
      if (!name.startsWith(prefix)) break;
      if (name !== after) names.push(name);
    }
    return names;
  }

  #indexFrom(name: string): number {
    return lowerBound(this.#names, (other) => compareUtf8(other, name) < 0);
  }
}

interface Subscription {
  deliver(bytes: Uint8Array): void;
}

interface Server {
  /** Takes a request there; `answer` is called once, if the answer arrives. */
  serve(bytes: Uint8Array, answer: (outcome: Outcome) => void): void;
}

type Outcome = { readonly bytes: Uint8Array } | { readonly error: DormouseError };

class Subjects {
  readonly subscriptions = new Map<string, Set<Subscription>>();
  readonly servers = new Map<string, Set<Server>>();
}

function openStore(objects: Objects, party: Party): ObjectStore {
  return {
    get: (name) => party.call({ port: "store", operation: "get", about: name }, storeNoAnswer, () => objects.get(name)),
    async put(name, bytes, condition) {
      const copy = Uint8Array.from(bytes);
      const call = { port: "store", operation: "put", about: name } as const;
      try {
        return await party.call(call, same, () => objects.put(name, copy, condition));
      } catch (cause) {
        return { outcome: "unknown", cause };
      }
    },
    list: (prefix, options = {}) =>
      party.call({ port: "store", operation: "list", about: prefix }, storeNoAnswer, () =>
        objects.list(prefix, options.after, Math.min(options.limit ?? listLimitMax, listLimitMax)),
      ),
    delete: (names) => {
      const doomed = [...names];
      return party.call({ port: "store", operation: "delete", about: doomed.join(" ") }, storeNoAnswer, () => {
        for (const name of doomed) objects.delete(name);
      });
    },
  };
}

function openChannel(subjects: Subjects, party: Party): Channel {
  return {
    publish(subject, bytes) {
      if (party.hasEnded()) return;
      const copy = Uint8Array.from(bytes);
      for (const subscription of subjects.subscriptions.get(subject) ?? []) subscription.deliver(copy);
    },
    subscribe(subject, handler) {
      let isSubscribed = true;
      const subscription: Subscription = {
        deliver: (bytes) =>
          party.push({ port: "channel", operation: "deliver", about: subject }, () => {
            if (isSubscribed) handler(Uint8Array.from(bytes));
          }),
      };
      const remove = addTo(subjects.subscriptions, subject, subscription, party);
      return () => {
        isSubscribed = false;
        remove();
      };
    },
    serve: (subject, handler) => addTo(subjects.servers, subject, makeServer(subject, handler, party), party),
    request: (subject, bytes, timeoutMs) => request(subjects, party, subject, Uint8Array.from(bytes), timeoutMs),
  };
}

function makeServer(subject: string, handler: (bytes: Uint8Array) => Promise<Uint8Array>, party: Party): Server {
  return {
    serve: (bytes, answer) =>
      party.push({ port: "channel", operation: "serve", about: subject }, () => {
        // A handler that throws before its first await must not reach the wire.
        void Promise.resolve()
          .then(() => handler(bytes))
          .then(
            (reply) => answer({ bytes: Uint8Array.from(reply) }),
            (cause: unknown) => answer({ error: channelFailed(subject, cause) }),
          );
      }),
  };
}

/** Several may serve a subject while it changes hands: all are asked, and the first answer counts, as on NATS. */
function request(
  subjects: Subjects,
  party: Party,
  subject: string,
  bytes: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array> {
  if (party.hasEnded()) return never();
  return new Promise((resolve, reject) => {
    const cancelTimeout = party.clock.schedule(timeoutMs, () => settle({ error: channelTimeout(subject, timeoutMs) }));
    const forget = party.onEnd(cancelTimeout);
    const settle = (outcome: Outcome): void => {
      cancelTimeout();
      forget();
      if ("bytes" in outcome) resolve(outcome.bytes);
      else reject(outcome.error);
    };
    const answer = (outcome: Outcome): void =>
      party.push({ port: "channel", operation: "answer", about: subject }, () => settle(outcome));
    party
      .call({ port: "channel", operation: "request", about: subject }, same, () => {
        const servers = [...(subjects.servers.get(subject) ?? [])];
        if (servers.length === 0) throw channelNobody(subject);
        // The newest first: with nothing in between it is the one who answers.
        for (const server of servers.toReversed()) server.serve(bytes, answer);
      })
      .catch((error: unknown) => {
        // The request may have got there all the same: its answer, or the time-out, tells.
        if (error instanceof LostAnswer) return;
        settle({ error: error instanceof DormouseError ? error : channelFailed(subject, error) });
      });
  });
}

function addTo<T>(table: Map<string, Set<T>>, subject: string, entry: T, party: Party): () => void {
  if (party.hasEnded()) return () => undefined;
  table.set(subject, (table.get(subject) ?? new Set()).add(entry));
  return stopOnce(party, () => {
    const entries = table.get(subject);
    entries?.delete(entry);
    if (entries?.size === 0) table.delete(subject);
  });
}

/** Runs `stop` when the party ends, or when what is returned is called; once in all. */
function stopOnce(party: Party, stop: () => void): () => void {
  const forget = party.onEnd(stop);
  return () => {
    forget();
    stop();
  };
}

function copyMessage(message: MailboxMessage): MailboxMessage {
  return { ...message, bytes: Uint8Array.from(message.bytes) };
}

/** The index of the first item for which `isBelow` does not hold; the items are ordered so that it holds for a prefix. */
function lowerBound<T>(items: readonly T[], isBelow: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBelow(items[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The order of UTF-8 bytes. UTF-16's differs from it: its surrogates stand below U+E000. */
function compareUtf8(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const leftUnit = left.charCodeAt(index);
    const rightUnit = right.charCodeAt(index);
    if (leftUnit !== rightUnit) return codePointRank(leftUnit) - codePointRank(rightUnit);
  }
  return left.length - right.length;
}

function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

function same(cause: unknown): unknown {
  return cause;
}
