/** `dormouse list`: prints the agents that there are, by type and state. */
import type { AgentView, CallOptions, QuarantineView } from "@dormouse/client";
import { parseAddress } from "@dormouse/core/protocol";
import type { ConnectedClient } from "@dormouse/sdk";
import { type Command, limitsOf, readType, withClient } from "./command.ts";
import { oneLine, type Output } from "./output.ts";
import { isInState, stateText } from "./state-text.ts";
import { tableLines } from "./table.ts";
import { UsageError } from "./usage-error.ts";

export const list: Command = {
  name: "list",
  arguments: ["[type]"],
  options: ["state", "status", "timeout", "json"],
  summary: "print the agents that there are",
  help:
    "Each with its status, its state, the number of its steps and of those that failed, sorted by address; children that " +
    "run as agents of their own too. One that is set aside takes nothing until it is resumed; one that is stuck has a " +
    "durable function whose code no longer fits what is recorded; errors tells why. One that its very first message set " +
    "aside has no state yet. With --json: one line of JSON per agent. A host must run.",
  async run(call) {
    const type = readType(call);
    const { state } = call.options;
    const status = readStatus(call.options.status);
    const limits = limitsOf(call);
    await withClient(call, async (client) => {
      const all = await listAgents(client, type, limits);
      const listed = withSetAside(all, await client.quarantined(limits), type);
      const ofStatus = listed.filter((view) => status === undefined || statusOf(view) === status);
      const chosen = ofStatus.filter(({ value }) => state === undefined || isInState(value, state));
      tell(call.output, chosen);
    });
  },
};

interface ListedAgent extends Omit<AgentView, "status"> {
  /** `not-started`: it was set aside by its first message. */
  readonly status: AgentView["status"] | "not-started";
  readonly isSetAside: boolean;
}

const statuses = ["active", "done", "stopped", "error", "unreadable", "set-aside", "stuck"] as const;
type Status = (typeof statuses)[number];

/** @throws UsageError */
function readStatus(text: string | undefined): Status | undefined {
  const status = statuses.find((one) => one === text);
  if (text === undefined || status !== undefined) return status;
  throw new UsageError(`--status takes ${statuses.join(", ")}; this is none: ${text}`);
}

/** As the list shows it. */
function statusOf({ status, isSetAside, stuck }: ListedAgent): ListedAgent["status"] | Status {
  if (isSetAside) return "set-aside";
  return stuck === undefined ? status : "stuck";
}

/** Sorted by address; those that were set aside before they had a state among them. */
function withSetAside(
  all: readonly AgentView[],
  quarantined: readonly QuarantineView[],
  type: string | undefined,
): readonly ListedAgent[] {
  const setAside = new Set(quarantined.map(({ agent }) => agent));
  const listed = all.map((view): ListedAgent => ({ ...view, isSetAside: setAside.has(view.agent) }));
  const known = new Set(all.map(({ agent }) => agent));
  for (const { agent, since } of quarantined) {
    if (known.has(agent) || (type !== undefined && parseAddress(agent).type !== type)) continue;
    const nothing = { seq: 0, value: null, errorCount: 0, waitCount: 0, stuck: undefined };
    listed.push({ agent, status: "not-started", ...nothing, at: since, isSetAside: true });
  }
  return listed.toSorted(byAddress);
}

/** Sorted by address. */
export async function listAgents(
  client: ConnectedClient,
  type: string | undefined,
  limits: CallOptions,
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

const wellStatuses: ReadonlySet<ReturnType<typeof statusOf>> = new Set(["active", "done", "stopped"]);

function tell(output: Output, agents: readonly ListedAgent[]): void {
  if (agents.length === 0) output.note("there are no such agents");
  const cells = agents.map((view) => [
    oneLine(view.agent),
    statusOf(view).replace("-", " "),
    stateText(view.value),
    `${view.seq}`,
    `${view.errorCount}`,
  ]);
  const [titles = "", ...rows] = tableLines(["agent", "status", "state", "steps", "errors"], cells);
  for (const [index, view] of agents.entries()) {
    const row = rows[index] ?? "";
    const isWell = view.errorCount === 0 && wellStatuses.has(statusOf(view));
    const text = isWell ? row : output.paint("red", row);
    const { type, key } = parseAddress(view.agent);
    output.result(index > 0 ? text : `${output.paint("dim", titles)}\n${text}`, { ...view, type, key });
  }
}
