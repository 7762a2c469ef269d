/**
 * Goal: durable functions hold their promises when things come at the wrong moment, or from code that means ill.
 * Method: one attack per test, on a world in memory; where the moment matters, each moment is tried.
 */
import { agent, durable, type DurableContext, type RetryPolicy, type RunOptions } from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import { expect, test } from "vitest";

type Run = (context: DurableContext) => Promise<unknown>;

/** What a function comes to that runs `fn`, and is sent `{ type: "go", value: 1 }`. */
async function outcomeOf(fn: Run): Promise<unknown> {
  const odd = agent("odd", { run: durable(fn as never) });
  await using runtime = await testRuntime({ agents: [odd] });
  const ref = runtime.client.agent(odd, "o1");
  await ref.start();
  await runtime.quiesce();
  await ref.send({ type: "go", value: 1 });
  await runtime.quiesce();
  await runtime.advance("1d");
  const status = (await ref.read())?.status;
  return status === "active" ? status : ref.result().catch((error: unknown) => error);
}

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => ["gave", value],
    (error: unknown) => (error as { readonly code?: string }).code ?? error,
  );
}

/** A schema whose check gives `result`. */
function schemaThatGives(result: unknown) {
  return { "~standard": { version: 1, vendor: "test", validate: () => result as never } } as const;
}

test.for<[string, unknown]>([
  ["nothing", undefined],
  ["null", null],
  ["a text", "yes"],
  ["issues that are no list", { issues: "bad" }],
  ["an issue that is null", { issues: [null] }],
  ["an issue whose text is a symbol", { issues: [{ message: Symbol("no") }] }],
  ["an issue whose path is no list", { issues: [{ message: "no", path: 5 }] }],
  [
    "an issue whose text throws",
    {
      issues: [
        {
          get message(): string {
            throw new Error("no text");
          },
        },
      ],
    },
  ],
])("a schema that gives %s refuses the value, and no more", async ([, result]) => {
  const outcome = await outcomeOf(async ({ receive }) =>
    codeOf(receive("go", { schema: schemaThatGives(result), timeout: "1h" })),
  );
  expect(outcome).toBe("receive.timeout");
});

test.for(["input", "usage", "retry"])(
  "options whose %s throws when it is read fail their call alone",
  async (field) => {
    const options = Object.defineProperty({}, field, {
      get: () => {
        throw new RangeError("not to be read");
      },
    }) as RunOptions<number>;
    const outcome = await outcomeOf(async ({ run }) => {
      const first = await run("a", () => 1, options).catch((error: Error) => error.name);
      return [first, await run("b", () => 2)];
    });
    expect(outcome).toEqual(["RangeError", 2]);
  },
);

test("a retry without a wait is made again and again, however steep its backoff", async () => {
  const retry: RetryPolicy = { maxAttempts: 400, initialInterval: 0, backoff: 10 };
  const outcome = await outcomeOf(async ({ run }) =>
    run(
      "steep",
      ({ attempt }) => {
        if (attempt < 400) throw new Error("not yet");
        return attempt;
      },
      { retry },
    ),
  );
  expect(outcome).toBe(400);
});

test("a line that was refused changes nothing of which lines are logged when the function is run again", async () => {
  const lines: unknown[] = [];
  const refusals: unknown[] = [];
  const logger = agent("logger", {
    run: durable(async ({ log, sleep }) => {
      refusals.push(await codeOf((async () => log("bad", { f: () => 1 }))()));
      log("good");
      await sleep("1h");
      refusals.push(await codeOf((async () => log("bad", { f: () => 1 }))()));
      log("better");
      await sleep("1h");
    }),
  });
  await using runtime = await testRuntime({ agents: [logger], settings: { parkMs: 0 } });
  const ref = runtime.client.agent(logger, "l1");
  await ref.start();
  await runtime.advance("90m");
  await runtime.crash();
  await runtime.advance("2h");
  for await (const { emitted } of ref.history())
    for (const event of emitted) lines.push((event as { readonly message?: unknown }).message);
  expect(lines).toEqual(["good", "better"]);
  expect(new Set(refusals)).toEqual(new Set(["log.not-data"]));
});

test.for<[string, Run]>([
  ["a run", async ({ run }) => run("\ud800", () => 1)],
  ["a receive", async ({ receive }) => receive("\ud800")],
  [
    "a send",
    async ({ send }) => send(agent("none", { run: durable(async () => 1) }), "n1", { type: "\ud800" } as never),
  ],
])("%s by a name that the store would change is refused", async ([, call]) => {
  const outcome = await outcomeOf(async (context) => codeOf(call(context)));
  expect(outcome).toBe("option.invalid");
});

test.for<[string, unknown]>([
  ["null", null],
  ["true", true],
  ["a list", []],
  ["a symbol", Symbol("later")],
])("a sleep until %s is refused", async ([, date]) => {
  expect(await outcomeOf(async ({ sleepUntil }) => codeOf(sleepUntil(date as never)))).toBe("option.invalid");
});

test("a function whose code no longer makes a recorded call, while it waits for another, is stuck", async () => {
  let isOld = true;
  const changing = agent("changing", {
    run: durable(async ({ run, receive }) => {
      const go = receive("go");
      if (isOld) await run("removed", () => 1);
      return go;
    }),
  });
  await using runtime = await testRuntime({ agents: [changing] });
  const ref = runtime.client.agent(changing, "c1");
  await ref.start();
  await runtime.quiesce();
  isOld = false;
  await runtime.crash();
  await runtime.advance("1h");
  expect(await ref.read()).toMatchObject({ effects: [{ durable: { error: { code: "checkpoint.mismatch" } } }] });
  isOld = true;
  await ref.resume();
  await ref.send({ type: "go", value: 7 });
  await runtime.quiesce();
  await expect(ref.result()).resolves.toBe(7);
});

test("functions that wake at once from waits in memory keep to the bound of the host", async () => {
  let [atOnce, most, done] = [0, 0, 0];
  const sleeper = agent("sleeper", {
    run: durable(async ({ sleep, run }) => {
      await sleep("1s");
      await run("work", async () => {
        atOnce += 1;
        most = Math.max(most, atOnce);
        await new Promise((resolve) => setImmediate(resolve));
        await new Promise((resolve) => setImmediate(resolve));
        atOnce -= 1;
        done += 1;
      });
    }),
  });
  await using runtime = await testRuntime({ agents: [sleeper], settings: { effectsRunningMax: 2 } });
  for (let index = 0; index < 12; index += 1) await runtime.client.agent(sleeper, `s${index}`).start();
  await runtime.advance("2s");
  await runtime.quiesce();
  expect(done).toBe(12);
  expect(most).toBeLessThanOrEqual(2);
});

test("a takeover keeps to the bound of the host", async () => {
  let [isCounting, atOnce, most] = [false, 0, 0];
  const worker = agent("worker", {
    run: durable(async ({ run }) =>
      run("work", async () => {
        if (!isCounting) return new Promise(() => undefined);
        atOnce += 1;
        most = Math.max(most, atOnce);
        await new Promise((resolve) => setImmediate(resolve));
        await new Promise((resolve) => setImmediate(resolve));
        atOnce -= 1;
        return 1;
      }),
    ),
  });
  await using runtime = await testRuntime({ agents: [worker], settings: { effectsRunningMax: 4 } });
  const refs = Array.from({ length: 40 }, (_, index) => runtime.client.agent(worker, `w${index}`));
  await Promise.all(refs.map((ref) => ref.start()));
  isCounting = true;
  await runtime.crash();
  await runtime.quiesce();
  expect(most).toBe(4);
  for (const ref of refs) await expect(ref.result()).resolves.toBe(1);
});

test("a wait that begins before its function hears that it is cancelled ends with the cancel", async () => {
  const unheard = new Set<string>();
  const undone = new Set<string>();
  let open: (() => void) | undefined;
  const undoing = agent("undoing", {
    run: durable(async ({ input, run, sleep, signal }: DurableContext<string>) => {
      await run("book", () => 1);
      await new Promise<void>((resolve) => (open = resolve));
      if (!signal.aborted) unheard.add(input);
      try {
        await sleep("7d");
      } catch {
        await run("undo", () => undone.add(input));
      }
    }),
  });
  await using runtime = await testRuntime({ agents: [undoing] });
  for (let turns = 0; turns < 12; turns += 1) {
    const ref = runtime.client.agent(undoing, `u${turns}`);
    open = undefined;
    await ref.start(`u${turns}`);
    await expect.poll(() => open).toBeDefined();
    const cancelled = ref.cancel();
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    (open as (() => void) | undefined)?.();
    await cancelled;
  }
  await runtime.advance("1h");
  expect(unheard.size).toBeGreaterThan(1);
  expect(undone).toEqual(unheard);
});

test("a function that looks whether it is cancelled finds the same when it is run again", async () => {
  const looking = agent("looking", {
    run: durable(async ({ run, receive, sleep, signal }) => {
      await run("a", () => 1);
      if (signal.aborted) return "never began to wait";
      const error = await receive("never").catch((thrown: unknown) => thrown);
      await sleep("1s");
      return (error as { readonly code?: string }).code;
    }),
  });
  await using runtime = await testRuntime({ agents: [looking] });
  const ref = runtime.client.agent(looking, "l1");
  await ref.start();
  await runtime.quiesce();
  await ref.cancel();
  await runtime.quiesce();
  await runtime.crash();
  await runtime.advance("2s");
  await expect(ref.result()).resolves.toBe("agent.cancelled");
});

test("a function that begins anew while it is cancelled is told so in its next life", async () => {
  const told = agent("told", {
    run: durable(async ({ input, receive, restart }: DurableContext<number>) => {
      const error = await receive("more").catch((thrown: unknown) => thrown);
      return input < 3 ? restart(input + 1) : (error as { readonly code: string }).code;
    }),
  });
  await using runtime = await testRuntime({ agents: [told] });
  const ref = runtime.client.agent(told, "t1");
  await ref.start(0);
  await runtime.quiesce();
  await ref.cancel();
  await runtime.advance("1s");
  await expect(ref.result()).resolves.toBe("agent.cancelled");
});

type Wait = "sleep" | "receive" | "ask" | "spawn";

/** Waits in one way or another, and is answered by nobody. */
function waitIn(how: Wait, { sleep, receive, ask, spawn }: DurableContext<never>): Promise<unknown> {
  if (how === "sleep") return sleep("7d");
  if (how === "receive") return receive("never");
  return how === "ask" ? ask(silent, "s1", { type: "never" } as never, { timeout: "7d" }) : spawn(silent);
}

const silent = agent("silent", { run: durable(async ({ receive }) => receive("never")) });

test.for<{ how: Wait; hasCrash: boolean }>([
  { how: "sleep", hasCrash: false },
  { how: "receive", hasCrash: false },
  { how: "ask", hasCrash: false },
  { how: "spawn", hasCrash: false },
  { how: "receive", hasCrash: true },
])(
  "a function cancelled in a run that heeds no signal hears of it by its next wait: $how, crash: $hasCrash",
  async ({ how, hasCrash }) => {
    const gate = Promise.withResolvers<void>();
    let undone = 0;
    const deaf = agent("deaf", {
      run: durable(
        async (context) => {
          await context.run("book", () => gate.promise);
          // A call like any other, since nobody has told the function.
          await context.run("book more", () => undefined);
          try {
            return await waitIn(how, context as never);
          } catch (error) {
            // What undoes things waits as ever.
            await context.sleep("1m");
            await context.run("undo", () => (undone += 1));
            await context.sleep("1m");
            throw error;
          }
        },
        { cancelTimeout: "1h" },
      ),
    });
    await using runtime = await testRuntime({ agents: [deaf, silent] });
    const ref = runtime.client.agent(deaf, "d1");
    await ref.start();
    await ref.cancel();
    if (hasCrash) await runtime.crash();
    gate.resolve();
    await runtime.advance("90s");
    if (hasCrash) await runtime.crash();
    await runtime.advance("90s");
    expect(undone).toBe(1);
    expect((await ref.read())?.status).toBe("error");
    await expect(ref.result()).rejects.toMatchObject({ code: "agent.cancelled" });
  },
);

test.for(["looks", "asks to throw", "has a call that fails"])(
  "a function that %s knows that it is cancelled, and its waits are not ended for it",
  async (how) => {
    const gate = Promise.withResolvers<void>();
    const knowing = agent("knowing", {
      run: durable(
        async ({ run, sleep, signal }) => {
          await run("book", async () => {
            await gate.promise;
            if (how === "has a call that fails") throw new Error("cut off");
          }).catch(() => undefined);
          if (how === "looks" && !signal.aborted) return "not cancelled";
          if (how === "asks to throw") {
            try {
              signal.throwIfAborted();
            } catch {}
          }
          await sleep("10m");
          return "undone";
        },
        { cancelTimeout: "1h" },
      ),
    });
    await using runtime = await testRuntime({ agents: [knowing] });
    const ref = runtime.client.agent(knowing, "k1");
    await ref.start();
    await ref.cancel();
    gate.resolve();
    await runtime.quiesce();
    await runtime.crash();
    await runtime.advance("11m");
    await expect(ref.result()).resolves.toBe("undone");
  },
);
