/** `dormouse start`: makes an agent with its machine's input. */
import { type Command, limitsOf, readJson, withUserAgent } from "./command.ts";

export const start: Command = {
  name: "start",
  arguments: ["<type/key>", "[input-json]"],
  options: ["timeout", "json"],
  summary: "make an agent with its machine's input",
  help: "Makes the agent if there is none; one that is there keeps its state and input. A host must run.",
  async run(call) {
    const [, json] = call.arguments;
    const input = json === undefined ? undefined : readJson("input", json);
    const limits = limitsOf(call);
    await withUserAgent(call, async ({ ref }) => {
      const { created } = await ref.start(input, limits);
      const text = created ? `${ref.address} is started` : `${ref.address} was there already, and is as it was`;
      call.output.result(text, { agent: ref.address, created });
    });
  },
};
