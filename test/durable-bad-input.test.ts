/**
 * Goal: what cannot be right in a durable function gives a clear error, in bounded steps, and nothing else suffers (D9).
 * Method: one wrong thing per test, on a world in memory.
 */
import {
  agent,
  type Ask,
  checkpoint,
  durable,
  type DurableContext,
  type Duration,
  reply,
  RetryAfter,
  type RetryPolicy,
  TerminalError,
} from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import { expect, test } from "vitest";
import { assign, sendTo, setup } from "xstate";
import { z } from "zod";

type Run = (context: DurableContext) => Promise<unknown>;

const once: RetryPolicy = { maxAttempts: 1 };

/** What a function comes to that runs `fn`. */
async function outcomeOf(fn: Run): Promise<unknown> {
  const odd = agent("odd", { run: durable(fn as never) });
  await using runtime = await testRuntime({ agents: [odd, answerer, silent] });
  const ref = runtime.client.agent(odd, "o1");
  await ref.start();
  await runtime.quiesce();
  await runtime.advance("1h");
  return resultOf(ref);
}

interface Ended {
  read(): Promise<{ readonly status: string } | undefined>;
  result(): Promise<unknown>;
}

/** Without waiting for one that has not ended. */
async function resultOf(ref: Ended): Promise<unknown> {
  const status = (await ref.read())?.status;
  return status === "active" ? status : await ref.result().catch((error: unknown) => error);
}

interface Told {
  history(): AsyncIterable<{ readonly error: { readonly code?: string } | undefined }>;
}

/** The code of the last error in the agent's history. */
async function lastErrorOf(ref: Told): Promise<string | undefined> {
  let code: string | undefined;
  for await (const { error } of ref.history()) code = error?.code ?? code;
  return code;
}

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => ["gave", value],
    (error: unknown) => (error as { readonly code?: string }).code ?? error,
  );
}

async function lengthOf(text: string): Promise<number> {
  return text.length;
}

class Odd {
  get usage(): unknown {
    throw new Error("no usage");
  }
}

test.for([
  ["a function", () => () => 1, "checkpoint.not-data"],
  ["an instance", () => new Odd(), "checkpoint.not-data"],
  ["a ring", () => ring(), "checkpoint.not-data"],
  ["a promise of a symbol", async () => ({ a: Symbol("a") }), "checkpoint.not-data"],
  ["more than the limit", () => "x".repeat(33_554_433), "checkpoint.too-large"],
] as const)("a run that gives %s fails at once, without another attempt", async ([, make, code]) => {
  let count = 0;
  const outcome = await outcomeOf(async ({ run }) =>
    codeOf(
      run("odd", () => {
        count += 1;
        return make();
      }),
    ),
  );
  expect(outcome).toBe(code);
  expect(count).toBe(1);
});

function ring(): unknown {
  const value: { self?: unknown } = {};
  value.self = value;
  return value;
}

test.for<[string, Run, string]>([
  ["a sleep of less than nothing", async ({ sleep }) => sleep(-1), "duration.invalid"],
  ["a sleep that is no number", async ({ sleep }) => sleep(Number.NaN), "duration.invalid"],
  ["a sleep for ever", async ({ sleep }) => sleep(Infinity), "duration.invalid"],
  ["a sleep beyond the calendar", async ({ sleep }) => sleep("99999999999d"), "duration.invalid"],
  ["a sleep of no unit", async ({ sleep }) => sleep("10 s" as Duration), "duration.invalid"],
  ["a sleep of nothing at all", async ({ sleep }) => sleep(undefined as never), "duration.invalid"],
  ["a sleep until no date", async ({ sleepUntil }) => sleepUntil(new Date("never")), "option.invalid"],
  ["a sleep until a text", async ({ sleepUntil }) => sleepUntil("tomorrow" as never), "option.invalid"],
  [
    "a receive with a time-out beyond the calendar",
    async ({ receive }) => receive("a", { timeout: 1e300 }),
    "duration.invalid",
  ],
  ["a receive with a time-out below nothing", async ({ receive }) => receive("a", { timeout: -5 }), "duration.invalid"],
  ["a receive of no name", async ({ receive }) => receive(""), "option.invalid"],
  [
    "a receive of a long question",
    async ({ receive }) => receive("a", { question: "?".repeat(5_000) }),
    "option.invalid",
  ],
  ["a receive with no schema", async ({ receive }) => receive("a", { schema: {} as never }), "option.invalid"],
  [
    "an ask with a time-out beyond the calendar",
    async ({ ask }) => ask(answerer, "a1", { type: "say" }, { timeout: 1e300 }),
    "duration.invalid",
  ],
  ["an ask of no event", async ({ ask }) => ask(answerer, "a1", undefined as never), "option.invalid"],
  ["a send to no key", async ({ send }) => send(answerer, "", { type: "say" }), "key.invalid"],
  [
    "a send of what is not data",
    async ({ send }) => send(answerer, "a1", { type: "say", f: () => 1 } as never),
    "event.not-data",
  ],
  ["a run of nothing", async ({ run }) => run("a", undefined as never), "option.invalid"],
  ["a run of no name", async ({ run }) => run("", () => 1), "option.invalid"],
  ["a run with null for options", async ({ run }) => run("a", () => 1, null as never), "option.invalid"],
  ["a run with no such option", async ({ run }) => run("a", () => 1, { retries: 3 } as never), "option.invalid"],
  ["a run without attempts", async ({ run }) => run("a", () => 1, { retry: { maxAttempts: 0 } }), "option.invalid"],
  [
    "a run with half an attempt",
    async ({ run }) => run("a", () => 1, { retry: { maxAttempts: 1.5 } }),
    "option.invalid",
  ],
  [
    "a run with a backoff that shrinks",
    async ({ run }) => run("a", () => 1, { retry: { backoff: 0.5 } }),
    "option.invalid",
  ],
  [
    "a run with a backoff that is no number",
    async ({ run }) => run("a", () => 1, { retry: { backoff: Number.NaN } }),
    "option.invalid",
  ],
  ["a run with jitter of two", async ({ run }) => run("a", () => 1, { retry: { jitter: 2 } }), "option.invalid"],
  ["a run with no time at all", async ({ run }) => run("a", () => 1, { retry: { timeout: 0 } }), "option.invalid"],
  [
    "a run with an interval beyond the calendar",
    async ({ run }) => run("a", () => 1, { retry: { initialInterval: 1e300 } }),
    "duration.invalid",
  ],
  [
    "a run with a shorter longest interval",
    async ({ run }) => run("a", () => 1, { retry: { initialInterval: "2s", maxInterval: "1s" } }),
    "option.invalid",
  ],
  ["a restart on what is not data", async ({ restart }) => restart((() => 1) as never), "input.not-data"],
  [
    "a sleep in the body of a run",
    async ({ run, sleep }) => run("a", () => sleep(1), { retry: once }),
    "durable.nested",
  ],
  ["a log of what is not data", async ({ log }) => log("a", { f: () => 1 }), "log.not-data"],
  ["a log of what is not text", async ({ log }) => log(5 as never), "option.invalid"],
])("%s is refused where it is called, and the function goes on", async ([, call, code]) => {
  const outcome = await outcomeOf(async (context) => [
    await codeOf((async () => call(context))()),
    await context.run("next", () => 1),
  ]);
  expect(outcome).toEqual([code, 1]);
});

test("calls that were wrong and are not awaited end no host", async () => {
  const outcome = await outcomeOf(async ({ run, sleep, receive, ask, restart }) => {
    void sleep(-1);
    void receive("");
    void run("", () => 1);
    void run("fails", () => Promise.reject(new Error("no")), { retry: once });
    void ask(answerer, "", { type: "say" });
    void restart((() => 1) as never);
    void receive("late", { timeout: "1m" });
    await sleep("2m");
    return "went on";
  });
  expect(outcome).toBe("went on");
});

test("a wait after a run of an error, wrapped by a marked function, and not awaited, ends no host", async () => {
  const fails = checkpoint("fails", async () => Promise.reject(new Error("no")), { retry: once });
  const outcome = await outcomeOf(async ({ sleep }) => {
    void fails();
    await sleep("2m");
    return "went on";
  });
  expect(outcome).toBe("went on");
});

test.for<[string, Run, string]>([
  ["gives what is not data", async () => () => 1, "effect.not-data"],
  ["gives more than the limit", async () => "x".repeat(33_554_433), "effect.too-large"],
])("a function that %s fails with the reason", async ([, fn, code]) => {
  const outcome = (await outcomeOf(fn)) as { readonly code?: string; readonly cause?: { readonly code?: string } };
  expect([outcome.code, outcome.cause?.code]).toContain(code);
});

test("a function that throws before it waits fails with what it threw; one that is not asynchronous gives its value", async () => {
  const thrower = (() => {
    throw new RangeError("at once");
  }) as unknown as Run;
  expect(String(await outcomeOf(thrower))).toMatch(/at once/);
  expect(await outcomeOf((() => 5) as unknown as Run)).toBe(5);
});

test("what was sent is as it was when it was sent, though its maker changes it after", async () => {
  const changer = agent("changer", {
    run: durable(async ({ ask }) => {
      const event = { type: "say" as const, text: "as it was" };
      const asked = ask(answerer, "a1", event);
      event.text = "changed";
      return asked;
    }),
  });
  await using runtime = await testRuntime({ agents: [changer, answerer] });
  const ref = runtime.client.agent(changer, "c1");
  await ref.start();
  await runtime.quiesce();
  expect(await ref.result()).toBe("as it was");
});

const answerer = agent("answerer", {
  machine: setup({
    types: {} as { context: object; events: Ask<{ readonly type: "say"; readonly text?: string }, string> },
  }).createMachine({
    context: {},
    on: { say: { actions: reply(({ event }) => event.text ?? "") } },
  }),
});

test("an answer that is too large for a message is an error of the ask, and both agents go on", async () => {
  const large = agent("large", {
    machine: setup({
      types: {} as { context: object; events: Ask<{ readonly type: "give"; readonly count: number }, string> },
    }).createMachine({
      context: {},
      on: { give: { actions: reply(({ event }) => "x".repeat(event.count)) } },
    }),
  });
  const asker = agent("asker", {
    run: durable(async ({ ask }) => [
      await codeOf(ask(large, "l1", { type: "give", count: 5_000_000 }).then((text) => text.length)),
      (await ask(large, "l1", { type: "give", count: 5 })).length,
    ]),
  });
  await using runtime = await testRuntime({ agents: [asker, large] });
  const ref = runtime.client.agent(asker, "a1");
  await ref.start();
  await runtime.quiesce();
  await runtime.advance("1h");
  expect(await resultOf(ref)).toEqual(["reply.too-large", 5]);
});

test("an effect's name with a space in it gets its answers", async () => {
  const spaced = agent("spaced", {
    machine: setup({
      types: {} as { context: { answer?: string } },
      actors: { ask: durable(async ({ ask }) => ask(answerer, "a1", { type: "say", text: "heard" })) },
    }).createMachine({
      context: {},
      initial: "asks now",
      states: {
        "asks now": {
          invoke: { src: "ask", onDone: { target: "done", actions: assign({ answer: ({ event }) => event.output }) } },
        },
        done: {},
      },
    }),
  });
  await using runtime = await testRuntime({ agents: [spaced, answerer] });
  const ref = runtime.client.agent(spaced, "s1");
  await ref.start();
  await runtime.quiesce();
  expect((await ref.read())?.context.answer).toBe("heard");
});

test("many large sends at once are taken, in as many steps as they need", async () => {
  const sender = agent("sender", {
    run: durable(async ({ send }) => {
      const text = "x".repeat(1_000_000);
      await Promise.all(Array.from({ length: 12 }, async () => send(nobody, "n1", { type: "say", text })));
      return "sent";
    }),
  });
  await using runtime = await testRuntime({ agents: [sender] });
  const ref = runtime.client.agent(sender, "s1");
  await ref.start();
  await runtime.quiesce();
  expect(await resultOf(ref)).toBe("sent");
  let steps = 0;
  for await (const { cause } of ref.history()) steps += cause === "calls" ? 1 : 0;
  expect(steps).toBe(3);
});

const nobody = agent("nobody", {
  machine: setup({
    types: {} as { context: object; events: { readonly type: "say"; readonly text: string } },
  }).createMachine({ context: {} }),
});

test("a function that failed and was begun again leaves memory while it waits, and keeps to its policy's wait", async () => {
  let begun = 0;
  const again = agent("again", {
    run: durable(
      async ({ receive, sleep }) => {
        begun += 1;
        const side = receive("side").catch(() => undefined);
        if (begun <= 2) throw new Error("not yet");
        await sleep("1d");
        return side;
      },
      { retry: { maxAttempts: 5, initialInterval: "1h", backoff: 1, jitter: 0 } },
    ),
  });
  await using runtime = await testRuntime({ agents: [again], settings: { parkMs: 0 } });
  const ref = runtime.client.agent(again, "a1");
  await ref.start();
  await runtime.quiesce();
  expect(begun).toBe(1);
  await ref.send({ type: "side", value: 1 });
  await runtime.advance("30m");
  expect(begun).toBe(1);
  await runtime.advance("31m");
  expect(begun).toBe(2);
  await runtime.advance("1h");
  expect(begun).toBe(3);
  // Parked, a crash does not begin it again.
  await runtime.crash();
  await runtime.quiesce();
  expect(begun).toBe(3);
  await runtime.advance("1d");
  expect(await ref.result()).toBe(1);
  expect(begun).toBe(4);
});

test("lines are logged once each, whether inside a marked call or after it", async () => {
  const lines: string[] = [];
  const gate = Promise.withResolvers<void>();
  let runs = 0;
  const logger = agent("logger", {
    run: durable(async ({ run, log }) => {
      await run("a", () => log("inside"));
      runs += 1;
      if (runs === 1) await gate.promise;
      log("after");
      await run("b", () => 1);
    }),
  });
  await using runtime = await testRuntime({ agents: [logger] });
  const ref = runtime.client.agent(logger, "l1");
  await ref.start();
  await expect.poll(() => runs).toBe(1);
  await runtime.crash();
  await runtime.quiesce();
  const history = runtime.client.agent(logger, "l1").history();
  for await (const step of history) {
    for (const event of step.emitted) {
      if (event.type === "dormouse.log") lines.push(String((event as { readonly message?: unknown }).message));
    }
  }
  expect(lines).toEqual(["inside", "after"]);
});

test("values that the machine sends to its function are looked at one after the other", async () => {
  const relay = agent("relay", {
    machine: setup({
      types: {} as { context: { got?: number }; events: { readonly type: "give"; readonly value: unknown } },
      actors: { fn: durable(async ({ receive }) => receive("value", { schema: z.number() })) },
    }).createMachine({
      context: {},
      invoke: { id: "fn", src: "fn", onDone: { actions: assign({ got: ({ event }) => event.output }) } },
      on: { give: { actions: sendTo("fn", ({ event }) => ({ type: "value", value: event.value })) } },
    }),
  });
  await using runtime = await testRuntime({ agents: [relay] });
  const ref = runtime.client.agent(relay, "r1");
  await ref.start();
  await ref.send({ type: "give", value: "no" });
  await ref.send({ type: "give", value: "no again" });
  await ref.send({ type: "give", value: 7 });
  await runtime.quiesce();
  expect((await ref.read())?.context.got).toBe(7);
});

test("an event that a function looks at when it begins anew is kept for its next wait", async () => {
  const gate = Promise.withResolvers<void>();
  const slow = z.number().transform(async (value) => {
    await gate.promise;
    return value;
  });
  const anew = agent("anew", {
    run: durable(async ({ input, receive, restart, sleep }: DurableContext<number>) => {
      if (input > 0) return receive("value");
      void receive("value", { schema: slow });
      await sleep("1m");
      return restart(1);
    }),
  });
  await using runtime = await testRuntime({ agents: [anew] });
  const ref = runtime.client.agent(anew, "a1");
  await ref.start(0);
  await ref.send({ type: "value", value: 9 });
  await runtime.advance("2m");
  await runtime.quiesce();
  expect(await resultOf(ref)).toBe(9);
});

test("a function with as many open calls as it may have goes on", async () => {
  const outcome = await outcomeOf(async ({ receive, run, sleep }) => {
    for (let index = 0; index < 999; index += 1) void receive(`never ${index}`);
    await run("again", ({ attempt }) => {
      if (attempt < 3) throw new Error("not yet");
    });
    await sleep("1s");
    return "done";
  });
  expect(outcome).toBe("done");
});

test("a function that is stuck is one error, however much it still says", async () => {
  const many = agent("many", {
    run: durable(async ({ sleep }) => Promise.all(Array.from({ length: 3_000 }, () => sleep("1d")))),
  });
  await using runtime = await testRuntime({ agents: [many] });
  const ref = runtime.client.agent(many, "m1");
  await ref.start();
  await runtime.quiesce();
  const codes: unknown[] = [];
  for await (const { error } of ref.history()) if (error !== undefined) codes.push(error.code);
  expect(codes).toEqual(["durable.too-many"]);
});

test("a time-out of a function's own policy is refused, as nothing would keep it", () => {
  expect(() => durable(async () => 1, { retry: { timeout: "1s" } })).toThrow(/timeout/);
});

test("an error that is for good is so for the function too, though a call of it is what failed", async () => {
  let count = 0;
  const hopeless = agent("hopeless", {
    run: durable(
      async ({ run }) => {
        count += 1;
        await run("pay", () => Promise.reject(new TerminalError("no such account")));
      },
      { retry: { maxAttempts: 3 } },
    ),
  });
  await using runtime = await testRuntime({ agents: [hopeless] });
  const ref = runtime.client.agent(hopeless, "h1");
  await ref.start();
  await runtime.quiesce();
  expect(await resultOf(ref)).toMatchObject({ name: "TerminalError", message: "no such account" });
  expect(count).toBe(1);
});

test("what is refused is said as it was given, if that can be no more than it shows", () => {
  const policies: readonly (readonly [policy: unknown, said: string])[] = [
    [{ maxAttempts: 0 }, "given=0"],
    [{ backoff: null }, "given=null"],
    [{ jitter: Number.NaN }, "given=NaN"],
    [{ maxAttempts: { password: "x" } }, "given=[object Object]"],
  ];
  for (const [retry, said] of policies) {
    expect(() => checkpoint("a", lengthOf, { retry: retry as RetryPolicy })).toThrow(said);
  }
});

test("RetryAfter beyond the calendar is refused where it is made", () => {
  expect(() => new RetryAfter(1e300)).toThrow(expect.objectContaining({ code: "duration.invalid" }));
});

test("a parked run that somebody still holds does nothing more", async () => {
  let ran = 0;
  let contextOfFirst: DurableContext | undefined;
  const held = agent("held", {
    run: durable(async (context: DurableContext) => {
      contextOfFirst ??= context;
      await context.receive("go");
      return context.run("late", () => (ran += 1));
    }),
  });
  await using runtime = await testRuntime({ agents: [held], settings: { parkMs: 0 } });
  const ref = runtime.client.agent(held, "h1");
  await ref.start();
  await runtime.quiesce();
  void contextOfFirst?.run("late", () => (ran += 1));
  await runtime.quiesce();
  expect(ran).toBe(0);
  await ref.send({ type: "go" });
  await runtime.quiesce();
  expect(await ref.result()).toBe(1);
});

type Any = { readonly type: "leave" } | { readonly type: "note"; readonly value?: unknown };

/** A machine with two durable functions, which wait for the same name one after the other; `leave` stops both. */
function pair(first: Run, second: Run) {
  const made = agent("pair", {
    machine: setup({
      types: {} as { context: { got: unknown[] }; events: Any },
      actors: { first: durable(first as never), second: durable(second as never) },
    }).createMachine({
      context: { got: [] },
      initial: "both",
      states: {
        both: {
          invoke: [
            {
              id: "first",
              src: "first",
              onDone: { actions: assign({ got: ({ context, event }) => [...context.got, ["first", event.output]] }) },
            },
            {
              id: "second",
              src: "second",
              onDone: { actions: assign({ got: ({ context, event }) => [...context.got, ["second", event.output]] }) },
            },
          ],
          on: { leave: "left" },
        },
        left: {},
      },
    }),
  });
  return made;
}

test("two functions that wait for one name get one event each, in order", async () => {
  const both = pair(
    async ({ receive }) => receive("note"),
    async ({ receive }) => receive("note"),
  );
  await using runtime = await testRuntime({ agents: [both], settings: { parkMs: 0 } });
  const ref = runtime.client.agent(both, "p1");
  await ref.start();
  await ref.send({ type: "note", value: 1 });
  await runtime.crash();
  await ref.send({ type: "note", value: 2 });
  await runtime.quiesce();
  expect((await ref.read())?.context.got).toEqual([
    ["first", 1],
    ["second", 2],
  ]);
});

test.for([0, 60_000])(
  "a function that its machine leaves while it waits or runs leaves nothing behind (parkMs %i)",
  async (parkMs) => {
    let isAborted = false;
    let went = 0;
    const gate = Promise.withResolvers<void>();
    const both = pair(
      async ({ receive, sleep }) => {
        await Promise.race([receive("never"), sleep("1h")]);
        went += 1;
      },
      async ({ run }) => {
        await run("long", async ({ signal }) => {
          signal.addEventListener("abort", () => (isAborted = true));
          await gate.promise;
        });
        went += 1;
      },
    );
    await using runtime = await testRuntime({ agents: [both], settings: { parkMs } });
    const ref = runtime.client.agent(both, "p1");
    await ref.start();
    await runtime.advance("1s");
    await ref.send({ type: "leave" });
    await runtime.advance("1m");
    expect(isAborted).toBe(true);
    gate.resolve();
    await runtime.advance("2h");
    expect(went).toBe(0);
    expect((await ref.read())?.value).toBe("left");
    // An event that nobody would receive is not kept for anybody.
    await expect(codeOf(ref.ask({ type: "note" } as never, { timeout: "1s" }))).resolves.toBe("event.not-taken");
  },
);

test("a function that is terminated or removed while it waits is over; the key's next life knows nothing of it", async () => {
  const tokens: string[] = [];
  const waits = agent("waits", {
    run: durable(async ({ receive, ask }) => {
      const go = receive("go");
      tokens.push(go.token);
      const asked = codeOf(ask(silent, "s1", { type: "say" }, { timeout: "1h" }));
      return [await go, await Promise.race([asked, Promise.resolve("nothing yet")])];
    }),
  });
  await using runtime = await testRuntime({ agents: [waits, silent] });
  const ref = runtime.client.agent(waits, "w1");
  await ref.start();
  await runtime.quiesce();
  await ref.terminate();
  await runtime.advance("2h");
  expect((await ref.read())?.status).toBe("stopped");
  await ref.remove();
  await runtime.quiesce();
  await ref.start();
  await runtime.quiesce();
  expect(new Set(tokens).size).toBe(2);
  await ref.send({ type: "go", value: 1 });
  await runtime.quiesce();
  expect(await resultOf(ref)).toEqual([1, "nothing yet"]);
});

const silent = agent("silent", {
  machine: setup({ types: {} as { context: object; events: Ask<{ readonly type: "say" }, string> } }).createMachine({
    context: {},
    on: { say: { actions: () => undefined } },
  }),
});

test("an ask of a type that no host knows is refused; one that nobody answers times out and says whom it asked", async () => {
  const outcome = (await outcomeOf(async ({ ask }) => [
    await ask("unknown" as never, "u1", { type: "say" } as never, { timeout: "1m" }).catch((error: unknown) =>
      String(error),
    ),
    await ask(silent, "s1", { type: "say" }, { timeout: "1m" }).catch((error: unknown) => String(error)),
  ])) as readonly string[];
  expect(outcome[0]).toMatch(/type=unknown/);
  expect(outcome[1]).toMatch(/asked=silent\/s1/);
});

test("a function with more checkpoints than it may have is stuck, says so, and holds no memory", async () => {
  let isMended = false;
  let count = 0;
  const loops = agent("loops", {
    run: durable(async ({ input, run, restart }: DurableContext<number>) => {
      for (let n = input; n < 10_500; n += 100) {
        await Promise.all(Array.from({ length: 100 }, async (_, index) => run("one", () => (count += 1) && index)));
        if (isMended && n === 9_900) return restart(n + 100);
      }
      return "done";
    }),
  });
  await using runtime = await testRuntime({ agents: [loops] });
  const ref = runtime.client.agent(loops, "l1");
  await ref.start(0);
  await runtime.quiesce();
  await runtime.advance("1h");
  expect(count).toBe(10_100);
  expect(await lastErrorOf(ref)).toBe("durable.too-many");
  isMended = true;
  await ref.resume();
  await runtime.quiesce();
  expect(await resultOf(ref)).toBe("done");
  // Of the hundred that passed the bound nothing was kept, nor done twice but for that.
  expect(count).toBeLessThanOrEqual(10_500 + 100);
});

test("a record that no longer fits the agent's state is stuck, and the agent can be ended", async () => {
  const collects = agent("collects", {
    run: durable(async ({ run }) => {
      const parts: string[] = [];
      for (let n = 0; n < 4; n += 1) parts.push(await run("part", () => "x".repeat(30_000_000)));
      return parts.length;
    }),
  });
  await using runtime = await testRuntime({ agents: [collects] });
  const ref = runtime.client.agent(collects, "c1");
  await ref.start();
  await runtime.advance("1h");
  expect((await ref.read())?.status).toBe("active");
  expect(await lastErrorOf(ref)).toBe("state.too-large");
  await ref.resume();
  await runtime.advance("1h");
  await ref.terminate();
  await runtime.quiesce();
  expect((await ref.read())?.status).toBe("stopped");
});

test("values for which there is no room are refused, and the function goes on with those it has", async () => {
  const collects = agent("collects", {
    run: durable(async ({ receive, sleep }) => {
      const waits = Array.from({ length: 80 }, async (_, n) => (await receive(`part ${n}`)) as string);
      await sleep("1h");
      const parts = await Promise.race([Promise.all(waits), sleep("1h").then(() => "not all")]);
      return parts;
    }),
  });
  await using runtime = await testRuntime({ agents: [collects] });
  const ref = runtime.client.agent(collects, "c1");
  await ref.start();
  await runtime.quiesce();
  for (let n = 0; n < 80; n += 1) await ref.send({ type: `part ${n}`, value: "x".repeat(1_000_000) });
  await runtime.advance("3h");
  expect(await resultOf(ref)).toBe("not all");
});

test("a delayed event to a function that has ended is nobody's; one too many is an error of its own step", async () => {
  const relay = agent("relay", {
    machine: setup({
      types: {} as { context: object; events: { readonly type: "later" } },
      actors: { fn: durable(async ({ receive }) => receive("go")) },
    }).createMachine({
      context: {},
      initial: "on",
      states: {
        on: { invoke: { id: "fn", src: "fn", onDone: "off" } },
        off: {},
      },
      on: { later: { actions: sendTo("fn", { type: "late" }, { delay: 60_000 }) } },
    }),
  });
  await using runtime = await testRuntime({ agents: [relay] });
  const ref = runtime.client.agent(relay, "r1");
  await ref.start();
  await ref.send({ type: "later" });
  for (let n = 0; n < 1_000; n += 1) await ref.send({ type: `kept ${n}` } as never);
  await runtime.advance("2m");
  await ref.send({ type: "later" });
  await ref.send({ type: "go" } as never);
  await runtime.advance("2m");
  expect((await ref.read())?.value).toBe("off");
  for await (const { agent: listed } of runtime.client.list()) expect(listed).toBe("relay/r1");
});

test("a function whose output has no room in its agent ends with the reason", async () => {
  const large = agent("large", {
    run: durable(async ({ input }: DurableContext<string>) => "x".repeat(33_554_000).slice(0 * input.length)),
  });
  await using runtime = await testRuntime({ agents: [large] });
  const ref = runtime.client.agent(large, "l1");
  await ref.start("x".repeat(1_000_000));
  await runtime.quiesce();
  expect(await resultOf(ref)).toMatchObject({ code: "state.too-large" });
});

test("an ask of an agent that does not begin by itself is refused, not left until its time-out", async () => {
  const picky = agent("picky", {
    input: z.object({ name: z.string() }),
    machine: setup({
      types: {} as { context: object; input: { name: string }; events: Ask<{ readonly type: "say" }, string> },
    }).createMachine({ context: {}, on: { say: { actions: reply("said") } } }),
  });
  const asker = agent("asker", { run: durable(async ({ ask }) => codeOf(ask(picky, "p1", { type: "say" }))) });
  await using runtime = await testRuntime({ agents: [asker, picky] });
  const ref = runtime.client.agent(asker, "a1");
  await ref.start();
  await runtime.quiesce();
  expect(await resultOf(ref)).toBe("agent.not-started");
});
