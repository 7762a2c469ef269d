/**
 * Commands on agents with durable functions: what they wait for, how they are answered, and their calls as a tree.
 *
 * Method: a host on a folder of its own, whose agents were brought into every situation; commands connect to it as from any
 * process. Times and tokens, which differ from run to run, are not compared.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agent, durable, type DurableContext, type Host, startHost, TerminalError } from "@dormouse/sdk";
import { fromPromise, setup } from "xstate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { runLine } from "./run-line.ts";

const at = { retry: { initialInterval: 1, jitter: 0 } } as const;

/** Each kind of call, and each way to end. */
const triage = agent("triage", {
  run: durable(async ({ input, run, receive, sleep, send, log }: DurableContext<{ ticket: string }>) => {
    const flaky = async ({ attempt }: { readonly attempt: number }) => {
      if (attempt < 3) throw new RangeError("busy");
      return { text: input.ticket, usage: { tokens: 12 } };
    };
    await run("draft", flaky, { ...at, input });
    await run("nothing", () => null);
    await run("broken", () => Promise.reject(new TerminalError("for good"))).catch(() => undefined);
    await sleep(1);
    log("asking", { whom: "ada" });
    const schema = z.object({ ok: z.boolean() });
    const { ok } = await receive("approval", { schema, question: "ship\nit?", timeout: "7d" });
    await send(order, "told", { type: "deny" });
    return { ok };
  }),
});

type OrderEvents = { type: "approve"; value: boolean } | { type: "deny" };
const order = agent("order", {
  machine: setup({ types: {} as { events: OrderEvents; tags: "waiting" } }).createMachine({
    initial: "open",
    states: { open: { tags: "waiting", on: { approve: "approved", deny: "denied" } }, approved: {}, denied: {} },
  }),
});

const hold = Promise.withResolvers<void>();
const shop = agent("shop", {
  machine: setup({
    types: {} as { events: { type: "close" } },
    actors: {
      watch: fromPromise(async () => hold.promise),
      staff: durable(async ({ receive, run }: DurableContext<{ n: number }>) => {
        await run("open-up", () => "opened");
        return receive("pay");
      }),
    },
  }).createMachine({
    initial: "open",
    states: {
      open: {
        invoke: [
          { id: "watch", src: "watch" },
          { id: "staff", src: "staff", input: { n: 1 } },
        ],
        on: { close: "closed" },
      },
      closed: {},
    },
  }),
});

const long = agent("long", {
  run: durable(async ({ run, receive }) => {
    for (let n = 1; n <= 250; n += 1) await run(`call-${n}`, () => n);
    return receive("end");
  }),
});

const bell = agent("bell", { run: durable(async ({ receive }) => [await receive("first"), await receive("second")]) });

/** Ends while it still waits. */
const hasty = agent("hasty", {
  run: durable(async ({ receive, sleep }) => Promise.race([receive("word"), sleep(1)])),
});

let isMended = true;
const changing = agent("changing", {
  run: durable(async ({ run, receive }) => {
    await run(isMended ? "old" : "new", () => 0);
    await receive("next");
    return receive("end");
  }),
});

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const folder = mkdtempSync(join(tmpdir(), "dormouse-functions-"));
const store = `file:${join(folder, ".dormouse")}`;
const agents = [triage, order, shop, long, bell, hasty, changing];
const start = (): Promise<Host> => startHost({ agents, store, settings: { parkMs: 0 } });
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

async function lines(...line: readonly string[]): Promise<readonly Record<string, unknown>[]> {
  const { code, stdout, stderr } = await dormouse(...line, "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((text) => JSON.parse(text) as Record<string, unknown>);
}

/** Without times, spans, tokens, and how often a host took up a function. */
function timeless(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replaceAll(/after \d[\d.]* m?s/g, "after <span>")
    .replaceAll(/, run \d+/g, "")
    .replaceAll(/[0-9a-f]{32}\./g, "<secret>.")
    .replaceAll(/#\d+ +/g, "#<n> ");
}

beforeAll(async () => {
  host = await startHost({ agents, store });
  await host.client.agent(triage, "t1").start({ ticket: "leak" });
  await host.client.agent(triage, "t2").start({ ticket: "noise" });
  await host.client.agent(order, "o1").start();
  await host.client.agent(shop, "s1").start();
  await host.client.agent(long, "l1").start();
  await host.client.agent(triage, "t1").waitFor(({ waits }) => waits.length === 1);
  await host.client.agent(triage, "t2").waitFor(({ waits }) => waits.length === 1);
  await host.client.agent(long, "l1").waitFor(({ waits }) => waits.length === 1);
  await host.client.agent(shop, "s1").waitFor(({ waits }) => waits.length === 1);
});
afterAll(async () => {
  await host.drain();
  rmSync(folder, { recursive: true, force: true });
});

describe("waits", () => {
  test("tells a person the name, since when, the question, what it takes and the token", async () => {
    const { code, stdout, stderr } = await dormouse("waits", "triage");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [first = ""] = stdout.split(/^(?=triage\/t2)/m);
    const takes = "takes { type: 'object', properties: { ok: { type: 'boolean' } }, required: [ 'ok' ] }";
    for (const key of ["t1", "t2"]) {
      expect(timeless(stdout)).toContain(
        [
          `triage/${key}  approval  since <time>, until <time>`,
          String.raw`      ship\nit?`,
          `      ${takes}`,
          `      token <secret>.triage/${key}`,
          "",
        ].join("\n"),
      );
    }
    expect(first).not.toBe("");
  });

  test("tells a machine's events where its state is tagged, as a program takes them", async () => {
    const wait = { agent: "order/o1", function: null, since: expect.any(Number), token: null, question: null };
    const none = { schema: null, due: null };
    expect(await lines("waits", "--type", "order")).toEqual([
      { ...wait, ...none, name: "approve" },
      { ...wait, ...none, name: "deny" },
    ]);
    expect((await lines("waits")).map(({ name }) => name)).toEqual(expect.arrayContaining(["approval", "pay", "end"]));
  });

  test("says so where nobody waits", async () => {
    expect(await dormouse("waits", "wolf")).toEqual({ code: 0, stdout: "", stderr: "no agent waits for anybody\n" });
  });
});

describe("respond", () => {
  test("by name is refused where the value does not fit, and the wait goes on; by token it is answered", async () => {
    const refused = await dormouse("respond", "triage/t1", "approval", '{"ok":"yes"}');
    expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 1, stdout: "" });
    expect(refused.stderr).toContain("(receive.refused)");
    const [wait] = (await lines("waits", "triage")).filter((one) => one["agent"] === "triage/t1");
    const token = String(wait?.["token"]);
    const answered = { code: 0, stdout: "the wait of triage/t1 is answered\n", stderr: "" };
    expect(await dormouse("respond", token, '{"ok":true}')).toEqual(answered);
    expect(await host.client.agent(triage, "t1").result()).toEqual({ ok: true });
    expect(await dormouse("respond", token, '{"ok":false}'), "a second one is told of the first").toEqual(answered);
    expect((await dormouse("respond", `${"0".repeat(32)}.triage/t1`, "1")).stderr).toContain("(token.unknown)");
  });

  test("by name to an agent that nobody started is refused, and none begins", async () => {
    const { code, stdout, stderr } = await dormouse("respond", "bell/misspelt", "first", "true");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("(agent.not-started)");
    expect(await host.client.agent(bell, "misspelt").read()).toBeUndefined();
  });

  test.for(["", "xstate.done"])("by a name that no event may have, %j, is refused", async (name) => {
    expect(await dormouse("respond", "triage/t2", name, "1")).toMatchObject({ code: 1, stdout: "" });
  });

  test("by name is taken by a machine as an event", async () => {
    await host.client.agent(order, "o2").start();
    expect(await lines("respond", "order/o2", "approve", "true")).toEqual([{ agent: "order/o2", name: "approve" }]);
    expect(await host.client.agent(order, "o2").read()).toMatchObject({ value: "approved" });
  });

  test("without a value it is answered by nothing, by name and by token", async () => {
    const ref = host.client.agent(bell, "b1");
    await ref.start();
    await ref.waitFor(({ waits }) => waits.length === 1);
    expect(await lines("respond", "bell/b1", "first")).toEqual([{ agent: "bell/b1", name: "first" }]);
    const { waits } = await ref.waitFor(({ waits: [wait] }) => wait?.name === "second");
    expect(await lines("respond", String(waits[0]?.token))).toEqual([{ agent: "bell/b1" }]);
    expect(await ref.result()).toEqual([undefined, undefined]);
  });

  test.for([
    { line: ["order/o1"], says: "the name of what it waits for, which is missing" },
    { line: [], says: "<token|type/key> is missing" },
    { line: ["0".repeat(32), "true"], says: "token.invalid" },
    { line: [`${"0".repeat(32)}.order/o1`, "true", "more"], says: "too many: more" },
    { line: ["0a.order/o1", "true"], says: "token.invalid" },
    { line: ["order/o1", "approve", "yes"], says: "the value is not JSON" },
    { line: ["order/~child", "approve", "1"], says: 'begin with "~"' },
    { line: ["or der/o1", "approve", "1"], says: "type" },
    { line: [".order/o1", "1"], says: "token.invalid" },
    { line: ["order/o1", "approve", "1", "2"], says: "too many" },
    { line: ["order/o1", "approve", "1", "--timeout", "soon"], says: "a duration" },
  ])("$line is wrong usage", async ({ line, says }) => {
    const { code, stdout, stderr } = await dormouse("respond", ...line);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(says);
  });
});

test.for([
  { line: ["waits", "or der"], says: "type" },
  { line: ["waits", "order/o1"], says: "type" },
  { line: ["waits", "order", "more"], says: "more" },
  { line: ["waits", "--type", ""], says: "type" },
  { line: ["waits", "--timeout", "-1"], says: "timeout" },
  { line: ["history"], says: "<type/key> is missing" },
  { line: ["history", "order"], says: "order" },
  { line: ["history", "order/o1", "--from", "-1"], says: "from" },
  { line: ["history", "order/o1", "--to", "1e400"], says: "to" },
  { line: ["history", "order/o1", "--from", "9", "--to", "2"], says: "--from is above --to" },
  { line: ["history", `order/${"x".repeat(1_000)}`], says: "key" },
])("$line is wrong usage", async ({ line, says }) => {
  const { code, stdout, stderr } = await dormouse(...line);
  expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: "", stderr: expect.stringContaining(says) });
});

describe("history", () => {
  test("tells the calls of a function as a tree, once it has ended", async () => {
    await host.client
      .agent(triage, "t2")
      .respond("approval", { ok: 1 })
      .catch(() => undefined);
    await host.client.agent(triage, "t2").respond("approval", { ok: false });
    await host.client.agent(triage, "t2").result();
    const { stdout } = await dormouse("history", "triage/t2");
    const shown = timeless(stdout).split("\n");
    expect(shown.slice(0, 3)).toEqual([
      "#<n> <time>  start",
      "      → running",
      "      begins run { ticket: 'noise' }",
    ]);
    const tree = shown.slice(shown.findIndex((line) => line.includes("effect run gives")));
    expect(tree).toEqual([
      "#<n> <time>  effect run gives { ok: false } after <span>",
      "      running → done",
      "      ├─ #<n> draft { ticket: 'noise' } gives { text: 'noise', usage: { tokens: 12 } } after <span>, attempt 3, used { tokens: 12 }",
      "      │  ├─ attempt 1 fails after <span>: RangeError: busy",
      "      │  └─ attempt 2 fails after <span>: RangeError: busy",
      "      ├─ #<n> nothing gives null after <span>",
      "      ├─ #<n> broken fails after <span>: TerminalError: for good",
      "      ├─ #<n> sleep after <span>",
      "      ├─ #<n> logs asking { whom: 'ada' }",
      "      ├─ #<n> receive approval gives { ok: false } after <span>",
      expect.stringMatching(/^ {6}│ {2}└─ refuses a value: .+ \(receive\.refused\)$/),
      "      └─ #<n> send deny to order/told",
      "",
    ]);
  });

  test("tells what is under way, and a program all of it", async () => {
    const { stdout } = await dormouse("history", "shop/s1");
    expect(timeless(stdout)).toBe(
      [
        "#<n> <time>  start",
        "      → open",
        "      begins watch",
        "      begins staff { n: 1 }",
        "      under way: staff { n: 1 } since <time>",
        "      ├─ #<n> open-up gives 'opened' after <span>",
        "      └─ #<n> receive pay waits",
        "",
      ].join("\n"),
    );
    const calls = (await lines("history", "shop/s1")).flatMap((step) => step["calls"]);
    expect(calls).toMatchObject([
      { name: "open-up", what: "ended", result: { ok: true, output: "opened" } },
      { name: "pay", what: "began" },
    ]);
  });

  test("tells of a call that nobody waits for any more that it is given up", async () => {
    const ref = host.client.agent(hasty, "h1");
    await ref.start();
    await ref.result();
    const shown = timeless((await dormouse("history", "hasty/h1")).stdout).split("\n");
    expect(shown.slice(-4)).toEqual([
      "      running → done",
      "      ├─ #<n> receive word waits, and is given up",
      "      └─ #<n> sleep after <span>",
      "",
    ]);
  });

  test("tells effects that were given up", async () => {
    const ref = host.client.agent(shop, "s2");
    await ref.start();
    await ref.waitFor(({ waits }) => waits.length === 1);
    await ref.respond("close");
    const { stdout } = await dormouse("history", "shop/s2");
    const shown = timeless(stdout).split("\n");
    expect(shown.slice(shown.findIndex((line) => line.includes("close")))).toEqual([
      "#<n> <time>  close",
      "      open → closed",
      "      gives up watch after <span>",
      "      gives up staff { n: 1 } after <span>",
      "      ├─ #<n> open-up gives 'opened' after <span>",
      "      └─ #<n> receive pay waits, and is given up",
      "",
    ]);
  });

  test("shows the newest calls of many, and says how many there were", async () => {
    const shown = timeless((await dormouse("history", "long/l1")).stdout).split("\n");
    expect(shown).toContain("      ├─ 51 earlier calls; --json tells of all");
    expect(shown).toContain("      ├─ #<n> call-250 gives 250 after <span>");
    expect(shown.filter((line) => line.includes("call-"))).toHaveLength(199);
    const calls = (await lines("history", "long/l1")).flatMap((step) => step["calls"]);
    expect(calls).toHaveLength(251);
  });
});

test("read tells what an agent has under way", async () => {
  const { stdout } = await dormouse("read", "shop/s1");
  expect(timeless(stdout)).toMatch(
    /^ {2}doing {4}watch\n {11}staff \{ n: 1 \}, (running|parked), 1 call is recorded\n {13}receive pay\n/m,
  );
  expect(await lines("read", "shop/s1")).toMatchObject([{ waits: [{ name: "pay" }], effects: [{}, { src: "staff" }] }]);
});

test("an agent whose function is stuck is told by list, errors, read and history, and resume takes it back", async () => {
  const ref = host.client.agent(changing, "c1");
  await ref.start();
  await ref.waitFor(({ waits }) => waits.length === 1);
  hold.resolve();
  await host.drain();
  isMended = false;
  host = await start();
  await host.client.agent(changing, "c1").respond("next", 1);
  const again = host.client.agent(changing, "c1");
  await again.waitFor(({ effects }) => effects.some(({ durable: one }) => one?.status === "stuck"));
  expect(timeless((await dormouse("list", "--status", "stuck")).stdout)).toMatch(
    /^changing\/c1 +stuck +running +\d+ +1$/m,
  );
  expect((await dormouse("errors", "changing")).stdout).toMatch(
    /^changing\/c1 .+ stuck\n .+ \(checkpoint\.mismatch\)\nchanging\/c1 +#5 .+\n .+ \(checkpoint\.mismatch\)\n$/,
  );
  expect(await lines("errors", "changing")).toMatchObject([
    { kind: "stuck", error: { code: "checkpoint.mismatch" } },
    { seq: 5, error: { code: "checkpoint.mismatch" } },
  ]);
  expect((await dormouse("read", "changing/c1")).stdout).toMatch(/^ {2}status {3}stuck, /m);
  expect((await dormouse("history", "changing/c1")).stdout).toMatch(/─ #\d+ is stuck: .+ \(checkpoint\.mismatch\)\n$/);
  isMended = true;
  expect((await dormouse("resume", "changing/c1")).stdout).toBe("changing/c1 is taken back\n");
  await again.waitFor(({ waits }) => waits.some(({ name }) => name === "end"));
  expect(await lines("list", "--status", "stuck")).toEqual([]);
});

describe("once the host has ended", () => {
  beforeAll(() => host.drain());

  test.for([["waits"], ["respond", "triage/t1", "approval", "1"], ["respond", `${"0".repeat(32)}.order/o1`, "1"]])(
    "%s says that no host runs",
    async (line) => {
      const { code, stdout, stderr } = await dormouse(...line);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("(host.not-running)");
    },
  );
});
