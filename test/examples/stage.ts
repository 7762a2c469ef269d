/** What examples in docstrings take for granted, by the names they use. Nothing here runs: the examples are compiled. */
import { agent, type AgentRef, type Ask, type Client } from "@dormouse/sdk";
import type { Scheduler as SchedulerType } from "@dormouse/testing";
import { fromPromise, setup } from "xstate";

type CounterEvents = Ask<{ type: "add"; by: number }, number> | { type: "reset" };

export const counter = agent("counter", {
  machine: setup({ types: {} as { events: CounterEvents } }).createMachine({}),
});
export declare const acme: AgentRef<typeof counter>;

export const account = agent("account", {
  machine: setup({ types: {} as { events: { type: "deposit"; amount: number } } }).createMachine({}),
});

export const research = agent("research", {
  machine: setup({ types: {} as { input: { topic: string } } }).createMachine({}),
});

export declare const client: Client;
export declare const scheduler: SchedulerType;
export declare const livingHosts: readonly string[];

/** Where fragments of a machine stand. */
export const stage = setup({
  types: {} as {
    context: { count: number; report: string; to: string };
    events:
      | Ask<{ type: "add"; by: number }, number>
      | Ask<{ type: "report" }, { report: string }>
      | { type: "transfer"; amount: number };
  },
  actors: { write: fromPromise(async () => ({ report: "" })) },
});
export const context = { count: 0, report: "", to: "acme" };
