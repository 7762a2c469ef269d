/**
 * Goal: whoever asks is told what every agent waits for, and which functions go no further, from committed state alone.
 * Method: durable functions and machines on a world in memory, with crashes; all is read through the client.
 */
import { agent, durable, type DurableContext, type WaitView } from "@dormouse/sdk";
import { testRuntime, type TestRuntime } from "@dormouse/testing";
import { expect, test } from "vitest";
import { fromPromise, setup } from "xstate";
import { z } from "zod";

const begunAt = Date.UTC(2026, 0, 1);

const approval = agent("approval", {
  run: durable(async ({ input, receive }: DurableContext<string>) => {
    const options = { schema: z.object({ ok: z.boolean() }), timeout: "7d", question: `ship ${input}?` } as const;
    const { ok } = await receive("approve", options);
    return ok;
  }),
});

type OrderEvents = { type: "approve"; value: boolean } | { type: "deny" } | { type: "pack" };
const order = agent("order", {
  machine: setup({ types: {} as { events: OrderEvents; tags: "waiting" | "busy" } }).createMachine({
    initial: "packing",
    states: {
      packing: { tags: "busy", on: { pack: "checking" } },
      checking: { tags: "waiting", on: { approve: "packing", deny: "denied" } },
      denied: { type: "final" },
    },
  }),
});

async function waits(runtime: TestRuntime, type?: string): Promise<readonly WaitView[]> {
  return Array.fromAsync(runtime.client.waits(type === undefined ? {} : { type }));
}

test("a wait is told with its name, times, question, schema and token, also when its function is parked or its host died", async () => {
  await using runtime = await testRuntime({ agents: [approval] });
  const ref = runtime.client.agent(approval, "a1");
  await ref.start("the order");
  await runtime.quiesce();
  const expected = {
    agent: "approval/a1",
    name: "approve",
    function: "run",
    since: begunAt,
    due: begunAt + 7 * 86_400_000,
    question: "ship the order?",
    schema: expect.objectContaining({ type: "object", required: ["ok"] }),
    token: expect.stringMatching(/^[0-9a-f]{32}\.approval\/a1$/),
  };
  const told = await waits(runtime);
  expect(told).toEqual([expected]);
  await runtime.crash();
  expect(await waits(runtime)).toEqual(told);
  await runtime.advance("1h");
  expect(await waits(runtime)).toEqual(told);
  expect((await ref.read())?.waits).toEqual(told);
  await runtime.client.respond(told[0]?.token ?? "", { ok: true });
  expect(await waits(runtime)).toEqual([]);
  await runtime.quiesce();
  await expect(ref.result()).resolves.toBe(true);
});

test("right after a host died, agents whose newest steps are in its journal alone are told as they are committed", async () => {
  await using runtime = await testRuntime({ agents: [approval, order] });
  const keys = Array.from({ length: 40 }, (_, index) => `a${String(index).padStart(2, "0")}`);
  await Promise.all(keys.map((key) => runtime.client.agent(approval, key).start(key)));
  await runtime.quiesce();
  await runtime.advance("1h");
  await Promise.all(
    keys.slice(0, 20).map((key) => runtime.client.agent(approval, key).respond("approve", { ok: true })),
  );
  await runtime.client.agent(approval, "new").start("new");
  await runtime.quiesce();
  await runtime.crash();
  const [listed, told] = await Promise.all([Array.fromAsync(runtime.client.list()), waits(runtime)]);
  const open = [...keys.slice(20), "new"].map((key) => `approval/${key}`);
  expect(
    listed
      .filter(({ status }) => status === "active")
      .map((view) => view.agent)
      .toSorted(),
  ).toEqual(open);
  expect(told.map((wait) => wait.agent).toSorted()).toEqual(open);
});

test("a machine in a state tagged as waiting is told with each event that it takes there, and no other is", async () => {
  await using runtime = await testRuntime({ agents: [order] });
  const ref = runtime.client.agent(order, "o1");
  await ref.start();
  expect(await waits(runtime)).toEqual([]);
  await ref.respond("pack");
  const none = { function: undefined, due: undefined, question: undefined, schema: undefined, token: undefined };
  const expected = ["approve", "deny"].map((name) => ({ agent: "order/o1", name, since: begunAt, ...none }));
  expect(await waits(runtime)).toEqual(expected);
  expect((await ref.read())?.waits).toEqual(expected);
  await runtime.advance("1h");
  await runtime.crash();
  expect(await waits(runtime)).toEqual(expected);
  await ref.respond("deny");
  expect(await waits(runtime)).toEqual([]);
});

test("waits of machines' functions and of child agents are told with the function that waits", async () => {
  const ask = durable(async ({ input, receive }: DurableContext<string>) => receive(input));
  const child = setup({ actors: { ask } }).createMachine({ invoke: { src: "ask", input: "of child" } });
  const parent = agent("parent", {
    machine: setup({ actors: { ask, child } }).createMachine({
      invoke: [
        { id: "one", src: "ask", input: "of parent" },
        { id: "two", src: "child" },
      ],
    }),
  });
  await using runtime = await testRuntime({ agents: [parent] });
  await runtime.client.agent(parent, "p1").start();
  await runtime.quiesce();
  const told = await waits(runtime);
  expect(told.map(({ name, function: src }) => [name, src])).toEqual(
    expect.arrayContaining([
      ["of parent", "ask"],
      ["of child", "ask"],
    ]),
  );
  expect(told).toHaveLength(2);
  const ofChild = told.find(({ name }) => name === "of child");
  expect(ofChild?.agent).toMatch(/^parent\/~/);
  await runtime.client.respond(ofChild?.token ?? "", 1);
  expect((await waits(runtime)).map(({ name }) => name)).toEqual(["of parent"]);
});

test("waits of many agents come in bounded pages: each once, of one type where one is asked for", async () => {
  const pair = agent("pair", {
    run: durable(async ({ receive }) => Promise.all([receive("one"), receive("two")])),
  });
  await using runtime = await testRuntime({ agents: [approval, pair] });
  const keys = Array.from({ length: 700 }, (_, index) => `k${index}`);
  await Promise.all(keys.map((key) => runtime.client.agent(pair, key).start()));
  await runtime.client.agent(approval, "a1").start("it");
  await runtime.quiesce();
  // Some are in memory alone by now, others in the store alone.
  await runtime.advance("1h");
  await Promise.all(keys.slice(0, 50).map((key) => runtime.client.agent(pair, `new-${key}`).start()));
  await runtime.quiesce();
  const told = await waits(runtime, "pair");
  const names = told.map(({ agent: address, name }) => `${address} ${name}`);
  expect(new Set(names).size).toBe(1_500);
  expect(names).toHaveLength(1_500);
  expect(await waits(runtime)).toHaveLength(1_501);
  expect(await waits(runtime, "wolf")).toEqual([]);
});

test("an agent is read with what it has under way: effects, and the calls that their functions wait in", async () => {
  const gate = Promise.withResolvers<void>();
  const busy = agent("busy", {
    machine: setup({
      actors: {
        plain: fromPromise(async ({ input: _input }: { input: { n: number } }) => gate.promise),
        work: durable(async ({ run, sleep, ask, receive }) => {
          await run("first", () => null);
          const retry = { initialInterval: "2h", jitter: 0 } as const;
          const failing = run("flaky", () => Promise.reject(new RangeError("not yet")), { retry });
          await Promise.all([
            failing,
            sleep("1d"),
            ask(order, "o9", { type: "pack" } as never, { timeout: "3h" }),
            receive("go"),
          ]);
        }),
      },
    }).createMachine({
      invoke: [
        { id: "plain", src: "plain", input: { n: 1 } },
        { id: "work", src: "work" },
      ],
    }),
  });
  await using runtime = await testRuntime({ agents: [busy, order] });
  const ref = runtime.client.agent(busy, "b1");
  await ref.start();
  await expect.poll(async () => (await ref.read())?.waits.length).toBe(1);
  const effects = (await ref.read())?.effects ?? [];
  expect(effects).toMatchObject([
    { src: "plain", input: { n: 1 }, attempt: 1, durable: undefined },
    { src: "work", attempt: 1, durable: { status: "running", since: begunAt, checkpointCount: 1, error: undefined } },
  ]);
  const hour = 3_600_000;
  expect(effects[1]?.durable?.open).toMatchObject([
    { place: 2, kind: "run", name: "flaky", due: begunAt + 2 * hour, attempts: 1, error: { name: "RangeError" } },
    { place: 3, kind: "sleep", due: begunAt + 24 * hour, since: begunAt },
    { place: 4, kind: "ask", name: "pack", to: "order/o9", due: begunAt + 3 * hour },
    { place: 5, kind: "receive", name: "go", due: undefined },
  ]);
  gate.resolve();
});

test("a function whose code no longer fits its record is told as stuck, with why, until it is mended", async () => {
  let isMended = true;
  const changing = agent("changing", {
    run: durable(async ({ run, receive }) => {
      await run(isMended ? "old" : "new", () => 0);
      return receive("end");
    }),
  });
  await using runtime = await testRuntime({ agents: [changing] });
  const ref = runtime.client.agent(changing, "c1");
  await ref.start();
  await runtime.quiesce();
  const views = async () => Array.fromAsync(runtime.client.list());
  expect(await views()).toMatchObject([{ waitCount: 1, stuck: undefined }]);
  isMended = false;
  await runtime.crash();
  await runtime.quiesce();
  expect(await views()).toMatchObject([{ status: "active", stuck: { code: "checkpoint.mismatch" } }]);
  const [effect] = (await ref.read())?.effects ?? [];
  expect(effect?.durable).toMatchObject({ status: "stuck", error: { code: "checkpoint.mismatch" } });
  isMended = true;
  await ref.resume();
  await runtime.quiesce();
  expect(await views()).toMatchObject([{ status: "active", stuck: undefined }]);
  expect((await ref.read())?.effects[0]?.durable?.status).not.toBe("stuck");
});
