/** Durable functions as actors of a machine. Each `@ts-expect-error` is an error that a user must get. */
import { z } from "zod";
import { assign, sendTo, setup } from "xstate";
import {
  agent,
  type Ask,
  checkpoint,
  type DurableContext,
  durable,
  message,
  type MessageId,
  now,
  ref,
  reply,
  replyTo,
} from "@dormouse/sdk";
import { counter } from "./counter.ts";

const fetchPage = checkpoint("fetch-page", async (url: string, depth = 1) => ({ url, depth, text: "…" }));
const identity = checkpoint("identity", async <T>(value: T) => value);
function overloaded(id: number): Promise<"n">;
function overloaded(id: string): Promise<"s">;
async function overloaded(id: number | string): Promise<"n" | "s"> {
  return typeof id === "number" ? "n" : "s";
}
const both = checkpoint("overloaded", overloaded);
const sync = checkpoint("sync", (n: number) => n + 1);

export const research = agent("research", {
  machine: setup({
    types: {} as {
      context: { topic: string; report?: string; asker?: MessageId; askedAt?: number };
      input: { topic: string };
      output: { report: string };
      tags: "waiting" | "busy";
      events:
        | Ask<{ type: "order" }, { accepted: boolean }>
        | Ask<{ type: "report" }, { report: string }>
        | { type: "approve"; by: string };
      emitted: { type: "progress"; done: number };
    },
    actors: {
      // The input's type by annotation.
      write: durable(async ({ input, run, sleep, receive }: DurableContext<{ topic: string }>) => {
        const page = await fetchPage(input.topic, 2);
        const size: number = page.text.length + page.depth + (await sync(1)) + (await identity(1));
        const letter: "s" = await both("x");
        // @ts-expect-error the default parameter is a number
        void fetchPage("x", "deep");
        const draft = await run("draft", async ({ signal }) => ({ text: `${size}${letter}`, aborted: signal.aborted }));
        await sleep("10s");
        const verdict = await receive("verdict", {
          schema: z.object({ ok: z.boolean(), note: z.string().optional() }),
          timeout: "7d",
        });
        const untyped: unknown = await receive("anything");
        // @ts-expect-error not in the schema
        void verdict.missing;
        // @ts-expect-error the arguments keep their types
        void fetchPage(42);
        return { report: draft.text + verdict.ok + String(untyped) };
      }),
      // The input's type by schema.
      publish: durable({ input: z.object({ report: z.string() }) }, async ({ input, run }) => {
        const bytes: number = await run("write", () => input.report.length);
        // @ts-expect-error not in the schema
        void input.topic;
        return bytes;
      }),
      // No input.
      tidy: durable(async ({ run }) => run("tidy", () => true)),
    },
    delays: { patience: 86_400_000 },
    actions: {
      remember: assign({ asker: () => message().id, askedAt: () => now() }),
    },
  }).createMachine({
    id: "research",
    context: ({ input }) => ({ topic: input.topic }),
    initial: "writing",
    output: ({ context }) => ({ report: context.report ?? "" }),
    on: {
      order: { actions: reply({ accepted: true }) },
      report: { actions: "remember" },
    },
    states: {
      writing: {
        tags: "busy",
        invoke: {
          src: "write",
          id: "write",
          input: ({ context }) => ({ topic: context.topic }),
          onDone: {
            target: "awaitingApproval",
            actions: assign({ report: ({ event }) => event.output.report }),
          },
          onError: "failed",
        },
      },
      awaitingApproval: {
        tags: ["waiting"],
        after: { patience: "failed" },
        on: {
          approve: {
            target: "publishing",
            // Another agent, by its address; typed.
            actions: sendTo(() => ref(counter, "approvals"), { type: "add", by: 1 }),
          },
        },
      },
      publishing: {
        initial: "writing",
        states: { writing: {}, checking: {} },
        invoke: {
          src: "publish",
          input: ({ context }) => ({ report: context.report ?? "" }),
          onDone: {
            target: "published",
            actions: [
              ({ event }) => event.output.toFixed(),
              replyTo("report", ({ context }) => ({ report: context.report ?? "" })),
              replyTo({ type: "report", id: ({ context }) => context.asker! }, ({ context }) => ({
                report: context.report ?? "",
              })),
            ],
          },
        },
      },
      published: { type: "final" },
      failed: {},
    },
  }),
});

// What must not compile.
const bad = setup({
  types: {} as {
    context: { topic: string };
    events: Ask<{ type: "report" }, { report: string }> | { type: "approve" };
  },
  actors: {
    write: durable(async ({ input }: DurableContext<{ topic: string }>) => ({ report: input.topic })),
  },
});
bad.createMachine({
  context: { topic: "" },
  // @ts-expect-error topic is a string
  invoke: { src: "write", input: { topic: 42 } },
});
bad.createMachine({
  context: { topic: "" },
  invoke: {
    src: "write",
    input: { topic: "" },
    onDone: {
      // @ts-expect-error the output has no such field
      actions: ({ event }) => event.output.missing,
    },
  },
});
bad.createMachine({
  context: { topic: "" },
  // @ts-expect-error no such actor
  invoke: { src: "wrote" },
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
bad.createMachine({
  context: { topic: "" },
  invoke: {
    src: "write",
    input: { topic: "" },
    // @ts-expect-error the event here is the actor's, which nobody asked: replyTo("report", …)
    onDone: { actions: reply(({ event }) => ({ report: event.output.report })) },
  },
});

const worker = agent("worker", { run: durable(async ({ run }) => run("count", () => 1)) });
const crawler = agent("crawler", {
  run: durable(async ({ input }: DurableContext<{ site: string }>) => ({ pages: input.site.length })),
});

export const supervisor = agent("supervisor", {
  run: durable(async ({ spawn }) => {
    const count: number = (await spawn(worker)) + (await spawn(worker, undefined));
    const { pages } = await spawn(crawler, { site: "a.example" });
    // @ts-expect-error the crawler has an input
    void spawn(crawler);
    // @ts-expect-error the site is a text
    void spawn(crawler, { site: 1 });
    // @ts-expect-error the worker has none
    void spawn(worker, { site: "a.example" });
    return count + pages;
  }),
});
