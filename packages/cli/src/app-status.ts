/** `dormouse app status`: prints an app of a cluster: its hosts, and the partitions that no living host owns. */
import { type AppStatus, connectOperator, type HostView, type PartitionView } from "@dormouse/sdk/operate";
import type { Command } from "./command.ts";
import { oneLine, type Output } from "./output.ts";
import { readPlaces } from "./places.ts";
import { errorText } from "./step-text.ts";
import { tableLines } from "./table.ts";

export const appStatus: Command = {
  name: "app status",
  arguments: [],
  options: ["json"],
  summary: "print an app's hosts, and partitions that none of them owns",
  help:
    "Of each host: its name, its incarnation (this run of it), whether it is ready and why not, how many partitions it owns " +
    "of those placed on it, agents in memory, effects, agents set aside, and messages kept for agents that cannot step. " +
    "With --store also partitions that nobody owns, or a host that does not live; without hosts that needs the store. " +
    "With --json: one line of JSON each, whose kind is app, host or partitions. That something is wrong is no failure of " +
    "the command.",
  async run(call) {
    await using operator = await connectOperator(readPlaces(call));
    tell(call.output, await operator.status());
  },
};

/** Prints what is known of an app. */
export function tell(output: Output, { app, hosts, partitions }: AppStatus): void {
  const { name, birth, partitions: total } = app;
  const head = `${output.paint("bold", oneLine(name))}  ${total} partitions ${output.paint("dim", `birth ${birth}`)}`;
  output.result(head, { kind: "app", name, birth, partitions: total, hosts: hosts.length });
  tellHosts(output, hosts);
  if (hosts.length === 0) output.note("no host runs; what is sent is kept until one does");
  if (partitions === undefined) output.note("name the --store too to see who owns each partition");
  else for (const group of groupsOf(partitions)) tellGroup(output, group);
}

function tellHosts(output: Output, hosts: readonly HostView[]): void {
  const titles = ["host", "incarnation", "state", "partitions", "agents", "effects", "set aside", "kept"];
  const [head = "", ...rows] = tableLines(titles, hosts.map(cellsOf));
  for (const [index, host] of hosts.entries()) {
    const { status, error } = host;
    const isReady = status?.isReady === true;
    const row = rows[index] ?? "";
    const why = error === undefined ? status?.reason : errorText(error);
    const lines = [isReady ? row : output.paint("yellow", row), ...(isReady || !why ? [] : [`      ${oneLine(why)}`])];
    if (index === 0) lines.unshift(output.paint("dim", head));
    output.result(lines.join("\n"), { kind: "host", ...host, status: status ?? null, error: error ?? null });
  }
}

function cellsOf({ name, incarnation, status }: HostView): readonly string[] {
  if (status === undefined) return [oneLine(name), incarnation, "no answer"];
  const { state, isReady, partitions, agents, effects, quarantined, shelved } = status;
  const shown = isReady ? "ready" : state === "running" ? "not ready" : state;
  const counts = [agents, effects, quarantined, shelved].map(String);
  return [oneLine(name), incarnation, shown, `${partitions.owned} of ${partitions.wanted}`, ...counts];
}

type Ill = Exclude<PartitionView, { readonly state: "owned" }>;

/** Partitions of which the same is to be said. */
interface Group {
  readonly first: Ill;
  readonly partitions: readonly number[];
}

function groupsOf(partitions: readonly PartitionView[]): readonly Group[] {
  const ill = partitions.filter((one): one is Ill => one.state !== "owned");
  const groups = Map.groupBy(ill, (one) => (one.state === "orphaned" ? `${one.state} ${one.owner}` : one.state));
  return [...groups.values()].flatMap((all) => {
    const [first] = all;
    return first === undefined ? [] : [{ first, partitions: all.map(({ partition }) => partition) }];
  });
}

function tellGroup(output: Output, { first, partitions }: Group): void {
  const named = `${partitions.length === 1 ? "partition" : "partitions"} ${rangesText(partitions)}`;
  const { partition: _, ...data } = first;
  output.result(output.paint("red", `${named}: ${illText(first)}`), { kind: "partitions", ...data, partitions });
}

const memberWords = { suspected: "has fallen silent", dead: "has ended", unknown: "is not known" };

function illText(view: Ill): string {
  switch (view.state) {
    case "free":
      return "nobody owns it";
    case "orphaned":
      return `owned by ${view.owner}, which ${memberWords[view.member]}`;
    case "unreadable":
      return errorText(view.error);
  }
}

/** `0-3, 7`: of numbers that rise. */
export function rangesText(numbers: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(", ");
}
