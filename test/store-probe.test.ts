/** Which stores are refused: each that breaks one promise of conditional writes, by the name of that check. */
import { probeStore, type StoreCheck } from "@dormouse/core/protocol";
import type { Etag, ObjectStore, PutAnswer } from "@dormouse/core/ports";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { expect, test } from "vitest";

async function passedBy(store: ObjectStore): Promise<{ passed: readonly StoreCheck[]; message: string }> {
  const passed: StoreCheck[] = [];
  const { signal } = new AbortController();
  const world = { store, clock: realClock, entropy: realEntropy, signal, patience: { ms: 0 } };
  try {
    await probeStore(world, "prober", (check) => passed.push(check));
    return { passed, message: "" };
  } catch (error) {
    return { passed, message: String(error) };
  }
}

function memory(): ObjectStore {
  return new MemoryWorld(realClock).open("prober", { clock: realClock, entropy: realEntropy }).store;
}

const checks: readonly StoreCheck[] = ["create", "refuse-create", "swap", "refuse-stale", "concurrent-create"];

test("a store that keeps its promises passes every check, and is left as it was", async () => {
  const store = memory();
  expect(await passedBy(store)).toEqual({ passed: checks, message: "" });
  expect(await store.list("")).toEqual([]);
});

const refused: PutAnswer = { outcome: "refused" };

test.for([
  {
    check: "create",
    breaks:
      (store: ObjectStore): ObjectStore["put"] =>
      async () => (await store.list(""), refused),
  },
  {
    check: "refuse-create",
    breaks:
      (store: ObjectStore): ObjectStore["put"] =>
      (name, bytes) =>
        store.put(name, bytes, { if: "any" }),
  },
  {
    check: "swap",
    breaks:
      (store: ObjectStore): ObjectStore["put"] =>
      (name, bytes, condition) =>
        store.put(name, bytes, condition.if === "match" ? { if: "match", etag: "other" as Etag } : condition),
  },
  {
    check: "refuse-stale",
    breaks:
      (store: ObjectStore): ObjectStore["put"] =>
      (name, bytes, condition) =>
        store.put(name, bytes, condition.if === "match" ? { if: "any" } : condition),
  },
  {
    check: "concurrent-create",
    breaks:
      (store: ObjectStore): ObjectStore["put"] =>
      (name, bytes, condition) =>
        store.put(name, bytes, name.endsWith("/raced") ? { if: "any" } : condition),
  },
] as const)("a store that breaks $check is refused by its name", async ({ check, breaks }) => {
  const store = memory();
  const { passed, message } = await passedBy({ ...store, put: breaks(store) });
  expect(message).toContain(`check=${check}`);
  expect(passed).toEqual(checks.slice(0, checks.indexOf(check)));
});
