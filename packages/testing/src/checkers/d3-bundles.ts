/**
 * D3 and D8 of bundles: one holds the records that its name says, each as it was stored before it, and little else.
 *
 * Does not verify that there are bundles, nor that they are read.
 */
import type { Checker, Observation, Violation } from "./checker.ts";
import { journalKindOf, readBundle } from "./stored.ts";

/** What stands around the records of a bundle, and around each. */
const bundleBytes = 40;
const recordBytes = 8;

export class BundlesChecker implements Checker {
  readonly name = "D3 and D8 bundles";
  readonly #violations: Violation[] = [];
  /** By name. */
  readonly #records = new Map<string, Uint8Array>();

  observe(observation: Observation): void {
    if (observation.type !== "stored") return;
    const { name, bytes, atMs } = observation;
    const [room = "", incarnation = "", last = ""] = name.split("/");
    // One that lands late on the name of a deleted one is a repeat of it.
    if (room === "journal" && journalKindOf(bytes) === "record" && !this.#records.has(name)) {
      this.#records.set(name, bytes);
    }
    if (room === "bundles") this.#check(incarnation, last, bytes, atMs);
  }

  finish(): readonly Violation[] {
    return this.#violations;
  }

  #check(incarnation: string, range: string, bytes: Uint8Array, atMs: number): void {
    const [first = 0, last = 0] = range.split("-").map(Number);
    const records = readBundle(bytes);
    const stored = records.map((_, index) =>
      this.#records.get(`journal/${incarnation}/${String(first + index).padStart(12, "0")}`),
    );
    const isAsStored = records.every((record, index) => Buffer.from(record).equals(stored[index] ?? Buffer.alloc(0)));
    if (records.length !== last - first + 1 || !isAsStored) {
      const message = `the bundle ${range} of ${incarnation} does not hold what was stored under those numbers`;
      this.#violations.push({ invariant: "D3", message, atMs });
    }
    const allowed = bundleBytes + records.reduce((total, { length }) => total + recordBytes + length, 0);
    if (bytes.length <= allowed) return;
    const message = `the bundle ${range} of ${incarnation}: ${bytes.length} bytes, and its records allow ${allowed}`;
    this.#violations.push({ invariant: "D8", message, atMs });
  }
}
