/** Agents to begin with; put your own here. They take `@dormouse/sdk` and `xstate` from the image. */
import { agent, reply } from "@dormouse/sdk";
import { assign, setup } from "xstate";

export const counter = agent("counter", {
  machine: setup({}).createMachine({
    context: { count: 0 },
    on: {
      add: {
        actions: [assign({ count: ({ context }) => context.count + 1 }), reply(({ context }) => context.count)],
      },
    },
  }),
});
