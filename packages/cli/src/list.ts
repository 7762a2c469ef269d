/** `dormouse list`: prints the agents that there are, by type and state. */
import type { AgentView } from "@dormouse/client";
import { parseAddress } from "@dormouse/core/protocol";
import type { ConnectedClient } from "@dormouse/sdk";
import { type CallLimits, type Command, limitsOf, readType, withClient } from "./command.ts";
import { oneLine, type Output } from "./output.ts";
import { isInState, stateText } from "./state-text.ts";

export const list: Command = {
  name: "list",
  arguments: ["[type]"],
  options: ["state", "store", "app", "timeout", "json"],
  summary: "print the agents that there are",
  help:
    "Each with its status, its state, the number of its steps and of those that failed, sorted by address; children that " +
    "run as agents of their own too. One that is set aside takes nothing until it is resumed; errors tells why. With " +
    "--json: one line of JSON per agent. A host must run.",
  async run(call) {
    const type = readType(call);
    const { state } = call.options;
    const limits = limitsOf(call);
    await withClient(call, async (client) => {
      const all = await listAgents(client, type, limits);
      const setAside = new Set((await client.quarantined(limits)).map(({ agent }) => agent));
      const chosen = all.filter(({ value }) => state === undefined || isInState(value, state));
      tell(
        call.output,
        chosen.map((view) => ({ ...view, isSetAside: setAside.has(view.agent) })),
      );
    });
  },
};

/** Sorted by address. */
export async function listAgents(
  client: ConnectedClient,
  type: string | undefined,
  limits: CallLimits,
): Promise<readonly AgentView[]> {
  const agents: AgentView[] = [];
  for await (const view of client.list({ ...limits, ...(type === undefined ? {} : { type }) })) agents.push(view);
  return agents.toSorted(byAddress);
}

/** Sorts by address, the same way everywhere. */
export function byAddress(one: { readonly agent: string }, other: { readonly agent: string }): number {
  if (one.agent === other.agent) return 0;
  return one.agent < other.agent ? -1 : 1;
}

const wellStatuses: ReadonlySet<AgentView["status"]> = new Set(["active", "done", "stopped"]);

interface ListedAgent extends AgentView {
  readonly isSetAside: boolean;
}

function tell(output: Output, agents: readonly ListedAgent[]): void {
  if (agents.length === 0) output.note("there are no such agents");
  const cells = agents.map(({ agent, status, isSetAside, value, seq, errorCount }) => [
    oneLine(agent),
    isSetAside ? "set aside" : status,
    stateText(value),
    `${seq}`,
    `${errorCount}`,
  ]);
  const titles = ["agent", "status", "state", "steps", "errors"];
  const widths = titles.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  for (const [index, view] of agents.entries()) {
    const row = line(cells[index] ?? []);
    const isWell = view.errorCount === 0 && !view.isSetAside && wellStatuses.has(view.status);
    const text = isWell ? row : output.paint("red", row);
    const { type, key } = parseAddress(view.agent);
    output.result(index > 0 ? text : `${output.paint("dim", line(titles))}\n${text}`, { ...view, type, key });
  }
}
