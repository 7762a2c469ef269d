/** Refuses a store whose conditional writes do not hold: everything about ownership rests on them (D5). */
import { DormouseError } from "../../agent/errors.ts";
import type { PutAnswer } from "../../ports/index.ts";
import { insist, type Storing, write } from "../insist.ts";

const writers = 8;

/** What a store must do, each by its name. */
export type StoreCheck = "create" | "refuse-create" | "swap" | "refuse-stale" | "concurrent-create";

/**
 * Tries create, refused create, swap, refused stale swap, and concurrent creates with exactly one winner, under names
 * that only this incarnation uses; deletes them again.
 *
 * @param passed - Told of each check that the store has passed, in this order.
 * @throws DormouseError `invalid` (`store.unfit`), naming the check that failed.
 */
export async function probeStore(
  world: Storing,
  incarnation: string,
  passed: (check: StoreCheck) => void = () => undefined,
): Promise<void> {
  const { store, entropy } = world;
  const name = `probe/${incarnation}/one`;
  const raced = `probe/${incarnation}/raced`;
  const bytes = (): Uint8Array => entropy.bytes(16);
  const created = await write(world, name, bytes(), { if: "absent" });
  if (created.outcome !== "stored") throw unfit("create", "a new name could not be created");
  passed("create");
  const again = await write(world, name, bytes(), { if: "absent" });
  if (again.outcome === "stored") throw unfit("refuse-create", "a name that is taken was created again");
  passed("refuse-create");
  const swapped = await write(world, name, bytes(), { if: "match", etag: created.etag });
  if (swapped.outcome !== "stored") throw unfit("swap", "a swap with the right ETag was refused");
  passed("swap");
  const stale = await write(world, name, bytes(), { if: "match", etag: created.etag });
  if (stale.outcome === "stored") throw unfit("refuse-stale", "a swap with an old ETag was stored");
  passed("refuse-stale");
  const answers = await Promise.all(Array.from({ length: writers }, () => store.put(raced, bytes(), { if: "absent" })));
  checkRace(answers);
  passed("concurrent-create");
  await insist(world, () => store.delete([name, raced]));
}

function checkRace(answers: readonly PutAnswer[]): void {
  const won = answers.filter((answer) => answer.outcome === "stored").length;
  const isUnsure = answers.some((answer) => answer.outcome === "unknown" || answer.outcome === "conflict");
  if (won > 1 || (won === 0 && !isUnsure)) {
    throw unfit("concurrent-create", `of ${answers.length} concurrent creates of one name ${won} were stored`);
  }
}

function unfit(check: StoreCheck, what: string): DormouseError {
  return new DormouseError(
    "invalid",
    "store.unfit",
    `this store's conditional writes do not hold, so agents would not be safe on it; use another: ${what}: check=${check}`,
  );
}
