/**
 * Stands between a program and an S3 server: does harm where a test asks for it, and checks signatures, which gofakes3
 * does not.
 *
 * Owns: the listening port, and which request meets which fault.
 * Leaves to others: what a fault does (`s3-faults.ts`), what a signature is (`s3-signature.ts`).
 */
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import { freePorts } from "./ports.ts";
import { pass, s3Faults, type S3Answer, type S3Fault } from "./s3-faults.ts";
import { sha256, signatureOf } from "./s3-signature.ts";

/** One request that came to the proxy. */
export interface S3Request {
  readonly method: string;
  /** Path and query, as sent: `/bucket/name`. */
  readonly url: string;
  /** The Host header. */
  readonly host: string;
  /** All headers, by their names in lower case. */
  readonly headers: Readonly<IncomingMessage["headers"]>;
  readonly body: Buffer;
  /** How many came, with this one. */
  readonly number: number;
}

export interface S3ProxyOptions {
  /** Where the server is: its endpoint, or for each request what stands before the path. */
  readonly target: string | ((request: S3Request) => string);
  /** What a request meets. Default: nothing, it passes. */
  readonly fault?: (request: S3Request) => S3Fault | undefined;
  /** Secrets by access key: requests that are not signed with one are refused, with 403. Default: none is checked. */
  readonly secrets?: Readonly<Record<string, string>>;
}

/** What `s3Proxy` has started. */
export interface S3Proxy extends AsyncDisposable {
  /** `http://127.0.0.1:…` */
  readonly endpoint: string;
  /** What came, oldest first, as `PUT /bucket/name`; to be emptied by whoever counts. */
  readonly requests: string[];
  /** Lets the next request of this method meet a fault, before `fault` is asked; resolves when it has. */
  next(method: string, fault: S3Fault): Promise<void>;
  /** Resets all connections and accepts no more, until `mend`. */
  cut(): Promise<void>;
  /** Accepts connections again, on the same port. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts a proxy before an S3 server, on this machine's loopback. Requests are taken whole, at most 64 MB, and passed on
 * with the headers they came with, so that signatures stay valid.
 *
 * @example
 * ```ts
 * await using s3 = await startS3();
 * await using proxy = await s3Proxy({ target: s3.endpoint });
 * void proxy.next("PUT", s3Faults.answer(503, "SlowDown"));
 * ```
 */
export async function s3Proxy(options: S3ProxyOptions): Promise<S3Proxy> {
  const [port = 0] = await freePorts(1);
  const requests: string[] = [];
  const waiting: { readonly method: string; readonly fault: S3Fault; readonly met: () => void }[] = [];
  let count = 0;

  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await bodyOf(incoming);
    if (body === undefined) return void incoming.destroy();
    const { method = "", url = "" } = incoming;
    count += 1;
    requests.push(`${method} ${url}`);
    const { headers } = incoming;
    const request = { method, url, host: headers.host ?? "", headers, body, number: count };
    const forward = (): Promise<S3Answer> => ask(options.target, request, headers);
    const refused = options.secrets === undefined ? undefined : refusal(incoming, body, options.secrets);
    if (refused !== undefined) return void s3Faults.answer(403, refused)(forward, response);
    const at = waiting.findIndex((one) => one.method === method);
    const [met] = at === -1 ? [] : waiting.splice(at, 1);
    const fault = met?.fault ?? options.fault?.(request) ?? pass;
    try {
      await fault(forward, response);
    } catch {
      response.socket?.destroy(); // the server is not there, or went away: so does the proxy
    }
    met?.met();
  };

  const server = createServer((incoming, response) => {
    handle(incoming, response).catch(() => incoming.destroy()); // the client went away
  });
  const mend = async (): Promise<void> => {
    if (!server.listening) await once(server.listen(port, "127.0.0.1"), "listening");
  };
  const cut = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  };
  await mend();
  const next = (method: string, fault: S3Fault): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push({ method, fault, met: resolve });
    return promise;
  };
  return { endpoint: `http://127.0.0.1:${port}`, requests, next, cut, mend, close: cut, [Symbol.asyncDispose]: cut };
}

const bodyBytesMax = 64 * 1024 * 1024;
/** They tell of one connection, not of the message. */
const hopHeaders: ReadonlySet<string> = new Set(["connection", "keep-alive", "transfer-encoding"]);

async function bodyOf(message: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function ask(
  target: S3ProxyOptions["target"],
  request: S3Request,
  headers: IncomingMessage["headers"],
): Promise<S3Answer> {
  const { method, url, body } = request;
  const where = (typeof target === "string" ? target : target(request)) + url;
  const start = where.startsWith("https:") ? httpsRequest : httpRequest;
  const outgoing = start(where, { method, headers: withoutHops(headers), agent: false });
  outgoing.end(body);
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  const answered = await bodyOf(answer);
  if (answered === undefined) throw new Error("the answer is too large");
  return { status: answer.statusCode ?? 502, headers: withoutHops(answer.headers), body: answered };
}

function withoutHops(headers: IncomingMessage["headers"]): Record<string, string | string[]> {
  const kept = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined || hopHeaders.has(name) ? [] : [[name, value] as const],
  );
  return Object.fromEntries(kept);
}

const authorization =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8}\/[^/]+\/s3\/aws4_request), SignedHeaders=(\S+), Signature=(\w+)$/;

/** The word with which S3 refuses a request that is not signed as it must be. */
function refusal(
  { method = "", url = "", headers }: IncomingMessage,
  body: Buffer,
  secrets: Readonly<Record<string, string>>,
): string | undefined {
  const [, accessKey = "", scope = "", names = "", signature] = authorization.exec(headers.authorization ?? "") ?? [];
  const secret = secrets[accessKey];
  if (secret === undefined) return "InvalidAccessKeyId";
  const mustBeSigned = Object.keys(headers).filter((name) => name === "host" || /^(x-amz-|if-)/.test(name));
  if (!mustBeSigned.every((name) => names.split(";").includes(name))) return "AccessDenied";
  const digest = String(headers["x-amz-content-sha256"]);
  if (digest !== sha256(body)) return "XAmzContentSHA256Mismatch";
  const expected = signatureOf({ method, url, headers, names, digest, scope }, secret);
  return expected === signature ? undefined : "SignatureDoesNotMatch";
}
