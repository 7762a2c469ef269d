/** What examples in docstrings take for granted, by the names they use. Nothing here runs: the examples are compiled. */
import { agent, type AgentRef, type Ask, type Client, durable } from "@dormouse/sdk";
import type { Scheduler as SchedulerType } from "@dormouse/testing";
import { fromPromise, setup } from "xstate";
import { z as zod } from "zod";

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

export const order = agent("order", { run: durable(async ({ receive }) => receive("approval")) });

export declare const client: Client;
export declare const write: (topic: string) => Promise<string>;
export declare const url: string;
export declare const response: Response;
/** What web frameworks look like. */
export declare const web: {
  post(
    path: string,
    handler: (request: {
      readonly params: { readonly token: string };
      readonly body: { approved: boolean };
    }) => unknown,
  ): void;
};
export const z = zod;
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
