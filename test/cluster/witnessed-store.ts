/**
 * The store as the checker of owners sees it: everything that is stored and deleted, by whom, in the store's own order.
 *
 * Owns: a proxy for each host before the one S3 server, and what they saw.
 * Leaves to others: whether it may be so (the simulator's checker of D5, which shares no code with the runtime).
 *
 * O1  Writings to one journal, and to one partition object, pass one at a time: so the order seen is the store's.
 * O2  A writing whose answer is lost is looked up before the next of its journal or object passes; until then the store
 *     is not there for these.
 *
 * Not verified here: heads and parts of agents (their agents' books are).
 */
import { s3Proxy, type S3Proxy, type S3Request, type S3Server } from "@dormouse/testing/servers";
import { OwnersChecker } from "../../packages/testing/src/checkers/d5-owners.ts";

/** What passes one at a time. */
interface Lane {
  last: Promise<void>;
  /** A writing of unknown outcome. */
  unclear: { readonly party: string; readonly request: S3Request } | undefined;
}

export class WitnessedStore {
  readonly #server: S3Server;
  /** What stands before names, in a path. */
  readonly #root: string;
  readonly #checker = new OwnersChecker();
  readonly #lanes = new Map<string, Lane>();
  readonly #proxies: S3Proxy[] = [];
  stored = 0;

  /** @param root - `prefix/app/`, as it stands before every name. */
  constructor(server: S3Server, root: string) {
    this.#server = server;
    this.#root = `/${server.bucket}/${root}`;
  }

  /** An endpoint of its own for a host. */
  async endpointFor(party: string): Promise<string> {
    const proxy = await s3Proxy({
      target: this.#server.endpoint,
      fault: (request) => {
        const name = this.#nameOf(request);
        if (request.method === "POST" && request.url.includes("?delete")) {
          return async (forward, response) => {
            const answer = await forward();
            if (answer.status === 200) for (const key of keysOf(request.body)) this.#deleted(party, key);
            response.writeHead(answer.status, answer.headers).end(answer.body);
          };
        }
        const lane = request.method === "PUT" && name !== undefined ? laneOf(name) : undefined;
        if (name === undefined || lane === undefined) return undefined;
        return async (forward, response) => {
          const answer = await this.#alone(lane, async (state) => {
            await this.#lookUp(state);
            state.unclear = { party, request };
            const given = await forward();
            if (given.status < 500) state.unclear = undefined;
            if (given.status === 200) this.#stored(party, name, request);
            return given;
          });
          response.writeHead(answer.status, answer.headers).end(answer.body);
        };
      },
    });
    this.#proxies.push(proxy);
    return proxy.endpoint;
  }

  /** What was broken. */
  violations(): readonly string[] {
    return this.#checker.finish().map(({ invariant, message }) => `${invariant}: ${message}`);
  }

  /** Resets all connections and accepts no more, until `mend`. */
  async cut(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.cut()));
  }

  async mend(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.mend()));
  }

  async close(): Promise<void> {
    await this.cut();
  }

  /** O1 */
  async #alone<T>(name: string, work: (lane: Lane) => Promise<T>): Promise<T> {
    const lane = this.#lanes.get(name) ?? { last: Promise.resolve(), unclear: undefined };
    this.#lanes.set(name, lane);
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = lane.last;
    lane.last = promise;
    await before;
    try {
      return await work(lane);
    } finally {
      resolve();
    }
  }

  /** O2 */
  async #lookUp(lane: Lane): Promise<void> {
    if (lane.unclear === undefined) return;
    const { party, request } = lane.unclear;
    // gofakes3 checks no signature.
    const response = await fetch(this.#server.endpoint + request.url);
    const bytes = Buffer.from(await response.arrayBuffer());
    if (response.status !== 200 && response.status !== 404) throw new Error(`the store says ${response.status}`);
    lane.unclear = undefined;
    if (response.status === 200 && bytes.equals(request.body)) {
      this.#stored(party, this.#nameOf(request) ?? "", request);
    }
  }

  #stored(party: string, name: string, { headers, body }: S3Request): void {
    this.stored += 1;
    const isAbsent = headers["if-none-match"] === "*";
    const condition = isAbsent ? "absent" : headers["if-match"] === undefined ? "any" : "match";
    this.#checker.observe({ type: "stored", atMs: Date.now(), party, name, bytes: body, condition });
  }

  #deleted(party: string, key: string): void {
    const path = `/${this.#server.bucket}/${key}`;
    if (!path.startsWith(this.#root)) return;
    this.#checker.observe({ type: "deleted", atMs: Date.now(), party, name: path.slice(this.#root.length) });
  }

  #nameOf({ url }: S3Request): string | undefined {
    const [path = ""] = decodeURIComponent(url).split("?");
    return path.startsWith(this.#root) ? path.slice(this.#root.length) : undefined;
  }
}

/** What this name's writings pass with; those of agents and the like pass freely. */
function laneOf(name: string): string | undefined {
  const [room, middle, last] = name.split("/");
  if (room === "journal" || room === "probe") return `${room}/${middle}`;
  return room === "partitions" && last === undefined ? name : undefined;
}

function keysOf(body: Buffer): string[] {
  return [...body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = ""]) => key);
}
