/** The agents that programs speak to: one answers, one writes down. */
import { agent, type Ask, reply } from "@dormouse/sdk";
import { assign, setup } from "xstate";

type Said = Ask<{ readonly type: "say"; readonly text: string }, string>;
type Refused = Ask<{ readonly type: "refuse"; readonly text: string }, string>;

export const echo = agent("echo", {
  machine: setup({ types: {} as { context: { count: number }; events: Said | Refused } }).createMachine({
    context: { count: 0 },
    on: {
      say: { actions: [assign({ count: ({ context }) => context.count + 1 }), reply(({ event }) => `${event.text}!`)] },
      refuse: {
        actions: () => {
          throw new Error("asked for too much");
        },
      },
    },
  }),
});

export const sink = agent("sink", {
  machine: setup({
    types: {} as { context: { names: string[] }; events: { readonly type: "put"; readonly name: string } },
  }).createMachine({
    context: { names: [] },
    on: { put: { actions: assign({ names: ({ context, event }) => [...context.names, event.name] }) } },
  }),
});
