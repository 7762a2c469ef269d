/**
 * `npm run chaos`: faults by chance for as long as asked, then the same verdict as the test's.
 *
 * npm run chaos -- --minutes 2 --seed 7
 */
import { parseArgs } from "node:util";
import { missingServers } from "@dormouse/testing/servers";
import { allFaults } from "./faults.ts";
import { rowText, run } from "./run.ts";

const { values } = parseArgs({ options: { minutes: { type: "string", default: "2" }, seed: { type: "string" } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes must be a number above 0: given=${values.minutes}`);
const seed = values.seed ?? String(Date.now() % 1_000_000);
console.log(`chaos: seed=${seed} minutes=${minutes}`);
if ((await missingServers(["nats", "s3"])) !== false) process.exit(2);

const dueMs = performance.now() + minutes * 60_000;
const { wrong, answered, stored, errors } = await run({
  seed,
  next: (random) => (performance.now() < dueMs ? random.pick(allFaults) : undefined),
  told: (row) => console.log(rowText(row)),
});
console.log(`${answered} calls answered, ${stored} writings of journals and partition objects seen`);
for (const text of errors) console.log(`logged as an error: ${text}`);
for (const text of wrong) console.log(`WRONG: ${text}`);
process.exit(wrong.length === 0 ? 0 : 1);
