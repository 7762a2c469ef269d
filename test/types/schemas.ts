/** The same agent with schemas: its types come from them, and they are checked at run time. */
import { agent, type EventsOf, reply } from "@dormouse/sdk";
import { assign, setup } from "xstate";
import { z } from "zod";

const events = { add: z.object({ by: z.number().int() }), reset: z.object({}) };
const replies = { add: z.number() };

export const checked = agent("checked", {
  events,
  replies,
  machine: setup({
    types: {} as { context: { count: number }; events: EventsOf<typeof events, typeof replies> },
  }).createMachine({
    context: { count: 0 },
    on: {
      add: {
        actions: [
          assign({ count: ({ context, event }) => context.count + event.by }),
          reply(({ context }) => context.count),
        ],
      },
      reset: { actions: assign({ count: 0 }) },
    },
  }),
});

agent("wrong", {
  machine: checked.logic,
  // @ts-expect-error the schema gives a string where the machine takes a number
  events: { add: z.object({ by: z.string() }) },
});
agent("wrong", {
  machine: checked.logic,
  // @ts-expect-error the machine's reply is a number
  replies: { add: z.string() },
});
agent("wrong", {
  machine: checked.logic,
  // @ts-expect-error the machine has no such event
  events: { subtract: z.object({ by: z.number() }) },
});
