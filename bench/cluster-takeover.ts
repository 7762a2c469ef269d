/** A host is killed that had 16 MB of records unsettled; another one, that is there, takes its partitions over. */
import { randomBytes } from "node:crypto";
import { parseAddress, type Partition, partitionOf } from "@dormouse/core/protocol";
import { diary } from "./agents.ts";
import { inFlight } from "./bench-host.ts";
import { type BenchCluster, inCluster } from "./cluster-process.ts";
import { type Figure, median } from "./figure.ts";

const rounds = 3;
const tailBytes = 16 * 1_048_576;
const textBytes = 2_048;
const diaries = 1_000;
/** Nothing is settled before the kill. */
const settings = { freezeContexts: false, settleBytes: 1_073_741_824, settleMs: 86_400_000 };

interface Takeover {
  readonly caughtUpMs: number;
  readonly firstAnswerMs: number;
  readonly lastAnswerMs: number;
  readonly tailBytes: number;
  readonly readBytes: number;
  readonly reads: number;
}

function tell({ client }: BenchCluster, key: string): Promise<number> {
  const text = randomBytes((textBytes * 3) / 4).toString("base64");
  return client.agent(diary, key).ask({ type: "tell", text });
}

/** One diary of each partition. */
function onePerPartition({ client }: BenchCluster, partitions: number): string[] {
  const found = new Map<Partition, string>();
  for (let n = 0; n < diaries; n += 1) {
    const partition = partitionOf(parseAddress(client.agent(diary, `${n}`).address).address, partitions);
    if (!found.has(partition)) found.set(partition, `${n}`);
  }
  return [...found.values()];
}

async function takeover(): Promise<Takeover> {
  return inCluster(async (cluster) => {
    const [doomed] = cluster.hosts;
    if (doomed === undefined) throw new Error("a cluster opens with a host");
    const heir = await cluster.addHost(settings);
    const tail = async (): Promise<number> => (await doomed.counts()).recordBytes;
    for (let n = 0; (await tail()) < tailBytes; n += 256) {
      await inFlight(256, 64, (m) => tell(cluster, `${(n + m) % diaries}`));
    }
    const held = await tail();
    const { partitionsOwned } = await doomed.counts();
    const before = await heir.counts();
    const killedAt = doomed.kill();
    cluster.drop(doomed);
    const tookMs = await inFlightAll(onePerPartition(cluster, before.partitionsOwned + partitionsOwned), (key) =>
      tell(cluster, key),
    );
    await cluster.until(([one]) => one?.isReady === true);
    const after = await heir.counts();
    // Those of the heir's own partitions waited for nobody.
    const waited = tookMs.slice(-partitionsOwned);
    return {
      caughtUpMs: after.caughtUpAt - killedAt,
      firstAnswerMs: waited[0] ?? Number.NaN,
      lastAnswerMs: waited.at(-1) ?? Number.NaN,
      tailBytes: held,
      readBytes: after.fromStore.bytes - before.fromStore.bytes,
      reads: after.fromStore.calls - before.fromStore.calls,
    };
  }, settings);
}

/** All at once; how long each took, in milliseconds, shortest first. */
async function inFlightAll(keys: readonly string[], work: (key: string) => Promise<unknown>): Promise<number[]> {
  const tookMs = await inFlight(keys.length, keys.length, (n) => work(keys[n] ?? ""));
  return tookMs.toSorted((a, b) => a - b);
}

/** Medians of some rounds. */
export async function takeovers(): Promise<Figure[]> {
  const all: Takeover[] = [];
  for (let round = 0; round < rounds; round += 1) all.push(await takeover());
  const of = (pick: (one: Takeover) => number): number => median(all.map(pick));
  const what = "SIGKILL of one of two hosts, 16 MB unsettled";
  const megabyte = 1_048_576;
  return [
    { what: `${what}: until all its partitions are read to their end`, value: of((one) => one.caughtUpMs), unit: "ms" },
    { what: `${what}: until the first of its agents answers`, value: of((one) => one.firstAnswerMs), unit: "ms" },
    { what: `${what}: until its last partition answers`, value: of((one) => one.lastAnswerMs), unit: "ms" },
    { what: `${what}: records of the dead host`, value: of((one) => one.tailBytes) / megabyte, unit: "MB" },
    { what: `${what}: read from the store`, value: of((one) => one.readBytes) / megabyte, unit: "MB" },
    { what: `${what}: objects read`, value: of((one) => one.reads), unit: "objects" },
  ];
}
