/**
 * Goal: the history tells of each marked call what it was given, what it gave or threw, its attempts, its time and its usage.
 * Method: durable functions on a world in memory; steps are read through the client, also after they left memory.
 */
import { agent, type CallView, durable, type DurableContext, TerminalError } from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import { expect, test } from "vitest";
import { fromPromise, setup } from "xstate";
import { z } from "zod";

const begunAt = Date.UTC(2026, 0, 1);
const hour = 3_600_000;

/** The calls of all steps, each with the kind of its step, without what differs from run to run. */
async function callsOf(steps: AsyncIterable<{ readonly cause: string; readonly calls: readonly CallView[] }>) {
  const found: unknown[] = [];
  for await (const { cause, calls } of steps) {
    for (const { effect: _effect, ...call } of calls) found.push({ cause, ...call });
  }
  return found;
}

const counter = agent("counter", {
  machine: setup({ types: {} as { events: { type: "add" } } }).createMachine({ on: { add: {} } }),
});

test("each call is told when it begins to wait, fails an attempt and ends; an error is told from a null", async () => {
  const work = agent("work", {
    run: durable(async ({ input, run, sleep, receive, send }: DurableContext<{ topic: string }>) => {
      const retry = { initialInterval: "1h", jitter: 0 } as const;
      const draft = async ({ attempt }: { readonly attempt: number }) => {
        if (attempt < 2) throw new RangeError("busy");
        return { text: input.topic, usage: { tokens: 12 } };
      };
      await run("draft", draft, { retry, input });
      await run("nothing", () => null, { usage: (given) => ({ given, tokens: 3 }) });
      await run("broken", () => Promise.reject(new TerminalError("for good"))).catch(() => undefined);
      await sleep("2h");
      await send(counter, "c1", { type: "add" });
      return receive("ok", { schema: z.boolean(), question: "fine?", timeout: "1d" });
    }),
  });
  await using runtime = await testRuntime({ agents: [work, counter] });
  const ref = runtime.client.agent(work, "w1");
  await ref.start({ topic: "dormice" });
  await runtime.advance("4h");
  await ref.respond("ok", "yes").catch(() => undefined);
  await ref.respond("ok", true);
  await runtime.quiesce();
  const at = begunAt + hour;
  const failed = { name: "RangeError", message: "busy" };
  const expected = [
    { cause: "calls", place: 1, kind: "run", what: "failed", attempt: 1, startedAt: begunAt, due: at, error: failed },
    {
      cause: "calls",
      place: 1,
      name: "draft",
      what: "ended",
      attempt: 2,
      startedAt: at,
      input: { topic: "dormice" },
      usage: { tokens: 12 },
      result: { ok: true, output: { text: "dormice", usage: { tokens: 12 } } },
    },
    {
      cause: "calls",
      place: 2,
      name: "nothing",
      what: "ended",
      usage: { given: null, tokens: 3 },
      result: { ok: true, output: null },
    },
    {
      cause: "calls",
      place: 3,
      name: "broken",
      what: "ended",
      result: { ok: false, error: { name: "TerminalError" } },
    },
    { cause: "calls", place: 4, kind: "sleep", what: "began", startedAt: at, due: at + 2 * hour },
    { cause: "call", place: 4, kind: "sleep", what: "ended", startedAt: at },
    { cause: "calls", place: 5, kind: "send", name: "add", what: "ended", to: "counter/c1" },
    { cause: "calls", place: 6, kind: "receive", name: "ok", what: "began", question: "fine?", due: at + 26 * hour },
    { cause: "calls", place: 6, name: "ok", what: "refused", error: { code: "receive.refused" } },
    {
      cause: "calls",
      place: 6,
      name: "ok",
      what: "ended",
      startedAt: at + 2 * hour,
      result: { ok: true, output: true },
    },
  ];
  expect(await callsOf(ref.history())).toMatchObject(expected);
  await runtime.crash();
  await runtime.advance("1d");
  expect(await callsOf(ref.history())).toMatchObject(expected);
});

test("a step is told with the effect that it is about, and with those that it dropped", async () => {
  const wait = durable(async ({ receive }) => receive("never"));
  const plain = fromPromise(async () => 1);
  const two = agent("two", {
    machine: setup({ types: {} as { events: { type: "leave" } }, actors: { wait, plain } }).createMachine({
      initial: "in",
      states: {
        in: {
          invoke: [
            { id: "wait", src: "wait", input: undefined },
            { id: "plain", src: "plain" },
          ],
          on: { leave: "out" },
        },
        out: {},
      },
    }),
  });
  await using runtime = await testRuntime({ agents: [two] });
  const ref = runtime.client.agent(two, "t1");
  await ref.start();
  await runtime.quiesce();
  await ref.respond("leave");
  const steps = await Array.fromAsync(ref.history());
  const ended = steps.find(({ cause }) => cause === "effect");
  expect(ended).toMatchObject({ effect: { src: "plain", attempt: 1 }, dropped: [] });
  expect(steps.find(({ cause }) => cause === "calls")).toMatchObject({ effect: { src: "wait" }, dropped: [] });
  expect(steps.at(-1)).toMatchObject({ cause: "event", effect: undefined, dropped: [{ src: "wait" }] });
});

test("a function that is stuck, goes on, or begins anew is told so", async () => {
  let isMended = true;
  const looping = agent("looping", {
    run: durable(async ({ input, run, receive, restart }: DurableContext<number>) => {
      await run(isMended ? "old" : "new", () => 0);
      await receive("next");
      return input < 1 ? restart(input + 1) : "end";
    }),
  });
  await using runtime = await testRuntime({ agents: [looping] });
  const ref = runtime.client.agent(looping, "l1");
  await ref.start(0);
  await runtime.quiesce();
  isMended = false;
  await runtime.crash();
  await runtime.quiesce();
  isMended = true;
  await ref.resume();
  await runtime.quiesce();
  await ref.respond("next");
  await runtime.quiesce();
  expect(await callsOf(ref.history())).toMatchObject([
    { place: 1, what: "ended" },
    { place: 2, what: "began" },
    { place: 0, kind: "function", name: "run", what: "stuck", error: { code: "checkpoint.mismatch" } },
    { cause: "resumed", place: 0, what: "resumed" },
    { cause: "event", place: 2, what: "ended" },
    { place: 0, what: "restarted", input: 1 },
    { place: 1, what: "ended" },
    { place: 2, what: "began" },
  ]);
});

test("a call that waits for another agent names it, and an agent that was cancelled tells until when it has time", async () => {
  const child = agent("child", { run: durable(async ({ receive }: DurableContext<string>) => receive("end")) });
  const parent = agent("parent", {
    run: durable(
      async ({ spawn, sleep }) => {
        await spawn(child, "task").catch(() => undefined);
        await sleep("1h").catch(() => undefined);
        return sleep("1h");
      },
      { cancelTimeout: "5m" },
    ),
  });
  await using runtime = await testRuntime({ agents: [parent, child] });
  const ref = runtime.client.agent(parent, "p1");
  await ref.start();
  await runtime.quiesce();
  const [effect] = (await ref.read())?.effects ?? [];
  const spawned = { kind: "spawn", name: "child", to: expect.stringMatching(/^child\/~/) };
  expect(effect?.durable?.open).toMatchObject([spawned]);
  await ref.cancel();
  await runtime.quiesce();
  expect((await ref.read())?.effects).toMatchObject([{ cancelled: begunAt + 300_000 }]);
  expect((await callsOf(ref.history())).slice(0, 2)).toMatchObject([
    { ...spawned, what: "began" },
    { ...spawned, what: "ended", result: { ok: false, error: { code: "agent.cancelled" } } },
  ]);
});
