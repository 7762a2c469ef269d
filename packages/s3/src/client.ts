/**
 * The hot GET and PUT: signed by `@smithy/signature-v4`, sent by undici, one try each.
 *
 * The SDK takes five times the CPU for them (FACTS.md 6). Configuration and credentials are the SDK's all the same.
 */
import { createHash } from "node:crypto";
import type { Clock } from "@dormouse/core/ports";
import { SignatureV4 } from "@smithy/signature-v4";
import { Pool, type Dispatcher } from "undici";
import { within, type Deadline } from "./deadline.ts";
import type { BucketAddress } from "./sdk.ts";

type Signing = Pick<ConstructorParameters<typeof SignatureV4>[0], "credentials" | "sha256">;

export interface SignedClientOptions {
  readonly address: BucketAddress;
  readonly signing: Signing;
  readonly clock: Pick<Clock, "now" | "schedule">;
  readonly timeoutMs: number;
  readonly connectionsMax: number;
}

/** What a store answered. */
export interface Answer {
  readonly status: number;
  readonly etag: string | undefined;
  /** S3's word for why not, from the body of an answer that is not a success. */
  readonly code: string | undefined;
  /** Of a success, unless there are more than were asked for. */
  readonly bytes: Uint8Array;
  /** How many there are, where that is more than were asked for: then `bytes` is empty. */
  readonly tooMany?: number;
}

interface Signed {
  readonly method: "GET" | "PUT";
  readonly key: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly answerBytesMax: number;
}

/** Slower than this, in bytes per millisecond, is taken for a connection that stands. */
const pace = 1_000;
const errorBytesMax = 65_536;

export class SignedClient {
  readonly #options: SignedClientOptions;
  readonly #signer: SignatureV4;
  readonly #pool: Pool;
  readonly #url: URL;
  /** How far the store's clock is ahead of ours; learnt when it refuses a signature for its time. */
  #clockAheadMs = 0;

  constructor(options: SignedClientOptions) {
    const { address, signing, timeoutMs, connectionsMax } = options;
    const { region } = address;
    this.#options = options;
    this.#url = new URL(address.origin);
    this.#signer = new SignatureV4({ ...signing, region, service: "s3", uriEscapePath: false });
    this.#pool = new Pool(address.origin, {
      connections: connectionsMax,
      pipelining: 1,
      allowH2: false,
      connect: { timeout: timeoutMs },
      // `within` measures the whole call.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  get(key: string, answerBytesMax: number): Promise<Answer> {
    return this.#send({ method: "GET", key, answerBytesMax });
  }

  /** `body` must not change until this resolves. */
  put(key: string, body: Uint8Array, headers: Readonly<Record<string, string>>): Promise<Answer> {
    return this.#send({ method: "PUT", key, headers, body, answerBytesMax: errorBytesMax });
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  #send(request: Signed): Promise<Answer> {
    const { clock, timeoutMs } = this.#options;
    const ms = timeoutMs + (request.body?.length ?? 0) / pace;
    return within(clock, ms, async (deadline) => {
      const { method, body = null } = request;
      const signed = await this.#sign(request);
      // Signing may have waited for credentials: nothing goes out after the caller was told.
      deadline.signal.throwIfAborted();
      const response = await this.#pool.request({ ...signed, method, body, signal: deadline.signal });
      return this.#read(response, request.answerBytesMax, deadline);
    });
  }

  async #sign({ method, key, headers = {}, body }: Signed): Promise<{ path: string; headers: Record<string, string> }> {
    const { address, clock } = this.#options;
    const { protocol, hostname, host } = this.#url;
    const digest = createHash("sha256")
      .update(body ?? "")
      .digest("hex");
    const path = address.path + encodeKey(key);
    const signed = await this.#signer.sign(
      { method, protocol, hostname, path, headers: { ...headers, host, "x-amz-content-sha256": digest } },
      { signingDate: new Date(clock.now() + this.#clockAheadMs) },
    );
    return { path, headers: signed.headers };
  }

  async #read(
    { statusCode, headers, body }: Dispatcher.ResponseData,
    bytesMax: number,
    deadline: Deadline,
  ): Promise<Answer> {
    const isSuccess = statusCode >= 200 && statusCode < 300;
    const answer = { status: statusCode, etag: textOf(headers["etag"]), code: undefined };
    const length = Number(textOf(headers["content-length"]) ?? Number.NaN);
    deadline.restart(this.#options.timeoutMs + (length > 0 ? length : 0) / pace);
    const read = await readBody(body, length, isSuccess ? bytesMax : errorBytesMax);
    if (typeof read === "number") return { ...answer, bytes: new Uint8Array(), tooMany: read };
    if (isSuccess) return { ...answer, bytes: read };
    const [, code] = /<Code>\s*(\w{1,64})\s*<\/Code>/.exec(Buffer.from(read).toString("utf8")) ?? [];
    if (code === "RequestTimeTooSkewed") this.#adjustClock(textOf(headers["date"]));
    return { ...answer, code, bytes: new Uint8Array() };
  }

  #adjustClock(date: string | undefined): void {
    const storeMs = Date.parse(date ?? "");
    if (!Number.isNaN(storeMs)) this.#clockAheadMs = storeMs - this.#options.clock.now();
  }
}

/** The whole body; or how long it is, at least, where that is more than `bytesMax`. */
async function readBody(
  body: Dispatcher.ResponseData["body"],
  length: number,
  bytesMax: number,
): Promise<Uint8Array | number> {
  const chunks: Uint8Array[] = [];
  let byteCount = 0;
  if (length > bytesMax) return tooMany(length);
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    byteCount += chunk.length;
    if (byteCount > bytesMax) return tooMany(byteCount);
    chunks.push(chunk);
  }
  // undici says so by itself; nothing that is read rests on that.
  if (!Number.isNaN(length) && byteCount !== length) throw new Error("the answer was cut off");
  const bytes = new Uint8Array(byteCount);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;

  function tooMany(count: number): number {
    // The rest is not worth its connection.
    body.on("error", () => undefined).destroy();
    return count;
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

/** As S3 signs it: all bytes but letters, digits, `-._~` and the slashes. */
function encodeKey(key: string): string {
  return encodeURIComponent(key)
    .replaceAll("%2F", "/")
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
