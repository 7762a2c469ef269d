/**
 * Whatever a user's code throws, and however: its agent is told of it, and the host lives (D9).
 *
 * Method: one agent that throws in each place what is no proper error, on the test kit; afterwards it still answers.
 */
import { makeClient } from "@dormouse/client";
import { startIncarnation } from "@dormouse/core";
import { encodeError } from "@dormouse/core/protocol";
import { agent, type Ask, DormouseError, reply } from "@dormouse/sdk";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { testRuntime } from "@dormouse/testing";
import { assign, fromPromise, setup } from "xstate";
import { expect, test } from "vitest";

const odd: { readonly [what: string]: () => unknown } = {
  "an error without a name": () => Object.assign(new Error("odd"), { name: undefined }),
  "an error whose message is an object": () => Object.assign(new Error("odd"), { message: { a: 1 } }),
  "an error that throws when it is read": () =>
    Object.defineProperty(new Error("odd"), "message", {
      get() {
        throw new Error("not readable");
      },
    }),
  "an object without prototype": () => Object.create(null) as object,
  nothing: () => undefined,
  "a proxy that throws": () =>
    new Proxy(new Error("odd"), {
      getPrototypeOf() {
        throw new Error("no prototype");
      },
      get() {
        throw new Error("no field");
      },
    }),
};

interface Context {
  readonly failures: number;
}
type Events =
  | Ask<{ type: "assigned"; what: string }, number>
  | { type: "run"; what: string }
  | { type: "act" }
  | { type: "actNamed" }
  | Ask<{ type: "count" }, number>;

function fling(what: string): never {
  // oxlint-disable-next-line typescript/only-throw-error -- that it may be anything is what is tested.
  throw odd[what]?.();
}

const clumsy = agent("clumsy", {
  machine: setup({
    types: {} as { context: Context; events: Events },
    actors: { flung: fromPromise<void, { what: string }>(async ({ input }) => fling(input.what)) },
    actions: {
      // oxlint-disable-next-line typescript/no-misused-promises -- what people write, and XState ignores.
      reject: async () => {
        throw new Error("rejected");
      },
    },
  }).createMachine({
    context: { failures: 0 },
    initial: "ready",
    on: {
      count: { actions: reply(({ context }) => context.failures) },
      assigned: { actions: [assign(({ event }) => fling(event.what)), reply(() => 1)] },
      act: {
        actions: async () => {
          throw new Error("rejected");
        },
      },
      actNamed: { actions: "reject" },
    },
    states: {
      ready: { on: { run: "running" } },
      running: {
        invoke: {
          src: "flung",
          input: ({ event }) => ({ what: event.type === "run" ? event.what : "" }),
          onError: { target: "ready", actions: assign({ failures: ({ context }) => context.failures + 1 }) },
        },
      },
    },
  }),
});

test.for(Object.keys(odd))("%s that is thrown fails the step, or the effect, and no more", async (what) => {
  await using runtime = await testRuntime({ agents: [clumsy] });
  const one = runtime.client.agent(clumsy, "one");
  const error: unknown = await one.ask({ type: "assigned", what }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DormouseError);
  expect(error).toMatchObject({ kind: "failed", code: "agent.step-failed" });
  await one.send({ type: "run", what });
  await runtime.quiesce();
  expect(await one.ask({ type: "count" })).toBe(1);
});

test("an async action that rejects is told, and done", async () => {
  await using runtime = await testRuntime({ agents: [clumsy] });
  const one = runtime.client.agent(clumsy, "one");
  await one.send({ type: "act" });
  await one.send({ type: "actNamed" });
  await runtime.quiesce();
  expect(await one.ask({ type: "count" })).toBe(0);
  expect((await one.read())?.errorCount).toBe(2);
});

test.for(Object.keys(odd))("%s is an error as data", (what) => {
  const data = encodeError(odd[what]?.());
  expect(typeof data.name).toBe("string");
  expect(typeof data.message).toBe("string");
});

test("an observer that throws is dropped, and told so once", async () => {
  const told: string[] = [];
  const world = new MemoryWorld(realClock);
  const host = await startIncarnation({
    agents: [clumsy],
    ports: world.open("host", { clock: realClock, entropy: realEntropy }),
    observe: (event) => {
      if (event.kind === "warned" && event.about === "observe") told.push(event.text);
      throw new Error("not now");
    },
  });
  const ports = world.open("client", { clock: realClock, entropy: realEntropy });
  const client = makeClient({ app: host.app, ports });
  expect(await client.agent(clumsy, "one").ask({ type: "count" })).toBe(0);
  await host.drain();
  expect(await host.ended).toBeUndefined();
  expect(told).toEqual(["observe threw: not now"]);
});

test("what plain JavaScript may give in place of a key or an event is refused with a code", async () => {
  await using runtime = await testRuntime({ agents: [clumsy] });
  for (const key of [5, null, undefined, {}, ""]) {
    expect(() => runtime.client.agent(clumsy, key as string)).toThrow(
      expect.objectContaining({ kind: "invalid", code: "key.invalid" }),
    );
  }
  for (const type of [{}, "", "Not a name"]) {
    expect(() => runtime.client.agent(type as string, "one")).toThrow(
      expect.objectContaining({ kind: "invalid", code: "type.invalid" }),
    );
  }
  for (const event of [null, undefined, 5, {}, { type: 5 }, { type: "" }]) {
    const sent = runtime.client.agent("clumsy", "one").send(event as never);
    await expect(sent).rejects.toMatchObject({ kind: "invalid", code: "event.type" });
  }
});

test.for([42, null, "", "x".repeat(257), "\ud800", {}])(
  "the idempotency key %j is refused, and nothing else is lost",
  async (key) => {
    await using runtime = await testRuntime({ agents: [clumsy] });
    const one = runtime.client.agent(clumsy, "one");
    const idempotencyKey = key as string;
    const [bad, good] = await Promise.allSettled([
      one.ask({ type: "count" }, { idempotencyKey }),
      one.ask({ type: "count" }),
    ]);
    expect(bad).toMatchObject({ status: "rejected", reason: { kind: "invalid", code: "call.idempotency-key" } });
    expect(good).toEqual({ status: "fulfilled", value: 0 });
  },
);
