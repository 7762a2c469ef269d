/**
 * Fuzzes seed after seed, and shows what it finds.
 *
 *     npm run fuzz -- --seeds 1000                    from a seed drawn by chance, or --from 1
 *     npm run fuzz -- --seed 7 --only engine          one seed, of one fuzz
 *
 * Also `--keep-going` past what was found. Exit code 1 if anything was. The seeds run in a process of their own, so that
 * one that hangs, or ends the process, is named.
 */
import { parseArgs } from "node:util";
import { isFuzz, watch } from "./watch.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "100" },
    from: { type: "string" },
    only: { type: "string" },
    "keep-going": { type: "boolean", default: false },
  },
});

const from = Number(values.seed ?? values.from ?? Math.floor(Math.random() * 2 ** 31));
const count = values.seed === undefined ? Number(values.seeds) : 1;
const { only } = values;
if (only !== undefined && !isFuzz(only)) throw new Error(`there is no such fuzz: only=${only}`);
const startedAt = performance.now();
const { findings, outcomes } = await watch({ from, count, only, keepGoing: values["keep-going"] });
for (const { seed, fuzz, what, detail } of findings) {
  console.log(`${what}\n${detail}\nagain: npm run fuzz -- --seed ${seed} --only ${fuzz}\n`);
}
console.log(outcomes);
const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
console.log(`${count} seeds from ${from}, ${findings.length} findings, in ${seconds}s`);
process.exitCode = findings.length > 0 ? 1 : 0;
