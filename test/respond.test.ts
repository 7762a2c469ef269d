/**
 * Goal: a person or a webhook answers a wait by its name or its token, and is told what came of it.
 * Method: durable functions on a world in memory; each response is made through the client.
 */
import { agent, durable, type DurableContext, type ReceiveOptions } from "@dormouse/sdk";
import { testRuntime, type TestRuntime } from "@dormouse/testing";
import { expect, test } from "vitest";
import { createMachine, setup } from "xstate";
import { z } from "zod";

/** Waits for one value and keeps going for a while, so that its agent is there when others respond too. */
function approval(schema?: ReceiveOptions["schema"]) {
  const tokens: string[] = [];
  const definition = agent("approval", {
    run: durable(async ({ receive, sleep }: DurableContext) => {
      const wait = receive("approve", schema === undefined ? {} : { schema });
      tokens.push(wait.token);
      const value: unknown = await wait;
      await sleep("1h");
      return value;
    }),
  });
  return { definition, tokens };
}

/** Resolves with what the call rejects with. */
async function refusal(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => "accepted",
    (error: unknown) => (error as { readonly code?: string }).code,
  );
}

async function begin(runtime: TestRuntime, definition: ReturnType<typeof approval>["definition"]) {
  const ref = runtime.client.agent(definition, "a1");
  await ref.start();
  await runtime.quiesce();
  return ref;
}

test("a response by token is the value of the wait, also after a crash", async () => {
  const { definition, tokens } = approval();
  await using runtime = await testRuntime({ agents: [definition] });
  const ref = await begin(runtime, definition);
  await runtime.advance("1m");
  await runtime.crash();
  await runtime.client.respond(tokens[0] ?? "", { by: "ada" });
  await runtime.advance("2h");
  await expect(ref.result()).resolves.toEqual({ by: "ada" });
  expect(new Set(tokens).size).toBe(1);
});

test("a second response by token gets the first one's outcome, also when the agent has ended since", async () => {
  const { definition, tokens } = approval();
  await using runtime = await testRuntime({ agents: [definition] });
  const ref = await begin(runtime, definition);
  const [token = ""] = tokens;
  await runtime.client.respond(token, 1);
  await runtime.client.respond(token, 2);
  await runtime.advance("2h");
  await expect(ref.result()).resolves.toBe(1);
  await runtime.client.respond(token, 3);
  expect(await refusal(runtime.client.respond(`${"0".repeat(32)}.approval/a1`, 3))).toBe("token.unknown");
  await ref.remove();
  expect(await refusal(runtime.client.respond(token, 3))).toBe("token.unknown");
});

test("a second response is told of the first also when that ended its function, or it began anew since", async () => {
  const tokens: string[] = [];
  const rounds = durable(async ({ input, receive, restart }: DurableContext<number>) => {
    const wait = receive("answer");
    tokens.push(wait.token);
    await wait;
    return input < 30 ? restart(input + 1) : undefined;
  });
  const asking = agent("asking", {
    machine: setup({ types: {} as { events: { type: "never" } }, actors: { rounds } }).createMachine({
      initial: "asks",
      states: { asks: { invoke: { src: "rounds", input: 1, onDone: "done" } }, done: { on: { never: {} } } },
    }),
  });
  await using runtime = await testRuntime({ agents: [asking] });
  const ref = runtime.client.agent(asking, "a1");
  await ref.start();
  for (let round = 0; round < 30; round += 1) {
    await runtime.quiesce();
    await runtime.client.respond(tokens[round] ?? "", round);
    expect(await refusal(runtime.client.respond(tokens[round] ?? "", "again"))).toBe("accepted");
  }
  await runtime.quiesce();
  await runtime.crash();
  expect((await ref.read())?.value).toBe("done");
  expect(await refusal(runtime.client.respond(tokens[29] ?? "", "again"))).toBe("accepted");
  // Of those long ago nothing is kept, and of those that nobody gave nothing is believed.
  expect(await refusal(runtime.client.respond(tokens[0] ?? "", "again"))).toBe("token.unknown");
  expect(await refusal(runtime.client.respond(`${"0".repeat(32)}.asking/a1`, 1))).toBe("token.unknown");
});

test.for([
  { value: 5, outcome: "accepted" },
  { value: -5, outcome: "receive.refused" },
])("who responds while $value is looked at gets its outcome: $outcome", async ({ value, outcome }) => {
  const isLooking = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const schema = z.number().refine(async (number) => {
    isLooking.resolve();
    await gate.promise;
    return number > 0;
  });
  const { definition, tokens } = approval(schema);
  await using runtime = await testRuntime({ agents: [definition] });
  const ref = await begin(runtime, definition);
  const [token = ""] = tokens;
  const first = refusal(runtime.client.respond(token, value));
  await isLooking.promise;
  const second = refusal(runtime.client.respond(token, 6));
  await expect.poll(async () => (await ref.read())?.seq).toBe(4);
  gate.resolve();
  expect([await first, await second]).toEqual([outcome, outcome]);
  // Of a wait that goes on, the next response is the value.
  await runtime.client.respond(token, 7);
  await runtime.advance("2h");
  await expect(ref.result()).resolves.toBe(outcome === "accepted" ? value : 7);
});

test("a value that does not fit is refused, by name and by token, and the wait goes on", async () => {
  const { definition, tokens } = approval(z.boolean());
  await using runtime = await testRuntime({ agents: [definition] });
  const ref = await begin(runtime, definition);
  expect(await refusal(ref.respond("approve", "yes"))).toBe("receive.refused");
  await runtime.advance("1m");
  expect(await refusal(runtime.client.respond(tokens[0] ?? "", "no"))).toBe("receive.refused");
  await ref.respond("approve", true);
  await runtime.advance("2h");
  await expect(ref.result()).resolves.toBe(true);
});

test("a response before its wait is kept, and resolves; too many are refused", async () => {
  const late = agent("late", {
    run: durable(async ({ sleep, receive }) => {
      await sleep("1d");
      return receive("go");
    }),
  });
  await using runtime = await testRuntime({ agents: [late] });
  const ref = runtime.client.agent(late, "l1");
  await ref.start();
  await Promise.all(Array.from({ length: 1_000 }, (_, index) => ref.respond("go", index)));
  expect(await refusal(ref.respond("go", 1_000))).toBe("receive.full");
  await runtime.advance("2d");
  await expect(ref.result()).resolves.toBe(0);
});

test.for([
  { what: "nothing", token: "" },
  { what: "a secret alone", token: "0".repeat(32) },
  { what: "an address alone", token: "approval/a1" },
  { what: "capitals", token: `${"A".repeat(32)}.approval/a1` },
  { what: "no address", token: `${"0".repeat(32)}.approval` },
  { what: "no text", token: undefined as unknown as string },
])("$what is no token", async ({ token }) => {
  const { definition } = approval();
  await using runtime = await testRuntime({ agents: [definition] });
  await expect(runtime.client.respond(token, 1)).rejects.toMatchObject({ kind: "invalid", code: "token.invalid" });
});

test("a token that nobody gave, and one of an agent that is not there, are unknown and change nothing", async () => {
  const { definition } = approval();
  await using runtime = await testRuntime({ agents: [definition] });
  const ref = await begin(runtime, definition);
  const before = (await ref.read())?.seq;
  for (const key of ["a1", "nobody"]) {
    const token = `${"0".repeat(32)}.approval/${key}`;
    const error = { kind: "conflict", code: "token.unknown" };
    await expect(runtime.client.respond(token, 1)).rejects.toMatchObject(error);
  }
  expect((await ref.read())?.seq).toBe(before);
  expect(await runtime.client.agent(definition, "nobody").read()).toBeUndefined();
});

test("a token dies with a wait that timed out: who responds is told so", async () => {
  const tokens: string[] = [];
  const brief = agent("brief", {
    run: durable(async ({ receive, sleep }) => {
      const wait = receive("go", { timeout: "1h" });
      tokens.push(wait.token);
      await wait.catch(() => undefined);
      await sleep("1h");
    }),
  });
  await using runtime = await testRuntime({ agents: [brief] });
  await runtime.client.agent(brief, "b1").start();
  await runtime.quiesce();
  await runtime.advance("90m");
  expect(await refusal(runtime.client.respond(tokens[0] ?? "", 1))).toBe("receive.timeout");
  await runtime.advance("1h");
  expect(await refusal(runtime.client.respond(tokens[0] ?? "", 1))).toBe("token.unknown");
});

test("a machine takes a response as an event, and who responds need not wait for a reply", async () => {
  type Events = { type: "approve"; value: boolean };
  const order = agent("order", {
    machine: setup({ types: {} as { events: Events } }).createMachine({
      initial: "open",
      states: {
        open: { on: { approve: { guard: ({ event }) => event.value, target: "done" } } },
        done: { type: "final" },
      },
    }),
  });
  await using runtime = await testRuntime({ agents: [order] });
  const ref = runtime.client.agent(order, "o1");
  await ref.start();
  expect(await refusal(ref.respond("approve", false))).toBe("event.not-taken");
  expect(await refusal(ref.respond("deny", false))).toBe("event.not-taken");
  await ref.respond("approve", true);
  expect((await ref.read())?.status).toBe("done");
});

test("a machine's functions are responded to by token, each its own", async () => {
  const tokens = new Map<string, string>();
  const ask = durable(async ({ input, receive }: DurableContext<string>) => {
    const wait = receive("answer");
    tokens.set(input, wait.token);
    return `${input} ${String(await wait)}`;
  });
  const pair = agent("pair", {
    machine: setup({ actors: { ask } }).createMachine({
      type: "parallel",
      states: {
        one: { initial: "asks", states: { asks: { invoke: { src: "ask", input: "one", onDone: "done" } }, done: {} } },
        two: { initial: "asks", states: { asks: { invoke: { src: "ask", input: "two", onDone: "done" } }, done: {} } },
      },
    }),
  });
  await using runtime = await testRuntime({ agents: [pair, agent("other", { machine: createMachine({}) })] });
  const ref = runtime.client.agent(pair, "p1");
  await ref.start();
  await runtime.quiesce();
  await runtime.client.respond(tokens.get("two") ?? "", "yes");
  await runtime.quiesce();
  expect((await ref.read())?.value).toEqual({ one: "asks", two: "done" });
});

test.for([
  { what: "a value that is taken", value: 1, outcome: "accepted" },
  { what: "a value that is refused", value: "no", outcome: "receive.refused" },
])("who responds with $what over a crash hears the outcome, once it is known", async ({ value, outcome }) => {
  let looks = 0;
  const isLooking = Promise.withResolvers<void>();
  // The first look is cut off with its host.
  const validate = async (given: unknown) => {
    looks += 1;
    isLooking.resolve();
    if (looks === 1) await new Promise(() => undefined);
    return typeof given === "number" ? { value: given } : { issues: [{ message: "no number" }] };
  };
  const schema = { "~standard": { version: 1, vendor: "test", validate } } as const;
  const { definition, tokens } = approval(schema);
  await using runtime = await testRuntime({ agents: [definition] });
  const ref = await begin(runtime, definition);
  const answered = refusal(runtime.client.respond(tokens[0] ?? "", value));
  await isLooking.promise;
  await runtime.crash();
  await runtime.quiesce();
  expect(await answered).toBe(outcome);
  expect(looks).toBe(2);
  await ref.terminate();
});

test("a response under an idempotency key is received once", async () => {
  const twice = agent("twice", {
    run: durable(async ({ receive }) => [await receive("go"), await receive("go")]),
  });
  await using runtime = await testRuntime({ agents: [twice] });
  const ref = runtime.client.agent(twice, "t1");
  await ref.start();
  await ref.respond("go", 1, { idempotencyKey: "one" });
  await ref.respond("go", 1, { idempotencyKey: "one" });
  await runtime.quiesce();
  expect((await ref.read())?.waits).toHaveLength(1);
  await ref.respond("go", 2, { idempotencyKey: "two" });
  await runtime.quiesce();
  await expect(ref.result()).resolves.toEqual([1, 2]);
});

test("a response to an agent that nobody started begins none; an event does", async () => {
  const { definition } = approval();
  const machine = setup({ types: {} as { events: { type: "approve" } } }).createMachine({
    on: { approve: { actions: () => undefined } },
  });
  const order = agent("order", { machine });
  await using runtime = await testRuntime({ agents: [definition, order] });
  const [misspelt, other] = [runtime.client.agent(definition, "a2"), runtime.client.agent(order, "o1")];
  expect(await refusal(misspelt.respond("approve", true, { idempotencyKey: "once" }))).toBe("agent.not-started");
  expect(await refusal(other.respond("approve"))).toBe("agent.not-started");
  expect([await misspelt.read(), await other.read()]).toEqual([undefined, undefined]);
  await other.start();
  await other.respond("approve");
  await misspelt.send({ type: "approve", value: 1 });
  await runtime.quiesce();
  expect((await misspelt.read())?.status).toBe("active");
});
