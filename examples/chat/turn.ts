/** One turn: the model is asked until it wants no more tools. Every call is recorded, so a crash pays for none of them twice. */
import { checkpoint, currentCall, durable, type DurableContext, TerminalError } from "@dormouse/sdk";
import { complete, type Message, type ToolCall } from "./model.ts";

const roundsMax = 8;

/** Your model's client goes in here: nothing else knows it. */
const askModel = checkpoint("model", (messages: readonly Message[]) => complete(messages, currentCall() ?? {}), {
  retry: { maxAttempts: 5, timeout: "2m" },
});

type Tool = (argument: string, messages: readonly Message[]) => string | Promise<string>;

const tools: Readonly<Record<string, Tool>> = {
  add: (sum) => String(sum.split(" + ").reduce((total, one) => total + Number(one), 0)),
  recall: (nth, messages) => messages.filter(({ role }) => role === "user").at(Number(nth) - 1)?.text ?? "nothing",
};

const callTool = checkpoint("tool", async ({ id, tool, argument }: ToolCall, messages: readonly Message[]) => {
  const text = (await tools[tool]?.(argument, messages)) ?? `there is no tool ${tool}`;
  return { role: "tool", id, text } as const;
});

/** Gives the messages that the turn adds to a conversation. */
export const turn = durable(async ({ input }: DurableContext<{ messages: readonly Message[] }>) => {
  const added: Message[] = [];
  for (let round = 1; round <= roundsMax; round += 1) {
    const messages = [...input.messages, ...added];
    const { message } = await askModel(messages);
    added.push(message);
    if (message.calls.length === 0) return added;
    added.push(...(await Promise.all(message.calls.map((call) => callTool(call, messages)))));
  }
  throw new TerminalError(`the model still wants tools after ${roundsMax} rounds`);
});
