/** `dormouse resume` and `dormouse skip`: take an agent back that was set aside, with its kept messages or but the first. */
import { type Call, type Command, limitsOf, withAgent } from "./command.ts";

export const resume: Command = {
  name: "resume",
  arguments: ["<type/key>"],
  options: ["store", "app", "timeout", "json"],
  summary: "take an agent back that was set aside",
  help:
    "The messages that were kept for it are taken, first of all the one it stumbled over: mend the agent before. Where an " +
    "agent was not set aside, what is kept for it is tried again, as after its type was missing. A host must run.",
  run: (call) => takeBack(call, false),
};

export const skip: Command = {
  name: "skip",
  arguments: ["<type/key>"],
  options: ["store", "app", "timeout", "json"],
  summary: "take an agent back without the message it stumbled over",
  help: "The first message that was kept for it is dropped, the others are taken. Drops nothing where an agent was not set aside. A host must run.",
  run: (call) => takeBack(call, true),
};

async function takeBack(call: Call, isFirstSkipped: boolean): Promise<void> {
  const limits = limitsOf(call);
  await withAgent(call, async ({ ref, client }) => {
    const { address: agent } = ref;
    const wasSetAside = (await client.quarantined(limits)).some((view) => view.agent === agent);
    // What is kept for an agent that is not set aside waits for something else, such as its type: nothing of it is at fault.
    const isSkipped = isFirstSkipped && wasSetAside;
    await ref.resume({ ...limits, skip: isSkipped });
    const without = isSkipped ? ", without the message it stumbled over" : "";
    const text = `${agent} ${wasSetAside ? `is taken back${without}` : "was not set aside"}`;
    call.output.result(text, { agent, wasSetAside });
  });
}
