/** What can happen to one request on its way to an S3 server and back. */
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** What the server answered. */
export interface S3Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
}

/** What happens to one request: `forward` takes it to the server; `response` is how the client hears of it, if at all. */
export type S3Fault = (forward: () => Promise<S3Answer>, response: ServerResponse) => Promise<void> | void;

/**
 * What `s3Proxy` can do to a request.
 *
 * @example
 * ```ts
 * await using s3 = await startS3();
 * await using proxy = await s3Proxy({
 *   target: s3.endpoint, // stores the first request, if it is a PUT; nobody hears of it
 *   fault: ({ method, number }) => (method === "PUT" && number === 1 ? s3Faults.resetAfter : undefined),
 * });
 * ```
 */
export const s3Faults: {
  /** Answers without asking the server, such as `answer(503, "SlowDown")`, 500 `InternalError`, 409, 412. */
  readonly answer: (status: number, code: string, headers?: Readonly<Record<string, string>>) => S3Fault;
  /** The server gets it after so many milliseconds, then all goes well, or as `then` has it. */
  readonly delay: (ms: number, then?: S3Fault) => S3Fault;
  /** The connection is reset; the server never hears of it. */
  readonly resetBefore: S3Fault;
  /** The server has done it; the connection is reset. */
  readonly resetAfter: S3Fault;
  /** The server never hears of it, and no answer comes. */
  readonly silence: S3Fault;
  /** The server has done it, and no answer comes. */
  readonly silenceAfter: S3Fault;
  /** Half of the answer's body, and the end of the connection. */
  readonly cutOff: S3Fault;
  /** Half of the answer's body, then nothing more. */
  readonly stall: S3Fault;
  /** The answer, changed; of no stated length unless a header says it. */
  readonly rewrite: (change: (answer: S3Answer) => Partial<S3Answer>) => S3Fault;
} = {
  answer:
    (status, code, headers = {}) =>
    (_forward, response) =>
      void response.writeHead(status, headers).end(`<Error><Code>${code}</Code></Error>`),
  delay:
    (ms, then = pass) =>
    async (forward, response) => {
      await sleep(ms);
      await then(forward, response);
    },
  resetBefore: (_forward, response) => void response.socket?.resetAndDestroy(),
  resetAfter: async (forward, response) => {
    await forward();
    response.socket?.resetAndDestroy();
  },
  silence: () => undefined,
  silenceAfter: async (forward) => void (await forward()),
  cutOff: (forward, response) => half(forward, response, () => response.socket?.destroy()),
  stall: (forward, response) => half(forward, response, () => undefined),
  rewrite: (change) => async (forward, response) => {
    const answer = await forward();
    const { "content-length": _, ...headers } = answer.headers;
    const changed = { ...answer, headers, ...change({ ...answer, headers }) };
    response.writeHead(changed.status, changed.headers).end(changed.body);
  },
};

/** No fault. */
export const pass: S3Fault = async (forward, response) => {
  const { status, headers, body } = await forward();
  response.writeHead(status, headers).end(body);
};

async function half(forward: () => Promise<S3Answer>, response: ServerResponse, then: () => void): Promise<void> {
  const { status, headers, body } = await forward();
  response.writeHead(status, { ...headers, "content-length": String(body.length) });
  response.write(body.subarray(0, body.length / 2), then);
}
