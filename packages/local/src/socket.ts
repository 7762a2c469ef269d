/**
 * What a folder's host does for other processes: append to the mailbox, and take part in the channel.
 *
 * Owns: the connections of clients, and what is under way on each.
 * Leaves to others: who may connect (only this user: `lock.ts`), what the ports do.
 *
 * S1  A connection is a party of the channel: when it ends, its subscriptions end with it.
 * S2  A client with too much under way is not read from until some of it is answered: back-pressure, not memory.
 * S3  A client that does not take its deliveries loses some of them; it never delays the host.
 */
import type { Socket } from "node:net";
import { DormouseError, type Channel, type ErrorKind, type Mailbox, type Partition } from "@dormouse/core/ports";
import { channelFailed, mailboxNoAck } from "./errors.ts";
import { encodeFrame, FrameDecoder, frameVersion, type Frame, type FrameKind } from "./frames.ts";

/** What a client may use of a host's ports. */
export interface ClientPorts {
  readonly mailbox: Pick<Mailbox, "append">;
  readonly channel: Pick<Channel, "publish" | "subscribe" | "request">;
}

const underWayMax = 4_096;
const underWayBytesMax = 67_108_864;
const unsentBytesMax = 67_108_864;
const partitionMax = 65_534;

/** Serves one connection until it ends; `ended` is called once, then. */
export function serveClient(socket: Socket, ports: ClientPorts, ended: () => void): void {
  const connection = new ClientConnection(socket, ports);
  socket.on("close", () => {
    connection.end();
    ended();
  });
  // What went wrong does not matter: "close" follows.
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => connection.take(chunk));
  socket.resume();
}

class ClientConnection {
  readonly #socket: Socket;
  readonly #ports: ClientPorts;
  readonly #decoder = new FrameDecoder();
  readonly #subscriptions = new Map<number, () => void>();
  #underWay = 0;
  #underWayBytes = 0;
  #isGreeted = false;

  constructor(socket: Socket, ports: ClientPorts) {
    this.#socket = socket;
    this.#ports = ports;
    socket.on("drain", () => this.#balance());
  }

  take(chunk: Buffer): void {
    const frames = this.#decoder.push(chunk);
    if (frames === undefined) this.#socket.destroy();
    for (const frame of frames ?? []) this.#takeFrame(frame);
    this.#balance();
  }

  end(): void {
    for (const unsubscribe of this.#subscriptions.values()) unsubscribe();
    this.#subscriptions.clear();
  }

  #takeFrame(frame: Frame): void {
    if (!this.#isGreeted && frame.kind !== "hello") {
      this.#socket.destroy();
      return;
    }
    switch (frame.kind) {
      case "hello":
        this.#isGreeted = frame.text === frameVersion;
        this.#send("welcome", 0, frameVersion);
        if (!this.#isGreeted) this.#socket.end();
        return;
      case "append":
        void this.#answer(frame, () => this.#append(frame));
        return;
      case "request":
        void this.#answer(frame, () => this.#request(frame));
        return;
      case "publish":
        this.#ports.channel.publish(frame.text, frame.bytes);
        return;
      case "subscribe":
        this.#subscribe(frame);
        return;
      case "unsubscribe":
        this.#subscriptions.get(frame.id)?.();
        this.#subscriptions.delete(frame.id);
        return;
      case "welcome":
      case "answer":
      case "error":
      case "delivery":
        this.#socket.destroy();
        return;
    }
  }

  async #append(frame: Frame): Promise<Buffer | undefined> {
    const partition = Number(frame.text);
    if (!Number.isInteger(partition) || partition < 0 || partition > partitionMax) {
      throw new DormouseError("invalid", "partition.invalid", `there is no such partition: partition=${frame.text}`);
    }
    const place = await this.#ports.mailbox.append(partition as Partition, frame.bytes);
    return encodeFrame("answer", frame.id, JSON.stringify(place));
  }

  async #request(frame: Frame): Promise<Buffer | undefined> {
    const { timeoutMs, subject } = decodeRequest(frame.text);
    const bytes = await this.#ports.channel.request(subject, frame.bytes, timeoutMs);
    return encodeFrame("answer", frame.id, "", bytes) ?? encodeError(frame.id, channelFailed(subject));
  }

  #subscribe(frame: Frame): void {
    this.#subscriptions.get(frame.id)?.();
    const unsubscribe = this.#ports.channel.subscribe(frame.text, (bytes) => {
      if (this.#socket.writableLength <= unsentBytesMax) this.#send("delivery", frame.id, "", bytes);
    });
    this.#subscriptions.set(frame.id, unsubscribe);
  }

  async #answer(frame: Frame, work: () => Promise<Buffer | undefined>): Promise<void> {
    this.#underWay += 1;
    this.#underWayBytes += frame.bytes.length;
    try {
      this.#write(await work());
    } catch (error) {
      this.#write(encodeError(frame.id, error instanceof DormouseError ? error : mailboxNoAck(error)));
    }
    this.#underWay -= 1;
    this.#underWayBytes -= frame.bytes.length;
    this.#balance();
  }

  #balance(): void {
    const isOver =
      this.#underWay > underWayMax ||
      this.#underWayBytes > underWayBytesMax ||
      this.#socket.writableLength > unsentBytesMax;
    if (isOver) this.#socket.pause();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  #send(kind: FrameKind, id: number, text: string, bytes?: Uint8Array): void {
    this.#write(encodeFrame(kind, id, text, bytes));
  }

  #write(frame: Buffer | undefined): void {
    if (frame !== undefined && this.#socket.writable) writeFrame(this.#socket, frame);
  }
}

/** Writes a frame; those of one tick go in one system call. */
export function writeFrame(socket: Socket, frame: Buffer): void {
  if (socket.writableCorked === 0) {
    socket.cork();
    process.nextTick(() => socket.uncork());
  }
  socket.write(frame);
}

/** A request's text: its time-out, then its subject. */
export function encodeRequest(subject: string, timeoutMs: number): string {
  return `${timeoutMs} ${subject}`;
}

function decodeRequest(text: string): { readonly timeoutMs: number; readonly subject: string } {
  const space = text.indexOf(" ");
  const timeoutMs = Number(text.slice(0, space));
  return { timeoutMs: Number.isFinite(timeoutMs) ? timeoutMs : 0, subject: text.slice(space + 1) };
}

function encodeError(id: number, error: DormouseError): Buffer | undefined {
  const { kind, code } = error;
  return encodeFrame("error", id, JSON.stringify({ kind, code, message: error.message.slice(0, 8_192) }));
}

const errorKinds: ReadonlySet<unknown> = new Set<ErrorKind>([
  ...(["invalid", "conflict", "sealed", "unavailable", "corrupt"] as const),
  ...(["failed", "timeout", "closed", "internal"] as const),
]);

/** The error that an `error` frame carries. */
export function decodeError(frame: Frame): DormouseError {
  const data = parseData(frame.text);
  if (typeof data === "object" && data !== null && "kind" in data && "code" in data && "message" in data) {
    const { kind, code, message } = data;
    // What the host closed is not closed here: it can be reached again when it is back.
    const isClosed = kind === "closed";
    if (errorKinds.has(kind) && typeof code === "string" && typeof message === "string") {
      return new DormouseError(
        isClosed ? "unavailable" : (kind as ErrorKind),
        isClosed ? "mailbox.no-ack" : code,
        message,
      );
    }
  }
  return new DormouseError("internal", "host.answer", "the folder's host answered what this version cannot read");
}

/** What the text of a frame says, or `undefined` if it is no JSON. */
export function parseData(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
