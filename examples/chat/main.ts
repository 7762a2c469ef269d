/**
 * A conversation in a terminal, by name. End it, or kill it, and start it again: it remembers.
 *
 * node --conditions=@dormouse/source main.ts [name]
 */
import { createInterface } from "node:readline";
import { startHost } from "@dormouse/sdk";
import { chat } from "./chat.ts";

const [name = "you"] = process.argv.slice(2);
await using host = await startHost({ agents: [chat], store: process.env["CHAT_STORE"] ?? "file:./.dormouse" });
const conversation = host.client.agent(chat, name);
for await (const text of createInterface({ input: process.stdin })) {
  console.log(await conversation.ask({ type: "say", text }, { timeout: "10m" }));
}
