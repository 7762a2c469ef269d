/**
 * Asks for an expense, and waits for its decision. Kill it and start it again: it goes on.
 *
 * node --conditions=@dormouse/source main.ts
 */
import { startHost } from "@dormouse/sdk";
import { listenForAnswers } from "./answers.ts";
import { expense } from "./expense.ts";

await using host = await startHost({ agents: [expense], store: process.env["APPROVAL_STORE"] ?? "file:./.dormouse" });
const { url, server } = await listenForAnswers(host.client, Number(process.env["APPROVAL_PORT"] ?? 8787));
const chairs = host.client.agent(expense, "chairs");
console.log(`answer with: curl -d '{"approved":true,"by":"you"}' <the link in the mail>`);
await chairs.start({
  what: "six chairs",
  euros: 900,
  approver: "ada@example.org",
  deputy: "bob@example.org",
  patience: "1m",
  answerUrl: url,
});
console.log(await chairs.result());
server.close();
