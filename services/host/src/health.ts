/**
 * Whether the host is well, over HTTP: `/live`, `/ready`, `/metrics`; GET and HEAD alone.
 *
 * Owns: the server, and its bounds: whoever connects costs little, and is let go soon.
 * Leaves to others: what is true (the host) and measured (`metrics.ts`). There is no authentication: the address that
 * it listens on decides who may ask.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type HostStatus, DormouseError } from "@dormouse/sdk";
import type { Listen } from "./config.ts";

export interface HealthOptions {
  readonly listen: Listen;
  readonly status: () => HostStatus;
  readonly metrics: () => Promise<string>;
}

export interface Health extends AsyncDisposable {
  /** Where it listens, also where any free port was asked for. */
  readonly url: string;
}

interface Answer {
  readonly code: number;
  readonly type: string;
  readonly text: string;
}

const headerBytesMax = 8_192;
const requestMsMax = 5_000;
const idleMsMax = 10_000;
const connectionsMax = 64;

/** @throws DormouseError `conflict` (`health.in-use`), `invalid` (`health.listen`): the address cannot be listened on. */
export async function serveHealth(options: HealthOptions): Promise<Health> {
  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      headersTimeout: requestMsMax,
      requestTimeout: requestMsMax,
      keepAliveTimeout: idleMsMax,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      // What cannot be told ends the request, and not the host.
      respond(options, request, response).catch(() => response.destroy());
    },
  );
  server.maxConnections = connectionsMax;
  await listen(server, options.listen);
  // A connection that cannot be accepted, for lack of file handles, is nobody's end.
  server.on("error", () => undefined);
  const { address, family, port } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: Server, { address, port }: Listen): Promise<void> {
  server.listen({ host: address, port });
  try {
    await once(server, "listening");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
    const where = `address=${address} port=${port}`;
    if (code === "EADDRINUSE") {
      const message = `another process listens there; end it, or set DORMOUSE_HEALTH_LISTEN to another port: ${where}`;
      throw new DormouseError("conflict", "health.in-use", message, { cause });
    }
    const message = `one cannot listen there (${code}); set DORMOUSE_HEALTH_LISTEN to an address of this machine: ${where}`;
    throw new DormouseError("invalid", "health.listen", message, { cause });
  }
}

async function respond(options: HealthOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // A body is nobody's here: it is not read, and the connection ends with the answer.
  if (request.headers["content-length"] !== undefined || request.headers["transfer-encoding"] !== undefined) {
    response.setHeader("connection", "close");
  }
  const { code, type, text } = await answerOf(options, request).catch(() =>
    json(500, { error: "it cannot be told now" }),
  );
  response.writeHead(code, {
    "content-type": type,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    ...(code === 405 ? { allow: "GET, HEAD" } : {}),
  });
  response.end(request.method === "HEAD" ? undefined : text);
}

async function answerOf({ status, metrics }: HealthOptions, { method, url = "" }: IncomingMessage): Promise<Answer> {
  if (method !== "GET" && method !== "HEAD") return json(405, { error: "GET and HEAD alone" });
  const [path = ""] = url.split("?", 1);
  switch (path) {
    case "/live":
      // That it answers is the answer: a host that ended takes its process with it.
      return json(200, { state: status().state });
    case "/ready": {
      const now = status();
      return json(now.isReady ? 200 : 503, now);
    }
    case "/metrics":
      return { code: 200, type: "text/plain; version=0.0.4; charset=utf-8", text: await metrics() };
    default:
      return json(404, { error: "there are /live, /ready and /metrics" });
  }
}

function json(code: number, data: object): Answer {
  return { code, type: "application/json", text: `${JSON.stringify(data)}\n` };
}
