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
}

/**
 * The app as it is, or made now.
 *
 * @throws DormouseError `invalid` (`app.mismatch`: the store holds another app; `option.invalid`: so many partitions no
 * app may have).
 */
export async function openApp(world: Storing, wanted: WantedApp): Promise<App> {
  const { name, birth, partitions, partitionsDefault } = wanted;
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1 && partitions <= partitionsMax)) {
    throw optionError(`partitions is a whole number from 1 to ${partitionsMax}`, String(partitions));
  }
  const made: App = { name, birth, partitions: partitions ?? partitionsDefault, hash: "fnv1a32", format: 1 };
  const written = await write(world, appKey, encodeApp(made), { if: "absent" });
  if (written.outcome === "stored") return made;
  const app = await readApp(world);
  if (app === undefined) return openApp(world, wanted);
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

/** @param what - What differs, and what to do. */
function mismatch(what: string): DormouseError {
  return new DormouseError("invalid", "app.mismatch", what);
}

/** `undefined` if no app was made here. */
export async function readApp(world: Waiting & { readonly store: Pick<ObjectStore, "get"> }): Promise<App | undefined> {
  const object = await insist(world, () => world.store.get(appKey));
  return object === undefined ? undefined : decodeApp(object.bytes, appKey);
}
