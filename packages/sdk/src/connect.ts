/** A client in another process than the host's. */
import { hostname } from "node:os";
import { type Client, makeClient } from "@dormouse/client";
import { DormouseError } from "@dormouse/core";
import {
  type App,
  checkName,
  checkOptions,
  decodeFacts,
  formatFor,
  formatOldest,
  type Writing,
} from "@dormouse/core/protocol";
import type { Membership } from "@dormouse/core/ports";
import { connectFolder, hostNotRunning, openFolder, realClock, realEntropy } from "@dormouse/local";
import { onAbort } from "./caller-signal.ts";
import { openClusterAsClient, type Place, placeOf, type Places } from "./drivers.ts";
import { appIn, appOfCluster, appsOf } from "./known-app.ts";

export interface ConnectOptions extends Places {
  /** Default `"default"`. */
  readonly app?: string;
  /** What people know this client by. Default: the machine's name. */
  readonly name?: string;
  /** Ends the connecting, with its reason, and then closes the client. */
  readonly signal?: AbortSignal;
}

/** A client, and whether a host runs that could answer. */
export interface ConnectedClient extends Client {
  /** Now; without a host, sends are kept in the mailbox until one starts; in a folder asks are refused, else they wait. */
  readonly isHostRunning: boolean;
}

/**
 * Connects to agents from another process than their host's, whether one runs now or not; stays connected over every
 * restart. On a cluster a client needs no store where a host runs that tells it of the app.
 *
 * @throws DormouseError `unavailable` (`folder.missing`: no host ever ran there; `app.no-host`; what NATS and the store
 * answer); `invalid` (`app.mismatch`, `store.url`, `mailbox.url`, `option.invalid`).
 * @example
 * ```ts
 * await using client = await connect({ store: "file:./.dormouse" });
 * await client.agent("counter", "acme").send({ type: "add", by: 1 });
 * ```
 * @see DESIGN.md, section 15
 */
export async function connect(options: ConnectOptions = {}): Promise<ConnectedClient> {
  checkOptions("connect", options, ["mailbox", "store", "nats", "s3", "app", "name", "signal"]);
  options.signal?.throwIfAborted();
  const name = options.app ?? "default";
  checkName("app", name);
  const place = placeOf(options);
  const { signal } = options;
  let letGo: (() => void) | undefined;
  const closed = (): void => letGo?.();
  const client =
    place.kind === "folder"
      ? await connectToFolder(place.path, name, closed)
      : await connectToCluster(place, options, name, closed);
  if (signal?.aborted === true) await client.close();
  signal?.throwIfAborted();
  letGo = onAbort(signal, () => client.close());
  return client;
}

async function connectToFolder(path: string, name: string, closed: () => void): Promise<ConnectedClient> {
  const app = await appOfFolder(path, name);
  const folder = await connectFolder(path);
  const client = makeClient({
    app,
    ports: { mailbox: folder.mailbox, channel: folder.channel, clock: realClock, entropy: realEntropy },
    checkHost: () => {
      if (!folder.isHostRunning) throw hostNotRunning(folder.path);
    },
    closed: async () => {
      closed();
      await folder.close();
    },
  });
  return withHost(client, () => folder.isHostRunning);
}

async function appOfFolder(path: string, name: string): Promise<App> {
  const folder = await openFolder(path, { clock: realClock, entropy: realEntropy, create: false });
  try {
    const app = await appIn(folder.store);
    if (app?.name === name) return app;
    throw new DormouseError(
      "invalid",
      "app.mismatch",
      app === undefined
        ? `no host ever ran on this folder; start one first: folder=${path}`
        : `this folder holds another app; name that one: wanted=${name} found=${app.name} folder=${path}`,
    );
  } finally {
    await folder.close();
  }
}

async function connectToCluster(
  place: Extract<Place, { kind: "cluster" }>,
  options: ConnectOptions,
  name: string,
  closed: () => void,
): Promise<ConnectedClient> {
  const cluster = await openClusterAsClient(place, options, options.name ?? hostname());
  try {
    const ports = cluster.clientPorts(name);
    const app = await appOfCluster(cluster, ports.membership, name);
    const hosts = new HostsSeen(ports.membership, app);
    await hosts.look();
    const client = makeClient({
      app,
      ports,
      checkApp: () => hosts.check(),
      formats: hosts,
      closed: async () => {
        closed();
        hosts.close();
        await cluster.close();
      },
    });
    return withHost(client, () => hosts.count > 0);
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

/**
 * The hosts of an app as a client sees them; it is refused when they come to be of another app under the same name, or read
 * nothing that it writes.
 */
class HostsSeen implements Writing {
  count = 0;
  writes: number = formatOldest;
  readonly #membership: Membership;
  readonly #app: App;
  readonly #stop: () => void;
  #problem: DormouseError | undefined;

  constructor(membership: Membership, app: App) {
    this.#membership = membership;
    this.#app = app;
    this.#stop = membership.watch(() => void this.look().catch(() => undefined));
  }

  async look(): Promise<void> {
    const facts = (await this.#membership.alive()).map((member) => decodeFacts(member.facts));
    const told = appsOf(facts);
    this.count = told.length;
    // One number of partitions and another put the same agent in two places.
    const { birth, partitions } = this.#app;
    const other = told.find((one) => one.birth !== birth || one.partitions !== partitions);
    const format = formatFor(facts);
    this.writes = format ?? formatOldest;
    if (other !== undefined) this.#problem = otherApp(this.#app, other);
    else this.#problem = format === undefined ? tooNew(this.#app) : undefined;
  }

  /** @throws DormouseError `invalid` (`app.mismatch`, `client.too-new`). */
  check(): void {
    if (this.#problem !== undefined) throw this.#problem;
  }

  close(): void {
    this.#stop();
  }
}

function otherApp(app: App, other: App): DormouseError {
  return new DormouseError(
    "invalid",
    "app.mismatch",
    `the app that hosts run is not the one that this client knows: it was made again, or client and hosts name different ` +
      `stores; connect again: app=${app.name} partitions=${app.partitions} birth=${app.birth} ` +
      `hosts' partitions=${other.partitions} birth=${other.birth}`,
  );
}

function tooNew({ name }: App): DormouseError {
  const text = "a host of the app cannot read what this client writes; upgrade all hosts, or use the release before";
  return new DormouseError("invalid", "client.too-new", `${text}: app=${name} writes=${formatOldest}`);
}

function withHost(client: Client, isHostRunning: () => boolean): ConnectedClient {
  return Object.defineProperty(client, "isHostRunning", { get: isHostRunning }) as ConnectedClient;
}
