/**
 * The client process: runs the load until its standard input says `stop`, and tells all of it (`call.ts`).
 *
 * node --conditions=@dormouse/source client.ts <plan as JSON>
 */
import { createInterface } from "node:readline";
import { connect } from "@dormouse/sdk";
import type { Line, LoadPlan } from "./call.ts";
import { Load } from "./load.ts";

const say = (line: Line): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const plan = JSON.parse(process.argv[2] ?? "") as LoadPlan;
const client = await connect({ mailbox: plan.mailbox, name: "load" });
const load = new Load(client, plan, say);
await load.start();
// Ended without a word, whoever started it is gone.
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== "stop") continue;
  await load.stop();
  say({ is: "stopped" });
}
await client.close();
process.exit(0);
