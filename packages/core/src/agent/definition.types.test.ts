/**
 * Goal: types come from the machine, and what does not fit it does not compile.
 * Method: this file compiles (`tsc -p test`): every `@ts-expect-error` is an error that a user must get. The machines
 * are those of the README and of the API's sketch.
 */
import { assign, createMachine, enqueueActions, sendTo, setup, spawnChild } from "xstate";
import { z } from "zod";
import { expect, expectTypeOf, test } from "vitest";
import { message, type RemoteRef, ref, reply, replyTo } from "./actions.ts";
import type { MessageId } from "./current-step.ts";
import {
  agent,
  type AnyAgentDefinition,
  type Ask,
  type Asked,
  type ContextOf,
  type EventOf,
  type EventOfType,
  type EventsOf,
  type InputOf,
  type OutputOf,
  type ReplyTo,
  type StateOf,
  type TagOf,
} from "./definition.ts";

type Events = Ask<{ type: "add"; by: number }, number> | { type: "reset" };
const base = setup({ types: {} as { context: { count: number }; events: Events } });

const counter = agent("counter", {
  machine: base.createMachine({
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

const research = agent("research", {
  machine: setup({
    types: {} as {
      context: { topic: string; report?: string; asker?: MessageId };
      input: { topic: string };
      output: { report: string };
      tags: "waiting" | "busy";
      events:
        | Ask<{ type: "order" }, { accepted: boolean }>
        | Ask<{ type: "report" }, { report: string }>
        | { type: "approve"; by: string };
    },
    actions: { remember: assign({ asker: () => message().id }) },
  }).createMachine({
    context: ({ input }) => ({ topic: input.topic }),
    initial: "writing",
    output: ({ context }) => ({ report: context.report ?? "" }),
    on: { order: { actions: reply({ accepted: true }) }, report: { actions: "remember" } },
    states: {
      writing: { tags: "busy" },
      publishing: {
        initial: "writing",
        states: { writing: {}, checking: {} },
        on: {
          approve: {
            actions: [
              sendTo(() => ref(counter, "approvals"), { type: "add", by: 1 }),
              replyTo("report", ({ context }) => ({ report: context.report ?? "" })),
              replyTo({ type: "report", id: ({ context }) => context.asker ?? ("" as MessageId) }, () => ({
                report: "",
              })),
            ],
          },
        },
      },
    },
  }),
});

test("a definition's types are its machine's", () => {
  type Counter = typeof counter;
  type Research = typeof research;
  expectTypeOf<Counter["type"]>().toEqualTypeOf<"counter">();
  expectTypeOf<EventOf<Counter>["type"]>().toEqualTypeOf<"add" | "reset">();
  expectTypeOf<EventOfType<EventOf<Counter>, "add">>().toEqualTypeOf<{ by: number }>();
  expectTypeOf<ReplyTo<EventOf<Counter>, "add">>().toEqualTypeOf<number>();
  expectTypeOf<ReplyTo<EventOf<Counter>, "reset">>().toEqualTypeOf<never>();
  expectTypeOf<Asked<EventOf<Research>>["type"]>().toEqualTypeOf<"order" | "report">();
  expectTypeOf<ContextOf<Counter>>().toEqualTypeOf<{ count: number }>();
  expectTypeOf<InputOf<Research>>().toEqualTypeOf<{ topic: string }>();
  expectTypeOf<OutputOf<Research>>().toEqualTypeOf<{ report: string }>();
  expectTypeOf<TagOf<Research>>().toEqualTypeOf<"waiting" | "busy">();
  expectTypeOf<StateOf<Counter>>().toEqualTypeOf<never>();
  expectTypeOf<"publishing">().toExtend<StateOf<Research>>();
  expectTypeOf<{ publishing: "checking" }>().toExtend<StateOf<Research>>();
  expectTypeOf<"publish">().not.toExtend<StateOf<Research>>();
  expectTypeOf<Counter>().toExtend<AnyAgentDefinition>();
  expectTypeOf(ref("a/b")).toExtend<RemoteRef<{ type: string }>>();
  expect(counter.logic).toBeDefined();
});

test("without event types everything goes, and a reply is unknown", () => {
  const anything = agent("anything", {
    machine: setup({}).createMachine({ context: { n: 1 }, on: { ping: { actions: reply(() => "pong") } } }),
  });
  agent("looser", { machine: createMachine({ on: { ping: { actions: reply({ a: 1 }) } } }) });
  expectTypeOf<ReplyTo<EventOf<typeof anything>, "ping">>().toEqualTypeOf<unknown>();
  expect(anything.type).toBe("anything");
});

const events = { add: z.object({ by: z.number().int() }), reset: z.object({}) };
const replies = { add: z.number() };
const checked = agent("checked", {
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

test("schemas give the machine its events, and are kept", () => {
  expectTypeOf<ReplyTo<EventOf<typeof checked>, "add">>().toEqualTypeOf<number>();
  expectTypeOf<EventOfType<EventOf<typeof checked>, "add">>().toExtend<{ by: number }>();
  expect(checked.events).toBe(events);
  expect(checked.replies).toBe(replies);
});

// What must not compile. Only compiled: these functions are never called.

export function wrongReplies(): void {
  base.createMachine({
    context: { count: 0 },
    on: {
      // @ts-expect-error the reply of `add` is a number
      add: { actions: reply(({ context }) => String(context.count)) },
      // @ts-expect-error `reset` has no reply
      reset: { actions: reply(() => 1) },
    },
  });
  base.createMachine({
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
  setup({
    types: {} as { context: { count: number }; events: Events },
    actions: {
      answer: reply(({ context }) => context.count),
      // @ts-expect-error no event has a string as its reply
      wrong: reply(({ context }) => String(context.count)),
    },
  }).createMachine({ context: { count: 0 }, on: { add: { actions: "answer" }, reset: {} } });
  base.createAction(reply(({ context }) => context.count));
}

export function wrongSchemas(): void {
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
  agent("wrong", {
    machine: research.logic,
    // @ts-expect-error the machine's input has a topic
    input: z.object({ subject: z.string() }),
  });
}

export function wrongDefinitions(): void {
  // @ts-expect-error a machine is needed
  agent("neither", {});
  // @ts-expect-error a definition is no machine
  agent("definition", { machine: counter });
  // @ts-expect-error no such unit
  agent("unit", { machine: counter.logic, passivateAfter: "1w" });
}

export function wrongSends(): void {
  const bad = setup({
    types: {} as {
      context: { topic: string };
      events: Ask<{ type: "report" }, { report: string }> | { type: "approve" };
    },
  });
  bad.createMachine({
    context: { topic: "" },
    // @ts-expect-error `approve` is not asked
    entry: replyTo("approve", () => ({ report: "" })),
  });
  bad.createMachine({
    context: { topic: "" },
    // @ts-expect-error the reply of `report` has a report
    entry: replyTo("report", () => ({ rapport: "" })),
  });
  bad.createMachine({
    context: { topic: "" },
    // @ts-expect-error the counter's `by` is a number
    entry: sendTo(() => ref(counter, "a"), { type: "add", by: "1" }),
  });
  setup({ actors: { research: research.logic } }).createMachine({
    // @ts-expect-error the child's input is wrong
    entry: spawnChild("research", { id: "helper", input: { topic: 1 } }),
  });
  const helper = setup({
    types: {} as { events: { type: "begin" }; children: { helper: "research" } },
    actors: { research: research.logic },
  });
  helper.createMachine({
    entry: [
      spawnChild("research", { id: "helper", input: { topic: "mice" } }),
      sendTo("helper", { type: "approve", by: "me" }),
    ],
  });
}
