/** Tries a store before agents rest on it. */
import { checkName, checkOptions, makeIds, probeStore, type StoreCheck } from "@dormouse/core/protocol";
import { realClock, realEntropy } from "@dormouse/local";
import { openStore, type Places } from "./drivers.ts";
import { withStore } from "./store-world.ts";

export interface CheckStoreOptions extends Pick<Places, "store" | "s3"> {
  /** Below whose names it writes. Default `"default"`. */
  readonly app?: string;
  /** Told of each check that was passed, in their order. */
  readonly passed?: (check: StoreCheck) => void;
}

/**
 * Tries whether a store keeps its conditional writes, as each host does when it starts, under names of its own that it
 * deletes again. Resolves when every check was passed.
 *
 * @throws DormouseError `invalid` (`store.unfit`), naming the check that failed; as opening a store does: `invalid`
 * (`store.url`, `store.bucket`, `store.credentials`, `store.region`), `unavailable` (`store.unavailable`, `folder.missing`).
 * @example
 * ```ts
 * await checkStore({ store: "s3://bucket/prefix", passed: (check) => console.log(check) });
 * ```
 * @see DESIGN.md, decision D5
 */
export async function checkStore(options: CheckStoreOptions): Promise<void> {
  checkOptions("checkStore", options, ["store", "s3", "app", "passed"]);
  const { app = "default", passed } = options;
  checkName("app", app);
  const open = await openStore(options, app);
  try {
    const id = makeIds({ clock: realClock, entropy: realEntropy })();
    await withStore(open.store, (world) => probeStore(world, id, passed));
  } finally {
    await open.close();
  }
}
