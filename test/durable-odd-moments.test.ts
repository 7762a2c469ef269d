/**
 * Goal: durable functions hold what they promise in situations in which nobody expects them.
 * Method: one situation per test, on a world in memory; records are counted in its store.
 */
import { type Client, makeClient } from "@dormouse/client";
import { type DormouseError, type Incarnation, startIncarnation } from "@dormouse/core";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { agent, type AnyAgentDefinition, checkpoint, durable, type DurableContext, type Observed } from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import { assign, sendTo, setup } from "xstate";
import { expect, test } from "vitest";

test("a machine sends to its function by sendTo, and the function receives it", async () => {
  const answering = durable(async ({ receive }) => [await receive("go"), await receive("go")]);
  const machine = setup({
    types: {} as { events: { type: "tell"; value: number }; output: unknown },
    actors: { answering },
  }).createMachine({
    initial: "asks",
    output: ({ event }: { readonly event: unknown }) => (event as { readonly output: unknown }).output,
    states: {
      asks: {
        invoke: { id: "answering", src: "answering", onDone: "done" },
        on: { tell: { actions: sendTo("answering", ({ event }) => ({ type: "go", value: event.value }) as never) } },
      },
      done: { type: "final" },
    },
  });
  const teller = agent("teller", { machine });
  await using runtime = await testRuntime({ agents: [teller] });
  const ref = runtime.client.agent(teller, "t1");
  await ref.start();
  await ref.send({ type: "tell", value: 1 });
  await runtime.quiesce();
  await runtime.crash();
  await ref.send({ type: "tell", value: 2 });
  await runtime.quiesce();
  const calls: unknown[] = [];
  for await (const step of ref.history()) for (const call of step.calls) calls.push(call);
  expect((await ref.read())?.status).toBe("done");
  expect(calls).toMatchObject([{ kind: "receive" }, { kind: "receive" }, { kind: "receive" }, { kind: "receive" }]);
});

/** A host whose records are counted. */
async function counting(agents: readonly AnyAgentDefinition[]) {
  const ports = new MemoryWorld(realClock).open("host", { clock: realClock, entropy: realEntropy });
  const records: { readonly entries: number; readonly bytes: number }[] = [];
  const observe = (event: Observed): void => {
    if (event.kind === "committed") records.push(event);
  };
  const host: Incarnation = await startIncarnation({ agents, ports, observe });
  const client: Client = makeClient({ app: host.app, ports });
  return { host, client, records };
}

test("parallel runs that end together are committed together, and the code after them goes on when they are durable", async () => {
  const gate = Promise.withResolvers<void>();
  let committed = -1;
  let records: readonly unknown[] = [];
  const parallel = agent("parallel", {
    run: durable(async ({ run }) => {
      await Promise.all(Array.from({ length: 50 }, (_, n) => run(`part ${n}`, () => gate.promise)));
      committed = records.length;
    }),
  });
  const counted = await counting([parallel]);
  const { host, client } = counted;
  records = counted.records;
  const ref = client.agent(parallel, "p1");
  await ref.start();
  const before = records.length;
  gate.resolve();
  await ref.result();
  host.kill();
  expect(committed).toBe(before + 1);
});

test("a function that begins anew ten thousand times keeps its record small", async () => {
  const loop = agent("loop", {
    run: durable(async ({ input, run, restart }: DurableContext<number>) => {
      await run("turn", () => input);
      return input === 10_000 ? input : restart(input + 1);
    }),
  });
  const { host, client, records } = await counting([loop]);
  const ref = client.agent(loop, "l1");
  await ref.start(1);
  await ref.result({ timeout: "5m" });
  host.kill();
  const bytesOf = (part: typeof records): number => part.reduce((sum, { bytes }) => sum + bytes, 0);
  const half = Math.floor(records.length / 2);
  const [first, second] = [bytesOf(records.slice(0, half)), bytesOf(records.slice(half))];
  // As much for the second half of the turns as for the first, and little for each.
  expect(second).toBeLessThan(first * 1.2);
  expect((first + second) / 10_000).toBeLessThan(4_096);
});

test("a marked function called after its function has ended is done by nobody, and ends no host", async () => {
  let ran = 0;
  const late = checkpoint("late", async () => (ran += 1));
  const called = Promise.withResolvers<void>();
  const hasty = agent("hasty", {
    run: durable(async ({ run, log, sleep }) => {
      setTimeout(() => {
        void late();
        void run("late", () => (ran += 1));
        void sleep("1d");
        log("late");
        called.resolve();
      }, 1);
      return "done";
    }),
  });
  await using runtime = await testRuntime({ agents: [hasty] });
  const ref = runtime.client.agent(hasty, "h1");
  await ref.start();
  await expect(ref.result()).resolves.toBe("done");
  const seq = (await ref.read())?.seq;
  await called.promise;
  await runtime.quiesce();
  expect([ran, (await ref.read())?.seq]).toEqual([0, seq]);
});

const cyclic = new Error("round");
cyclic.cause = cyclic;

test.for<[string, () => unknown]>([
  ["a message of a megabyte", () => new Error("x".repeat(1_000_000))],
  ["a cause that is itself", () => cyclic],
  [
    "a proxy that throws",
    () =>
      new Proxy(
        {},
        {
          get: () => {
            throw new Error("get");
          },
        },
      ),
  ],
  [
    "a proxy of an error",
    () =>
      new Proxy(new Error("inside"), {
        get: () => {
          throw new Error("get");
        },
      }),
  ],
  [
    "a revoked proxy",
    () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    },
  ],
  [
    "a toString that throws",
    () => ({
      toString: () => {
        throw new Error("toString");
      },
    }),
  ],
  [
    "a message that throws",
    () =>
      Object.defineProperty(new Error("m"), "message", {
        get: () => {
          throw new Error("m");
        },
      }),
  ],
  [
    "a deep chain of causes",
    () => Array.from({ length: 10_000 }).reduce<Error>((cause) => new Error("deep", { cause }), new Error("first")),
  ],
  ["a symbol", () => Symbol("odd")],
])("%s thrown in a run is an error that the function catches, and its agent goes on", async ([, make]) => {
  const thrower = agent("thrower", {
    run: durable(async ({ run, sleep }) => {
      const error = await run(
        "odd",
        () => {
          throw make();
        },
        { retry: { maxAttempts: 2 } },
      ).catch((thrown: unknown) => thrown);
      await sleep("1d");
      return error instanceof Error && error.message.length < 2_000_000;
    }),
  });
  await using runtime = await testRuntime({ agents: [thrower] });
  const ref = runtime.client.agent(thrower, "t1");
  await ref.start();
  await runtime.advance("1h");
  await runtime.crash();
  await runtime.advance("2d");
  await expect(ref.result()).resolves.toBe(true);
});

test("a child of a type that no host runs waits for a host that does, and its parent hears of it", async () => {
  const worker = agent("worker", { run: durable(async () => "worked") });
  const boss = agent("boss", {
    run: durable(async ({ spawn, sleep }) => Promise.race([spawn(worker), sleep("30d").then(() => "nobody came")])),
  });
  const ports = new MemoryWorld(realClock).open("host", { clock: realClock, entropy: realEntropy });
  const refused = Promise.withResolvers<string>();
  const observe = (event: Observed): void => {
    if (event.kind === "refused") refused.resolve(String(event.error.code));
  };
  const first = await startIncarnation({ agents: [boss], ports, observe });
  const ref = makeClient({ app: first.app, ports }).agent(boss, "b1");
  await ref.start();
  expect(await refused.promise).toBe("agent.unknown-type");
  await first.drain();
  const second = await startIncarnation({ agents: [boss, worker], ports });
  await expect(ref.result({ timeout: "20s" })).resolves.toBe("worked");
  second.kill();
});

test("a key that is removed and begun anew while its function runs gets nothing of the run before", async () => {
  const gates: PromiseWithResolvers<string>[] = [];
  const reborn = agent("reborn", {
    run: durable(async ({ run }) => {
      const gate = Promise.withResolvers<string>();
      return run("work", () => (gates.push(gate), gate.promise));
    }),
  });
  await using runtime = await testRuntime({ agents: [reborn] });
  const ref = runtime.client.agent(reborn, "r1");
  await ref.start();
  await expect.poll(() => gates.length).toBe(1);
  await ref.remove();
  await ref.start();
  await expect.poll(() => gates.length).toBe(2);
  gates[0]?.resolve("of the first life");
  gates[1]?.resolve("of the second life");
  await expect(ref.result()).resolves.toBe("of the second life");
});

/** What an attempt is refused with. */
async function refusal(called: Promise<unknown>): Promise<unknown> {
  return called.then(
    () => undefined,
    (error: DormouseError) => error.code,
  );
}

test.each(["before", "after"] as const)(
  "a response that comes %s a terminate leaves an agent that has ended, and is answered",
  async (order) => {
    const asking = agent("asking", { run: durable(async ({ receive }) => receive("answer")) });
    await using runtime = await testRuntime({ agents: [asking] });
    const ref = runtime.client.agent(asking, "a1");
    await ref.start();
    await runtime.quiesce();
    const token = (await ref.read())?.waits[0]?.token ?? "";
    const respond = (): Promise<unknown> => refusal(runtime.client.respond(token, 1));
    const terminate = (): Promise<unknown> => refusal(ref.terminate());
    const calls = order === "before" ? [respond(), terminate()] : [terminate(), respond()];
    // The function has no time to go on in between.
    expect(await Promise.all(calls)).toEqual([undefined, order === "before" ? undefined : "token.unknown"]);
    expect((await ref.read())?.status).toBe("stopped");
  },
);

const tally = agent("tally", {
  machine: setup({ types: {} as { context: { count: number }; events: { type: "add" } } }).createMachine({
    context: { count: 0 },
    on: { add: { actions: assign({ count: ({ context }) => context.count + 1 }) } },
  }),
});

test("an event that is taken back when it is due is taken or taken back, never both", async () => {
  await using runtime = await testRuntime({ agents: [tally] });
  const ref = runtime.client.agent(tally, "c1");
  const ids = await Promise.all(
    Array.from({ length: 50 }, (_, n) => ref.send({ type: "add" }, { delay: 1_000 + (n % 3) })),
  );
  await runtime.quiesce();
  const advanced = runtime.advance(1_001);
  const back = await Promise.all(ids.map((id) => ref.unsend(id)));
  await advanced;
  await runtime.advance("1h");
  expect((await ref.read())?.context.count).toBe(back.filter((is) => !is).length);
});

test("a supervisor of a thousand children that is ended ends them all", async () => {
  const child = agent("child", { run: durable(async ({ receive }) => receive("never")) });
  const boss = agent("boss", {
    run: durable(async ({ spawn }) => Promise.all(Array.from({ length: 1_000 }, () => spawn(child)))),
  });
  await using runtime = await testRuntime({ agents: [boss, child] });
  const ref = runtime.client.agent(boss, "b1");
  await ref.start();
  await runtime.quiesce();
  await ref.terminate();
  await runtime.quiesce();
  const statuses = new Map<string, number>();
  for await (const { status } of runtime.client.list({ type: "child" })) {
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  expect([...statuses]).toEqual([["stopped", 1_000]]);
});

test("a machine that becomes a durable function, and one that is a machine again, lose nothing by it", async () => {
  const asMachine = agent("changing", {
    machine: setup({ types: {} as { events: { type: "go" } } }).createMachine({
      initial: "open",
      states: { open: { on: { go: "gone" } }, gone: {} },
    }),
  });
  const asFunction = agent("changing", { run: durable(async ({ receive }) => receive("go")) });
  const ports = new MemoryWorld(realClock).open("host", { clock: realClock, entropy: realEntropy });
  const said: unknown[] = [];
  for (const definition of [asMachine, asFunction, asMachine] as readonly AnyAgentDefinition[]) {
    const host = await startIncarnation({ agents: [definition], ports });
    const client = makeClient({ app: host.app, ports });
    const ref = client.agent("changing", "c1");
    if (said.length === 0) await ref.start();
    await ref.resume().catch(() => undefined);
    said.push(
      await ref.read().then(
        (state) => (state as { readonly value?: unknown } | undefined)?.value,
        (error: unknown) => (error as { readonly code?: string }).code,
      ),
    );
    await client.close();
    await host.drain();
  }
  expect(said).toEqual(["open", "machine.state-removed", "open"]);
});
