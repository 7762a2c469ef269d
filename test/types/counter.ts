/** Machines as their users write them, by the public entry alone; what must not compile stands beside what must. */
import { agent, type Ask, reply } from "@dormouse/sdk";
import { createMachine, enqueueActions, setup } from "xstate";

export { counter } from "../agents/counter.ts";

type Events = Ask<{ type: "add"; by: number }, number> | { type: "reset" };

// Wrong replies, inline.
setup({ types: {} as { context: { count: number }; events: Events } }).createMachine({
  context: { count: 0 },
  on: {
    // @ts-expect-error the reply of `add` is a number
    add: { actions: reply(({ context }) => String(context.count)) },
    // @ts-expect-error `reset` has no reply
    reset: { actions: reply(() => 1) },
  },
});

// Inside enqueueActions, also in its place.
setup({ types: {} as { context: { count: number }; events: Events } }).createMachine({
  context: { count: 0 },
  on: {
    add: {
      actions: enqueueActions(({ enqueue, event }) => {
        enqueue.assign({ count: event.by });
        enqueue(reply(({ context }) => context.count));
      }),
    },
    reset: {
      actions: enqueueActions(({ enqueue }) => {
        // @ts-expect-error `reset` has no reply
        enqueue(reply(1));
      }),
    },
  },
});

// The same in setup({ actions }), where the event is the whole union, so any declared reply is allowed.
setup({
  types: {} as { context: { count: number }; events: Events },
  actions: {
    answer: reply(({ context }) => context.count),
    // @ts-expect-error no event has a string as its reply
    wrong: reply(({ context }) => String(context.count)),
  },
}).createMachine({
  context: { count: 0 },
  on: { add: { actions: "answer" }, reset: {} },
});
// Better there: by a function of params, or createAction; both see the whole union too.
const base = setup({ types: {} as { context: { count: number }; events: Events } });
export const answer = base.createAction(reply(({ context }) => context.count));

// Without event types everything goes, and a reply is unknown.
export const anything = agent("anything", {
  machine: setup({}).createMachine({ context: { n: 1 }, on: { ping: { actions: reply(() => "pong") } } }),
});
export const anythingElse = agent("looser", { machine: createMachine({ on: { ping: { actions: reply({ a: 1 }) } } }) });
