/** `dormouse respond`: answers a wait, by its token or by its agent and name. */
import { parseToken } from "@dormouse/core/protocol";
import { type Call, type Command, limitsOf, readJson, withClient, withUserAgent } from "./command.ts";
import { UsageError } from "./usage-error.ts";

export const respond: Command = {
  name: "respond",
  arguments: ["<token|type/key>", "[value|name]", "[value]"],
  options: ["timeout", "json"],
  summary: "answer a wait: respond <token> [value], or respond <type/key> <name> [value]",
  help:
    "The value is JSON; without one, nothing but that it was answered. By its token the one wait is answered that the token names, as waits prints it; by an agent and a " +
    "name the first wait of that name, or the one to come: the value is kept for it. A machine takes the event " +
    "{ type: name, value }. An agent that is not there does not begin with it. A value that does not fit is refused, and the wait goes on. A host must run.",
  run: (call) => (isToken(call.arguments[0] ?? "") ? respondByToken(call) : respondByName(call)),
};

/** No agent type holds a dot, and each address a slash: what has neither is a token that was cut off, as by a careless copy. */
function isToken(text: string): boolean {
  return /^[^/]*(?:\.|$)/.test(text);
}

async function respondByToken(call: Call): Promise<void> {
  const [token = "", json, tooMany] = call.arguments;
  if (tooMany !== undefined) throw new UsageError(`a token is followed by the value alone; too many: ${tooMany}`);
  const { agent } = parseToken(token);
  const value = readValue(json);
  const limits = limitsOf(call);
  await withClient(call, async (client) => {
    await client.respond(token, value, limits);
    call.output.result(`the wait of ${agent} is answered`, { agent });
  });
}

async function respondByName(call: Call): Promise<void> {
  const [, name, json] = call.arguments;
  if (name === undefined)
    throw new UsageError("an agent is followed by the name of what it waits for, which is missing");
  const value = readValue(json);
  const limits = limitsOf(call);
  await withUserAgent(call, async ({ ref }) => {
    await ref.respond(name, value, limits);
    call.output.result(`${name} is accepted for ${ref.address}`, { agent: ref.address, name });
  });
}

function readValue(json: string | undefined): unknown {
  return json === undefined ? undefined : readJson("value", json);
}
