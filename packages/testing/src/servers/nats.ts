/**
 * NATS servers for tests: one, or a cluster of three, with JetStream, that can be killed and started again.
 *
 * Owns: their configuration, their ports, and when they count as ready.
 * Leaves to others: where the program is (`find.ts`), how it runs (`guarded-process.ts`, `containers.ts`).
 */
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { DormouseError } from "@dormouse/core";
import { ContainerNetwork } from "./containers.ts";
import { findNats, type Found } from "./find.ts";
import { GuardedProcess } from "./guarded-process.ts";
import { freePorts } from "./ports.ts";
import { until } from "./ready.ts";
import type { Runner } from "./runner.ts";

export interface NatsOptions {
  /** A single server, or a cluster of three. Default: 1. */
  readonly servers?: 1 | 3;
  /**
   * More configuration, in the language of nats-server, such as `max_payload: 1MB`. Names, ports, the store and the
   * cluster are set already. Default: nothing.
   */
  readonly config?: string;
  /**
   * Whether the servers of a cluster tell clients of each other, so that a client of one goes on with another; not for
   * proxies, which such a client leaves behind. Default: false.
   */
  readonly advertise?: boolean;
  /** What to start. Default: what `findNats` finds. */
  readonly found?: Found;
}

/** One server of `startNats`. */
export interface NatsServer {
  /** As NATS calls it, `n1`, `n2`, `n3`; `undefined` of one that ran before. */
  readonly name: string | undefined;
  /** `nats://127.0.0.1:…`, the same after a restart. */
  readonly url: string;
  /** `undefined` while it does not run, and for a server that ran before. */
  readonly pid: number | undefined;
  /**
   * Ends the server; what it had stored is kept. Resolves when it has ended. Default: SIGKILL.
   *
   * @throws DormouseError `invalid` (`servers.not-ours`): it was not started here.
   */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /**
   * Starts it again. Resolves when JetStream answers, here and on all that run, or, while most of a cluster is down, when
   * it accepts clients. Streams of a cluster may still be electing their leaders then, and answer a little later.
   *
   * @throws DormouseError `unavailable` (`servers.not-started`); `invalid` (`servers.not-ours`).
   */
  start(): Promise<void>;
}

/** What `startNats` has started. */
export interface Nats extends AsyncDisposable {
  readonly urls: readonly string[];
  readonly servers: readonly NatsServer[];
  /** Ends the servers and removes what they stored. */
  close(): Promise<void>;
}

interface Member {
  readonly name: string;
  readonly clientPort: number;
  readonly monitorPort: number;
  readonly runner: Runner;
}

const readyMsMax = 30_000;
/** Connections between two servers, beside one of the system's own: the server's default, said since it is counted. */
const routesPooled = 3;

/**
 * Starts NATS with JetStream on this machine's loopback; resolves when JetStream answers, in a cluster when all three
 * have found each other and have a leader. The servers end with this process at the latest, however it ends.
 *
 * @throws DormouseError `unavailable` (`servers.missing`): nothing to start was found, the message says how to get it;
 * (`servers.not-started`): it ended or was not ready within 30 s, the message has the last of what it printed. `invalid`
 * (`servers.not-ours`): a running server was found, and the test wants a cluster or its own configuration.
 * @example
 * ```ts
 * await using nats = await startNats({ servers: 3 });
 * await nats.servers[0]?.kill();
 * await nats.servers[0]?.start(); // the same port, and what it had stored
 * ```
 */
export async function startNats(options: NatsOptions = {}): Promise<Nats> {
  const found = options.found ?? (await findNats());
  switch (found.by) {
    case "url":
      return running(found.url.split(","), options);
    case "binary":
      return started(await asProcesses(found.path, options));
    case "container":
      return started(await asContainers(found.image, options));
    case "nothing":
      throw new DormouseError("unavailable", "servers.missing", found.why);
  }
}

/** Those that somebody else started: used as they are. */
function running(urls: readonly string[], { servers = 1, config }: NatsOptions): Nats {
  if (urls.length < servers || config !== undefined) throw notOurs("it is used as it is, and cannot be configured");
  const refuse = (): Promise<never> => Promise.reject(notOurs("it cannot be killed or started"));
  const all = urls.map((url) => ({ name: undefined, url, pid: undefined, kill: refuse, start: refuse }));
  return { urls, servers: all, close: nothing, [Symbol.asyncDispose]: nothing };
}

function nothing(): Promise<void> {
  return Promise.resolve();
}

function notOurs(why: string): DormouseError {
  return new DormouseError(
    "invalid",
    "servers.not-ours",
    `the NATS server was not started by the test: ${why}; unset DORMOUSE_TEST_NATS, or name a program in it`,
  );
}

interface Cluster {
  readonly members: readonly Member[];
  /** After the members have ended. */
  readonly close: () => Promise<void>;
}

async function asProcesses(program: string, options: NatsOptions): Promise<Cluster> {
  const { servers = 1 } = options;
  const names = namesOf(servers);
  const ports = await freePorts(3 * servers);
  const routes = ports.slice(2 * servers).map((port) => `nats://127.0.0.1:${port}`);
  const members: Member[] = [];
  for (const [index, name] of names.entries()) {
    const [clientPort = 0, monitorPort = 0, routePort = 0] = [0, 1, 2].map((row) => ports[row * servers + index]);
    const runner = await GuardedProcess.prepare({
      program,
      args: (folder) => ["--config", join(folder, "server.conf")],
    });
    const own = { name, host: "127.0.0.1", clientPort, monitorPort, routePort, routes, store: runner.folder };
    await writeFile(join(runner.folder, "server.conf"), configuration(own, options));
    members.push({ name, clientPort, monitorPort, runner });
  }
  return { members, close: nothing };
}

async function asContainers(image: string, options: NatsOptions): Promise<Cluster> {
  const { servers = 1 } = options;
  const names = namesOf(servers);
  const ports = await freePorts(2 * servers);
  const network = await ContainerNetwork.open();
  const routes = names.map((name) => `nats://${name}:6222`);
  const members = names.map((name, index): Member => {
    const [clientPort = 0, monitorPort = 0] = [ports[index], ports[servers + index]];
    const inside = { clientPort: 4222, monitorPort: 8222, routePort: 6222 };
    const text = configuration({ name, host: "0.0.0.0", ...inside, routes, store: "/tmp/jetstream" }, options);
    const runner = network.container(image, {
      name,
      command: ["--config", "/tmp/server.conf"],
      files: { "/tmp/server.conf": text },
      ports: new Map([
        [4222, clientPort],
        [8222, monitorPort],
      ]),
    });
    return { name, clientPort, monitorPort, runner };
  });
  return { members, close: () => network.close() };
}

function namesOf(servers: number): string[] {
  return Array.from({ length: servers }, (_, index) => `n${index + 1}`);
}

interface Place {
  readonly name: string;
  readonly host: string;
  readonly clientPort: number;
  readonly monitorPort: number;
  readonly routePort: number;
  readonly routes: readonly string[];
  readonly store: string;
}

/** JSON's strings and lists are those of the server's own language. */
function configuration(place: Place, { config = "", advertise = false }: NatsOptions): string {
  const { name, host, clientPort, monitorPort, routePort, routes, store } = place;
  const cluster = `cluster { name: test, listen: "${host}:${routePort}", no_advertise: ${!advertise}, pool_size: ${routesPooled}, routes: ${JSON.stringify(routes)} }`;
  return [
    `server_name: ${name}`,
    `listen: "${host}:${clientPort}"`,
    `http: "${host}:${monitorPort}"`,
    `jetstream { store_dir: ${JSON.stringify(store)} }`,
    routes.length > 1 ? cluster : "",
    config,
    "",
  ].join("\n");
}

async function started({ members, close }: Cluster): Promise<Nats> {
  const closeAll = async (): Promise<void> => {
    await Promise.all(members.map(({ runner }) => runner.close()));
    await close();
  };
  try {
    await Promise.all(members.map(({ runner }) => runner.start()));
    await allReady(members);
    if (members.length > 1) await Promise.all(members.map((member) => ready(member, () => isMet(members))));
  } catch (error) {
    await closeAll();
    throw error;
  }
  const servers = members.map((member) => serverOf(member, members));
  return { urls: servers.map(({ url }) => url), servers, close: closeAll, [Symbol.asyncDispose]: closeAll };
}

function serverOf(member: Member, members: readonly Member[]): NatsServer {
  const { name, runner, clientPort } = member;
  return {
    name,
    url: `nats://127.0.0.1:${clientPort}`,
    get pid() {
      return runner.pid;
    },
    kill: (signal = "SIGKILL") => runner.kill(signal),
    start: async () => {
      await runner.start();
      const up = members.filter((one) => one.runner.isRunning);
      if (up.length * 2 <= members.length) return ready(member, () => isListening(member));
      // Those that came before there was a leader as well: they would still let a request fall.
      await allReady(up);
    },
  };
}

async function allReady(members: readonly Member[]): Promise<void> {
  const isReady = async (member: Member): Promise<boolean> =>
    (await isHealthy(member)) && (await isRouted(member, members));
  await Promise.all(members.map((member) => ready(member, () => isReady(member))));
}

function ready({ name, runner }: Member, isReady: () => Promise<boolean>): Promise<void> {
  return until(isReady, { what: `the NATS server ${name}`, runner, msMax: readyMsMax });
}

/** JetStream is on and has read its store again; in a cluster it has a leader and is level with it. */
async function isHealthy({ monitorPort }: Member): Promise<boolean> {
  return (await fetch(`http://127.0.0.1:${monitorPort}/healthz`)).ok;
}

/** All its connections to the others are there: over one that is missing, answers would be lost. */
async function isRouted(member: Member, members: readonly Member[]): Promise<boolean> {
  const { routes = [] } = (await monitored(member, "routez")) as {
    readonly routes?: readonly { readonly remote_name?: string }[];
  };
  const others = members.filter((one) => one !== member);
  return others.every(({ name }) => routes.filter((route) => route.remote_name === name).length > routesPooled);
}

/** The leader knows of all, so that a stream finds as many places as it wants. */
async function isMet(members: readonly Member[]): Promise<boolean> {
  const seen = await Promise.all(
    members.map(async (member) => {
      const { meta_cluster: meta } = (await monitored(member, "jsz")) as {
        readonly meta_cluster?: {
          readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[];
        };
      };
      return (meta?.replicas ?? []).filter(({ current, offline }) => current && offline !== true).length;
    }),
  );
  return seen.includes(members.length - 1);
}

async function monitored({ monitorPort }: Member, page: string): Promise<unknown> {
  return (await fetch(`http://127.0.0.1:${monitorPort}/${page}`)).json();
}

async function isListening({ clientPort }: Member): Promise<boolean> {
  const socket = connect(clientPort, "127.0.0.1");
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  socket.once("data", () => resolve(true)).once("error", reject);
  return promise.finally(() => socket.destroy());
}
