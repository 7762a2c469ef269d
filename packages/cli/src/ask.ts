/** `dormouse ask`: sends an event and prints the machine's reply. */
import { type Command, readEvent, sendOptionsOf, withUserAgent } from "./command.ts";

export const ask: Command = {
  name: "ask",
  arguments: ["<type/key>", "<event-json>"],
  options: ["timeout", "idempotency-key", "json"],
  summary: "send an event and print the reply",
  help: "Waits for the machine's reply, which may come many steps later. A host must run.",
  async run(call) {
    const event = readEvent(call.arguments[1] ?? "");
    const options = sendOptionsOf(call);
    await withUserAgent(call, async ({ ref }) => {
      const reply: unknown = await ref.ask(event, options);
      call.output.result(call.output.show(reply), { agent: ref.address, reply });
    });
  },
};
