/**
 * A host of a cluster in a process of its own, as `cluster-process.ts` starts it: put together as `startHost` does, on
 * ports that count. It says over IPC when it has its partitions, and answers `counts` and `drain`.
 */
import { connectNats } from "@dormouse/nats";
import { openS3Store } from "@dormouse/s3";
import { type Settings, startIncarnation } from "@dormouse/core";
import { realClock, realEntropy } from "@dormouse/local";
import type { S3Server } from "@dormouse/testing/servers";
import { counter, diary } from "./agents.ts";
import { countedStore, type Handed } from "./counted.ts";

export interface HostPlan {
  readonly name: string;
  readonly natsUrls: readonly string[];
  readonly s3: Pick<S3Server, "endpoint" | "bucket" | "region" | "accessKeyId" | "secretAccessKey">;
  readonly settings: Settings;
}

/** Since the process began. */
export interface HostCounts {
  /** Processor time of all threads, in microseconds. */
  readonly cpuMicros: number;
  readonly steps: number;
  readonly records: number;
  readonly recordBytes: number;
  /** PUTs, and the bytes of objects that were read. */
  readonly toStore: Handed;
  readonly fromStore: Handed;
  readonly partitionsOwned: number;
  readonly isReady: boolean;
  /** By the machine's clock, in milliseconds: when a partition was last read up to its end. */
  readonly caughtUpAt: number;
}

export type HostSaid = { readonly kind: "up" } | { readonly kind: "counts"; readonly counts: HostCounts };

/** The app whose name clients take by default; `startHost` puts its objects below this name. */
const app = "default";

async function run({ name, natsUrls, s3, settings }: HostPlan): Promise<void> {
  const nats = await connectNats({ servers: natsUrls, name });
  const store = await openS3Store({
    url: `s3://${s3.bucket}/${app}`,
    endpoint: s3.endpoint,
    region: s3.region,
    forcePathStyle: true,
    credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
    clock: realClock,
    entropy: realEntropy,
  });
  const toStore: Handed = { calls: 0, bytes: 0 };
  const fromStore: Handed = { calls: 0, bytes: 0 };
  const seen = { steps: 0, records: 0, recordBytes: 0, caughtUpAt: 0 };
  const incarnation = await startIncarnation({
    agents: [counter, diary],
    ports: {
      mailbox: nats.mailbox(app),
      membership: nats.membership(app),
      channel: nats.channel,
      store: countedStore(store, toStore, fromStore),
      clock: realClock,
      entropy: realEntropy,
    },
    app,
    name,
    settings,
    partitionsDefault: 32,
    observe: (event) => {
      if (event.kind === "stepped") seen.steps += 1;
      if (event.kind === "caught-up") seen.caughtUpAt = performance.timeOrigin + performance.now();
      if (event.kind !== "committed") return;
      seen.records += 1;
      seen.recordBytes += event.bytes;
    },
  });
  const counts = (): HostCounts => {
    const { user, system } = process.cpuUsage();
    const { isReady, partitions } = incarnation.status();
    return { ...seen, cpuMicros: user + system, toStore, fromStore, isReady, partitionsOwned: partitions.owned };
  };
  process.on("message", (asked) => {
    if (asked === "counts") say({ kind: "counts", counts: counts() });
    else void incarnation.drain();
  });
  say({ kind: "up" });
  const error = await incarnation.ended;
  await Promise.all([nats.close(), store.close()]);
  process.disconnect();
  if (error !== undefined) throw error;
}

function say(said: HostSaid): void {
  process.send?.(said);
}

await run(JSON.parse(process.argv[2] ?? "{}") as HostPlan);
