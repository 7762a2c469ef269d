/**
 * What plain JavaScript can get wrong where TypeScript would tell: each is refused with a kind and a code, before anything
 * is sent or waited for.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agent, type AgentRef, type AnyAgentDefinition, connect, type HostOptions, startHost } from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import { setup } from "xstate";
import { describe, expect, test } from "vitest";
import { counter } from "./agents/counter.ts";

const lamp = agent("lamp", {
  machine: setup({ types: {} as { events: { type: "press" }; tags: "dark" } }).createMachine({
    initial: "off",
    states: {
      off: { tags: "dark", on: { press: "on" } },
      on: { initial: "dim", states: { dim: { on: { press: "bright" } }, bright: {} } },
    },
  }),
});

type Ref = AgentRef<AnyAgentDefinition>;

async function first(steps: AsyncIterable<unknown>): Promise<unknown> {
  for await (const step of steps) return step;
  return undefined;
}

async function inFolder(use: (store: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "dormouse-plain-"));
  try {
    await use(`file:${folder}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const calls: { readonly [name: string]: (ref: Ref, options: never) => Promise<unknown> } = {
  start: (ref, options) => ref.start(undefined, options),
  send: (ref, options) => ref.send({ type: "reset" }, options),
  ask: (ref, options) => ref.ask({ type: "add", by: 1 }, options),
  read: (ref, options) => ref.read(options),
  waitFor: (ref, options) => ref.waitFor("nowhere", options),
  result: (ref, options) => ref.result(options),
  history: (ref, options) => first(ref.history(options)),
  watch: (ref, options) => first(ref.watch(options)),
  resume: (ref, options) => ref.resume(options),
  terminate: (ref, options) => ref.terminate(options),
  remove: (ref, options) => ref.remove(options),
};

describe("a call's options", () => {
  test.for(Object.keys(calls))("of %s that it does not have are refused, and nothing is sent", async (name) => {
    await using runtime = await testRuntime({ agents: [counter] });
    const ref = runtime.client.agent("counter", "one");
    for (const options of [{ timeoutMs: 5 }, null, 5, { signal: {} }, { signal: 5 }]) {
      await expect(calls[name]?.(ref, options as never)).rejects.toMatchObject({
        kind: "invalid",
        code: "option.invalid",
      });
    }
    await runtime.quiesce();
    expect(await ref.read()).toBeUndefined();
  });

  test.for(Object.keys(calls).filter((name) => name !== "send" && name !== "ask"))(
    "of %s have no idempotency key, since it would do nothing",
    async (name) => {
      await using runtime = await testRuntime({ agents: [counter] });
      const called = calls[name]?.(runtime.client.agent("counter", "one"), { idempotencyKey: "k" } as never);
      await expect(called).rejects.toMatchObject({ code: "option.invalid" });
    },
  );

  test("of a client are refused too", async () => {
    await using runtime = await testRuntime({ agents: [counter] });
    const refused = { kind: "invalid", code: "option.invalid" };
    await expect(first(runtime.client.list({ typ: "counter" } as never))).rejects.toMatchObject(refused);
    await expect(runtime.client.quarantined({ type: "counter" } as never)).rejects.toMatchObject(refused);
  });

  test("of resume say plainly whether a message is dropped", async () => {
    await using runtime = await testRuntime({ agents: [counter] });
    const resumed = runtime.client.agent(counter, "one").resume({ skip: "no" } as never);
    await expect(resumed).rejects.toMatchObject({ kind: "invalid", code: "option.invalid" });
  });

  test("of a history are numbers of steps", async () => {
    await using runtime = await testRuntime({ agents: [counter] });
    for (const options of [{ from: "1" }, { to: Number.NaN }, { from: null }]) {
      const told = first(runtime.client.agent(counter, "one").history(options as never));
      await expect(told).rejects.toMatchObject({ kind: "invalid", code: "option.invalid" });
    }
  });
});

test.for([{ restoreEachStep: true }, { onErrors: "fail" }, { onError: "stop" }, null])(
  "options of a definition or a test runtime that they do not have are refused: %j",
  async (options) => {
    const refused = { kind: "invalid", code: "option.invalid" };
    const { logic: machine } = lamp;
    expect(() => agent("lamp", (options && { machine, ...options }) as never)).toThrow(
      expect.objectContaining(refused),
    );
    await expect(testRuntime((options && { agents: [lamp], ...options }) as never)).rejects.toMatchObject(refused);
  },
);

test.for([undefined, null, 5])("%s in the place of a definition is refused", async (definition) => {
  await using runtime = await testRuntime({ agents: [counter] });
  expect(() => runtime.client.agent(definition as never, "one")).toThrow(
    expect.objectContaining({ kind: "invalid", code: "type.invalid" }),
  );
});

describe("a place to wait for", () => {
  test.for([
    { place: "of", says: "off, on" },
    { place: { on: "dark" }, says: "on has dim, bright" },
    { place: { on: { dim: "low" } }, says: "on.dim has none" },
    { place: "dim", says: "off, on" },
    { place: { tag: "light" }, says: "has dark" },
    { place: { tag: 5 }, says: "a tag is a string" },
    { place: null, says: "a place is" },
    { place: undefined, says: "a place is" },
    { place: 5, says: "a place is" },
    { place: { on: 5 }, says: "a place is" },
    { place: async () => true, says: "answers at once" },
  ])("that is none ($place) is refused", async ({ place, says }) => {
    await using runtime = await testRuntime({ agents: [lamp] });
    const one = runtime.client.agent(lamp, "one");
    await one.start();
    await expect(one.waitFor(place as never)).rejects.toMatchObject({
      kind: "invalid",
      code: "place.invalid",
      message: expect.stringContaining(says) as string,
    });
  });

  test.for(["off", { tag: "dark" }, () => true])("that is one (%j) is taken", async (place) => {
    await using runtime = await testRuntime({ agents: [lamp] });
    const one = runtime.client.agent(lamp, "one");
    await one.start();
    expect(await one.waitFor(place as never)).toMatchObject({ value: "off" });
  });

  test("may be any state where only the type's name is known", async () => {
    await using runtime = await testRuntime({ agents: [lamp] });
    const one = runtime.client.agent("lamp", "one");
    const waited = one.waitFor("of", { timeout: "1s" }).catch((error: unknown) => error);
    await runtime.advance("1s");
    expect(await waited).toMatchObject({ kind: "timeout", code: "call.timeout" });
    await expect(one.waitFor(null as never)).rejects.toMatchObject({ code: "place.invalid" });
  });
});

describe("a host's options", () => {
  test.for<{ options: unknown; code: string }>([
    { options: undefined, code: "option.invalid" },
    { options: {}, code: "option.invalid" },
    { options: { agents: null }, code: "option.invalid" },
    { options: { agents: counter }, code: "option.invalid" },
    { options: { agents: [counter], agent: counter }, code: "option.invalid" },
    { options: { agents: [counter], observe: 5 }, code: "option.invalid" },
    { options: { agents: [counter], signal: {} }, code: "option.invalid" },
    { options: { agents: [counter, null] }, code: "agent.no-definition" },
    { options: { agents: [counter.logic] }, code: "agent.no-definition" },
    { options: { agents: [{ type: "counter" }] }, code: "agent.no-definition" },
    { options: { agents: [counter], settings: null }, code: "setting.invalid" },
    { options: { agents: [counter], settings: "fast" }, code: "setting.invalid" },
    { options: { agents: [counter], settings: { freezeContexts: null } }, code: "setting.invalid" },
    { options: { agents: [counter], app: 5 }, code: "app.invalid" },
  ])("$options: $code", ({ options, code }) =>
    inFolder(async (store) => {
      const given = typeof options === "object" ? { store, ...options } : options;
      await expect(startHost(given as HostOptions)).rejects.toMatchObject({ kind: "invalid", code });
      // What was refused holds nothing.
      await (await startHost({ agents: [counter], store })).drain();
    }),
  );

  test.for([5, null, "", "./x"])("the store %j is refused by host and client", async (store) => {
    const refused = { kind: "invalid", code: "store.url" };
    await expect(startHost({ agents: [counter], store: store as string })).rejects.toMatchObject(refused);
    await expect(connect({ store: store as string })).rejects.toMatchObject(refused);
  });

  // Only of a client, which makes no folder, whatever the URL is taken for.
  test.for(["file:", "file://", "file://elsewhere/x", "file:///a%2Fb"])("the store %j is refused", async (store) => {
    await expect(connect({ store })).rejects.toMatchObject({ kind: "invalid", code: "store.url" });
  });

  test("a client's that it does not have are refused", async () => {
    await expect(connect({ url: "file:./x" } as never)).rejects.toMatchObject({ code: "option.invalid" });
  });
});
