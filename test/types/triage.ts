/** Agents without a machine; children that are agents of their own; marked functions. Each `@ts-expect-error` is an error that a user must get. */
import { assign, sendTo, setup, spawnChild } from "xstate";
import { z } from "zod";
import { agent, checkpoint, type DurableContext, durable } from "@dormouse/sdk";
import { counter } from "./counter.ts";
import { research } from "./research.ts";

export const triage = agent("triage", {
  run: durable(async ({ input, ask, send, receive }: DurableContext<{ ticket: number }>) => {
    const count: number = await ask(counter, "tickets", { type: "add", by: 1 });
    await send(counter, "tickets", { type: "reset" });
    // @ts-expect-error `reset` is not answered
    await ask(counter, "tickets", { type: "reset" });
    // @ts-expect-error no such event
    await send(counter, "tickets", { type: "rest" });
    const ok: boolean = await receive("approval", { schema: z.boolean() });
    return { ticket: input.ticket, count, ok };
  }),
});

export const supervisor = agent("supervisor", {
  machine: setup({
    types: {} as {
      context: { reports: string[] };
      events: { type: "begin"; topics: string[] };
      children: { helper: "research" };
    },
    actors: { research: research.logic, triage: triage.logic, counter: counter.logic },
  }).createMachine({
    context: { reports: [] },
    initial: "idle",
    states: {
      idle: { on: { begin: "working" } },
      working: {
        entry: [
          spawnChild("research", { id: "helper", input: { topic: "dormice" } }),
          sendTo("helper", { type: "approve", by: "me" }),
        ],
        invoke: [
          {
            src: "research",
            id: "helper",
            input: { topic: "mice" },
            onDone: { actions: assign({ reports: ({ context, event }) => [...context.reports, event.output.report] }) },
          },
          { src: "triage", input: { ticket: 1 }, onDone: { actions: ({ event }) => event.output.ticket.toFixed() } },
        ],
      },
    },
  }),
});

// As a decorator (needs a compiler that lowers decorators: Node does not run them as they stand).
export class Tools {
  @checkpoint("search")
  async search(query: string): Promise<string[]> {
    return [query];
  }
  @checkpoint()
  async open(url: string): Promise<{ url: string }> {
    return { url };
  }
}
const found: Promise<string[]> = new Tools().search("x");
void found;
class Wrong {
  // @ts-expect-error a checkpoint is asynchronous
  @checkpoint("sync")
  sync(query: string): string {
    return query;
  }
}
void Wrong;

setup({ actors: { research: research.logic } }).createMachine({
  // @ts-expect-error the child's input is wrong
  entry: spawnChild("research", { id: "helper", input: { topic: 1 } }),
});
// @ts-expect-error one of the two, not both
agent("both", { machine: counter.logic, run: triage.logic });
// @ts-expect-error one of the two
agent("neither", {});
// @ts-expect-error a plain function is not a durable one
agent("plain", { run: async () => 1 });
