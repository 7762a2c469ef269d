/** `dormouse resume` and `dormouse skip`: take an agent back that was set aside, with what it stumbled over or without. */
import { type Call, type Command, limitsOf, withAgent } from "./command.ts";

export const resume: Command = {
  name: "resume",
  arguments: ["<type/key>"],
  options: ["timeout", "json"],
  summary: "take an agent back that was set aside or is stuck",
  help:
    "The messages that were kept for it are taken, first of all the one it stumbled over: mend the agent before. Durable " +
    "functions that are stuck are run again over what is recorded. Where an agent was not set aside, what is kept for it " +
    "is tried again, as after its type was missing. A host must run.",
  run: (call) => takeBack(call, false),
};

export const skip: Command = {
  name: "skip",
  arguments: ["<type/key>"],
  options: ["timeout", "json"],
  summary: "take an agent back without the message it stumbled over",
  help:
    "The message it stumbled over is dropped, the others that were kept for it are taken. Drops nothing where an agent was " +
    "not set aside, or stumbled over what is not kept: an ask, whose asker was told, or work of its own. A host must run.",
  run: (call) => takeBack(call, true),
};

async function takeBack(call: Call, isToSkip: boolean): Promise<void> {
  const limits = limitsOf(call);
  await withAgent(call, async ({ ref }) => {
    const { address: agent } = ref;
    const { wasSetAside, isSkipped } = await ref.resume({ ...limits, skip: isToSkip });
    const text = wasSetAside ? `${agent} is taken back` : `${agent} was not set aside`;
    call.output.result(`${text}${isToSkip ? skipText(wasSetAside, isSkipped) : ""}`, { agent, wasSetAside, isSkipped });
  });
}

function skipText(wasSetAside: boolean, isSkipped: boolean): string {
  if (isSkipped) return ", without the message it stumbled over";
  return wasSetAside ? "; what it stumbled over is no message that was kept, so none is dropped" : "";
}
