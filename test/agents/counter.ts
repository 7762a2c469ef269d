/** A counter: the smallest agent that answers. */
import { agent, type Ask, reply } from "@dormouse/sdk";
import { assign, setup } from "xstate";

type Events = Ask<{ type: "add"; by: number }, number> | { type: "reset" } | Ask<{ type: "fail" }, number>;

export const counter = agent("counter", {
  machine: setup({ types: {} as { context: { count: number }; events: Events } }).createMachine({
    context: { count: 0 },
    on: {
      add: {
        actions: [
          assign({ count: ({ context, event }) => context.count + event.by }),
          reply(({ context }) => context.count),
        ],
      },
      reset: { actions: assign({ count: 0 }) },
      fail: {
        actions: assign(() => {
          throw new Error("the counter is out of order");
        }),
      },
    },
  }),
});
