/**
 * One connection to NATS, as mailbox, membership and channel share it.
 *
 * Owns: whether the connection stands, who is told when it breaks, the inbox that all replies come to, one slow tick.
 * Leaves to others: what is sent and read over it. Called by publisher, reader, membership, channel.
 *
 * L1  What is under way when the connection breaks is told so at once: its outcome is not known, and no time-out of
 *     seconds stands between a dead server and a repeat.
 * L2  Nothing that was given to a connection that broke is sent by the next one: the library drops what it had not sent.
 * L3  Silence is counted in ticks after the sockets were read, so a process that stood still does not take its own
 *     pause for a server's.
 * L4  A server that takes a permission away ends the subscriptions that need it, and says so once. They are asked for
 *     again until they are allowed or nobody wants them: a mistake of a minute must not leave a process deaf.
 */
import { randomBytes } from "node:crypto";
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { type Msg, type NatsConnection as Connection, PermissionViolationError } from "@nats-io/transport-node";
import { apiError, natsClosed } from "./errors.ts";

export const tickMs = 500;
/** Of a question to JetStream, by how long its asker has patience. */
const apiTimeoutsMs = { hasty: 1_000, patient: 5_000 } as const;
const listenAgainMs = 1_000;
const inboxDefault = "_INBOX";

export type Stop = () => void;

export type Patience = keyof typeof apiTimeoutsMs;

/** What comes on a subject, until somebody ends it. */
export interface Listening {
  unsubscribe(): void;
  /** The same, once all that the server gave us before is handled. */
  drain(): Promise<void>;
}

/** Of replies: called for each message to one token until it is stopped. */
export interface Inbox {
  readonly subject: string;
  readonly stop: Stop;
}

export class Link {
  readonly connection: Connection;
  readonly #jetstreams: Readonly<Record<Patience, JetStreamManager>>;
  readonly #inboxPrefix = `${inboxDefault}.${randomBytes(12).toString("hex")}.`;
  readonly #handlers = new Map<string, (message: Msg) => void>();
  readonly #downs = new Set<() => void>();
  readonly #ups = new Set<() => void>();
  readonly #forbiddens = new Set<(subject: string) => void>();
  readonly #ticks = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #isUp = true;
  #inboxes = 0;

  private constructor(connection: Connection, jetstreams: Readonly<Record<Patience, JetStreamManager>>) {
    this.connection = connection;
    this.#jetstreams = jetstreams;
    // As every other: the library hands a refused subscription to its handler, with no message.
    this.subscribe(`${this.#inboxPrefix}*`, (message) => this.#reply(message));
    void this.#follow();
  }

  static async make(connection: Connection): Promise<Link> {
    const manager = (timeout: number): Promise<JetStreamManager> =>
      jetstreamManager(connection, { timeout, checkAPI: false });
    const [hasty, patient] = await Promise.all([manager(apiTimeoutsMs.hasty), manager(apiTimeoutsMs.patient)]);
    return new Link(connection, { hasty, patient });
  }

  /** Its errors are the library's; `api` translates them. */
  get jetstream(): JetStreamManager {
    return this.#jetstreams.patient;
  }

  /** Whether the connection stands, as far as is known. */
  get isUp(): boolean {
    return this.#isUp && !this.isClosed;
  }

  get isClosed(): boolean {
    return this.connection.isClosed();
  }

  /** The most bytes of one message, as the server has it. */
  get payloadBytesMax(): number {
    return this.connection.info?.max_payload ?? 1_048_576;
  }

  /** Calls `down` each time the connection breaks or is closed. */
  onDown(down: () => void): Stop {
    this.#downs.add(down);
    return () => void this.#downs.delete(down);
  }

  /** Calls `up` each time it stands again. */
  onUp(up: () => void): Stop {
    this.#ups.add(up);
    return () => void this.#ups.delete(up);
  }

  /** Calls `forbidden` with each subject that the server refused to publish to. */
  onForbidden(forbidden: (subject: string) => void): Stop {
    this.#forbiddens.add(forbidden);
    return () => void this.#forbiddens.delete(forbidden);
  }

  /** Calls `tick` every half second, after all that the sockets held then was read (L3). */
  onTick(tick: () => void): Stop {
    this.#ticks.add(tick);
    this.#timer ??= setInterval(() => setImmediate(() => this.#tick()), tickMs).unref();
    return () => {
      this.#ticks.delete(tick);
      if (this.#ticks.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  /** A subject of our own to have replies on. */
  inbox(handler: (message: Msg) => void): Inbox {
    this.#inboxes += 1;
    const token = this.#inboxes.toString(36);
    this.#handlers.set(token, handler);
    return { subject: this.#inboxPrefix + token, stop: () => void this.#handlers.delete(token) };
  }

  /** Calls `handler` with each message on a subject, also after the server has refused it for a while (L4). */
  subscribe(subject: string, handler: (message: Msg) => void): Listening {
    let timer: NodeJS.Timeout | undefined;
    let isEnded = false;
    const listen = (): Listening =>
      this.connection.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) handler(message);
          else timer = setTimeout(again, listenAgainMs).unref();
        },
      });
    const again = (): void => {
      if (!isEnded && !this.isClosed) current = listen();
    };
    let current = listen();
    const end = (): void => {
      isEnded = true;
      clearTimeout(timer);
    };
    return {
      unsubscribe: () => {
        end();
        current.unsubscribe();
      },
      drain: () => {
        end();
        return current.drain();
      },
    };
  }

  /** A name that nobody else has. */
  freshName(): string {
    return randomBytes(12).toString("hex");
  }

  /**
   * Asks JetStream's API.
   *
   * @param patience - `patient`, the default, waits five seconds for an answer; `hasty` one.
   * @throws DormouseError `unavailable` (`nats.no-answer`, `nats.api`); `closed` (`nats.closed`).
   */
  async api<T>(
    what: string,
    call: (jetstream: JetStreamManager) => Promise<T>,
    patience: Patience = "patient",
  ): Promise<T> {
    try {
      return await this.whileUp(() => call(this.#jetstreams[patience]));
    } catch (cause) {
      throw apiError(what, cause);
    }
  }

  /** What `call` comes to; rejects as soon as the connection breaks (L1). */
  async whileUp<T>(call: () => Promise<T>): Promise<T> {
    if (this.isClosed) throw natsClosed();
    if (!this.#isUp) throw new Error("the connection is down");
    const broken = Promise.withResolvers<never>();
    const stop = this.onDown(() => broken.reject(this.isClosed ? natsClosed() : new Error("the connection broke")));
    try {
      return await Promise.race([call(), broken.promise]);
    } finally {
      stop();
    }
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    // What was handed over is on its way before the connection ends; a server that is gone is not waited for.
    if (this.#isUp) await this.whileUp(() => this.connection.flush()).catch(() => undefined);
    await this.connection.close();
    this.#broke();
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#ticks.clear();
  }

  async #follow(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === "disconnect") this.#broke();
      if (status.type === "error") this.#refused(status.error);
      if (status.type === "reconnect") {
        this.#isUp = true;
        for (const up of this.#ups) up();
      }
    }
  }

  #refused(error: unknown): void {
    if (!(error instanceof PermissionViolationError) || error.operation !== "publish") return;
    for (const forbidden of this.#forbiddens) forbidden(error.subject);
  }

  #broke(): void {
    this.#isUp = false;
    for (const down of this.#downs) down();
  }

  #reply(message: Msg): void {
    this.#handlers.get(message.subject.slice(this.#inboxPrefix.length))?.(message);
  }

  #tick(): void {
    for (const tick of this.#ticks) tick();
  }
}

/** Whether a message is the server's word that nobody listens. */
export function isNobody(message: Msg): boolean {
  return message.data.length === 0 && message.headers?.code === 503;
}
