/**
 * How long agents answer nobody when a host is killed, when one is added, and when all are restarted in turn: three hosts
 * on NATS ×3 and S3, all on this machine, under a steady load. Hosts run what `npm run build` makes.
 */
import { Random } from "@dormouse/testing";
import { Cluster } from "../test/cluster/cluster.ts";
import { addHost, type Fault, killHost, rollHosts } from "../test/cluster/faults.ts";
import { atMost, type Figure, median, print } from "./figure.ts";

const rounds = 5;
/** Some 530 asks a second, as in the fault test: in each partition one about every 60 ms, and gaps are told no finer. */
const load = { lanes: 4, everyMs: 240, others: 2 };

/** The longest gap of any partition while it lasts. */
async function gapOf(cluster: Cluster, fault: Fault, random: Random): Promise<number> {
  const beginMs = Date.now();
  await fault.run(cluster, random);
  await cluster.well();
  return cluster.transcript.longestGap(beginMs, Date.now()).ms;
}

async function measure(): Promise<Figure[]> {
  const random = new Random("recovery");
  const cluster = await Cluster.start({ seed: "recovery", hosts: 3, load, isWitnessed: false, isBuilt: true });
  try {
    const quiet: number[] = [];
    const killed: number[] = [];
    const added: number[] = [];
    const rolled: number[] = [];
    const nothing: Fault = { name: "nothing", run: () => cluster.well() };
    for (let round = 0; round < rounds; round += 1) {
      quiet.push(await gapOf(cluster, nothing, random));
      killed.push(await gapOf(cluster, killHost, random));
      added.push(await gapOf(cluster, addHost, random));
      rolled.push(await gapOf(cluster, rollHosts, random));
    }
    await cluster.stopLoad();
    const { failures } = cluster.transcript;
    const figure = (what: string, gaps: readonly number[]): Omit<Figure, "goal"> => ({
      what: `${what}: longest pause of any partition, median of ${rounds}`,
      value: median(gaps),
      unit: "ms",
    });
    return [
      figure("nothing is done", quiet),
      atMost(1_000, figure("a host is killed", killed)),
      atMost(300, figure("a host is added", added)),
      atMost(300, figure("every host is restarted in turn", rolled)),
      atMost(0, { what: "asks that failed", value: failures, unit: "asks" }),
    ];
  } finally {
    await cluster.close();
  }
}

print(await measure());
process.exit(0);
