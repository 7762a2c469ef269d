/** `dormouse send`: puts an event into an agent's mailbox, whether a host runs or not. */
import { type Command, readEvent, sendOptionsOf, withUserAgent } from "./command.ts";

export const send: Command = {
  name: "send",
  arguments: ["<type/key>", "<event-json>"],
  options: ["timeout", "idempotency-key", "json"],
  summary: "put an event into an agent's mailbox; needs no host",
  help:
    "Ends when the mailbox holds the event durably: accepted, not yet taken. Without a host it is kept there until one " +
    "starts.",
  async run(call) {
    const event = readEvent(call.arguments[1] ?? "");
    const options = sendOptionsOf(call);
    await withUserAgent(call, async ({ ref, client }) => {
      const message = await ref.send(event, options);
      const { isHostRunning } = client;
      const text = isHostRunning
        ? `${event.type} is accepted for ${ref.address}`
        : `${event.type} is kept in the mailbox of ${ref.address}: no host runs, and the next one to start takes it`;
      call.output.result(text, { agent: ref.address, message, isHostRunning });
    });
  },
};
