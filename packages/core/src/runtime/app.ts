/** The app's settings on the store: made once, agreed on by all. */
import { DormouseError } from "../agent/errors.ts";
import { partitionsMax } from "../agent/limits.ts";
import { optionError } from "../agent/options.ts";
import { type App, decodeApp, encodeApp } from "../format/app.ts";
import { appKey } from "../format/keys.ts";
import type { ObjectStore } from "../ports/index.ts";
import { insist, type Storing, type Waiting, write } from "./insist.ts";

export interface WantedApp {
  readonly name: string;
  readonly birth: string;
  /** `undefined`: as many as it has, or `partitionsDefault` if it is new. */
  readonly partitions: number | undefined;
  readonly partitionsDefault: number;
  /** What a new app of so many partitions needs: done before it is made, so that one that cannot be had leaves none. */
  readonly prepare: (partitions: number) => Promise<void>;
}

/**
 * The app as it is, or made now.
 *
 * @throws DormouseError `invalid` (`app.mismatch`: the store holds another app; `option.invalid`: so many partitions no
 * app may have); `corrupt` (`app.lost`: its settings are gone, and what it stored is there).
 */
export async function openApp(world: Storing, wanted: WantedApp): Promise<App> {
  const { name, partitions } = wanted;
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1 && partitions <= partitionsMax)) {
    throw optionError(`partitions is a whole number from 1 to ${partitionsMax}`, String(partitions));
  }
  const app = (await readApp(world)) ?? (await makeApp(world, wanted));
  if (app.name !== name) {
    throw mismatch(
      `this store holds another app; name that one, or use another folder: wanted=${name} found=${app.name}`,
    );
  }
  if (partitions !== undefined && partitions !== app.partitions) {
    throw mismatch(
      `the app has another number of partitions, for ever; leave it out: wanted=${partitions} found=${app.partitions}`,
    );
  }
  return app;
}

/** Or what another host made meanwhile. */
async function makeApp(world: Storing, wanted: WantedApp): Promise<App> {
  const { name, birth, partitions = wanted.partitionsDefault } = wanted;
  const left = await leftWithout(world);
  // Looked for again: another host may have made the app, and written what was found, since.
  const meanwhile = await readApp(world);
  if (meanwhile !== undefined) return meanwhile;
  if (left !== undefined) throw lost(left);
  await wanted.prepare(partitions);
  const made: App = { name, birth, partitions, hash: "fnv1a32", format: 1 };
  const written = await write(world, appKey, encodeApp(made), { if: "absent" });
  if (written.outcome === "stored") return made;
  const found = await readApp(world);
  if (found === undefined) throw lost(appKey);
  return found;
}

/** An object that only an app has that was made. */
async function leftWithout(world: Storing): Promise<string | undefined> {
  for (const prefix of ["partitions/", "journal/"]) {
    const [name] = await insist(world, () => world.store.list(prefix, { limit: 1 }));
    if (name !== undefined) return name;
  }
  return undefined;
}

/** An app made anew would count its messages from one again, which every agent here has taken already (D4). */
function lost(found: string): DormouseError {
  return new DormouseError(
    "corrupt",
    "app.lost",
    `the app's settings are gone while what it stored is still there, so no other app can begin here; put ${appKey} back as ` +
      `it was, or name another app or place: found=${found}`,
  );
}

/** @param what - What differs, and what to do. */
function mismatch(what: string): DormouseError {
  return new DormouseError("invalid", "app.mismatch", what);
}

/** `undefined` if no app was made here. */
export async function readApp(world: Waiting & { readonly store: Pick<ObjectStore, "get"> }): Promise<App | undefined> {
  const object = await insist(world, () => world.store.get(appKey));
  return object === undefined ? undefined : decodeApp(object.bytes, appKey);
}
