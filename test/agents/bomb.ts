/** Agents that end their host in the middle of a step, or of an effect, as a loop without end or `process.exit` would. */
import { agent, type Ask, reply } from "@dormouse/sdk";
import { assign, fromPromise, setup } from "xstate";

/** What a step of the bomb, or the effect of a mine, does to its host; a test sets it. */
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

export const mine = agent("mine", {
  machine: setup({
    types: {} as { events: { type: "dig" } },
    actors: { dig: fromPromise<void>(async () => fuse.burn()) },
  }).createMachine({
    initial: "shut",
    states: {
      shut: { on: { dig: "digging" } },
      digging: { invoke: { src: "dig", onDone: "dug" } },
      dug: {},
    },
  }),
});
