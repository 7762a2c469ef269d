/**
 * Bad input: each gets a typed error with a code, and loses nothing.
 *
 * Method: one agent that goes wrong in every way on request, on the test kit. After each wrong request the agent is as it
 * was, its neighbour too, the next message is taken, and a crash changes nothing of that. What outlives an edit of the
 * code runs on hosts of their own that share a world in memory; folders are real.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, makeClient } from "@dormouse/client";
import { type Incarnation, startIncarnation } from "@dormouse/core";
import { type Address, partitionOf } from "@dormouse/core/protocol";
import { MemoryWorld, openFolder, realClock, realEntropy } from "@dormouse/local";
import { agent, type AnyAgentDefinition, type Ask, DormouseError, ref, reply, startHost } from "@dormouse/sdk";
import { testRuntime, type TestRuntime } from "@dormouse/testing";
import { assign, fromPromise, raise, sendTo, setup } from "xstate";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { counter } from "./agents/counter.ts";

// ------------------------------------------------------------------------------------------------- an agent that goes wrong

interface Context {
  readonly count: number;
  readonly held: unknown;
}
type Events =
  | Ask<{ type: "add"; by: number }, number>
  | Ask<{ type: "hold"; what: string }, number>
  | Ask<{ type: "grow"; bytes: number }, number>
  | Ask<{ type: "change" }, number>
  | Ask<{ type: "guarded" }, number>
  | Ask<{ type: "assigned" }, number>
  | Ask<{ type: "entered" }, number>
  | Ask<{ type: "delayed" }, number>
  | Ask<{ type: "spin" }, number>
  | Ask<{ type: "raiseForEver" }, number>
  | Ask<{ type: "send"; bytes: number; to: string }, number>
  | Ask<{ type: "silence" }, number>
  | Ask<{ type: "act" }, number>
  | { type: "end" }
  | { type: "again" };

function fail(where: string): never {
  throw new Error(`out of order in ${where}`);
}

class Point {
  x = 1;
}

const unstorable: { readonly [what: string]: () => unknown } = {
  function: () => () => 1,
  class: () => new Point(),
  symbol: () => Symbol("one"),
  cycle: () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    return cycle;
  },
};

const wrong = agent("wrong", {
  events: { add: z.object({ by: z.number() }) },
  machine: setup({
    types: {} as { context: Context; events: Events },
    actions: {
      answer: reply(({ context }) => context.count),
      act: () => fail("a plain action"),
    },
    guards: { broken: () => fail("a guard") },
    delays: { broken: () => fail("a delay") },
  }).createMachine({
    context: { count: 0, held: [1] },
    initial: "ready",
    on: {
      add: { actions: [assign({ count: ({ context, event }) => context.count + event.by }), "answer"] },
      hold: { actions: [assign({ count: 99, held: ({ event }) => unstorable[event.what]?.() }), "answer"] },
      grow: { actions: [assign({ held: ({ event }) => "x".repeat(event.bytes) }), "answer"] },
      change: {
        actions: [
          assign(({ context }) => {
            (context.held as number[]).push(2);
            return { count: 99 };
          }),
          "answer",
        ],
      },
      guarded: { guard: "broken", actions: "answer" },
      assigned: { actions: [assign({ count: 99 }), assign(() => fail("an assign")), "answer"] },
      entered: { target: ".entering" },
      delayed: { target: ".waiting" },
      spin: { target: ".spinning" },
      raiseForEver: { actions: raise({ type: "again" }) },
      again: { actions: raise({ type: "again" }) },
      send: {
        actions: [
          assign({ count: 99 }),
          sendTo(
            ({ event }) => ref(event.to),
            ({ event }) => ({ type: "add", by: 1, note: "x".repeat(event.bytes) }),
          ),
          "answer",
        ],
      },
      silence: { actions: assign({ held: [1] }) },
      act: { actions: ["act", "answer"] },
      end: ".ended",
    },
    states: {
      ready: {},
      entering: { entry: assign(() => fail("an entry action")) },
      waiting: { after: { broken: "ready" } },
      spinning: { always: { target: "spun" } },
      spun: { always: { target: "spinning" } },
      ended: { type: "final" },
    },
  }),
});

async function errorOf(call: Promise<unknown> | (() => unknown)): Promise<DormouseError> {
  try {
    await (typeof call === "function" ? call() : call);
  } catch (error) {
    if (error instanceof DormouseError) return error;
    throw error;
  }
  throw new Error("expected an error");
}

function told({ kind, code }: DormouseError): { readonly kind: string; readonly code: string } {
  return { kind, code };
}

/** The agent and its neighbour after one message each, before anything goes wrong. */
async function begun(options: Partial<Parameters<typeof testRuntime>[0]> = {}): Promise<TestRuntime> {
  const runtime = await testRuntime({ agents: [wrong, counter], ...options });
  await runtime.client.agent(wrong, "one").ask({ type: "add", by: 1 });
  await runtime.client.agent(counter, "next").ask({ type: "add", by: 1 });
  return runtime;
}

/** Nothing is lost: state, neighbour, the next message; and the same after a crash. */
async function expectUnharmed(runtime: TestRuntime, errorCount: number): Promise<void> {
  const one = runtime.client.agent(wrong, "one");
  const asItWas = { status: "active", value: "ready", context: { count: 1 } };
  expect(await one.read()).toMatchObject({ ...asItWas, errorCount });
  await runtime.crash();
  expect(await one.read()).toMatchObject({ ...asItWas, errorCount });
  expect(await one.ask({ type: "add", by: 1 })).toBe(2);
  expect(await runtime.client.agent(counter, "next").ask({ type: "add", by: 1 })).toBe(2);
  expect(await runtime.client.quarantined()).toEqual([]);
}

// --------------------------------------------------------------------------------------------------------------- addresses

describe("a key", () => {
  test.for([
    { name: "is empty", key: "", code: "key.invalid" },
    { name: "is too long", key: "k".repeat(257), code: "key.invalid" },
    { name: "is too long in bytes", key: "ä".repeat(129), code: "key.invalid" },
    { name: "is half a character", key: "a\uD800", code: "key.invalid" },
  ])("that $name is refused before anything is sent", async ({ key, code }) => {
    await using runtime = await begun();
    const error = await errorOf(() => runtime.client.agent(wrong, key));
    expect(told(error)).toEqual({ kind: "invalid", code });
    await expectUnharmed(runtime, 0);
  });

  test("that is a child's is refused for all that only its parent may send it", async () => {
    await using runtime = await begun();
    const child = runtime.client.agent(wrong, "~abc");
    const reserved = { kind: "invalid", code: "key.reserved" };
    expect(told(await errorOf(child.start()))).toEqual(reserved);
    expect(told(await errorOf(child.send({ type: "end" })))).toEqual(reserved);
    expect(told(await errorOf(child.ask({ type: "add", by: 1 })))).toEqual(reserved);
    expect(await child.read()).toBeUndefined();
    await expectUnharmed(runtime, 0);
  });

  test.for([
    { key: "🐭 käse/../ñ" },
    { key: "k".repeat(256) },
    { key: "🐭".repeat(64) },
    { key: "." },
    { key: "a\u0000b\n*>" },
    { key: "é" },
    { key: "e\u0301" },
    { key: "a~" },
  ])("of any other characters names an agent of its own: $key", async ({ key }) => {
    await using runtime = await begun();
    const one = runtime.client.agent(counter, key);
    expect(await one.ask({ type: "add", by: 2 })).toBe(2);
    await runtime.crash();
    expect((await one.read())?.context.count).toBe(2);
    await expectUnharmed(runtime, 0);
  });
});

test("an unknown agent type is told to who asks; what was sent waits for a host that knows it", async () => {
  await using lives = new Lives();
  const before = await lives.begin([counter]);
  const error = await errorOf(before.agent("later", "one").ask({ type: "add", by: 1 }));
  expect(told(error)).toEqual({ kind: "invalid", code: "agent.unknown-type" });
  await before.agent("later", "one").send({ type: "add", by: 1 });
  await before.agent("later", "one").send({ type: "add", by: 2 });
  expect(await before.agent(counter, "next").ask({ type: "add", by: 1 })).toBe(1);
  lives.crash();
  const after = await lives.begin([counter, agent("later", { machine: counter.logic })]);
  expect(await after.agent("later", "one").ask({ type: "add", by: 4 })).toBe(7);
});

// ------------------------------------------------------------------------------------------------------------------ events

describe("an event", () => {
  test.for([
    { name: "without a type", event: { type: "" }, kind: "invalid", code: "event.type" },
    { name: "that does not fit its schema", event: { type: "add", by: "1" }, kind: "invalid", code: "event.schema" },
    { name: "that no transition takes", event: { type: "subtract" }, kind: "conflict", code: "event.not-taken" },
    { name: "of the machine's own", event: { type: "xstate.done.actor.x" }, kind: "invalid", code: "event.reserved" },
    { name: "xstate.init", event: { type: "xstate.init" }, kind: "invalid", code: "event.reserved" },
    {
      name: "over the limit",
      event: { type: "add", by: 1, x: "x".repeat(1_048_577) },
      kind: "invalid",
      code: "event.too-large",
    },
    ...Object.entries(unstorable).map(([what, make]) => ({
      name: `that holds a ${what}`,
      event: { type: "add", by: 1, deep: [new Map([["in", make()]])] },
      kind: "invalid",
      code: "event.not-data",
    })),
  ])("$name is refused", async ({ event, kind, code }) => {
    await using runtime = await begun();
    const one = runtime.client.agent("wrong", "one");
    expect(told(await errorOf(one.ask(event)))).toEqual({ kind, code });
    await expectUnharmed(runtime, 0);
  });

  test.for([
    { name: "that is no data", event: { type: "add", by: unstorable["function"]?.() }, code: "event.not-data" },
    { name: "over the limit", event: { type: "add", by: 1, x: "x".repeat(1_048_577) }, code: "event.too-large" },
  ])("$name is refused also where nobody waits for an answer", async ({ event, code }) => {
    await using runtime = await begun();
    const error = await errorOf(runtime.client.agent("wrong", "one").send(event));
    expect(told(error)).toEqual({ kind: "invalid", code });
    await expectUnharmed(runtime, 0);
  });

  test("just under the limit is taken", async () => {
    await using runtime = await begun();
    const looser = runtime.client.agent("counter", "large");
    expect(await looser.ask({ type: "add", by: 1, x: "x".repeat(1_031_000) })).toBe(1);
  });

  test.for([{ bytes: 1_032_193 }, { bytes: 1_028_096 }])(
    "of $bytes bytes from agent to agent is over the limit: its step is refused, and it is not sent",
    async ({ bytes }) => {
      await using runtime = await begun();
      const one = runtime.client.agent(wrong, "one");
      const error = await errorOf(one.ask({ type: "send", bytes, to: "counter/next" }));
      expect(told(error)).toEqual({ kind: "invalid", code: "event.too-large" });
      await runtime.quiesce();
      await expectUnharmed(runtime, 1);
    },
  );

  test("to an address that is none costs the step, not the host", async () => {
    await using runtime = await begun();
    const error = await errorOf(runtime.client.agent(wrong, "one").ask({ type: "send", bytes: 1, to: "Nobody/" }));
    expect(told(error)).toEqual({ kind: "invalid", code: "type.invalid" });
    await expectUnharmed(runtime, 1);
  });
});

// ------------------------------------------------------------------------------------------------------------------- steps

describe("a step", () => {
  test.for([
    ...Object.keys(unstorable).map((what) => ({
      name: `that puts a ${what} into its context`,
      event: { type: "hold", what },
      kind: "invalid",
      code: "state.not-data",
      says: "context.held",
    })),
    {
      name: "that changes its context in place",
      event: { type: "change" },
      kind: "failed",
      code: "context.frozen",
      says: "extensible",
    },
    {
      name: "that throws in a guard",
      event: { type: "guarded" },
      kind: "failed",
      code: "agent.step-failed",
      says: "a guard",
    },
    {
      name: "that throws in an assign",
      event: { type: "assigned" },
      kind: "failed",
      code: "agent.step-failed",
      says: "an assign",
    },
    {
      name: "that throws in an entry action",
      event: { type: "entered" },
      kind: "failed",
      code: "agent.step-failed",
      says: "an entry action",
    },
    {
      name: "that throws in a delay",
      event: { type: "delayed" },
      kind: "failed",
      code: "agent.step-failed",
      says: "a delay",
    },
    {
      name: "of endless always",
      event: { type: "spin" },
      kind: "failed",
      code: "agent.step-failed",
      says: "Infinite loop",
    },
    {
      name: "of endless raise",
      event: { type: "raiseForEver" },
      kind: "failed",
      code: "agent.step-failed",
      says: "Infinite loop",
    },
  ])("$name is refused whole, and its asker told", async ({ event, kind, code, says }) => {
    await using runtime = await begun();
    const error = await errorOf(runtime.client.agent("wrong", "one").ask(event));
    expect(told(error)).toEqual({ kind, code });
    expect(error.message).toContain(says);
    await expectUnharmed(runtime, 1);
  });

  test("that changes in place what was just read back is refused too", async () => {
    await using runtime = await begun();
    await runtime.crash();
    const error = await errorOf(runtime.client.agent(wrong, "one").ask({ type: "change" }));
    expect(told(error)).toEqual({ kind: "failed", code: "context.frozen" });
    await expectUnharmed(runtime, 1);
  });

  test("that outgrows the limit of a state is refused; one that shrinks it is taken", async () => {
    await using runtime = await begun({ settings: { stateBytesMax: 20_000 } });
    const one = runtime.client.agent(wrong, "one");
    expect(await one.ask({ type: "grow", bytes: 19_000 })).toBe(1);
    const error = await errorOf(one.ask({ type: "grow", bytes: 20_000 }));
    expect(told(error)).toEqual({ kind: "invalid", code: "state.too-large" });
    expect(error.message).toMatch(/agent=wrong\/one bytes=20\d\d\d bytesMax=20000/);
    expect((await one.read())?.context.held).toHaveLength(19_000);
    for (let n = 0; n < 50; n += 1) expect(await one.ask({ type: "grow", bytes: 18_000 + n })).toBe(1);
    expect(await one.ask({ type: "grow", bytes: 1 })).toBe(1);
    await expectUnharmed(runtime, 1);
  });

  test("that owes a plain action which throws is done, and the error is counted", async () => {
    await using runtime = await begun();
    expect(await runtime.client.agent(wrong, "one").ask({ type: "act" })).toBe(1);
    await runtime.quiesce();
    await expectUnharmed(runtime, 1);
  });
});

describe("a start", () => {
  const picky = agent("picky", {
    machine: setup({
      types: {} as { context: { name: string }; input: { name: string }; events: Ask<{ type: "name" }, string> },
    }).createMachine({
      context: ({ input }) => ({ name: input.name.trim().padEnd(input.name.length) }),
      on: { name: { actions: reply(({ context }) => context.name) } },
    }),
  });

  test("that is a second one changes nothing", async () => {
    await using runtime = await testRuntime({ agents: [picky] });
    const one = runtime.client.agent(picky, "one");
    expect(await one.start({ name: "first" })).toEqual({ created: true });
    expect(await one.start({ name: "second" })).toEqual({ created: false });
    expect(await one.ask({ type: "name" })).toBe("first");
  });

  test.for([
    { name: "whose input the machine throws at", input: { named: "x" }, kind: "failed", code: "agent.start-failed" },
    { name: "whose input is no data", input: { name: () => "x" }, kind: "invalid", code: "input.not-data" },
    {
      name: "whose state would be too large",
      input: { name: "x".repeat(9_000) },
      kind: "invalid",
      code: "state.too-large",
    },
  ])("$name begins nothing, and the next may", async ({ input, kind, code }) => {
    await using runtime = await testRuntime({ agents: [picky], settings: { stateBytesMax: 8_192 } });
    const one = runtime.client.agent(picky, "one");
    expect(told(await errorOf(one.start(input as never)))).toEqual({ kind, code });
    expect(await one.read()).toBeUndefined();
    await runtime.crash();
    expect(await one.start({ name: "first" })).toEqual({ created: true });
  });

  test("that is missing is told to who asks", async () => {
    await using runtime = await testRuntime({ agents: [picky] });
    const error = await errorOf(runtime.client.agent(picky, "one").ask({ type: "name" }));
    expect(told(error)).toEqual({ kind: "conflict", code: "agent.not-started" });
    expect(await runtime.client.agent(picky, "one").read()).toBeUndefined();
  });
});

// -------------------------------------------------------------------------------------------------------------------- asks

describe("an ask", () => {
  test("that is never answered ends by its time-out; the message stands", async () => {
    await using runtime = await begun();
    const one = runtime.client.agent(wrong, "one");
    const asked = errorOf(one.ask({ type: "silence" }));
    await runtime.advance("30s");
    expect(told(await asked)).toEqual({ kind: "timeout", code: "call.timeout" });
    expect((await one.read())?.seq).toBe(3);
    await expectUnharmed(runtime, 0);
  });

  test("of an agent that ended is told so, also when it ends with the ask still open", async () => {
    await using runtime = await begun();
    const one = runtime.client.agent(wrong, "one");
    const open = errorOf(one.ask({ type: "silence" }));
    await one.send({ type: "end" });
    expect(told(await open)).toEqual({ kind: "failed", code: "agent.ended" });
    await runtime.crash();
    expect(told(await errorOf(one.ask({ type: "add", by: 1 })))).toEqual({ kind: "failed", code: "agent.ended" });
    expect(told(await errorOf(one.waitFor("ready")))).toEqual({ kind: "failed", code: "agent.ended" });
    expect(await one.read()).toMatchObject({ status: "done", context: { count: 1 } });
  });
});

// ------------------------------------------------------------------------------------------------------------ edits of code

/** Hosts one after the other on one world in memory: each may run other code. */
class Lives implements AsyncDisposable {
  readonly #world = new MemoryWorld(realClock);
  #count = 0;
  #incarnation: Incarnation | undefined;

  async begin(agents: readonly AnyAgentDefinition[]): Promise<Client> {
    this.#count += 1;
    const ports = this.#world.open(`host-${this.#count}`, { clock: realClock, entropy: realEntropy });
    this.#incarnation = await startIncarnation({ agents, ports, partitions: 1 });
    return makeClient({ app: this.#incarnation.app, ports });
  }

  crash(): void {
    this.#incarnation?.kill();
    this.#world.end(`host-${this.#count}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.crash();
  }
}

/** Its one state under a name that an edit changes. */
function doc(draft: "drafting" | "writing"): AnyAgentDefinition {
  return agent("doc", {
    machine: setup({
      types: {} as { context: { edits: number }; events: Ask<{ type: "edit" }, number> | { type: "stop" } },
    }).createMachine({
      context: { edits: 0 },
      initial: draft,
      states: {
        [draft]: {
          on: {
            edit: {
              actions: [assign({ edits: ({ context }) => context.edits + 1 }), reply(({ context }) => context.edits)],
            },
          },
        },
      },
    }),
  });
}

describe("an agent whose state an edit has removed", () => {
  test("is set aside alone; its messages wait until the state is back and it is resumed", async () => {
    await using lives = new Lives();
    const first = await lives.begin([doc("drafting"), counter]);
    expect(await first.agent("doc", "one").ask({ type: "edit" })).toBe(1);
    lives.crash();

    const second = await lives.begin([doc("writing"), counter]);
    const error = await errorOf(second.agent("doc", "one").ask({ type: "edit" }));
    expect(told(error)).toEqual({ kind: "failed", code: "machine.state-removed" });
    expect(error.message).toContain("drafting");
    await second.agent("doc", "one").send({ type: "edit" });
    expect(await second.agent("doc", "two").ask({ type: "edit" })).toBe(1);
    expect(await second.agent(counter, "next").ask({ type: "add", by: 1 })).toBe(1);
    expect((await second.quarantined()).map(({ agent: address }) => address)).toEqual(["doc/one"]);
    lives.crash();

    const third = await lives.begin([doc("drafting"), counter]);
    await third.agent("doc", "one").resume();
    expect(await third.agent("doc", "one").ask({ type: "edit" })).toBe(3);
    expect(await third.quarantined()).toEqual([]);
  });
});

// ------------------------------------------------------------------------------------------------------------------ rebirth

describe("a key that is removed and begins anew", () => {
  type NestEvents =
    | Ask<{ type: "who" }, { life: string; timer: number; child: number; effect: number }>
    | { type: "childSaid" };

  const child = setup({ types: {} as { events: { type: "stir" } } }).createMachine({
    initial: "asleep",
    states: { asleep: { after: { "10000": "awake" } }, awake: { type: "final" } },
  });

  const nest = agent("nest", {
    machine: setup({
      types: {} as {
        context: { life: string; timer: number; child: number; effect: number };
        input: { life: string };
        events: NestEvents;
      },
      actors: { child, work: fromPromise<string>(() => Promise.resolve("done")) },
    }).createMachine({
      context: ({ input }) => ({ life: input.life, timer: 0, child: 0, effect: 0 }),
      initial: "nesting",
      on: { who: { actions: reply(({ context }) => context) } },
      states: {
        nesting: {
          invoke: [
            { src: "child", onDone: { actions: assign({ child: ({ context }) => context.child + 1 }) } },
            { src: "work", onDone: { actions: assign({ effect: ({ context }) => context.effect + 1 }) } },
          ],
          after: { "20000": { actions: assign({ timer: ({ context }) => context.timer + 1 }) } },
        },
      },
    }),
  });

  test.for([{ isCrashed: false }, { isCrashed: true }])(
    "hears nothing of its old life's timers, children, effects and messages (with a crash: $isCrashed)",
    async ({ isCrashed }) => {
      const ends: (() => void)[] = [];
      const work = fromPromise<string>(() => new Promise((resolve) => ends.push(() => resolve("done"))));
      await using runtime = await testRuntime({ agents: [nest, counter], actors: { nest: { work } } });
      const one = runtime.client.agent(nest, "one");
      await one.start({ life: "old" });
      const first = await one.read();
      const removed = one.remove();
      if (isCrashed) await runtime.crash();
      await removed;
      expect(await one.read()).toBeUndefined();
      expect(await one.start({ life: "new" })).toEqual({ created: true });
      // The old effect ends now, to nobody; the old child and timer would be due before the new ones.
      for (const end of ends.splice(0, 1)) end();
      expect(await one.ask({ type: "who" })).toEqual({ life: "new", timer: 0, child: 0, effect: 0 });
      expect((await one.read())?.seq).toBeGreaterThan(first?.seq ?? 0);
      await runtime.advance("9s");
      expect(await one.ask({ type: "who" })).toEqual({ life: "new", timer: 0, child: 0, effect: 0 });
      for (const end of ends.splice(0)) end();
      await runtime.advance("60s");
      expect(await one.ask({ type: "who" })).toEqual({ life: "new", timer: 1, child: 1, effect: 1 });
    },
  );

  test("is no agent to messages that were under way, but for one that begins it", async () => {
    await using runtime = await testRuntime({ agents: [counter] });
    const one = runtime.client.agent(counter, "one");
    await one.ask({ type: "add", by: 5 });
    const [, , third] = await Promise.all([
      one.send({ type: "add", by: 1 }),
      one.remove(),
      one.ask({ type: "add", by: 3 }),
    ]);
    expect(third).toBe(3);
    await runtime.crash();
    expect((await one.read())?.context.count).toBe(3);
  });
});

// ------------------------------------------------------------------------------------------------------------------ folders

describe("a folder", () => {
  const folders: string[] = [];
  afterEach(async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  });
  const makeFolder = async (): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), "dormouse-bad-"));
    folders.push(folder);
    return folder;
  };

  test("that another host holds is refused, and the holder goes on", async () => {
    const store = `file:${await makeFolder()}`;
    await using host = await startHost({ agents: [counter], store });
    const error = await errorOf(startHost({ agents: [counter], store }));
    expect(told(error)).toEqual({ kind: "conflict", code: "folder.in-use" });
    expect(error.message).toContain(String(process.pid));
    expect(await host.client.agent(counter, "one").ask({ type: "add", by: 1 })).toBe(1);
  });

  test("that cannot be written is refused", async () => {
    const folder = await makeFolder();
    await writeFile(join(folder, "file"), "");
    const error = await errorOf(startHost({ agents: [counter], store: `file:${join(folder, "file", "inside")}` }));
    expect(told(error)).toEqual({ kind: "invalid", code: "store.not-writable" });
  });

  test("that is damaged is refused, and left as it is", async () => {
    const folder = await makeFolder();
    await (await startHost({ agents: [counter], store: `file:${folder}` })).drain();
    await writeFile(join(folder, "data.mdb"), "this is no database, whatever it was");
    const error = await errorOf(startHost({ agents: [counter], store: `file:${folder}` }));
    expect(error.kind).toBe("corrupt");
  });

  test("of which one partition cannot be read: its agents say so and lose nothing, all others go on", async () => {
    const folder = await makeFolder();
    const store = `file:${folder}`;
    const partitionKey = "partitions/0";
    const keys = Array.from({ length: 20 }, (_, n) => `k${n}`);
    const first = await startHost({ agents: [counter], store });
    for (const key of keys) await first.client.agent(counter, key).ask({ type: "add", by: 1 });
    await first.drain();
    const good = await swapObject(folder, partitionKey, (bytes) =>
      bytes.with(bytes.length - 1, (bytes.at(-1) ?? 0) ^ 1),
    );

    const second = await startHost({ agents: [counter], store });
    const [stopped, going] = [keys.filter(isInFirst), keys.filter((key) => !isInFirst(key))];
    const why = { kind: "corrupt", code: "partition.stopped" };
    expect(stopped).not.toEqual([]);
    for (const key of stopped) {
      const one = second.client.agent(counter, key);
      expect(told(await errorOf(one.ask({ type: "add", by: 1 })))).toEqual(why);
      expect(told(await errorOf(one.read()))).toEqual(why);
    }
    expect(going).not.toEqual([]);
    for (const key of going) expect(await second.client.agent(counter, key).ask({ type: "add", by: 1 })).toBe(2);
    await second.drain();

    await swapObject(folder, partitionKey, () => good);
    await using third = await startHost({ agents: [counter], store });
    for (const key of keys) expect(await third.client.agent(counter, key).ask({ type: "add", by: 1 })).toBe(3);
  });

  test.for([
    { store: "file:", code: "store.url" },
    { store: "ftp://bucket", code: "store.url" },
    { store: "s3://bucket", code: "mailbox.url" },
    { mailbox: "http://server:4222", store: "s3://bucket", code: "mailbox.url" },
    { mailbox: "nats://server:4222", store: "file:./folder", code: "store.url" },
    { mailbox: "nats://server:4222", code: "option.invalid" },
  ])("named $mailbox, $store is refused", async ({ code, ...places }) => {
    const error = await errorOf(startHost({ agents: [counter], ...places }));
    expect(told(error)).toEqual({ kind: "invalid", code });
  });
});

function isInFirst(key: string): boolean {
  return partitionOf(`counter/${key}` as Address, 8) === 0;
}

/** Changes a stored object, past every host; gives what it was. */
async function swapObject(path: string, name: string, change: (bytes: Uint8Array) => Uint8Array): Promise<Uint8Array> {
  const folder = await openFolder(path, { clock: realClock, entropy: realEntropy, create: false });
  const found = await folder.store.get(name);
  if (found === undefined) throw new Error(`no such object: ${name}`);
  await folder.store.put(name, change(found.bytes), { if: "any" });
  await folder.close();
  return found.bytes;
}
