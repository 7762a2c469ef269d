/**
 * Each command on the agents of a host: what it does, what it prints for people and for programs, its exit code.
 *
 * Method: one host on a folder of its own, with agents that were brought into every situation; commands connect to it as
 * from any process. Processes of their own are in `test/process/cli.test.ts`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agent, type Ask, type Host, ref, reply, startHost } from "@dormouse/sdk";
import { assign, emit, fromPromise, sendTo, setup } from "xstate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runLine } from "./run-line.ts";

type OrderEvents =
  | { type: "add"; item: string; price: number }
  | { type: "pay" }
  | { type: "break" }
  | Ask<{ type: "count" }, number>
  | { type: "tell"; whom: string };

const failure = String.raw`the agent's own code threw; its state is as it was before: out of\norder: agent=order/paid event=break (agent.step-failed)`;
const longText = "a very long text. ".repeat(100);

const order = agent("order", {
  machine: setup({
    types: {} as {
      context: { items: readonly string[] };
      events: OrderEvents;
      emitted: { type: "noted"; count: number };
      tags: "open";
    },
    actors: {
      charge: fromPromise(async ({ input }: { input: { count: number } }) => ({
        receipt: `r-${input.count}`,
        longText,
      })),
      refuse: fromPromise(async (): Promise<void> => {
        throw new Error("the card is refused");
      }),
    },
  }).createMachine({
    id: "order",
    context: { items: [] },
    initial: "open",
    on: {
      break: {
        actions: assign(() => {
          throw new Error("out of\norder");
        }),
      },
    },
    states: {
      open: {
        on: {
          add: {
            actions: [
              assign({ items: ({ context, event }) => [...context.items, event.item] }),
              emit(({ context }) => ({ type: "noted" as const, count: context.items.length })),
            ],
          },
          count: { actions: reply(({ context }) => context.items.length) },
          tell: { actions: sendTo(({ event }) => ref(event.whom), { type: "add", item: "gift", price: 0 }) },
          pay: "paying",
        },
      },
      paying: {
        initial: "charging",
        states: {
          charging: {
            invoke: {
              id: "charge",
              src: "charge",
              input: ({ context }) => ({ count: context.items.length }),
              onDone: "refusing",
            },
          },
          refusing: { invoke: { id: "refuse", src: "refuse", onError: "waiting" } },
          waiting: { after: { 1: "late" } },
          late: {},
        },
      },
    },
  }),
});

const sheep = agent("sheep", {
  machine: setup({ types: {} as { events: { type: "count" } } }).createMachine({ on: { count: {} } }),
});

/** Nobody catches what its effect throws. */
const diver = agent("diver", {
  machine: setup({
    actors: {
      dive: fromPromise(async (): Promise<void> => {
        throw new RangeError("out of air");
      }),
    },
  }).createMachine({ invoke: { src: "dive" } }),
});

type CounterEvents = Ask<{ type: "add"; by: number }, number> | Ask<{ type: "fail" }, number> | { type: "reset" };

const counter = agent("counter", {
  machine: setup({
    types: {} as { context: { count: number }; events: CounterEvents; input: { count?: number } | undefined },
  }).createMachine({
    context: ({ input }) => ({ count: input?.count ?? 0 }),
    on: {
      add: {
        actions: [
          assign({ count: ({ context, event }) => context.count + event.by }),
          reply(({ context }) => context.count),
        ],
      },
      fail: {
        actions: assign(() => {
          throw new Error("out of order");
        }),
      },
      reset: { actions: assign({ count: 0 }) },
    },
  }),
});

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const folder = mkdtempSync(join(tmpdir(), "dormouse-views-"));
const store = `file:${join(folder, ".dormouse")}`;
let host: Host;

async function dormouse(...line: readonly string[]): Promise<Ended> {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const code = await runLine([...line, "--store", store], {
    stdout: { write: (text) => stdout.push(text) },
    stderr: { write: (text) => stderr.push(text) },
    isColourWanted: true,
    environment: {},
  });
  return { code, stdout: stdout.join(""), stderr: stderr.join("") };
}

async function lines(...line: readonly string[]): Promise<unknown[]> {
  const { code, stdout, stderr } = await dormouse(...line, "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((text) => JSON.parse(text) as unknown);
}

/** Times differ from run to run. */
function timeless(text: string): string {
  return text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>").replaceAll(/after \d[\d.]* m?s/g, "after <span>");
}

beforeAll(async () => {
  host = await startHost({ agents: [counter, diver, order, sheep], store });
  const [paid, told] = ["paid", "told"].map((key) => host.client.agent(order, key));
  await paid?.send({ type: "add", item: "tea", price: 4 });
  await paid?.send({ type: "break" });
  await paid?.send({ type: "tell", whom: "order/told" });
  await paid?.send({ type: "pay" });
  await paid?.waitFor({ paying: "late" });
  await told?.waitFor(({ context }) => context.items.length === 1);
  await host.client.agent(sheep, "dolly\nand co").send({ type: "count" });
  await host.client.agent(sheep, "dolly\nand co").waitFor(({ seq }) => seq === 1);
  await host.client.agent(diver, "deep").start();
  await host.client.agent(diver, "deep").waitFor(({ status }) => status === "error");
});
afterAll(async () => {
  await host.drain();
  rmSync(folder, { recursive: true, force: true });
});

describe("calls", () => {
  test("start makes an agent with its input, once", async () => {
    const [line, again] = [5, 9].map((count) => ["start", "counter/started", JSON.stringify({ count })]);
    expect(await dormouse(...(line ?? []))).toEqual({ code: 0, stdout: "counter/started is started\n", stderr: "" });
    expect(await lines(...(again ?? []))).toEqual([{ agent: "counter/started", created: false }]);
    expect((await dormouse("ask", "counter/started", '{"type":"add","by":1}')).stdout).toBe("6\n");
  });

  test("ask prints the reply, for people and for programs", async () => {
    expect(await dormouse("ask", "counter/asked", '{"type":"add","by":2}')).toEqual({
      code: 0,
      stdout: "2\n",
      stderr: "",
    });
    expect(await lines("ask", "counter/asked", '{"type":"add","by":3}')).toEqual([
      { agent: "counter/asked", reply: 5 },
    ]);
  });

  test("an ask under one idempotency key is applied once", async () => {
    const line = ["ask", "counter/keyed", '{"type":"add","by":4}', "--idempotency-key", "order-7"];
    expect((await dormouse(...line)).stdout).toBe("4\n");
    expect((await dormouse(...line)).stdout).toBe("4\n");
  });

  test("send is accepted, and taken", async () => {
    await dormouse("ask", "counter/sent", '{"type":"add","by":2}');
    expect(await lines("send", "counter/sent", '{"type":"reset"}')).toEqual([
      { agent: "counter/sent", isHostRunning: true, message: expect.any(String) },
    ]);
    expect((await dormouse("ask", "counter/sent", '{"type":"add","by":1}')).stdout).toBe("1\n");
  });

  test("read prints the committed state", async () => {
    await dormouse("ask", "counter/read", '{"type":"add","by":7}');
    expect(await lines("read", "counter/read")).toMatchObject([
      { agent: "counter/read", status: "active", context: { count: 7 }, error: null },
    ]);
    const { stdout } = await dormouse("read", "counter/read");
    expect(stdout).toContain("counter/read");
    expect(stdout).not.toContain("  state "); // its machine has none
    expect(stdout).toContain("{ count: 7 }");
    expect(stdout).not.toContain("\u001B");
  });

  test.for([
    { what: "a step that throws", line: ["ask", "counter/x", '{"type":"fail"}'], code: "agent.step-failed" },
    { what: "an event that nothing takes", line: ["ask", "counter/x", '{"type":"multiply"}'], code: "event.not-taken" },
    { what: "reading an agent that is not there", line: ["read", "counter/nobody"], code: "agent.not-started" },
    { what: "its history", line: ["history", "counter/nobody"], code: "agent.not-started" },
    { what: "a type that no host runs", line: ["ask", "accountant/x", '{"type":"add"}'], code: "agent.unknown-type" },
    {
      what: "an event that is reserved",
      line: ["ask", "counter/x", '{"type":"xstate.stop"}'],
      code: "event.reserved",
    },
  ])("$what ends with exit code 1 and $code", async ({ line, code }) => {
    const ended = await dormouse(...line, "--json");
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(JSON.parse(ended.stderr)).toMatchObject({ error: { code } });
    const { stderr } = await dormouse(...line);
    expect(stderr).toMatch(new RegExp(`^error: .+ \\(${code}\\)\\n$`, "s"));
  });

  test("another app than the folder's is wrong usage", async () => {
    const { code, stderr } = await dormouse("list", "--app", "shop");
    expect(code).toBe(2);
    expect(stderr).toContain("app.mismatch");
  });
});

describe("list", () => {
  test("tells each agent with its status, state, steps and errors, by address", async () => {
    const { code, stdout, stderr } = await dormouse("list", "order");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(
      [
        "agent       status  state        steps  errors",
        "order/paid  active  paying.late  8      1",
        "order/told  active  open         2      0",
        "",
      ].join("\n"),
    );
  });

  test("tells of all types, each agent on one line whatever its key", async () => {
    const agents = (await dormouse("list")).stdout.split("\n");
    expect(agents).toContainEqual(expect.stringMatching(/^order\/paid /));
    expect(agents.at(-2)).toMatch(/^sheep\/dolly\\nand co {2}active +1 +0$/);
  });

  test("tells a program one line of JSON per agent", async () => {
    expect(await lines("list", "order")).toEqual([
      {
        agent: "order/paid",
        type: "order",
        key: "paid",
        status: "active",
        seq: 8,
        value: { paying: "late" },
        errorCount: 1,
        at: expect.any(Number),
        waitCount: 0,
        stuck: null,
        isSetAside: false,
      },
      expect.objectContaining({ agent: "order/told", value: "open" }),
    ]);
  });

  test.for([
    { line: ["--state", "open"], keys: ["told"] },
    { line: ["--state", "paying"], keys: ["paid"] },
    { line: ["--state", "paying.late"], keys: ["paid"] },
    { line: ["--state", "late"], keys: [] },
    { line: ["--status", "error"], keys: ["deep"] },
    { line: ["order", "--status", "active", "--state", "open"], keys: ["told"] },
    { line: ["--status", "set-aside"], keys: [] },
    { line: ["sheep"], keys: ["dolly\nand co"] },
    { line: ["wolf"], keys: [] },
  ])("with $line finds $keys", async ({ line, keys }) => {
    expect(await lines("list", ...line)).toEqual(keys.map((key) => expect.objectContaining({ key })));
  });

  test("says so where there is none, and that is no failure", async () => {
    expect(await dormouse("list", "wolf")).toEqual({ code: 0, stdout: "", stderr: "there are no such agents\n" });
  });
});

describe("history", () => {
  test("tells of each step what it took, the states around it, effects, messages and errors", async () => {
    const { code, stdout } = await dormouse("history", "order/paid");
    expect(code).toBe(0);
    const shortened = "a very long text. a very long text. a very long ";
    expect(timeless(stdout)).toBe(
      [
        "#1    <time>  start",
        "      → open",
        "#2    <time>  add { item: 'tea', price: 4 }",
        "      open",
        "      emits noted { count: 1 }",
        "#3    <time>  break",
        "      open",
        `      fails: ${failure}`,
        "#4    <time>  tell { whom: 'order/told' }",
        "      open",
        "      sends add to order/told",
        "#5    <time>  pay",
        "      open → paying.charging",
        "      begins charge { count: 1 }",
        `#6    <time>  effect charge gives { receipt: 'r-1', longText: '${shortened}'... 1752 more characters } after <span>`,
        "      paying.charging → paying.refusing",
        "      begins refuse",
        "#7    <time>  effect refuse fails: Error: the card is refused after <span>",
        "      paying.refusing → paying.waiting",
        "#8    <time>  timer xstate.after.1.order.paying.waiting",
        "      paying.waiting → paying.late",
        "",
      ].join("\n"),
    );
  });

  test("tells whom a message came from", async () => {
    const { stdout } = await dormouse("history", "order/told", "--from", "2");
    expect(stdout).toContain("add { item: 'gift', price: 0 } from order/paid");
  });

  test("tells a program one line of JSON per step, whole", async () => {
    const steps = await lines("history", "order/paid");
    expect(steps).toHaveLength(8);
    expect(steps[5]).toMatchObject({
      agent: "order/paid",
      seq: 6,
      cause: "effect",
      valueBefore: { paying: "charging" },
      value: { paying: "refusing" },
      context: { items: ["tea"] },
      event: { output: { longText } },
    });
  });

  test("tells of the steps that are asked for", async () => {
    const steps = await lines("history", "order/paid", "--from", "2", "--to", "4");
    expect(steps).toMatchObject([{ seq: 2 }, { seq: 3 }, { seq: 4 }]);
    expect(await dormouse("history", "order/told", "--from", "99")).toEqual({
      code: 0,
      stdout: "",
      stderr: "there are no such steps\n",
    });
  });
});

describe("errors", () => {
  test("tells of the steps that failed", async () => {
    const { code, stdout } = await dormouse("errors", "order");
    expect(code).toBe(0);
    expect(timeless(stdout)).toBe(`order/paid  #3    <time>  break\n      ${failure}\n`);
    expect(await lines("errors", "order")).toEqual([
      expect.objectContaining({ kind: "failed-step", agent: "order/paid", seq: 3, event: { type: "break" } }),
    ]);
    await dormouse("ask", "counter/failed", '{"type":"fail"}');
    expect(await lines("errors")).toMatchObject(
      expect.arrayContaining([
        expect.objectContaining({ agent: "counter/failed" }),
        expect.objectContaining({ agent: "order/paid" }),
      ]),
    );
  });

  test("tells of an agent that ended with an error, as read does", async () => {
    const { code, stdout } = await dormouse("errors", "diver");
    expect({ code, stdout: timeless(stdout) }).toEqual({
      code: 0,
      stdout: "diver/deep  <time>  ended with an error\n      out of air (RangeError)\n",
    });
    const error = { kind: "failed", code: "RangeError", message: "out of air" };
    expect(await lines("errors", "diver")).toEqual([
      { kind: "ended", agent: "diver/deep", at: expect.any(Number), error },
    ]);
    expect((await dormouse("read", "diver/deep")).stdout).toMatch(/^ {2}error {4}out of air \(RangeError\)\n/m);
    expect(await lines("read", "diver/deep")).toMatchObject([{ status: "error", error }]);
    expect(await lines("list", "diver")).toMatchObject([{ status: "error", errorCount: 0 }]);
  });

  test("says so where there is none", async () => {
    const stderr = "no agent is set aside, stuck, damaged or failed, and no step failed\n";
    expect(await dormouse("errors", "sheep")).toEqual({ code: 0, stdout: "", stderr });
  });
});

test.for(["resume", "skip"])("%s of an agent that was not set aside changes nothing", async (command) => {
  expect(await dormouse(command, "order/told")).toEqual({
    code: 0,
    stdout: "order/told was not set aside\n",
    stderr: "",
  });
  expect(await lines(command, "order/told")).toEqual([{ agent: "order/told", wasSetAside: false, isSkipped: false }]);
  expect((await host.client.agent(order, "told").read())?.seq).toBe(2);
});

test.for(["resume", "skip", "read"])("%s of an agent that is not there fails, and says so", async (command) => {
  for (const address of ["order/nobody", "order/~child"]) {
    const { code, stdout, stderr } = await dormouse(command, address);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`agent=${address} (agent.not-started)`);
  }
});

describe("once the host has ended", () => {
  beforeAll(() => host.drain());

  test.for([
    ["start", "order/told"],
    ["ask", "order/told", '{"type":"count"}'],
    ["read", "order/told"],
    ["list"],
    ["history", "order/told"],
    ["errors"],
    ["resume", "order/told"],
    ["skip", "order/told"],
  ])("%s says that no host runs", async (line) => {
    const { code, stdout, stderr } = await dormouse(...line);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("(host.not-running)");
  });

  test("send is kept in the mailbox", async () => {
    const { code, stdout } = await dormouse("send", "order/told", '{"type":"pay"}');
    expect(code).toBe(0);
    expect(stdout).toContain("pay is kept in the mailbox of order/told: no host runs");
  });
});
