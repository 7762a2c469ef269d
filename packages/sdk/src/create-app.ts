/** Makes an app on a cluster before its first host does. */
import { hostname } from "node:os";
import {
  type App,
  checkName,
  checkOptions,
  insist,
  makeIds,
  openApp,
  optionError,
  probeStore,
} from "@dormouse/core/protocol";
import { realClock, realEntropy } from "@dormouse/local";
import type { ConnectOptions } from "./connect.ts";
import { clusterOf, openCluster } from "./drivers.ts";
import { partitionsOfCluster } from "./start.ts";
import { withStore } from "./store-world.ts";

export interface CreateAppOptions extends Omit<ConnectOptions, "signal"> {
  /** Fixed for the app's life, 1 to 4,096. Default: as many as it has, or 32 if it is new. */
  readonly partitions?: number;
}

/** What `createApp` found or made. */
export interface CreatedApp {
  readonly app: App;
  /** Whether it was made now. */
  readonly isNew: boolean;
}

/**
 * Makes an app on a cluster: its settings on the store, a stream for each partition. Of one that is there, streams that
 * are missing are made; nothing else changes. Hosts make it too: this is for those that come before them.
 *
 * @throws DormouseError `invalid` (`app.mismatch`: it has another number of partitions; `store.unfit`; `option.invalid`: no mailbox or no
 * store is named, or no app may have so many partitions; what NATS and the store refuse, which makes no app);
 * `corrupt` (`app.lost`: its settings are gone, what it stored is there); `unavailable`.
 * @example
 * ```ts
 * const { app, isNew } = await createApp({ mailbox: "nats://127.0.0.1:4222", store: "s3://bucket", partitions: 64 });
 * console.log(app.birth, isNew);
 * ```
 */
export async function createApp(options: CreateAppOptions): Promise<CreatedApp> {
  checkOptions("createApp", options, ["mailbox", "store", "nats", "s3", "app", "name", "partitions"]);
  const { app: name = "default", partitions } = options;
  checkName("app", name);
  const place = clusterOf(options, "an app is made");
  if (place.bucket === undefined) throw optionError("name a store too, such as s3://bucket/prefix", undefined);
  const cluster = await openCluster(place, options, options.name ?? hostname());
  try {
    const { store, mailbox } = cluster.ports(name);
    return await withStore(store, async (world) => {
      const birth = makeIds({ clock: realClock, entropy: realEntropy })();
      // Every host would refuse a store that is not fit, and two who make an app on one would both believe they had.
      await probeStore(world, birth);
      const prepare = (count: number): Promise<void> => insist(world, () => mailbox.create(count));
      const app = await openApp(world, { name, birth, partitions, partitionsDefault: partitionsOfCluster, prepare });
      await prepare(app.partitions);
      return { app, isNew: app.birth === birth };
    });
  } finally {
    await cluster.close();
  }
}
