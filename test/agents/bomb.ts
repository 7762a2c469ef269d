/** An agent that ends its host in the middle of a step, as a loop without end or `process.exit` would. */
import { agent, type Ask, reply } from "@dormouse/sdk";
import { assign, setup } from "xstate";

/** What a step of the bomb does to its host; a test sets it. */
export const fuse: { burn: () => void } = { burn: () => undefined };

type Events = { type: "explode" } | Ask<{ type: "ping" }, string>;

export const bomb = agent("bomb", {
  machine: setup({ types: {} as { context: { pings: number }; events: Events } }).createMachine({
    context: { pings: 0 },
    on: {
      explode: {
        actions: assign(() => {
          fuse.burn();
          return {};
        }),
      },
      ping: { actions: [assign({ pings: ({ context }) => context.pings + 1 }), reply("pong")] },
    },
  }),
});
