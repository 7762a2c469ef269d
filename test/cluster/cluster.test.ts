/**
 * Three hosts on NATS and S3 under load, and one fault after the other, judged from outside.
 *
 * Method: real processes and servers on this machine (`cluster.ts`); a client process tells all that it asks and is told
 * (`call.ts`), proxies before the store see who commits (`witnessed-store.ts`), effects testify in a file. At the end the
 * agents' books are compared with all three (`verdict.ts`). How long partitions answered nobody is printed, not tested.
 *
 * Not verified here: loss of what the operating system had not written when a machine itself fails. `npm run chaos` does
 * the same for longer, with faults by chance.
 */
import { missingServers } from "@dormouse/testing/servers";
import { describe, expect, test } from "vitest";
import { allFaults } from "./faults.ts";
import { rowText, run } from "./run.ts";

const seed = process.env["CLUSTER_SEED"] ?? "1";

describe.skipIf(await missingServers(["nats", "s3"]))("on real servers", () => {
  test("after every fault all that was acknowledged was applied once, and no two hosts committed to one partition", async () => {
    const faults = [...allFaults];
    const { wrong, rows, answered, stored, errors } = await run({ seed, next: () => faults.shift() });
    const counts = `${answered} calls answered, ${stored} writings of journals and partition objects seen, seed ${seed}`;
    console.log([...rows.map(rowText), counts, ...errors].join("\n"));
    expect(wrong).toEqual([]);
    // About what the load asks for, while nothing was done.
    expect(answered).toBeGreaterThan(10_000);
  });
});
