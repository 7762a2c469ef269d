/**
 * Three real hosts on NATS of three servers and an S3 server, asked by a real client; all on this machine.
 *
 * Owns: the processes, and when a disturbed cluster is well again.
 * Leaves to others: what is done to it (`faults.ts`), whether it stood it (`verdict.ts`).
 *
 * C1  Well: every host is ready, together they own every partition, and agents of every partition have answered since.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type ConnectedClient, connect } from "@dormouse/sdk";
import { type Nats, startNats, startS3, type S3Server } from "@dormouse/testing/servers";
import type { LoadPlan } from "./call.ts";
import { ClientProcess, HostProcess } from "./processes.ts";
import { Transcript } from "./transcript.ts";
import { WitnessedStore } from "./witnessed-store.ts";

export interface ClusterOptions {
  readonly seed: string;
  readonly hosts: number;
  readonly load: Pick<LoadPlan, "lanes" | "everyMs" | "others">;
  /** Whether all writings are seen by the checker of owners, at some cost. */
  readonly isWitnessed: boolean;
  /** Whether hosts run what `npm run build` makes, with the settings that they have by themselves. Default: the sources. */
  readonly isBuilt?: boolean;
}

export const partitions = 32;
/** Settles and passivates all the time, so that faults meet it there; not where it is measured. */
const alwaysSettling = { DORMOUSE_SETTLE_MS: "3000", DORMOUSE_SETTLE_ROUND_MS: "1000" };
const prefix = "chaos";
const wellMsMax = 120_000;
const pollMs = 20;

export class Cluster {
  readonly nats: Nats;
  readonly s3: S3Server;
  readonly store: WitnessedStore;
  readonly witness: string;
  readonly transcript: Transcript = new Transcript(partitions);
  readonly #options: ClusterOptions;
  readonly #folder: string;
  readonly #all: HostProcess[] = [];
  #hosts: HostProcess[] = [];
  #client: ClientProcess | undefined;

  private constructor(options: ClusterOptions, nats: Nats, s3: S3Server) {
    this.#options = options;
    this.nats = nats;
    this.s3 = s3;
    this.#folder = mkdtempSync(join(tmpdir(), "dormouse-cluster-"));
    this.witness = join(this.#folder, "witness");
    writeFileSync(this.witness, "");
    this.store = new WitnessedStore(s3, `${prefix}/default/`);
  }

  /** Resolves when the load runs and all is well. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const nats = await startNats({ servers: 3 });
    const s3 = await startS3({ storage: "memory" }).catch(async (error: unknown) => {
      await nats.close();
      throw error;
    });
    const cluster = new Cluster(options, nats, s3);
    try {
      for (let n = 0; n < options.hosts; n += 1) await cluster.addHost();
      await cluster.hostsReady();
      await cluster.#startLoad();
      await cluster.well();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Those that are meant to live. */
  get hosts(): readonly HostProcess[] {
    return this.#hosts;
  }

  get mailbox(): string {
    return this.nats.urls.join(",");
  }

  async addHost(): Promise<HostProcess> {
    const name = `host-${this.#all.length + 1}`;
    const { s3 } = this;
    const host = new HostProcess(
      name,
      {
        NODE_COMPILE_CACHE: join(this.#folder, "cache"),
        DORMOUSE_AGENTS: new URL("../process/agents.ts", import.meta.url).pathname,
        DORMOUSE_MAILBOX: this.mailbox,
        DORMOUSE_STORE: `s3://${s3.bucket}/${prefix}`,
        DORMOUSE_S3_ENDPOINT: this.#options.isWitnessed ? await this.store.endpointFor(name) : s3.endpoint,
        DORMOUSE_S3_REGION: s3.region,
        DORMOUSE_S3_ACCESS_KEY_ID: s3.accessKeyId,
        DORMOUSE_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
        DORMOUSE_S3_FORCE_PATH_STYLE: "true",
        DORMOUSE_PARTITIONS: String(partitions),
        DORMOUSE_NATS_STREAM_BYTES_MAX: "16777216",
        ...(this.#options.isBuilt === true ? {} : alwaysSettling),
      },
      this.#options.isBuilt ?? false,
    );
    this.#all.push(host);
    this.#hosts.push(host);
    return host;
  }

  /** It is not meant to live any more. */
  remove(host: HostProcess): void {
    this.#hosts = this.#hosts.filter((one) => one !== host);
  }

  /** A client of the checker's own. */
  connect(): Promise<ConnectedClient> {
    return connect({ mailbox: this.mailbox, name: "checker" });
  }

  async hostsReady(): Promise<void> {
    await this.#until(async () => this.#whyHostsNotReady());
  }

  /** C1 */
  async well(): Promise<void> {
    await this.hostsReady();
    const sinceMs = Date.now();
    await this.#until(async () => {
      const silent = this.transcript.silentSince(sinceMs);
      return silent.length === 0 ? undefined : `no agents answer of partitions ${silent.join(" ")}`;
    });
    // It may have changed while they were waited for.
    await this.hostsReady();
  }

  /** Ends the load; resolves when everything it asked is answered. */
  async stopLoad(): Promise<void> {
    await this.#client?.stop();
  }

  /** Ends that nobody meant, so far. */
  faults(): readonly string[] {
    return this.#all.flatMap(({ fault }) => fault ?? []);
  }

  /** What hosts have logged as errors. */
  errors(): readonly string[] {
    return this.#all.flatMap(({ errors }) => errors);
  }

  async close(): Promise<void> {
    await this.#client?.end();
    await Promise.all(this.#all.map((host) => host.kill()));
    await this.store.close();
    await Promise.all([this.nats.close(), this.s3.close()]);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #startLoad(): Promise<void> {
    const { seed, load } = this.#options;
    const plan = { mailbox: this.mailbox, seed, partitions, witness: this.witness, ...load };
    this.#client = new ClientProcess(plan, this.transcript, { NODE_COMPILE_CACHE: join(this.#folder, "cache") });
    await this.#client.ready;
  }

  async #whyHostsNotReady(): Promise<string | undefined> {
    const [fault] = this.faults();
    if (fault !== undefined) throw new Error(fault);
    const all = await Promise.all(this.#hosts.map(async (host) => [host, await host.status()] as const));
    const unready = all.filter(([, status]) => status?.isReady !== true);
    if (unready.length > 0) {
      return unready.map(([{ name }, status]) => `${name}: ${status?.reason ?? "does not answer"}`).join("; ");
    }
    const owned = all.reduce((sum, [, status]) => sum + (status?.partitions.owned ?? 0), 0);
    return owned === partitions ? undefined : `${owned} of ${partitions} partitions are owned`;
  }

  /** @throws Error it did not come to be in time; says why not. */
  async #until(whyNot: () => Promise<string | undefined>): Promise<void> {
    const dueMs = performance.now() + wellMsMax;
    for (;;) {
      const why = await whyNot();
      if (why === undefined) return;
      if (performance.now() > dueMs) {
        throw new Error(`the cluster is not well after ${wellMsMax} ms: ${why}; errors: ${this.errors().join("; ")}`);
      }
      await pause(pollMs);
    }
  }
}
