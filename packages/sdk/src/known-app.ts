/** What is known of an app without being its host: by its store, or by what its hosts tell. */
import { DormouseError } from "@dormouse/core";
import { type App, decodeApp, decodeFacts, type HostFacts, readApp } from "@dormouse/core/protocol";
import type { Membership, ObjectStore } from "@dormouse/core/ports";
import type { Cluster } from "./drivers.ts";
import { withStore } from "./store-world.ts";

/** How long a store may fail before hosts are asked, in milliseconds. */
const patienceBeforeHostsMs = 1_000;

/**
 * The app as the store has it, or else as a host tells: one that runs knows its app, whether the store answers now or not.
 *
 * @throws DormouseError `unavailable` (`app.no-host`); `invalid` (`app.mismatch`): there is none.
 */
export async function appOfCluster(cluster: Cluster, membership: Membership, name: string): Promise<App> {
  const store = cluster.store(name);
  const app = store === undefined ? (await appsTold(membership))[0] : await appInOrTold(store, membership);
  if (app !== undefined) return app;
  if (cluster.storeProblem !== undefined) throw cluster.storeProblem;
  throw store === undefined
    ? new DormouseError(
        "unavailable",
        "app.no-host",
        `no host of the app runs that could tell of it; start one, correct the name, or name the store too: app=${name}`,
      )
    : new DormouseError(
        "invalid",
        "app.mismatch",
        `there is no such app on this store; start a host of it, or make it by "dormouse app create": app=${name}`,
      );
}

async function appInOrTold(store: ObjectStore, membership: Membership): Promise<App | undefined> {
  try {
    return await withStore(store, readApp, patienceBeforeHostsMs);
  } catch (error) {
    if (!(error instanceof DormouseError) || error.kind !== "unavailable") throw error;
    const [told] = await appsTold(membership);
    return told ?? appIn(store);
  }
}

/** What living hosts say of the app. */
async function appsTold(membership: Membership): Promise<readonly App[]> {
  return appsOf((await membership.alive()).map(({ facts }) => decodeFacts(facts)));
}

/** The app as these hosts tell it; those that do not are left out. */
export function appsOf(facts: readonly Pick<HostFacts, "app">[]): readonly App[] {
  const told = facts.map(({ app }) => app).filter((bytes) => bytes !== undefined);
  return told.map((bytes) => decodeApp(bytes, "what a host tells"));
}

/** The app of a store; `undefined` if none was made there. */
export function appIn(store: ObjectStore): Promise<App | undefined> {
  return withStore(store, readApp);
}
