/**
 * Who is alive, by heartbeats in a bucket and pings of a subject.
 *
 * Owns: our own beats, the reading of the bucket. Leaves to others: pings (`pings.ts`), what the evidence means (`judge.ts`).
 *
 * M1  Nothing is read before somebody asks or watches, and nobody is pinged while nobody watches.
 * M2  A beat is a compare-and-swap on our own last one: whoever was said to have left does not come back by beating.
 * M3  The bucket is made by whoever announces itself. Who only asks finds none and makes none: a misspelt app would stay.
 * M4  Our way to the bucket is proven when our own beat comes back by the reader. Who has not announced itself takes the
 *     reader's heartbeats for it.
 */
import { Kvm, type KV } from "@nats-io/kv";
import { StorageType } from "@nats-io/jetstream";
import { DormouseError, type Member, type MemberState, type Membership } from "@dormouse/core/ports";
import { decodeEntry, encodeEntry } from "./entry.ts";
import { apiCode, apiCodes, membershipUnavailable, natsClosed } from "./errors.ts";
import { Judge } from "./judge.ts";
import type { Link, Listening, Stop } from "./link.ts";
import { Pings } from "./pings.ts";
import { StreamReader, type StreamMessage } from "./reader.ts";
import { decodeKey, encodeKey, type AppNames } from "./subjects.ts";

const beatMs = 3_000;
/** Two beats' time: a proof says nothing of what lies longer ago. */
const provenMsMax = 2 * beatMs;
const litterMs = 300_000;
const readyMsMax = 10_000;
const retryMs = 200;
const factsBytesMax = 65_536;
const batchMax = 1_000;

interface Own {
  facts: Uint8Array;
  revision: number;
  readonly life: Listening;
}

export class NatsMembership implements Membership {
  readonly #link: Link;
  readonly #names: AppNames;
  readonly #replicas: number;
  readonly #judge = new Judge();
  readonly #own = new Map<string, Own>();
  readonly #watchers = new Set<() => void>();
  readonly #pings: Pings;
  readonly #stops: Stop[] = [];
  #bucket: Promise<KV> | undefined;
  #ready: Promise<void> | undefined;
  #reader: StreamReader | undefined;
  #isCaughtUp = false;
  #provedAtMs: number | undefined;
  /** Ends the wait for the bucket to be read. */
  #giveUp: () => void = () => undefined;
  #beatTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(link: Link, names: AppNames, replicas: number) {
    this.#link = link;
    this.#names = names;
    this.#replicas = replicas;
    this.#pings = new Pings(link, {
      subjectOf: (incarnation) => names.life(incarnation),
      others: () => this.#judge.pingable().filter((incarnation) => !this.#own.has(incarnation)),
      answered: (incarnation) => this.#tell(this.#judge.answered(incarnation)),
      missed: (incarnation) => this.#tell(this.#judge.missed(incarnation, performance.now())),
      disturbed: () => this.#disturbed(),
    });
  }

  async announce({ incarnation, facts }: Member): Promise<void> {
    if (facts.length > factsBytesMax) {
      throw new DormouseError("invalid", "membership.facts", `facts have at most 64 kB: bytes=${facts.length}`);
    }
    await this.#start();
    let own = this.#own.get(incarnation);
    if (own === undefined) {
      // Before the entry: whoever sees the entry may ping at once.
      const life = this.#link.subscribe(this.#names.life(incarnation), (message) => void message.respond());
      own = { facts, revision: 0, life };
      this.#own.set(incarnation, own);
    }
    own.facts = facts.slice();
    await this.#call("announce", async (bucket) => {
      await this.#link.connection.flush();
      const revision = await bucket.put(encodeKey(incarnation), encodeEntry(false, facts));
      this.#noteOwn(incarnation, revision, facts);
    });
    this.#beatTimer ??= setInterval(() => void this.#beat(), beatMs).unref();
  }

  async leave(incarnation: string): Promise<void> {
    await this.#start();
    this.#forget(incarnation);
    await this.#call("leave", async (bucket) => {
      const revision = await bucket.put(encodeKey(incarnation), encodeEntry(true, new Uint8Array()));
      this.#tell(this.#judge.seen({ incarnation, revision, hasLeft: true, facts: new Uint8Array() }));
    });
  }

  /** Shows no sign of its life any more. */
  #forget(incarnation: string): void {
    const own = this.#own.get(incarnation);
    this.#own.delete(incarnation);
    if (own !== undefined && !this.#link.isClosed) own.life.unsubscribe();
  }

  async stateOf(incarnation: string): Promise<MemberState> {
    await this.#start();
    return this.#judge.stateOf(incarnation);
  }

  async alive(): Promise<readonly Member[]> {
    await this.#start();
    return this.#judge.alive();
  }

  watch(changed: () => void): () => void {
    // Each call is a watcher of its own, also with the same function.
    const watcher = (): void => changed();
    this.#watchers.add(watcher);
    // Whoever watches hears when it has begun; whether it can begin now, `stateOf` tells.
    this.#start().catch(() => undefined);
    this.#pings.start();
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#pings.stop();
    };
  }

  close(): void {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    clearInterval(this.#beatTimer);
    this.#pings.stop();
    this.#reader?.close();
    this.#giveUp();
  }

  /** Resolves when the bucket was read to its end once. */
  #start(): Promise<void> {
    if (this.#isClosed || this.#link.isClosed) return Promise.reject(natsClosed());
    if (this.#isCaughtUp) return Promise.resolve();
    this.#ready ??= this.#begin();
    return this.#ready;
  }

  async #begin(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#stops.length === 0) {
      const disturbed = (): void => this.#disturbed();
      const proof = setInterval(() => this.#proveByReader(), beatMs).unref();
      this.#stops.push(this.#link.onDown(disturbed), this.#link.onUp(disturbed), () => clearInterval(proof));
      void this.#follow();
    }
    const timer = setTimeout(() => reject(membershipUnavailable("read")), readyMsMax);
    const stop = this.#onCaughtUp(resolve);
    this.#giveUp = () => reject(natsClosed());
    try {
      await promise;
    } catch (error) {
      this.#ready = undefined;
      throw error;
    } finally {
      clearTimeout(timer);
      stop();
    }
  }

  #onCaughtUp(resolve: () => void): Stop {
    const watcher = (): void => {
      if (this.#isCaughtUp) resolve();
    };
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** Reads the bucket for as long as this is open; from its beginning after each interruption. */
  async #follow(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#read();
      } catch {
        this.#disturbed();
        await pauseOf(retryMs);
      }
    }
  }

  async #read(): Promise<void> {
    const stream = `KV_${this.#names.bucket()}`;
    const pending = await this.#size(stream);
    if (pending === undefined) {
      this.#caughtUp();
      await pauseOf(retryMs);
      return;
    }
    const reader = new StreamReader({
      link: this.#link,
      stream,
      from: 1,
      check: () => Promise.resolve(),
      interrupted: (why, cause) => membershipUnavailable(`read, ${why}`, cause),
      closed: natsClosed,
      busy: () => membershipUnavailable("read twice"),
    });
    this.#reader = reader;
    if (this.#isClosed) reader.close();
    if (pending === 0) this.#caughtUp();
    for (;;) {
      for (const message of await reader.next(batchMax)) {
        this.#see(message, stream);
        if (message.pending === 0) this.#caughtUp();
      }
    }
  }

  /** How much is in the bucket; `undefined` if it is not there, and nobody of ours is to be in it (M3). */
  async #size(stream: string): Promise<number | undefined> {
    const info = async (): Promise<number> => (await this.#link.jetstream.streams.info(stream)).state.messages;
    if (this.#own.size > 0) {
      let size = 0;
      await this.#call("read", async () => void (size = await info()));
      return size;
    }
    try {
      return await this.#link.whileUp(info);
    } catch (cause) {
      if (apiCode(cause) === apiCodes.streamNotFound) return undefined;
      throw cause;
    }
  }

  #see({ message, sequence }: StreamMessage, stream: string): void {
    const key = message.subject.slice(`$KV.${stream.slice("KV_".length)}.`.length);
    const incarnation = decodeKey(key);
    const { hasLeft, facts } = decodeEntry(message.data);
    const isOwn = this.#own.has(incarnation) && !hasLeft;
    const isChanged = this.#judge.seen({ incarnation, revision: sequence, hasLeft, facts });
    this.#tell(isChanged);
    if (isOwn) this.#prove();
  }

  #caughtUp(): void {
    if (this.#isCaughtUp) return;
    this.#isCaughtUp = true;
    this.#prove();
    this.#tell(true);
  }

  #proveByReader(): void {
    if (this.#own.size === 0 && this.#isCaughtUp && this.#link.isUp) this.#prove();
  }

  #prove(): void {
    const nowMs = performance.now();
    const elapsedMs = this.#provedAtMs === undefined ? 0 : Math.min(nowMs - this.#provedAtMs, provenMsMax);
    this.#provedAtMs = nowMs;
    this.#tell(this.#judge.proved(nowMs, elapsedMs));
  }

  #disturbed(): void {
    this.#provedAtMs = undefined;
    // Replies that are still on their way are of before.
    this.#pings.forget();
    this.#tell(this.#judge.disturbed(performance.now()));
  }

  #tell(isChanged: boolean): void {
    if (!isChanged) return;
    // A copy: one that is told may watch anew at once.
    const watchers = [...this.#watchers];
    for (const changed of watchers) changed();
  }

  async #beat(): Promise<void> {
    for (const [incarnation, own] of this.#own) {
      try {
        const bucket = await this.#open();
        const value = encodeEntry(false, own.facts);
        own.revision = await this.#link.whileUp(() => bucket.update(encodeKey(incarnation), value, own.revision));
      } catch (error) {
        if (isWrongRevision(error)) await this.#beatAnew(incarnation, own).catch(() => undefined);
      }
    }
  }

  /** An earlier beat was stored though its answer was lost, or the bucket forgot or was made anew. Or we were said to have left (M2). */
  async #beatAnew(incarnation: string, own: Own): Promise<void> {
    const bucket = await this.#open();
    const entry = await this.#link.whileUp(() => bucket.get(encodeKey(incarnation)));
    if (entry !== null && entry.operation === "PUT" && decodeEntry(entry.value).hasLeft) {
      this.#forget(incarnation);
      return;
    }
    if (this.#own.get(incarnation) !== own) return;
    const value = encodeEntry(false, own.facts);
    const previousSeq = entry?.revision ?? 0;
    own.revision = await this.#link.whileUp(() => bucket.put(encodeKey(incarnation), value, { previousSeq }));
  }

  #noteOwn(incarnation: string, revision: number, facts: Uint8Array): void {
    const own = this.#own.get(incarnation);
    if (own !== undefined) own.revision = revision;
    this.#tell(this.#judge.seen({ incarnation, revision, hasLeft: false, facts: facts.slice() }));
  }

  /** The bucket, made where it is not there. */
  #open(): Promise<KV> {
    this.#bucket ??= this.#link
      .whileUp(() =>
        new Kvm(this.#link.connection).create(this.#names.bucket(), {
          history: 1,
          ttl: litterMs,
          replicas: this.#replicas,
          storage: StorageType.File,
        }),
      )
      .catch((error: unknown) => {
        this.#bucket = undefined;
        throw error;
      });
    return this.#bucket;
  }

  async #call(what: string, call: (bucket: KV) => Promise<void>): Promise<void> {
    try {
      const bucket = await this.#open();
      await this.#link.whileUp(() => call(bucket));
    } catch (cause) {
      if (apiCode(cause) === apiCodes.streamNotFound) this.#bucket = undefined;
      if (cause instanceof DormouseError && cause.kind === "closed") throw cause;
      throw membershipUnavailable(what, cause);
    }
  }
}

function pauseOf(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}

function isWrongRevision(error: unknown): boolean {
  const code = apiCode(error);
  return code === apiCodes.wrongLastSequence || code === apiCodes.wrongLastSequenceUnknown;
}
