/**
 * Stands between the driver and an S3 server: checks every signature by its own reading of SigV4, which gofakes3 does
 * not, and does harm where a test asks for it.
 */
import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Upstream {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** What happens to one request; `forward` takes it to the store. */
export type Fault = (forward: () => Promise<Upstream>, response: ServerResponse) => Promise<void> | void;

/** Answers without asking the store. */
export function answer(status: number, code: string, headers: Readonly<Record<string, string>> = {}): Fault {
  return (_forward, response) => void response.writeHead(status, headers).end(`<Error><Code>${code}</Code></Error>`);
}

/** The store never hears of it. */
export const resetBefore: Fault = (_forward, response) => void response.socket?.resetAndDestroy();
/** The store has done it, and nobody hears of that. */
export const resetAfter: Fault = async (forward, response) => {
  await forward();
  response.socket?.resetAndDestroy();
};
export const silence: Fault = () => undefined;
/** The store has done it, and the answer never comes. */
export const silenceAfter: Fault = async (forward) => void (await forward());
/** Half of the body, and the end of the connection. */
export const cutOff: Fault = (forward, response) => half(forward, response, () => response.socket?.destroy());
/** Half of the body, then nothing more. */
export const stall: Fault = (forward, response) => half(forward, response, () => undefined);
/** The answer, changed; of no stated length unless a header says it. */
export function rewrite(change: (upstream: Upstream) => Partial<Upstream>): Fault {
  return async (forward, response) => {
    const upstream = await forward();
    const { status, headers, body } = { ...upstream, ...change(upstream) };
    response.writeHead(status, headers).end(body);
  };
}

const none: Fault = rewrite(({ headers, body }) => ({
  headers: { ...headers, "content-length": String(body.length) },
}));

async function half(forward: () => Promise<Upstream>, response: ServerResponse, then: () => void): Promise<void> {
  const { status, headers, body } = await forward();
  response.writeHead(status, { ...headers, "content-length": String(body.length) });
  response.write(body.subarray(0, body.length / 2), then);
}

/** They tell of the connection to the store, not of ours. */
const hopHeaders: ReadonlySet<string> = new Set(["connection", "content-length", "keep-alive", "transfer-encoding"]);

export interface ProxyOptions {
  /** Where the store is, for a request with this Host header. */
  readonly target: (host: string) => string;
  /** Secrets by access key. */
  readonly secrets: Readonly<Record<string, string>>;
}

export class S3Proxy {
  readonly endpoint: string;
  /** What came, as "PUT /bucket/name". */
  readonly requests: string[] = [];
  readonly #server: Server;
  readonly #options: ProxyOptions;
  readonly #faults: { readonly method: string; readonly fault: Fault; readonly met: () => void }[] = [];

  private constructor(server: Server, options: ProxyOptions) {
    this.#server = server;
    this.#options = options;
    this.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => void this.#handle(request, response));
  }

  static async start(options: ProxyOptions): Promise<S3Proxy> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new S3Proxy(server, options);
  }

  /** Lets the next request of this method meet a fault; resolves when it has. */
  next(method: string, fault: Fault): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#faults.push({ method, fault, met: resolve });
    return promise;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray());
    const { method = "", url = "" } = request;
    this.requests.push(`${method} ${url}`);
    const refusal = this.#refusal(request, body);
    if (refusal !== undefined) return void answer(403, refusal)(() => Promise.reject(new Error(refusal)), response);
    const forward = (): Promise<Upstream> => this.#forward(request, body);
    const at = this.#faults.findIndex((one) => one.method === method);
    const [met] = at === -1 ? [] : this.#faults.splice(at, 1);
    try {
      await (met?.fault ?? none)(forward, response);
    } catch {
      response.socket?.destroy();
    }
    met?.met();
  }

  async #forward({ method = "", url = "", headers }: IncomingMessage, body: Buffer): Promise<Upstream> {
    const passed = ["if-match", "if-none-match", "x-amz-date", "content-type", "content-md5"];
    const entries = passed.flatMap((name) =>
      typeof headers[name] === "string" ? [[name, headers[name]] as const] : [],
    );
    const response = await fetch(this.#options.target(headers.host ?? "") + url, {
      method,
      headers: Object.fromEntries(entries),
      ...(method === "GET" ? {} : { body }),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    const kept = Object.fromEntries([...response.headers].filter(([name]) => !hopHeaders.has(name)));
    return { status: response.status, headers: kept, body: bytes };
  }

  /** The word with which S3 refuses a request that is not signed as it must be. */
  #refusal({ method = "", url = "", headers }: IncomingMessage, body: Buffer): string | undefined {
    const pattern =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8}\/[^/]+\/s3\/aws4_request), SignedHeaders=(\S+), Signature=(\w+)$/;
    const [, accessKey = "", scope = "", names = "", signature] = pattern.exec(headers.authorization ?? "") ?? [];
    const secret = this.#options.secrets[accessKey];
    if (secret === undefined) return "InvalidAccessKeyId";
    const mustBeSigned = Object.keys(headers).filter((name) => name === "host" || /^(x-amz-|if-)/.test(name));
    if (!mustBeSigned.every((name) => names.split(";").includes(name))) return "AccessDenied";
    const digest = String(headers["x-amz-content-sha256"]);
    if (digest !== createHash("sha256").update(body).digest("hex")) return "XAmzContentSHA256Mismatch";
    const [path = "", query = ""] = url.split("?");
    const pairs = query.split("&").map((pair) => pair.split("=").map(encoded).join("="));
    const signed = names.split(";").map((name) => `${name}:${String(headers[name])}\n`);
    const where = path.split("/").map(encoded).join("/");
    const canonical = [method, where, pairs.toSorted().join("&"), signed.join(""), names, digest].join("\n");
    const hash = createHash("sha256").update(canonical).digest("hex");
    const toSign = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hash].join("\n");
    const key = scope.split("/").reduce<Buffer>((last, part) => hmac(last, part), Buffer.from(`AWS4${secret}`));
    return hmac(key, toSign).toString("hex") === signature ? undefined : "SignatureDoesNotMatch";
  }
}

/** As S3 reads and writes it again, whichever way it was sent: every byte but letters, digits and `-._~`. */
function encoded(part: string): string {
  const bytes = [...Buffer.from(decodeURIComponent(part))].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[\w.~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  });
  return bytes.join("");
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
