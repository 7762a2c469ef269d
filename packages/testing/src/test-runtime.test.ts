/**
 * Goal: the test kit as a user of it sees it: asks answered at once, time that passes when told, effects, crashes.
 * Method: machines such as users write; nothing of the runtime is looked at but by its client.
 */
import { agent, type Ask, message, now, random, ref, reply, replyTo, uuid } from "@dormouse/core";
import { assign, fromPromise, sendTo, setup } from "xstate";
import { describe, expect, test } from "vitest";
import { startTestRuntime, testRuntime } from "./test-runtime.ts";

// ------------------------------------------------------------------------------------------------------------- the machines

type CounterEvents = Ask<{ type: "add"; by: number }, number> | { type: "reset" };

const counter = agent("counter", {
  machine: setup({ types: {} as { context: { count: number }; events: CounterEvents } }).createMachine({
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

interface Report {
  readonly report: string;
}

/** Writes a report by an effect, waits for a person or a day, and answers who asked for the report long before. */
const research = agent("research", {
  machine: setup({
    types: {} as {
      context: { topic: string; report?: string; reminders: number; isAsked: boolean };
      input: { topic: string };
      output: Report;
      events: Ask<{ type: "report" }, Report> | { type: "approve" };
    },
    actors: {
      write: fromPromise<Report, { topic: string }>(() => Promise.reject(new Error("no model in tests"))),
    },
    delays: { patience: 86_400_000 },
  }).createMachine({
    context: ({ input }) => ({ topic: input.topic, reminders: 0, isAsked: false }),
    initial: "writing",
    output: ({ context }) => ({ report: context.report ?? "" }),
    on: { report: { actions: assign({ isAsked: true }) } },
    states: {
      writing: {
        invoke: {
          src: "write",
          input: ({ context }) => ({ topic: context.topic }),
          onDone: { target: "waiting", actions: assign({ report: ({ event }) => event.output.report }) },
          onError: "failed",
        },
        after: { "600000": "failed" },
      },
      waiting: {
        on: { approve: "approved" },
        after: {
          patience: {
            target: "waiting",
            reenter: true,
            actions: assign({ reminders: ({ context }) => context.reminders + 1 }),
          },
        },
      },
      approved: { type: "final", entry: replyTo("report", ({ context }) => ({ report: context.report ?? "" })) },
      failed: {},
    },
  }),
});

type DrawEvents = Ask<{ type: "draw" }, { at: number; number: number; id: string; message: string }>;

const drawer = agent("drawer", {
  machine: setup({ types: {} as { events: DrawEvents } }).createMachine({
    on: { draw: { actions: reply(() => ({ at: now(), number: random(), id: uuid(), message: message().id })) } },
  }),
});

type RelayEvents = { type: "forward"; to: string; by: number } | { type: "done" };

const relay = agent("relay", {
  machine: setup({ types: {} as { context: { sent: number }; events: RelayEvents } }).createMachine({
    context: { sent: 0 },
    on: {
      forward: {
        actions: [
          assign({ sent: ({ context }) => context.sent + 1 }),
          sendTo(
            ({ event }) => ref(counter, event.to),
            ({ event }) => ({ type: "add", by: event.by }),
          ),
        ],
      },
    },
  }),
});

interface HeldEffect {
  readonly actor: ReturnType<typeof fromPromise<Report>>;
  readonly end: () => void;
  runs: number;
}

/** An effect of which no run ends before it is told to. */
function heldEffect(): HeldEffect {
  const { promise: isToEnd, resolve: end } = Promise.withResolvers<void>();
  const held: HeldEffect = {
    runs: 0,
    end,
    actor: fromPromise<Report>(async () => {
      held.runs += 1;
      const run = held.runs;
      await isToEnd;
      return { report: `by run ${run}` };
    }),
  };
  return held;
}

function failTest(line: string): void {
  expect.fail(line);
}

function canned(report: string): { readonly research: { readonly write: ReturnType<typeof fromPromise<Report>> } } {
  return { research: { write: fromPromise(async () => ({ report })) } };
}

// ------------------------------------------------------------------------------------------------------------------ the tests

test("an ask is answered without further ado", async () => {
  await using runtime = await testRuntime({ agents: [counter] });
  const acme = runtime.client.agent(counter, "acme");
  expect(await acme.ask({ type: "add", by: 2 })).toBe(2);
  expect(await acme.ask({ type: "add", by: 3 })).toBe(5);
  expect((await acme.read())?.context).toEqual({ count: 5 });
});

test("quiesce resolves when what agents sent each other is taken", async () => {
  await using runtime = await testRuntime({ agents: [counter, relay] });
  for (let n = 0; n < 20; n += 1) {
    await runtime.client.agent(relay, `r${n % 3}`).send({ type: "forward", to: "sum", by: n });
  }
  await runtime.quiesce();
  expect((await runtime.client.agent(counter, "sum").read())?.context.count).toBe(190);
});

describe("time", () => {
  test("stands still until it is advanced", async () => {
    await using runtime = await testRuntime({ agents: [drawer] });
    const one = runtime.client.agent(drawer, "one");
    const first = await one.ask({ type: "draw" });
    expect(new Date(first.at).toISOString()).toBe("2026-01-01T00:00:00.000Z");
    expect((await one.ask({ type: "draw" })).at).toBe(first.at);
    await runtime.advance("1d");
    expect((await one.ask({ type: "draw" })).at).toBe(first.at + 86_400_000);
  });

  test("an after timer fires when its time has come, not before, and each of a row at its own time", async () => {
    await using runtime = await testRuntime({ agents: [research], actors: canned("dormice sleep") });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await acme.waitFor("waiting");
    await runtime.advance("23h");
    expect((await acme.read())?.context.reminders).toBe(0);
    await runtime.advance("1h");
    expect((await acme.read())?.context.reminders).toBe(1);
    await runtime.advance("30d");
    expect((await acme.read())?.context.reminders).toBe(31);
  });

  test("an ask that nobody answers ends by its time-out", async () => {
    await using runtime = await testRuntime({ agents: [research], actors: canned("") });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    const asked = acme.ask({ type: "report" }, { timeout: "10s" }).catch((error: unknown) => error);
    await runtime.advance("10s");
    expect(await asked).toMatchObject({ code: "call.timeout" });
  });
});

describe("effects", () => {
  test("an actor is replaced by agent type and name", async () => {
    await using runtime = await testRuntime({ agents: [research], actors: canned("dormice sleep") });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.quiesce();
    expect(await acme.read()).toMatchObject({ value: "waiting", context: { report: "dormice sleep" } });
  });

  test("a replacement of what is not there is refused", async () => {
    const write = fromPromise(async () => "");
    const error = { kind: "invalid", code: "actors.unknown" };
    const wrong = [{ research: { wirte: write } }, { reserach: { write } }];
    for (const actors of wrong) {
      await expect(testRuntime({ agents: [research], actors })).rejects.toMatchObject(error);
    }
  });

  test("without a replacement the machine's own runs", async () => {
    await using runtime = await testRuntime({ agents: [research] });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.quiesce();
    expect((await acme.read())?.value).toBe("failed");
  });

  test("quiesce waits for real work", async () => {
    const write = fromPromise(async () => {
      const { readFile } = await import("node:fs/promises");
      return { report: await readFile(new URL(import.meta.url), "utf8") };
    });
    await using runtime = await testRuntime({ agents: [research], actors: { research: { write } } });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.quiesce();
    expect((await acme.read())?.context.report).toContain("quiesce waits for real work");
  });

  test("quiesce says what it waits for when that takes long, and goes on waiting", async () => {
    const held = heldEffect();
    const said: string[] = [];
    const say = (line: string): void => {
      said.push(line);
      held.end();
    };
    const options = { agents: [research], actors: { research: { write: held.actor } } };
    await using runtime = await startTestRuntime(options, { patienceMs: 5, slowMs: 5, say });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.quiesce();
    expect(said).toEqual(["quiesce() has waited 0.005 s of real time for effects: research/acme write (attempt 1)"]);
    expect((await acme.read())?.value).toBe("waiting");
  });

  test("a time-out overtakes an effect that hangs, and quiesce does not wait for what was aborted", async () => {
    const held = heldEffect();
    const options = { agents: [research], actors: { research: { write: held.actor } } };
    await using runtime = await startTestRuntime(options, { patienceMs: 5_000, slowMs: 5, say: failTest });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.advance("10m");
    await runtime.quiesce();
    expect((await acme.read())?.value).toBe("failed");
  });

  test("one that its machine has left, and that never ends, keeps no other from running", async () => {
    const machine = setup({ actors: { hang: fromPromise(() => new Promise<void>(() => undefined)) } }).createMachine({
      initial: "hanging",
      states: { hanging: { invoke: { src: "hang" }, after: { 50: "left" } }, left: {} },
    });
    const stuck = agent("stuck", { machine });
    const options = { agents: [stuck, research], actors: canned("done"), settings: { effectsRunningMax: 1 } };
    await using runtime = await testRuntime(options);
    await runtime.client.agent(stuck, "one").start();
    await runtime.advance("1s");
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.quiesce();
    expect(await acme.read()).toMatchObject({ context: { report: "done" } });
  });

  test("what an effect does in real time takes no virtual time", async () => {
    const write = fromPromise(async () => {
      const { readFile } = await import("node:fs/promises");
      for (let n = 0; n < 20; n += 1) await readFile(new URL(import.meta.url));
      return { report: "read" };
    });
    await using runtime = await testRuntime({ agents: [research], actors: { research: { write } } });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.advance("1d");
    expect(await acme.read()).toMatchObject({ value: "waiting", context: { reminders: 1 } });
  });
});

describe("replies", () => {
  test("a reply comes many steps later", async () => {
    await using runtime = await testRuntime({ agents: [research], actors: canned("dormice sleep") });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    const asked = acme.ask({ type: "report" }, { timeout: "7d" });
    await runtime.advance("2d");
    await acme.send({ type: "approve" });
    expect(await asked).toEqual({ report: "dormice sleep" });
    expect(await acme.result()).toEqual({ report: "dormice sleep" });
  });

  test("a reply comes over a crash of the host", async () => {
    await using runtime = await testRuntime({ agents: [research], actors: canned("dormice sleep") });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    const asked = acme.ask({ type: "report" });
    await runtime.quiesce();
    await runtime.crash();
    await acme.send({ type: "approve" });
    expect(await asked).toEqual({ report: "dormice sleep" });
  });
});

describe("a crash", () => {
  test("loses nothing that was acknowledged", async () => {
    await using runtime = await testRuntime({ agents: [counter] });
    const acme = runtime.client.agent(counter, "acme");
    for (let n = 1; n <= 10; n += 1) {
      expect(await acme.ask({ type: "add", by: 1 })).toBe(n);
      await runtime.crash();
    }
  });

  test("in the midst of many calls leaves each applied once and answered", async () => {
    await using runtime = await testRuntime({ agents: [counter, relay] });
    const keys = ["a", "b", "c"];
    const asked = Array.from({ length: 60 }, (_, n) =>
      runtime.client.agent(counter, keys[n % 3] ?? "").ask({ type: "add", by: 1 }),
    );
    const reads = keys.map((key) => runtime.client.agent(counter, key).read());
    const sent = Array.from({ length: 10 }, () =>
      runtime.client.agent(relay, "r").send({ type: "forward", to: "a", by: 1 }),
    );
    for (let n = 0; n < 5; n += 1) await runtime.crash();
    await Promise.all([...asked, ...reads, ...sent]);
    await runtime.quiesce();
    const counts = await Promise.all(keys.map((key) => runtime.client.agent(counter, key).read()));
    expect(counts.map((state) => state?.context.count)).toEqual([30, 20, 20]);
  });

  test("lets an effect that had not ended run again, and one that had ended not", async () => {
    const held = heldEffect();
    await using runtime = await testRuntime({ agents: [research], actors: { research: { write: held.actor } } });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.crash();
    held.end();
    await runtime.quiesce();
    await runtime.crash();
    await runtime.quiesce();
    expect(held.runs).toBe(2);
    expect((await acme.read())?.context.report).toBe("by run 2");
  });

  test("keeps timers", async () => {
    await using runtime = await testRuntime({ agents: [research], actors: canned("dormice sleep") });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.advance("23h");
    await runtime.crash();
    await runtime.advance("1h");
    expect((await acme.read())?.context.reminders).toBe(1);
  });
});

describe("restoreEveryStep", () => {
  test.for([{ restoreEveryStep: false }, { restoreEveryStep: true }])(
    "machines behave the same with $restoreEveryStep",
    async ({ restoreEveryStep }) => {
      await using runtime = await testRuntime({
        agents: [counter, research, relay, drawer],
        actors: canned("dormice sleep"),
        restoreEveryStep,
        seed: 7,
      });
      const { client } = runtime;
      await client.agent(research, "acme").start({ topic: "dormice" });
      const asked = client.agent(research, "acme").ask({ type: "report" }, { timeout: "7d" });
      for (let n = 0; n < 5; n += 1) await client.agent(relay, "r").send({ type: "forward", to: "sum", by: n });
      await runtime.advance("3d");
      await runtime.crash();
      const drawn = await client.agent(drawer, "d").ask({ type: "draw" });
      await client.agent(research, "acme").send({ type: "approve" });
      const seen = {
        asked: await asked,
        at: drawn.at,
        sum: await client.agent(counter, "sum").ask({ type: "add", by: 1 }),
        relay: await client.agent(relay, "r").read(),
        research: await client.agent(research, "acme").read(),
      };
      expect(seen).toMatchObject({
        asked: { report: "dormice sleep" },
        at: Date.UTC(2026, 0, 4),
        sum: 11,
        relay: { context: { sent: 5 }, seq: 6 },
        research: { status: "done", context: { reminders: 3 } },
      });
    },
  );

  test("shows what a machine keeps beside its context", async () => {
    const seen = new WeakSet<object>();
    const leaky = agent("leaky", {
      machine: setup({
        types: {} as { context: { list: readonly number[] }; events: Ask<{ type: "look" }, boolean> },
      }).createMachine({
        context: { list: [] },
        entry: ({ context }) => void seen.add(context.list),
        on: {
          look: { actions: reply(({ context }) => seen.has(context.list)) },
        },
      }),
    });
    const look = async (restoreEveryStep: boolean): Promise<boolean> => {
      await using runtime = await testRuntime({ agents: [leaky], restoreEveryStep });
      await runtime.client.agent(leaky, "l").start();
      return await runtime.client.agent(leaky, "l").ask({ type: "look" });
    };
    expect([await look(false), await look(true)]).toEqual([true, false]);
  });

  test("a Map that is changed in place fails its step, as a changed object does", async () => {
    const changing = agent("changing", {
      machine: setup({
        types: {} as { context: { marks: Map<string, number> }; events: Ask<{ type: "mark" }, number> },
      }).createMachine({
        context: { marks: new Map() },
        on: {
          mark: {
            actions: [
              assign({ marks: ({ context }) => context.marks.set(`m${context.marks.size}`, 1) }),
              reply(({ context }) => context.marks.size),
            ],
          },
        },
      }),
    });
    await using runtime = await testRuntime({ agents: [changing], restoreEveryStep: true });
    const one = runtime.client.agent(changing, "one");
    await one.start();
    await expect(one.ask({ type: "mark" })).rejects.toMatchObject({ code: "agent.step-failed" });
  });
});

async function draw(seed: number): Promise<unknown> {
  await using runtime = await testRuntime({ agents: [drawer], seed });
  return await runtime.client.agent(drawer, "one").ask({ type: "draw" });
}

test("one seed draws the same, another draws anew", async () => {
  const first = await draw(3);
  expect(await draw(3)).toEqual(first);
  expect(await draw(4)).not.toEqual(first);
});

test("a definition that cannot be durable is refused at once", async () => {
  await expect(testRuntime({ agents: [counter, counter] })).rejects.toMatchObject({ code: "agent.twice" });
});

test("a thousand short tests take well under ten seconds", { timeout: 60_000 }, async () => {
  // Of the processor: what else runs on the machine is not theirs.
  const since = process.cpuUsage();
  for (let n = 0; n < 1_000; n += 1) {
    await using runtime = await testRuntime({ agents: [counter, research], actors: canned("dormice sleep"), seed: n });
    const acme = runtime.client.agent(research, "acme");
    await acme.start({ topic: "dormice" });
    await runtime.client.agent(counter, "acme").ask({ type: "add", by: 1 });
    await runtime.advance("1d");
    expect((await acme.read())?.context.reminders).toBe(1);
  }
  const { user, system } = process.cpuUsage(since);
  expect((user + system) / 1_000).toBeLessThan(10_000);
});
