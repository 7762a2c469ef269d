/** One run: a cluster under load, one fault after the other, and what came of it. */
import { Random } from "@dormouse/testing";
import { Cluster, partitions } from "./cluster.ts";
import type { Fault } from "./faults.ts";
import type { Gap } from "./transcript.ts";
import { verdict } from "./verdict.ts";

export interface RunOptions {
  readonly seed: string;
  /** The next faults, in this order; nothing when it is enough. */
  readonly next: (random: Random) => readonly Fault[] | undefined;
  /** Told when a fault is over. */
  readonly told?: (row: Row) => void;
}

/** One fault, and how long the agents of some partition answered nobody while it lasted. */
export interface Row {
  readonly fault: string;
  /** From its beginning until the cluster was well again. */
  readonly ms: number;
  readonly gap: Gap;
  /** Answers per second meanwhile. */
  readonly rate: number;
}

export interface Outcome {
  readonly wrong: readonly string[];
  readonly rows: readonly Row[];
  readonly answered: number;
  /** Journals, partition objects: how often one was written. */
  readonly stored: number;
  /** What hosts have logged as errors: to be looked at. */
  readonly errors: readonly string[];
}

/** About 500 asks and sends a second. */
const load = { lanes: 3, everyMs: 240, others: 8 };
/** So long nothing is done, at first: what all else is compared with. */
const quiet: Fault = { name: "nothing", run: () => new Promise((resolve) => void setTimeout(resolve, 5_000)) };

export async function run({ seed, next, told }: RunOptions): Promise<Outcome> {
  const random = new Random(seed);
  const cluster = await Cluster.start({ seed, hosts: 3, load, isWitnessed: true });
  try {
    const rows: Row[] = [];
    for (let faults: readonly Fault[] | undefined = [quiet]; faults !== undefined; faults = next(random)) {
      for (const fault of faults) {
        const row = await during(cluster, fault, random);
        rows.push(row);
        told?.(row);
      }
    }
    await cluster.stopLoad();
    const { lines } = cluster.transcript;
    await using client = await cluster.connect();
    const wrong = [
      ...(await verdict({ client, lines, witness: cluster.witness, partitions })),
      ...cluster.store.violations(),
      ...cluster.faults(),
    ];
    const answered = lines.filter(({ is }) => is === "answered").length;
    return { wrong, rows, answered, stored: cluster.store.stored, errors: cluster.errors() };
  } finally {
    await cluster.close();
  }
}

async function during(cluster: Cluster, fault: Fault, random: Random): Promise<Row> {
  const beginMs = Date.now();
  await fault.run(cluster, random);
  await cluster.well();
  const endMs = Date.now();
  const { transcript } = cluster;
  return {
    fault: fault.name,
    ms: endMs - beginMs,
    gap: transcript.longestGap(beginMs, endMs),
    rate: transcript.rate(beginMs, endMs),
  };
}

export function rowText({ fault, ms, gap, rate }: Row): string {
  const gapText = `${gap.ms.toFixed(0).padStart(6)} ms (partition ${String(gap.partition).padStart(2)})`;
  return `${fault.padEnd(36)} ${(ms / 1_000).toFixed(1).padStart(6)} s   longest gap ${gapText}   ${rate.toFixed(0).padStart(4)} answers/s`;
}
