/** A cluster on one machine: NATS, an S3 server in memory, hosts and a client, each in a process of its own. */
import { setTimeout as pause } from "node:timers/promises";
import { counter } from "./agents.ts";
import { inFlight, inFolder, openBenchHost } from "./bench-host.ts";
import { type BenchCluster, type ClusterUsage, inCluster } from "./cluster-process.ts";
import { takeovers } from "./cluster-takeover.ts";
import { atMost, type Figure, print, quantile } from "./figure.ts";
import { cpuMicros, speed, type Speed } from "./speed.ts";

const keys = 1_000;
const seconds = 3;
const idleMs = 60_000;
const sleepers = 10_000;

const manyKeys = (n: number): string => `${n % keys}`;
const oneKey = (): string => "hot";

function asks(cluster: BenchCluster, width: number, keyOf: (n: number) => string): Promise<Speed<ClusterUsage>> {
  return speed({ client: cluster.client, width, keyOf, seconds, usage: () => cluster.usage() });
}

function warm({ client }: BenchCluster): Promise<unknown> {
  return inFlight(keys, 64, (n) => client.agent(counter, `${n}`).ask({ type: "add" }));
}

function figuresOf(what: string, { perSecond, p50Ms, p99Ms, before, after }: Speed<ClusterUsage>): Figure[] {
  const stepsOfRecord = (after.steps - before.steps) / (after.records - before.records);
  return [
    { what: `${what}: asks`, value: perSecond, unit: "per second" },
    { what: `${what}: p50`, value: p50Ms, unit: "ms" },
    { what: `${what}: p99`, value: p99Ms, unit: "ms" },
    { what: `${what}: steps in one PUT`, value: stepsOfRecord, unit: "" },
  ];
}

/** Who used the processors, of one ask. */
function splitOf(what: string, { asks: count, before, after }: Speed<ClusterUsage>): Figure[] {
  const rows = [
    ["host", after.hosts - before.hosts],
    ["client", after.client - before.client],
    ["NATS", after.nats - before.nats],
    ["S3 server", after.s3 - before.s3],
  ] as const;
  return rows
    .filter(([, micros]) => !Number.isNaN(micros))
    .map(([who, micros]) => ({ what: `${what}: processor time of an ask, ${who}`, value: micros / count, unit: "µs" }));
}

/**
 * Processor time of an ask of the embedded host on a folder, client included, in microseconds. Its rate would compare a
 * disk that others use as well with servers that make nothing durable.
 */
async function embeddedMicros(width: number): Promise<number> {
  return inFolder(async (folder) => {
    const host = await openBenchHost(folder, [counter], { freezeContexts: false });
    const { client } = host;
    await inFlight(8 * keys, 64, (n) => client.agent(counter, manyKeys(n)).ask({ type: "add" }));
    const measured = await speed({ client, width, keyOf: manyKeys, seconds, usage: cpuMicros });
    await host.close();
    return (measured.after - measured.before) / measured.asks;
  });
}

async function oneHost(): Promise<Figure[]> {
  const alone = await embeddedMicros(256);
  return inCluster(async (cluster) => {
    await warm(cluster);
    const figures: Figure[] = [];
    for (const width of [1, 16, 64, 256, 1_024]) {
      const what = `${width.toLocaleString("en-US")} in flight over 1,000 keys`;
      const measured = await asks(cluster, width, manyKeys);
      figures.push(...figuresOf(what, measured));
      if (width !== 256) continue;
      const split = splitOf(what, measured);
      const all = split.reduce((sum, { value }) => sum + value, 0);
      figures.push(...split, {
        what: `${what}: processor time of an ask, all of them`,
        value: all / alone,
        unit: "× the embedded host",
      });
    }
    for (const width of [1, 16, 64, 256, 1_024]) {
      const what = `${width.toLocaleString("en-US")} in flight on one key`;
      figures.push(...figuresOf(what, await asks(cluster, width, oneKey)));
    }
    return figures;
  });
}

/** The same load on more hosts. */
async function moreHosts(): Promise<Figure[]> {
  return inCluster(async (cluster) => {
    await warm(cluster);
    const figures: Figure[] = [];
    let first: number | undefined;
    for (const count of [1, 2, 3]) {
      if (count > 1) await cluster.addHost();
      const measured = await asks(cluster, 256, manyKeys);
      const what = `256 in flight, ${count} ${count === 1 ? "host" : "hosts"}`;
      figures.push(...figuresOf(what, measured));
      if (first !== undefined) {
        figures.push({ what: `${what}: asks`, value: measured.perSecond / first, unit: "× one host" });
      }
      first ??= measured.perSecond;
    }
    return figures;
  });
}

/** A host that has settled what there was: heartbeats go to NATS. */
async function idle(): Promise<Figure[]> {
  const settings = { settleMs: 1_000, settleRoundMs: 500 };
  return inCluster(async (cluster) => {
    await warm(cluster);
    const puts = async (): Promise<number> => (await cluster.counts())[0]?.toStore.calls ?? Number.NaN;
    let last = await puts();
    for (let now = -1; now !== last;) {
      last = await puts();
      await pause(5 * settings.settleMs);
      now = await puts();
    }
    await pause(idleMs);
    return [
      atMost(0, {
        what: "one host with 1,000 agents, idle for a minute: PUTs",
        value: (await puts()) - last,
        unit: "PUTs",
      }),
    ];
  }, settings);
}

/** A host that holds no agent in memory is asked for each of many, once. */
async function cold(): Promise<Figure[]> {
  return inCluster(async (cluster) => {
    const ask = (key: string): Promise<number> => cluster.client.agent(counter, key).ask({ type: "add" });
    await inFlight(sleepers, 256, (n) => ask(`${n}`));
    const [before] = cluster.hosts;
    await before?.drain();
    if (before !== undefined) cluster.drop(before);
    await cluster.addHost();
    await inFlight(500, 64, (n) => ask(`new-${n}`));
    const begunMs = performance.now();
    const tookMs = await inFlight(sleepers, 64, (n) => ask(`${n}`));
    const perSecond = (sleepers * 1_000) / (performance.now() - begunMs);
    return [
      { what: "64 in flight: cold activations, each with its ask", value: perSecond, unit: "per second" },
      { what: "64 in flight: cold activations, p50", value: quantile(tookMs, 0.5), unit: "ms" },
      { what: "64 in flight: cold activations, p99", value: quantile(tookMs, 0.99), unit: "ms" },
    ];
  });
}

export async function measure(): Promise<Figure[]> {
  return [...(await oneHost()), ...(await moreHosts()), ...(await cold()), ...(await takeovers()), ...(await idle())];
}

if (import.meta.main) print(await measure());
