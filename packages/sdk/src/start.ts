/** Runs a host in this process: on a folder, where it is the folder's one host, or as one of many of a cluster. */
import { hostname } from "node:os";
import {
  type AnyAgentDefinition,
  type HostStatus,
  type Observe,
  type Settings,
  startIncarnation,
} from "@dormouse/core";
import { checkName, checkOptions, optionError } from "@dormouse/core/protocol";
import { DormouseError, type Ports } from "@dormouse/core/ports";
import { type Client, makeClient } from "@dormouse/client";
import { openHostFolder } from "@dormouse/local";
import { onAbort } from "./caller-signal.ts";
import { openCluster, placeOf, type Places } from "./drivers.ts";
import { type Lives, runLives } from "./lives.ts";
import { sayProblem } from "./problems.ts";
import { drainOnSignals } from "./signals.ts";

export interface HostOptions extends Places {
  /** The agent types that this host runs. */
  readonly agents: readonly AnyAgentDefinition[];
  /** Default `"default"`. */
  readonly app?: string;
  /** What people know this host by. Default: the machine's name. */
  readonly name?: string;
  /** Partitions of an app that is new, for ever. Default 8 in a folder, 32 in a cluster. */
  readonly partitions?: number;
  /** Ends the host as `drain` does. Default: SIGINT and SIGTERM do, and end the process after it. */
  readonly signal?: AbortSignal;
  /** Plain data; each has a default. `freezeContexts` is off by default where `NODE_ENV` is `production`. */
  readonly settings?: Settings;
  /** Told of everything that happens, synchronously. Default: problems that nobody else is told of go to standard error. */
  readonly observe?: Observe;
}

/** A running host. `await using` drains it at the end of its block. */
export interface Host extends AsyncDisposable {
  /** Sends, asks and reads within this process. */
  readonly client: Client;
  /** The name of this run; one that begins anew, since another host took its agents over, has another. */
  readonly incarnation: string;
  /** Resolves when the host is over; rejects with what ended it, if it was not `drain`. */
  readonly ended: Promise<void>;
  /** How it is now: whether it is ready, and why not. */
  status(): HostStatus;
  /** Hands its agents over, in a folder to the next host, once all that was taken is committed and settled. Loses nothing. */
  drain(): Promise<void>;
}

/**
 * Starts a host: its agents take their messages from now on, and go on where an earlier host stopped, however it ended.
 *
 * @returns When the waiting messages of its agents have been picked up: in a folder of all, in a cluster of those that
 * nobody else owns; `status()` tells what other hosts are still to hand over.
 * @throws DormouseError `conflict` (`folder.in-use`): another host runs on the folder, whose process it names;
 * `invalid` (an option, a definition, a setting, a URL, `app.mismatch`, `host.too-old`, `host.too-new`,
 * `store.not-writable`, what NATS or the store refuses); `unavailable` (`store.full`, `host.gave-up`, `nats.unreachable`);
 * `corrupt`.
 * @example
 * ```ts
 * await using host = await startHost({ agents: [counter] });
 * await host.client.agent(counter, "acme").ask({ type: "add", by: 1 });
 * ```
 * @see DESIGN.md, section 15
 */
export async function startHost(options: HostOptions): Promise<Host> {
  checkHostOptions(options);
  options.signal?.throwIfAborted();
  const { agents, app = "default", name = hostname(), partitions, observe = sayProblem } = options;
  const settings = withEnvironment(options.settings);
  const world = await openWorld(options, app, name);
  try {
    const { ports, partitionsDefault } = world;
    const lives = await runLives({
      begin: () =>
        startIncarnation({
          agents,
          ports,
          app,
          name,
          settings,
          observe,
          partitionsDefault,
          ...(partitions === undefined ? {} : { partitions }),
        }),
      isStranger: async (incarnation) => (await ports.membership.stateOf(incarnation)) === "unknown",
    });
    return runHost(lives, world, options.signal);
  } catch (error) {
    await world.close();
    throw error;
  }
}

interface World {
  readonly ports: Ports;
  readonly partitionsDefault: number;
  readonly close: () => Promise<void>;
}

const partitionsOfFolder = 8;
export const partitionsOfCluster = 32;

async function openWorld(options: HostOptions, app: string, name: string): Promise<World> {
  const place = placeOf(options);
  if (place.kind === "folder") {
    const folder = await openHostFolder(place.path);
    return { ports: folder.ports, partitionsDefault: partitionsOfFolder, close: () => folder.close() };
  }
  if (place.bucket === undefined)
    throw new DormouseError("invalid", "option.invalid", "a host on NATS needs a `store`, such as s3://bucket/prefix");
  checkName("app", app);
  const cluster = await openCluster(place, options, name);
  return { ports: cluster.ports(app), partitionsDefault: partitionsOfCluster, close: () => cluster.close() };
}

function runHost(lives: Lives, world: World, signal: AbortSignal | undefined): Host {
  const client = makeClient({ app: lives.incarnation.app, ports: world.ports });
  const end = async (): Promise<void> => {
    try {
      await lives.ended;
    } finally {
      await client.close();
      await world.close();
    }
  };
  const ended = end();
  // Whoever does not ask how it ended need not handle it.
  ended.catch(() => undefined);
  const drain = async (): Promise<void> => {
    await lives.drain().catch(() => undefined);
    await ended;
  };
  const stopListening = signal === undefined ? drainOnSignals(drain) : onAbort(signal, drain);
  ended.catch(() => undefined).finally(stopListening);
  return {
    client,
    get incarnation() {
      return lives.incarnation.id;
    },
    ended,
    status: () => lives.status(),
    drain,
    [Symbol.asyncDispose]: drain,
  };
}

const optionNames: readonly (keyof HostOptions)[] = [
  "agents",
  "app",
  "name",
  "partitions",
  "mailbox",
  "store",
  "nats",
  "s3",
  "signal",
  "settings",
  "observe",
];

/** Plain JavaScript may give anything; the store, the settings and each definition are checked where they are read. */
function checkHostOptions(options: HostOptions): void {
  checkOptions("startHost", options, optionNames);
  const { agents, observe }: { readonly [name in keyof HostOptions]?: unknown } = options;
  if (!Array.isArray(agents)) throw optionError("agents is a list of definitions, made by agent(...)", agents);
  if (observe !== undefined && typeof observe !== "function") throw optionError("observe is a function", observe);
}

/** Freezing costs time for each change, and what it finds is found while one develops. */
function withEnvironment(settings: Settings = {}): Settings {
  // What is no settings at all is refused where they are read.
  if (typeof settings !== "object" || (settings as unknown) === null || settings.freezeContexts !== undefined)
    return settings;
  return { ...settings, freezeContexts: process.env["NODE_ENV"] !== "production" };
}
