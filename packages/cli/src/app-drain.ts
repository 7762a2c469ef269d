/** `dormouse app drain`: asks one host of a cluster to leave, and waits until it is gone. */
import type { HostStatus } from "@dormouse/sdk";
import { connectOperator } from "@dormouse/sdk/operate";
import { type Command, limitsOf } from "./command.ts";
import { oneLine } from "./output.ts";
import { readPlaces } from "./places.ts";

export const appDrain: Command = {
  name: "app drain",
  arguments: ["<host>"],
  options: ["timeout", "json"],
  summary: "have one host hand over what it owns, and end",
  help:
    "The host is named by its name or its incarnation, as app status prints them; a name that several have is refused. It " +
    "takes no more events, waits for running effects for a while, hands its partitions to the other hosts and ends; its " +
    "process too, unless a supervisor starts it again. Nothing is lost. Waits 5 minutes, or --timeout: then the host goes " +
    "on leaving, and the exit code is 1. With --json: one line of JSON per change.",
  async run(call) {
    const limits = limitsOf(call);
    await using operator = await connectOperator(readPlaces(call));
    const { incarnation, name } = await operator.find(call.arguments[0] ?? "");
    const host = `${oneLine(name)} (${incarnation})`;
    for await (const status of operator.drain(incarnation, limits)) {
      if (call.options.json === undefined) call.output.note(`${host} ${progressText(status)}`);
      else call.output.result("", { kind: "draining", ...status });
    }
    call.output.result(`${host} is gone`, { kind: "gone", incarnation, name });
  },
};

function progressText({ state, partitions: { owned }, effects }: HostStatus): string {
  const left = [`${owned} ${owned === 1 ? "partition" : "partitions"}`];
  if (effects > 0) left.push(`${effects} ${effects === 1 ? "effect" : "effects"}`);
  return `is ${state}: ${left.join(" and ")} left`;
}
