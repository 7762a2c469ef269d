/** `dormouse errors`: prints which agents are set aside, damaged or ended with an error, and which steps failed. */
import type { AgentView, CallOptions, QuarantineView } from "@dormouse/client";
import { parseAddress } from "@dormouse/core/protocol";
import { type ConnectedClient, DormouseError } from "@dormouse/sdk";
import { type Command, limitsOf, readType, withClient } from "./command.ts";
import { byAddress, listAgents } from "./list.ts";
import { describeError, oneLine, type Output } from "./output.ts";
import { errorText, stepHeadText, thrownText } from "./step-text.ts";

export const errors: Command = {
  name: "errors",
  arguments: ["[type]"],
  options: ["timeout", "json"],
  summary: "print agents that are set aside, stuck, damaged or failed, and steps that failed",
  help:
    "An agent is set aside when it would end its host again and again; what is sent to it is kept until it is resumed. A " +
    "step that failed left its agent as it was. A durable function is stuck when its code no longer makes the calls that are " +
    "recorded: nothing of it is done until the code is mended and the agent resumed. With --json: one line of JSON each, " +
    "whose kind is set-aside, stuck, unreadable, ended (with an error) or failed-step. That there are some is no failure of " +
    "the command. A host must run.",
  async run(call) {
    const type = readType(call);
    const limits = limitsOf(call);
    await withClient(call, async (client) => {
      const isAnySetAside = await tellSetAside(client, call.output, type, limits);
      const agents = await listAgents(client, type, limits);
      const stuck = agents.filter((view) => view.stuck !== undefined);
      for (const view of stuck) tellStuck(call.output, view);
      const ended = agents.filter(({ status }) => status === "error" || status === "unreadable");
      for (const view of ended) await tellEnd(client, call.output, view, limits);
      const failed = agents.filter(({ errorCount }) => errorCount > 0);
      for (const view of failed) await tellFailedSteps(client, call.output, view, limits);
      if (!isAnySetAside && stuck.length + ended.length + failed.length === 0) {
        call.output.note("no agent is set aside, stuck, damaged or failed, and no step failed");
      }
    });
  },
};

/** Whether there is any. */
async function tellSetAside(
  client: ConnectedClient,
  output: Output,
  type: string | undefined,
  limits: CallOptions,
): Promise<boolean> {
  const all = await client.quarantined(limits);
  const views = all.filter(({ agent }) => type === undefined || parseAddress(agent).type === type);
  for (const view of views.toSorted(byAddress)) {
    output.result(setAsideText(output, view), { kind: "set-aside", ...view });
  }
  return views.length > 0;
}

function setAsideText(output: Output, { agent, since, error, shelved }: QuarantineView): string {
  const kept = shelved === 1 ? "1 message is kept" : `${shelved} messages are kept`;
  const time = output.paint("dim", new Date(since).toISOString());
  return [
    `${output.paint("bold", oneLine(agent))}  ${time}  ${output.paint("red", "set aside")}, ${kept}`,
    `      ${output.paint("red", errorText(error))}`,
  ].join("\n");
}

function tellStuck(output: Output, { agent, at, stuck: error }: AgentView): void {
  if (error === undefined) return;
  const time = output.paint("dim", new Date(at).toISOString());
  const head = `${output.paint("bold", oneLine(agent))}  ${time}  ${output.paint("red", "stuck")}`;
  output.result(`${head}\n      ${output.paint("red", errorText(error))}`, { kind: "stuck", agent, at, error });
}

async function tellEnd(
  client: ConnectedClient,
  output: Output,
  { agent, status, at }: AgentView,
  limits: CallOptions,
): Promise<void> {
  const isEnd = status === "error";
  const thrown = await endError(client, agent, limits);
  const error = thrown === undefined ? null : describeError(thrown);
  const what = output.paint("red", isEnd ? "ended with an error" : "unreadable");
  // Of one that cannot be read it is not known when.
  const time = isEnd ? `${output.paint("dim", new Date(at).toISOString())}  ` : "";
  const head = `${output.paint("bold", oneLine(agent))}  ${time}${what}`;
  const text = thrown === undefined ? head : `${head}\n      ${output.paint("red", thrownText(thrown))}`;
  output.result(text, { kind: isEnd ? "ended" : "unreadable", agent, at, error });
}

const ofOneAgent: ReadonlySet<DormouseError["kind"]> = new Set(["corrupt", "failed", "invalid"]);

/** What an agent ended with, or why it cannot be read. */
async function endError(client: ConnectedClient, agent: AgentView["agent"], limits: CallOptions): Promise<unknown> {
  const { type, key } = parseAddress(agent);
  try {
    return (await client.agent(type, key).read(limits))?.error;
  } catch (error) {
    // Of this agent alone: the others are still to be told of.
    if (error instanceof DormouseError && ofOneAgent.has(error.kind)) return error;
    throw error;
  }
}

async function tellFailedSteps(
  client: ConnectedClient,
  output: Output,
  { agent }: AgentView,
  limits: CallOptions,
): Promise<void> {
  const { type, key } = parseAddress(agent);
  const name = output.paint("bold", oneLine(agent));
  for await (const step of client.agent(type, key).history(limits)) {
    if (step.error === undefined) continue;
    const { seq, cause, event, error } = step;
    const text = `${name}  ${stepHeadText(output, step)}\n      ${output.paint("red", errorText(error))}`;
    output.result(text, { kind: "failed-step", agent, seq, at: step.at, cause, event, error });
  }
}
