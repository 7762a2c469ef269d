/**
 * A folder as a process sees it that is not its host.
 *
 * Owns: the connection to the host, what waits for an answer over it, and the subscriptions to make anew.
 * Leaves to others: what the host does (`socket.ts`), where it is (`lock.ts`), the data when no host runs (`lmdb.ts`).
 *
 * F1  A message goes through the host if one answers, else into the folder itself; either way it is on disk when
 *     `append` resolves. A host that starts meanwhile finds it: LMDB orders both.
 * F2  What was sent and not answered when the connection ended is `mailbox.no-ack`: it may be there.
 * F3  One way is used at a time: messages through a new connection wait for those still being written past it, so those
 *     of one sender keep their order.
 */
import { connect, type Socket } from "node:net";
import { resolve as resolvePath } from "node:path";
import {
  DormouseError,
  type Cancel,
  type Channel,
  type Clock,
  type Entropy,
  type Mailbox,
  type Partition,
  type Acceptance,
} from "@dormouse/core/ports";
import { realClock, realEntropy } from "./clock.ts";
import { channelFailed, channelTimeout, hostNotRunning, mailboxClosed, mailboxNoAck } from "./errors.ts";
import { encodeFrame, FrameDecoder, frameVersion, type Frame } from "./frames.ts";
import { openFolder, type LocalFolder } from "./lmdb.ts";
import { readLockFile } from "./lock.ts";
import { decodeError, encodeRequest, parseData, writeFrame } from "./socket.ts";

/** How a folder is connected to. */
export interface ConnectFolderOptions {
  /** Default: the real one. */
  readonly clock?: Clock;
  /** Default: the operating system's. */
  readonly entropy?: Entropy;
  /** How long `append` waits for the host's acknowledgement, in milliseconds. Default: 10,000. */
  readonly appendTimeoutMs?: number;
}

/** A folder's mailbox and channel, from outside its host. */
export interface FolderClient {
  /** The absolute path. */
  readonly path: string;
  readonly mailbox: Pick<Mailbox, "append">;
  readonly channel: Pick<Channel, "publish" | "subscribe" | "request">;
  /** Whether there is a connection to the folder's host now. */
  readonly isHostRunning: boolean;
  /** Ends the connection; what waits for an answer is rejected. */
  close(): Promise<void>;
}

const backoffMsMin = 50;
const backoffMsMax = 2_000;
const welcomeMsMax = 5_000;
/** Any length will do: a timer that only keeps the process. */
const awakeMs = 60_000;
const unsentBytesMax = 67_108_864;
/** How much longer than the host the client waits for an answer, before it takes the connection for dead. */
const answerGraceMs = 1_000;

/**
 * Connects to a folder, whether a host runs on it or not, and stays connected: when a host starts, ends and starts
 * again, subscriptions follow.
 *
 * @returns When the first attempt to reach a host has ended either way. Its `append` throws `unavailable`
 * (`mailbox.no-ack`, `folder.missing`, `mailbox.full`), its `request` also `unavailable` (`host.not-running`).
 * @throws DormouseError `invalid` (`host.version`): the host that runs is of another version of Dormouse.
 * @example
 * ```ts
 * const client = await connectFolder("./.dormouse");
 * if (!client.isHostRunning) console.log("messages are kept until a host starts");
 * await client.close();
 * ```
 * @see DESIGN.md, section 5
 */
export async function connectFolder(folder: string, options: ConnectFolderOptions = {}): Promise<FolderClient> {
  const client = new SocketClient(resolvePath(folder), options);
  await client.start();
  return client;
}

interface Question {
  readonly timeoutMs: number;
  /** No answer in time. */
  late(): DormouseError;
  /** The connection ended first. */
  lost(): DormouseError;
}

interface Waiting {
  answer(frame: Frame): void;
  /** Rejects with `error`, or with what the question says of a lost connection. */
  fail(error: DormouseError | undefined): void;
}

interface Subscription {
  readonly subject: string;
  readonly handler: (bytes: Uint8Array) => void;
}

class SocketClient implements FolderClient {
  readonly path: string;
  readonly mailbox: Pick<Mailbox, "append">;
  readonly channel: Pick<Channel, "publish" | "subscribe" | "request">;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #appendTimeoutMs: number;
  readonly #subscriptions = new Map<number, Subscription>();
  #connection: Connection | undefined;
  #connecting: Promise<Connection | undefined> | undefined;
  #folder: Promise<LocalFolder> | undefined;
  /** Messages being written past the host (F3). */
  readonly #direct = new Set<Promise<unknown>>();
  #cancelReconnect: Cancel | undefined;
  /** A lost connection keeps the process as the connection did: someone may wait for what comes over the next one. */
  #awake: NodeJS.Timeout | undefined;
  #backoffMs = backoffMsMin;
  #subscriptionsMade = 0;
  #isClosed = false;

  constructor(path: string, options: ConnectFolderOptions) {
    this.path = path;
    this.#clock = options.clock ?? realClock;
    this.#entropy = options.entropy ?? realEntropy;
    this.#appendTimeoutMs = options.appendTimeoutMs ?? 10_000;
    this.mailbox = { append: (partition, bytes) => this.#append(partition, Uint8Array.from(bytes)) };
    this.channel = {
      publish: (subject, bytes) => this.#connection?.publish(subject, bytes),
      subscribe: (subject, handler) => this.#subscribe(subject, handler),
      request: (subject, bytes, timeoutMs) => this.#request(subject, Uint8Array.from(bytes), timeoutMs),
    };
  }

  get isHostRunning(): boolean {
    return this.#connection !== undefined;
  }

  async start(): Promise<void> {
    await this.#connect();
    this.#reconnectLater();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelReconnect?.();
    clearInterval(this.#awake);
    this.#connection?.end(mailboxClosed());
    await this.#connecting?.catch(() => undefined);
    const folder = await this.#folder?.catch(() => undefined);
    await folder?.close();
  }

  async #append(partition: Partition, bytes: Uint8Array): Promise<Acceptance> {
    const connection = this.#connection ?? (await this.#connect());
    if (connection !== undefined && this.#direct.size > 0) await Promise.allSettled(this.#direct);
    if (this.#isClosed) throw mailboxClosed();
    if (connection === undefined) return this.#appendDirectly(partition, bytes);
    const frame = await connection.ask("append", String(partition), bytes, {
      timeoutMs: this.#appendTimeoutMs,
      late: () => mailboxNoAck(undefined),
      lost: () => mailboxNoAck(undefined),
    });
    return decodePlace(frame.text);
  }

  async #appendDirectly(partition: Partition, bytes: Uint8Array): Promise<Acceptance> {
    const writing = this.#openFolder().then((folder) => folder.mailbox.append(partition, bytes));
    this.#direct.add(writing);
    try {
      return await writing;
    } finally {
      this.#direct.delete(writing);
    }
  }

  #openFolder(): Promise<LocalFolder> {
    if (this.#folder === undefined) {
      const opening = openFolder(this.path, { clock: this.#clock, entropy: this.#entropy, create: false });
      this.#folder = opening;
      opening.catch(() => {
        this.#folder = undefined;
      });
    }
    return this.#folder;
  }

  #subscribe(subject: string, handler: (bytes: Uint8Array) => void): () => void {
    this.#subscriptionsMade += 1;
    const id = this.#subscriptionsMade;
    this.#subscriptions.set(id, { subject, handler });
    this.#connection?.send("subscribe", id, subject);
    return () => {
      if (this.#subscriptions.delete(id)) this.#connection?.send("unsubscribe", id, "");
    };
  }

  async #request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const connection = this.#connection ?? (await this.#connect());
    if (this.#isClosed) throw mailboxClosed();
    if (connection === undefined) throw hostNotRunning(this.path);
    const text = encodeRequest(subject, timeoutMs);
    const frame = await connection.ask("request", text, bytes, {
      timeoutMs: timeoutMs + answerGraceMs,
      late: () => channelTimeout(subject, timeoutMs),
      lost: () => channelFailed(subject),
    });
    return frame.bytes;
  }

  /** The connection to the host, or `undefined` if none runs. One attempt at a time. */
  #connect(): Promise<Connection | undefined> {
    if (this.#connection !== undefined || this.#isClosed) return Promise.resolve(this.#connection);
    this.#connecting ??= this.#connectOnce().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connectOnce(): Promise<Connection | undefined> {
    const holder = readLockFile(this.path);
    if (holder === undefined) return undefined;
    const socket = await openSocket(holder.socket, this.#clock);
    if (socket === undefined) return undefined;
    const connection = new Connection(socket, this.#clock, {
      delivered: (id, bytes) => this.#subscriptions.get(id)?.handler(bytes),
      ended: () => {
        if (this.#connection === connection) this.#lost();
        this.#reconnectLater();
      },
    });
    if (!(await connection.greet(holder.pid)) || !connection.isOpen) return undefined;
    if (this.#isClosed) {
      connection.end(mailboxClosed());
      return undefined;
    }
    this.#connection = connection;
    clearInterval(this.#awake);
    this.#backoffMs = backoffMsMin;
    for (const [id, { subject }] of this.#subscriptions) connection.send("subscribe", id, subject);
    return connection;
  }

  #lost(): void {
    this.#connection = undefined;
    clearInterval(this.#awake);
    if (!this.#isClosed) this.#awake = setInterval(() => undefined, awakeMs);
  }

  #reconnectLater(): void {
    this.#cancelReconnect?.();
    if (this.#isClosed || this.#connection !== undefined) return;
    this.#cancelReconnect = this.#clock.schedule(this.#backoffMs, () => {
      this.#backoffMs = Math.min(this.#backoffMs * 2, backoffMsMax);
      // A host of another version is reported to whoever asks for something.
      this.#connect()
        .catch(() => undefined)
        .finally(() => this.#reconnectLater());
    });
  }
}

interface ConnectionNotices {
  delivered(subscription: number, bytes: Uint8Array): void;
  ended(): void;
}

/** One connection to a host. */
class Connection {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  readonly #notices: ConnectionNotices;
  readonly #decoder = new FrameDecoder();
  #welcome: ((version: string | undefined) => void) | undefined;
  #asked = 0;

  constructor(socket: Socket, clock: Clock, notices: ConnectionNotices) {
    this.#socket = socket;
    this.#clock = clock;
    this.#notices = notices;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => this.#take(chunk));
    socket.once("close", () => {
      this.#fail(undefined);
      notices.ended();
    });
  }

  get isOpen(): boolean {
    return this.#socket.writable;
  }

  /**
   * Whether a host is there and speaks as we do.
   *
   * @throws DormouseError `unavailable` (`host.busy`): it lives and says nothing; `invalid` (`host.version`).
   */
  async greet(pid: number): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    this.#welcome = resolve;
    const cancel = this.#clock.schedule(welcomeMsMax, () => {
      reject(hostSilent(pid));
      this.#socket.destroy();
    });
    this.send("hello", 0, frameVersion);
    const version = await promise;
    cancel();
    if (version === frameVersion) return true;
    this.#socket.destroy();
    if (version === undefined) return false;
    const message =
      "the host on this folder is of another version of Dormouse; use the same version here: " +
      `host=${version} here=${frameVersion}`;
    throw new DormouseError("invalid", "host.version", message);
  }

  send(kind: "hello" | "subscribe" | "unsubscribe", id: number, text: string): void {
    const frame = encodeFrame(kind, id, text);
    if (frame !== undefined && this.#socket.writable) writeFrame(this.#socket, frame);
  }

  /** Lost if the host does not take what was sent before: the channel may lose. */
  publish(subject: string, bytes: Uint8Array): void {
    const frame = encodeFrame("publish", 0, subject, bytes);
    const hasRoom = this.#socket.writable && this.#socket.writableLength <= unsentBytesMax;
    if (frame !== undefined && hasRoom) writeFrame(this.#socket, frame);
  }

  ask(kind: "append" | "request", text: string, bytes: Uint8Array, question: Question): Promise<Frame> {
    return new Promise((resolve, reject) => {
      this.#asked = (this.#asked + 1) % 0x1_0000_0000;
      const id = this.#asked;
      const frame = encodeFrame(kind, id, text, bytes);
      const problem = frame === undefined ? tooLarge(bytes) : this.#refusal();
      if (frame === undefined || problem !== undefined) {
        reject(problem);
        return;
      }
      const cancel = this.#clock.schedule(question.timeoutMs, () => settle(() => reject(question.late())));
      const settle = (outcome: () => void): void => {
        cancel();
        this.#waiting.delete(id);
        outcome();
      };
      this.#waiting.set(id, {
        answer: (answer) => settle(() => (answer.kind === "error" ? reject(decodeError(answer)) : resolve(answer))),
        fail: (error) => settle(() => reject(error ?? question.lost())),
      });
      writeFrame(this.#socket, frame);
    });
  }

  end(error: DormouseError): void {
    this.#fail(error);
    this.#socket.destroy();
  }

  /** Why nothing can be sent now, if nothing can. */
  #refusal(): DormouseError | undefined {
    if (!this.#socket.writable) return mailboxNoAck(undefined);
    if (this.#socket.writableLength <= unsentBytesMax) return undefined;
    const message = "the folder's host is too slow to take more, so this was not sent; wait for what is under way";
    return new DormouseError("unavailable", "host.busy", message);
  }

  #take(chunk: Buffer): void {
    const frames = this.#decoder.push(chunk);
    if (frames === undefined) this.#socket.destroy();
    for (const frame of frames ?? []) {
      if (frame.kind === "welcome") this.#welcome?.(frame.text);
      else if (frame.kind === "delivery") this.#notices.delivered(frame.id, frame.bytes);
      else this.#waiting.get(frame.id)?.answer(frame);
    }
  }

  #fail(error: DormouseError | undefined): void {
    this.#welcome?.(undefined);
    for (const waiting of this.#waiting.values()) waiting.fail(error);
  }
}

/** A connected socket, or `undefined` if nobody answers there. */
function openSocket(path: string, clock: Clock): Promise<Socket | undefined> {
  return new Promise((resolved) => {
    const socket = connect(path);
    const cancel = clock.schedule(welcomeMsMax, () => socket.destroy());
    socket.once("connect", () => {
      cancel();
      resolved(socket);
    });
    socket.once("error", () => socket.destroy());
    socket.once("close", () => {
      cancel();
      resolved(undefined);
    });
  });
}

function hostSilent(pid: number): DormouseError {
  const message =
    "the folder's host is there and does not answer; it is stopped, or busy in an endless loop: look at that process, " +
    `and try again: pid=${pid}`;
  return new DormouseError("unavailable", "host.busy", message);
}

function tooLarge(bytes: Uint8Array): DormouseError {
  const message = `too large for one message to the folder's host: bytes=${bytes.length}`;
  return new DormouseError("invalid", "host.too-large", message);
}

function decodePlace(text: string): Acceptance {
  const place = parseData(text);
  if (typeof place === "object" && place !== null && "sequence" in place && "stream" in place) {
    const { sequence, stream } = place;
    if (typeof sequence === "number" && typeof stream === "string") return { sequence, stream };
  }
  throw mailboxNoAck(undefined);
}
