/**
 * Goal: a marked call that finished is never done again, and a wait holds no process (D6, D7).
 * Method: durable functions on a world in memory, with crashes; bodies count how often they ran.
 */
import {
  agent,
  type Ask,
  checkpoint,
  currentCall,
  durable,
  type DurableContext,
  reply,
  replyTo,
  TerminalError,
} from "@dormouse/sdk";
import { makeClient } from "@dormouse/client";
import { startIncarnation } from "@dormouse/core";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { testRuntime } from "@dormouse/testing";
import { expect, test } from "vitest";
import { assign, fromPromise, type PromiseActorLogic, setup } from "xstate";
import { z } from "zod";

/** How often each body ran, by name. */
function counter(): { readonly ran: Record<string, number>; readonly count: <T>(name: string, value: T) => T } {
  const ran: Record<string, number> = {};
  const count = <T>(name: string, value: T): T => {
    ran[name] = (ran[name] ?? 0) + 1;
    return value;
  };
  return { ran, count };
}

test("calls that were recorded are not done again after a crash", async () => {
  const { ran, count } = counter();
  const gate = Promise.withResolvers<void>();
  const triage = agent("triage", {
    run: durable(async ({ input, run }: DurableContext<{ ticket: number }>) => {
      const a = await run("first", () => count("first", input.ticket + 1));
      const b = await run("second", () => count("second", a + 1));
      const c = await run("third", async () => {
        count("third", 0);
        if ((ran["third"] ?? 0) === 1) await gate.promise;
        return b + 1;
      });
      return { a, b, c };
    }),
  });
  await using runtime = await testRuntime({ agents: [triage] });
  const ref = runtime.client.agent(triage, "t1");
  await ref.start({ ticket: 1 });
  await expect.poll(() => ran["third"]).toBe(1);
  await runtime.crash();
  await runtime.quiesce();
  await expect(ref.result()).resolves.toEqual({ a: 2, b: 3, c: 4 });
  expect(ran).toEqual({ first: 1, second: 1, third: 2 });
});

test("a sleep of a week passes over a crash", async () => {
  const { ran, count } = counter();
  const slow = agent("slow", {
    run: durable(async ({ run, sleep, now }) => {
      const before = now();
      await run("before", () => count("before", 0));
      await sleep("7d");
      await run("after", () => count("after", 0));
      return now() - before;
    }),
  });
  await using runtime = await testRuntime({ agents: [slow] });
  const ref = runtime.client.agent(slow, "s1");
  await ref.start();
  await runtime.quiesce();
  await runtime.advance("3d");
  await runtime.crash();
  await runtime.advance("5d");
  expect(await ref.result()).toBeGreaterThanOrEqual(7 * 86_400_000);
  expect(ran).toEqual({ before: 1, after: 1 });
});

test("a value is received from an event, before or after it is asked for, and is checked", async () => {
  const orders = agent("orders", {
    run: durable(async ({ run, receive }) => {
      const note = await receive("note");
      await run("work", () => 0);
      const ok = await receive("approval", { schema: z.boolean(), question: "ship it?" });
      return { note, ok };
    }),
  });
  await using runtime = await testRuntime({ agents: [orders] });
  const ref = runtime.client.agent(orders, "o1");
  await ref.start();
  await ref.send({ type: "note", value: "early" });
  await runtime.quiesce();
  await runtime.advance("1m");
  await ref.send({ type: "approval", value: "yes" });
  await runtime.quiesce();
  expect((await ref.read())?.status).toBe("active");
  await runtime.crash();
  await ref.send({ type: "approval", value: true });
  await runtime.quiesce();
  await expect(ref.result()).resolves.toEqual({ note: "early", ok: true });
});

test("Promise.all and race over marked calls come out the same after a crash", async () => {
  const { ran, count } = counter();
  const racing = agent("racing", {
    run: durable(async ({ run, sleep, receive }) => {
      const first = await Promise.race([sleep("2d").then(() => "slept"), receive("go").then(() => "gone")]);
      const all = await Promise.all(["a", "b", "c"].map((name) => run(name, () => count(name, name))));
      await sleep("1d");
      return [first, ...all];
    }),
  });
  await using runtime = await testRuntime({ agents: [racing] });
  const ref = runtime.client.agent(racing, "r1");
  await ref.start();
  await runtime.advance("1d");
  await ref.send({ type: "go" });
  await runtime.quiesce();
  await runtime.crash();
  await runtime.advance("2d");
  await expect(ref.result()).resolves.toEqual(["gone", "a", "b", "c"]);
  expect(ran).toEqual({ a: 1, b: 1, c: 1 });
});

test("an attempt that fails is repeated by its policy, over crashes; the last error is the function's to catch", async () => {
  const { ran, count } = counter();
  const retry = { maxAttempts: 3, initialInterval: "1h", jitter: 0 } as const;
  const flaky = agent("flaky", {
    run: durable(async ({ run }) => {
      const fine = await run(
        "third time",
        ({ attempt }) => {
          count("third time", 0);
          if (attempt < 3) throw new Error("not yet");
          return attempt;
        },
        { retry },
      );
      const never = await run(
        "never",
        () => {
          count("never", 0);
          throw Object.assign(new RangeError("no"), { code: "E_NO" });
        },
        { retry },
      ).catch((error: unknown) => error);
      const final = await run("final", () => {
        count("final", 0);
        throw new TerminalError("for good");
      }).catch((error: unknown) => (error as Error).name);
      const { name, code } = never as { readonly name: string; readonly code: string };
      return { fine, name, code, final };
    }),
  });
  await using runtime = await testRuntime({ agents: [flaky] });
  const ref = runtime.client.agent(flaky, "f1");
  await ref.start();
  await runtime.quiesce();
  await runtime.crash();
  for (let hours = 0; hours < 8; hours += 1) await runtime.advance("1h");
  await expect(ref.result()).resolves.toEqual({ fine: 3, name: "RangeError", code: "E_NO", final: "TerminalError" });
  expect(ran).toEqual({ "third time": 3, never: 3, final: 1 });
});

test("a marked function is recorded wherever it is called inside a durable function, and runs plainly elsewhere", async () => {
  const { ran, count } = counter();
  const deep = checkpoint("deep", async (value: number) => count("deep", value * 2));
  const outer = checkpoint("outer", async (value: number) => count("outer", await deep(value)));
  const marked = agent("marked", {
    run: durable(async ({ sleep }) => {
      const value = (await deep(1)) + (await outer(2));
      await sleep("1d");
      return value;
    }),
  });
  await expect(deep(4)).resolves.toBe(8);
  await using runtime = await testRuntime({ agents: [marked] });
  const ref = runtime.client.agent(marked, "m1");
  await ref.start();
  await runtime.quiesce();
  await runtime.crash();
  await runtime.advance("2d");
  await expect(ref.result()).resolves.toBe(6);
  expect(ran).toEqual({ deep: 3, outer: 1 });
});

function untilAborted(): Promise<void> {
  return new Promise((_, reject) => {
    currentCall()?.signal.addEventListener("abort", () => reject(new Error("aborted")));
  });
}

test("a marked function knows the attempt under way: one key for all, and a signal that ends with its time", async () => {
  const seen: unknown[] = [];
  const gate = Promise.withResolvers<void>();
  const pay = checkpoint("pay", async () => {
    seen.push(currentCall()?.idempotencyKey);
    if (seen.length === 2) await gate.promise;
  });
  const hangBriefly = checkpoint("hang", untilAborted, { retry: { timeout: "1m", maxAttempts: 1 } });
  const paying = agent("paying", {
    run: durable(async ({ run }) => {
      await pay();
      const between = currentCall();
      await run("twice", () => Promise.all([pay(), pay()]));
      const hung = await hangBriefly().catch((error: unknown) => (error as { readonly code: string }).code);
      return { between, hung };
    }),
  });
  await pay();
  expect(seen).toEqual([undefined]);
  await using runtime = await testRuntime({ agents: [paying] });
  const ref = runtime.client.agent(paying, "p1");
  await ref.start();
  await expect.poll(() => seen.length).toBe(2);
  await runtime.crash();
  await runtime.advance("2m");
  await expect(ref.result()).resolves.toEqual({ between: undefined, hung: "effect.timeout" });
  const [, first, ...rest] = seen;
  expect(first).toEqual(expect.any(String));
  expect(rest).toEqual([first, rest[1], rest[1]]);
  expect(new Set(rest).size).toBe(2);
});

test("code that no longer fits its record is stuck, and goes on when it is mended and resumed", async () => {
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
  isMended = false;
  await runtime.crash();
  await ref.send({ type: "end", value: 7 });
  await runtime.quiesce();
  expect((await ref.read())?.status).toBe("active");
  isMended = true;
  await ref.resume();
  await runtime.quiesce();
  await expect(ref.result()).resolves.toBe(7);
});

const counting = agent("counting", {
  machine: setup({
    types: {} as { context: { count: number }; events: Ask<{ type: "add"; by: number }, number> | { type: "note" } },
  }).createMachine({
    context: { count: 0 },
    on: {
      add: {
        actions: [
          assign({ count: ({ context, event }) => context.count + event.by }),
          reply(({ context }) => context.count),
        ],
      },
      note: { actions: assign({ count: ({ context }) => context.count + 100 }) },
    },
  }),
});

test("another agent is asked and sent to once, over crashes", async () => {
  const asking = agent("asking", {
    run: durable(async ({ ask, send, sleep }) => {
      const first = await ask(counting, "shared", { type: "add", by: 1 });
      await send(counting, "shared", { type: "note" });
      await sleep("1d");
      const second = await ask(counting, "shared", { type: "add", by: 1 });
      const refused = await ask(counting, "shared", { type: "nothing" } as never).catch(
        (error: unknown) => (error as { readonly code: string }).code,
      );
      return [first, second, refused];
    }),
  });
  await using runtime = await testRuntime({ agents: [asking, counting] });
  const ref = runtime.client.agent(asking, "a1");
  await ref.start();
  await runtime.quiesce();
  await runtime.crash();
  await runtime.advance("2d");
  await expect(ref.result()).resolves.toEqual([1, 102, "event.not-taken"]);
});

test("an agent that gives no answer ends the ask by its time-out", async () => {
  const asking = agent("asking", {
    run: durable(async ({ ask }) => ask(counting, "shared", { type: "note" } as never, { timeout: "2h" })),
  });
  await using runtime = await testRuntime({ agents: [asking, counting] });
  const ref = runtime.client.agent(asking, "a1");
  await ref.start();
  await runtime.advance("1h");
  expect((await ref.read())?.status).toBe("active");
  await runtime.crash();
  await runtime.advance("2h");
  await expect(ref.result()).rejects.toMatchObject({ kind: "timeout", code: "ask.timeout" });
});

test("agents that ask one another in a circle are told of it by the time-outs of their asks", async () => {
  /** The type, for those who ask: a definition cannot name itself. */
  const asked = agent("circling", {
    machine: setup({ types: {} as { events: Ask<{ type: "question" }, string> } }).createMachine({}),
  });
  const circling = agent("circling", {
    machine: setup({
      types: {} as {
        context: { readonly next: string; readonly waiting: number; readonly error?: string };
        input: string;
        events: Ask<{ type: "question" }, string>;
      },
      actors: {
        asking: durable(async ({ input, ask }: DurableContext<string>) =>
          ask(asked, input, { type: "question" }, { timeout: "1h" }),
        ),
      },
    }).createMachine({
      context: ({ input }) => ({ next: input, waiting: 0 }),
      initial: "idle",
      states: {
        idle: { on: { question: "asking" } },
        asking: {
          // Taken, and answered by nobody while it asks itself.
          on: { question: { actions: assign({ waiting: ({ context }) => context.waiting + 1 }) } },
          invoke: {
            src: "asking",
            input: ({ context }) => context.next,
            onError: { target: "idle", actions: assign({ error: ({ event }) => (event.error as Error).message }) },
          },
        },
      },
    }),
  });
  await using runtime = await testRuntime({ agents: [circling] });
  const { client } = runtime;
  const told = async (key: string) => (await client.agent(circling, key).read())?.context.error;
  for (const [key, next] of Object.entries({ a: "b", b: "c", c: "a", alone: "alone" })) {
    await client.agent(circling, key).start(next);
  }
  await client.agent(circling, "a").send({ type: "question" });
  await client.agent(circling, "alone").send({ type: "question" });
  await runtime.quiesce();
  await runtime.crash();
  await runtime.advance("2h");
  expect(await told("a")).toContain("circling/a -> circling/b -> circling/c -> circling/a");
  expect(await told("alone")).toContain("circling/alone -> circling/alone");
  // Nobody waits for it in the end: a stranger's silence is no circle.
  expect(await told("b")).not.toContain("circle");
});

test("spawned agents are waited for, and stopped when who spawned them ends first", async () => {
  const worker = agent("worker", {
    run: durable(async ({ input, receive, sleep }: DurableContext<{ n: number }>) => {
      if (input.n < 0) throw new TypeError("negative");
      if (input.n > 9) await receive("never");
      await sleep(`${input.n}h`);
      return input.n * 2;
    }),
  });
  const boss = agent("boss", {
    run: durable(async ({ spawn, sleep }) => {
      const outputs = await Promise.all([1, 2, 3].map((n) => spawn(worker, { n })));
      const error = await spawn(worker, { n: -1 }).catch((thrown: unknown) => (thrown as Error).name);
      const slow = await Promise.race([spawn(worker, { n: 10 }), sleep("1h")]);
      return { outputs, error, slow };
    }),
  });
  await using runtime = await testRuntime({ agents: [boss, worker] });
  const ref = runtime.client.agent(boss, "b1");
  await ref.start();
  await runtime.quiesce();
  await runtime.crash();
  await runtime.advance("1d");
  await expect(ref.result()).resolves.toEqual({ outputs: [2, 4, 6], error: "TypeError", slow: undefined });
  const statuses: string[] = [];
  for await (const one of runtime.client.list({ type: "worker" })) statuses.push(one.status);
  expect(statuses.toSorted()).toEqual(["done", "done", "done", "error", "stopped"]);
});

test("a function that is cancelled undoes what it did, over a crash, and no longer than it may", async () => {
  const { ran, count } = counter();
  const saga = agent("saga", {
    run: durable(
      async ({ input, run, receive, sleep, signal }: DurableContext<{ isSlow: boolean }>) => {
        await run("book", () => count("book", 0));
        try {
          await receive("confirmed");
        } catch (error) {
          count(signal.aborted ? "aborted" : "not aborted", 0);
          if (input.isSlow) await sleep("1d");
          await run("unbook", () => count("unbook", 0));
          await sleep("1m");
          throw error;
        }
      },
      { cancelTimeout: "10m" },
    ),
  });
  await using runtime = await testRuntime({ agents: [saga] });
  const [quick, slow] = [runtime.client.agent(saga, "quick"), runtime.client.agent(saga, "slow")];
  await quick.start({ isSlow: false });
  await slow.start({ isSlow: true });
  await runtime.advance("1h");
  await quick.cancel();
  await slow.cancel();
  await runtime.quiesce();
  await runtime.crash();
  await runtime.advance("30m");
  await expect(quick.result()).rejects.toMatchObject({ kind: "closed", code: "agent.cancelled" });
  await expect(slow.result()).rejects.toMatchObject({ kind: "closed", code: "agent.cancelled" });
  expect(ran["unbook"]).toBe(1);
  expect(ran["not aborted"]).toBeUndefined();
});

test("a machine that has nothing under way and takes no cancel refuses it", async () => {
  await using runtime = await testRuntime({ agents: [counting] });
  const ref = runtime.client.agent(counting, "c1");
  await ref.start();
  await expect(ref.cancel()).rejects.toMatchObject({ kind: "conflict", code: "event.not-taken" });
});

test("a machine that does not take an ask refuses it, also while a durable function of its own is under way", async () => {
  const gate = Promise.withResolvers<void>();
  const chatting = agent("chatting", {
    machine: setup({
      types: {} as { events: Ask<{ type: "say" }, string> },
      actors: { turn: durable(async ({ run }) => run("work", () => gate.promise)) },
    }).createMachine({
      initial: "listening",
      states: {
        listening: { on: { say: "answering" } },
        answering: { invoke: { src: "turn", onDone: { target: "listening", actions: replyTo("say", () => "done") } } },
      },
    }),
  });
  await using runtime = await testRuntime({ agents: [chatting] });
  const ref = runtime.client.agent(chatting, "c1");
  const first = ref.ask({ type: "say" });
  await expect(ref.ask({ type: "say" })).rejects.toMatchObject({ kind: "conflict", code: "event.not-taken" });
  gate.resolve();
  await expect(first).resolves.toBe("done");
});

test("a token that a marked call hands out names a wait that is durable, also when the host dies at once", async () => {
  const { ran, count } = counter();
  const handedOut = Promise.withResolvers<string>();
  const gate = Promise.withResolvers<void>();
  const asking = agent("asking", {
    run: durable(async ({ receive, run }) => {
      const answer = receive("answer");
      await run("mail", async () => {
        handedOut.resolve(answer.token);
        if (count("mail", ran["mail"] === undefined)) await gate.promise;
      });
      return answer;
    }),
  });
  await using runtime = await testRuntime({ agents: [asking] });
  const ref = runtime.client.agent(asking, "a1");
  const answer = async (): Promise<void> => {
    const token = await handedOut.promise;
    await Promise.all([runtime.crash(), runtime.client.respond(token, 7)]);
  };
  const answered = answer();
  await ref.start();
  await answered;
  await expect(ref.result()).resolves.toBe(7);
  expect(ran).toEqual({ mail: 2 });
});

test("an event that is sent ahead is taken when it is due, unless it is taken back", async () => {
  const waiting = agent("waiting", {
    run: durable(async ({ receive, sleep }) => [await receive("go"), await sleep("1d")]),
  });
  await using runtime = await testRuntime({ agents: [counting, waiting] });
  const ref = runtime.client.agent(counting, "c1");
  await ref.send({ type: "note" }, { delay: "1d" });
  const second = await ref.send({ type: "note" }, { delay: "2d" });
  const function1 = runtime.client.agent(waiting, "w1");
  await function1.send({ type: "go", value: 1 }, { delay: "1d" });
  await runtime.quiesce();
  expect((await ref.read())?.context).toEqual({ count: 0 });
  await runtime.crash();
  await runtime.advance("25h");
  expect((await ref.read())?.context).toEqual({ count: 100 });
  expect(await ref.unsend(second)).toBe(true);
  expect(await ref.unsend(second)).toBe(false);
  await runtime.advance("3d");
  expect((await ref.read())?.context).toEqual({ count: 100 });
  await expect(function1.result()).resolves.toEqual([1, undefined]);
});

test("what a function logs reaches watchers once, with its step's number", async () => {
  const telling = agent("telling", {
    run: durable(async ({ log, run, sleep }) => {
      log("begins", { at: 1 });
      await run("work", () => 0);
      log("worked");
      await sleep("1d");
      log("slept");
    }),
  });
  await using runtime = await testRuntime({ agents: [telling], settings: { parkMs: 0 } });
  const ref = runtime.client.agent(telling, "t1");
  await ref.start();
  await runtime.quiesce();
  await runtime.crash();
  await runtime.advance("2d");
  const told: unknown[] = [];
  const seqs: number[] = [];
  for await (const { emitted, seq } of ref.watch()) {
    for (const event of emitted) told.push("fields" in event ? [event["message"], event["fields"]] : event["message"]);
    seqs.push(seq);
  }
  expect(told).toEqual([["begins", { at: 1 }], "worked", "slept"]);
  expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, index) => index + 1));
});

test("places go round between agents, and a function is bounded by itself", async () => {
  const order: string[] = [];
  let atOnce = 0;
  let most = 0;
  const gates: (() => void)[] = [];
  const work = async (name: string): Promise<void> => {
    order.push(name);
    atOnce += 1;
    most = Math.max(most, atOnce);
    await new Promise<void>((resolve) => gates.push(resolve));
    atOnce -= 1;
  };
  const job = durable(async ({ input, run }: DurableContext<string>) => run("work", () => work(input)), {
    concurrency: 1,
  });
  const busy = agent("busy", {
    machine: setup({
      types: {} as { input: { jobs: number }; context: { jobs: number } },
      actors: { job },
    }).createMachine({
      context: ({ input }) => input,
      invoke: [0, 1, 2].map((n) => ({ src: "job" as const, id: `j${n}`, input: ({ self }) => `${self.id} ${n}` })),
    }),
  });
  await using runtime = await testRuntime({ agents: [busy] });
  for (const key of ["a", "b"]) await runtime.client.agent(busy, key).start({ jobs: 3 });
  for (let opened = 0; opened < 6; opened += 1) {
    await expect.poll(() => gates.length).toBe(1);
    gates.pop()?.();
  }
  expect(most).toBe(1);
  expect(order.map((name) => name.slice(0, 6))).not.toEqual([
    "busy/a",
    "busy/a",
    "busy/a",
    "busy/b",
    "busy/b",
    "busy/b",
  ]);
});

test("a wait that was begun with a schema takes any value once its code has none", async () => {
  let schema: z.ZodType | undefined = z.boolean();
  const changing = agent("changing", {
    run: durable(async ({ receive }) => receive("value", schema === undefined ? {} : { schema })),
  });
  await using runtime = await testRuntime({ agents: [changing] });
  const ref = runtime.client.agent(changing, "c1");
  await ref.start();
  await runtime.quiesce();
  schema = undefined;
  await runtime.crash();
  await ref.send({ type: "value", value: "anything" });
  await runtime.quiesce();
  await expect(ref.result()).resolves.toBe("anything");
});

/** An agent that works for its result by an actor given. */
const workIs = (work: PromiseActorLogic<string>) =>
  agent("moving", {
    machine: setup({ types: {} as { context: { said?: string } }, actors: { work } }).createMachine({
      context: {},
      initial: "working",
      output: ({ context }) => context.said,
      states: {
        working: {
          invoke: { src: "work", onDone: { target: "done", actions: assign({ said: ({ event }) => event.output }) } },
        },
        done: { type: "final" },
      },
    }),
  });

test("an effect under way whose actor becomes a durable function goes on as one", async () => {
  const ports = new MemoryWorld(realClock).open("host", { clock: realClock, entropy: realEntropy });
  const before = await startIncarnation({
    agents: [workIs(fromPromise(() => new Promise(() => undefined)))],
    ports,
    settings: { drainMs: 0 },
  });
  const first = makeClient({ app: before.app, ports });
  await first.agent("moving", "m1").start();
  await before.drain();
  await first.close();
  const after = await startIncarnation({
    agents: [workIs(durable(async ({ run }) => run("say", () => "moved")))],
    ports,
  });
  const second = makeClient({ app: after.app, ports });
  await expect(second.agent("moving", "m1").result({ timeout: "20s" })).resolves.toBe("moved");
  await second.close();
  after.kill();
});

test("a call beyond those that may be open at once is not let out", async () => {
  const greedy = agent("greedy", {
    run: durable(async ({ ask, sleep }) => {
      const sleeps = Array.from({ length: 1_000 }, () => sleep("1d"));
      await Promise.all([...sleeps, ask(counting, "untouched", { type: "add", by: 1 })]);
    }),
  });
  await using runtime = await testRuntime({ agents: [greedy, counting] });
  const ref = runtime.client.agent(greedy, "g1");
  await ref.start();
  await runtime.quiesce();
  expect(await ref.read()).toMatchObject({ effects: [{ durable: { error: { code: "durable.too-many" } } }] });
  expect(await runtime.client.agent(counting, "untouched").read()).toBeUndefined();
});
