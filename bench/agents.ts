/** The agents that are measured: as small as they can be, so that what is measured is the runtime. */
import { agent, type Ask, durable, reply } from "@dormouse/sdk";
import { assign, setup } from "xstate";

/** Answers with how often it was asked. */
export const counter = agent("counter", {
  passivateAfter: "1d",
  machine: setup({
    types: {} as { context: { readonly count: number }; events: Ask<{ readonly type: "add" }, number> },
  }).createMachine({
    context: { count: 0 },
    on: {
      add: {
        actions: [assign({ count: ({ context }) => context.count + 1 }), reply(({ context }) => context.count)],
      },
    },
  }),
});

/** Keeps every text it is told: its state grows by what comes in. */
export const diary = agent("diary", {
  passivateAfter: "1d",
  machine: setup({
    types: {} as {
      context: { readonly texts: readonly string[] };
      events: Ask<{ readonly type: "tell"; readonly text: string }, number>;
    },
  }).createMachine({
    context: { texts: [] },
    on: {
      tell: {
        actions: [
          assign({ texts: ({ context, event }) => [...context.texts, event.text] }),
          reply(({ context }) => context.texts.length),
        ],
      },
    },
  }),
});

/** Waits for a time that does not come while it is measured: far, or within the hour. */
export const sleeper = agent("sleeper", {
  passivateAfter: "1d",
  machine: setup({
    types: {} as {
      context: { readonly delayMs: number };
      events: Ask<{ readonly type: "sleep"; readonly delayMs: number }, true>;
    },
    delays: { given: ({ context }) => context.delayMs },
  }).createMachine({
    context: { delayMs: 0 },
    initial: "awake",
    states: {
      awake: {
        on: {
          sleep: {
            target: "asleep",
            actions: [assign({ delayMs: ({ event }) => event.delayMs }), reply(() => true as const)],
          },
        },
      },
      asleep: { after: { given: "awake" } },
    },
  }),
});

/** Does one thing, and waits for a value that does not come. */
export const patient = agent("patient", {
  passivateAfter: "1d",
  run: durable(async ({ run, receive }) => {
    await run("begin", () => 1);
    return receive("answer");
  }),
});
