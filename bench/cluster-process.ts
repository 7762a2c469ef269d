/**
 * A cluster as `cluster.ts` measures it: a NATS server, an S3 server, hosts in processes of their own, and a client in
 * this one.
 *
 * Owns: the servers and the host processes, which end with `close`.
 * Leaves to others: what a host is (`cluster-host.ts`), what is measured (`cluster.ts` and what it calls).
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type ConnectedClient, connect, type Settings } from "@dormouse/sdk";
import { type Nats, type S3Server, startNats, startS3 } from "@dormouse/testing/servers";
import type { HostCounts, HostPlan, HostSaid } from "./cluster-host.ts";

/** Processor time used so far, in microseconds, and what the hosts did. */
export interface ClusterUsage {
  readonly client: number;
  readonly nats: number;
  readonly s3: number;
  readonly hosts: number;
  readonly steps: number;
  readonly records: number;
}

/** As hosts run where `NODE_ENV` is `production`. */
const settingsDefault: Settings = { freezeContexts: false };
const lookMs = 20;

export class ClusterHost {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts one; resolves when it has said that it is up. */
  static async start(plan: HostPlan): Promise<ClusterHost> {
    const child = fork(join(import.meta.dirname, "cluster-host.ts"), [JSON.stringify(plan)], {
      execArgv: ["--conditions=@dormouse/source"],
    });
    const host = new ClusterHost(child);
    await host.#hears("up");
    return host;
  }

  async counts(): Promise<HostCounts> {
    this.#child.send("counts");
    return (await this.#hears("counts")).counts;
  }

  async drain(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.send("drain");
    await ended;
  }

  /** SIGKILL; when it was sent, by the machine's clock in milliseconds. */
  kill(): number {
    const at = performance.timeOrigin + performance.now();
    this.#child.kill("SIGKILL");
    return at;
  }

  async #hears<K extends HostSaid["kind"]>(kind: K): Promise<Extract<HostSaid, { kind: K }>> {
    const heard = Promise.withResolvers<HostSaid>();
    const ended = (code: number | null): void => heard.reject(new Error(`a host ended: code=${code}`));
    this.#child.once("message", heard.resolve).once("exit", ended);
    const said = await heard.promise;
    this.#child.off("exit", ended);
    if (said.kind !== kind) throw new Error(`a host said something else: wanted=${kind} said=${said.kind}`);
    return said as Extract<HostSaid, { kind: K }>;
  }
}

export class BenchCluster {
  readonly client: ConnectedClient;
  /** Those that were started and not ended by `drop`. */
  readonly hosts: ClusterHost[];
  readonly #nats: Nats;
  readonly #s3: S3Server;
  #started = 1;

  private constructor(nats: Nats, s3: S3Server, first: ClusterHost, client: ConnectedClient) {
    this.#nats = nats;
    this.#s3 = s3;
    this.hosts = [first];
    this.client = client;
  }

  /** With one host and a client. */
  static async open(settings: Settings = {}): Promise<BenchCluster> {
    const nats = await startNats();
    const s3 = await startS3({ storage: "memory" });
    const first = await ClusterHost.start(planOf(nats, s3, "host-1", settings));
    return new BenchCluster(nats, s3, first, await connect({ mailbox: nats.urls.join(","), name: "client" }));
  }

  /** Starts one more; resolves when each has its share. */
  async addHost(settings: Settings = {}): Promise<ClusterHost> {
    this.#started += 1;
    const host = await ClusterHost.start(planOf(this.#nats, this.#s3, `host-${this.#started}`, settings));
    this.hosts.push(host);
    await this.until((counts) => counts.every(({ isReady, partitionsOwned }) => isReady && partitionsOwned > 0));
    return host;
  }

  /** It ended, or will. */
  drop(host: ClusterHost): void {
    this.hosts.splice(this.hosts.indexOf(host), 1);
  }

  /** Looks until this holds for the counts of all hosts. */
  async until(holds: (counts: readonly HostCounts[]) => boolean): Promise<void> {
    while (!holds(await this.counts())) await pause(lookMs);
  }

  counts(): Promise<HostCounts[]> {
    return Promise.all(this.hosts.map((host) => host.counts()));
  }

  async usage(): Promise<ClusterUsage> {
    const counts = await this.counts();
    const { user, system } = process.cpuUsage();
    const sum = (of: (one: HostCounts) => number): number => counts.reduce((total, one) => total + of(one), 0);
    return {
      client: user + system,
      nats: cpuMicrosOf(this.#nats.servers[0]?.pid),
      s3: cpuMicrosOf(this.#s3.pid),
      hosts: sum(({ cpuMicros }) => cpuMicros),
      steps: sum(({ steps }) => steps),
      records: sum(({ records }) => records),
    };
  }

  async close(): Promise<void> {
    await this.client.close();
    await Promise.all(this.hosts.map((host) => host.drain()));
    await Promise.all([this.#nats.close(), this.#s3.close()]);
  }
}

/** Runs `measure` on a cluster of one host that goes afterwards. */
export async function inCluster<T>(measure: (cluster: BenchCluster) => Promise<T>, settings?: Settings): Promise<T> {
  const cluster = await BenchCluster.open(settings);
  try {
    return await measure(cluster);
  } finally {
    await cluster.close();
  }
}

function planOf(nats: Nats, s3: S3Server, name: string, settings: Settings): HostPlan {
  const { endpoint, bucket, region, accessKeyId, secretAccessKey } = s3;
  return {
    name,
    natsUrls: nats.urls,
    s3: { endpoint, bucket, region, accessKeyId, secretAccessKey },
    settings: { ...settingsDefault, ...settings },
  };
}

/** What Linux tells of another process, in its ticks of ten milliseconds; not a number for one that is not ours. */
function cpuMicrosOf(pid: number | undefined): number {
  if (pid === undefined) return Number.NaN;
  // After the name, which may hold anything: state is the first of the rest, user and system time the 12th and 13th.
  const [, rest = ""] = readFileSync(`/proc/${pid}/stat`, "latin1").split(/\) (?=[A-Z] )/);
  const [user, system] = rest.split(" ").slice(11, 13).map(Number);
  return ((user ?? 0) + (system ?? 0)) * 10_000;
}
