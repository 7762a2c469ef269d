/**
 * Schemas of any library that speaks Standard Schema: run once for each message, on the host, synchronously.
 *
 * Method: zod's schemas and hand-made ones, on the test kit. Agents addressed by name are not checked by the client, so
 * what comes back is the host's word.
 */
import { agent, type Ask, DormouseError, reply } from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import { assign, setup } from "xstate";
import { expect, test } from "vitest";
import { z } from "zod";

type Schema<T> = z.ZodType<T>;
type Events = Ask<{ type: "add"; by: number; note?: string }, unknown> | { type: "reset" };

interface Schemas {
  readonly add?: Schema<{ by: number; note?: string }>;
  readonly input?: Schema<{ start: number }>;
  readonly reply?: Schema<unknown>;
}

/** Answers `add` with the whole event as the machine saw it. */
function summing(schemas: Schemas) {
  const { add, input, reply: replied } = schemas;
  return agent("sum", {
    ...(add === undefined ? {} : { events: { add } }),
    ...(input === undefined ? {} : { input }),
    ...(replied === undefined ? {} : { replies: { add: replied } }),
    machine: setup({
      types: {} as { context: { count: number }; input: { start: number } | undefined; events: Events },
    }).createMachine({
      context: ({ input: given }) => ({ count: given?.start ?? 0 }),
      on: {
        add: {
          actions: [assign({ count: ({ context, event }) => context.count + event.by }), reply(({ event }) => event)],
        },
        reset: {},
      },
    }),
  });
}

async function errorOf(promise: Promise<unknown>): Promise<{ readonly kind: string; readonly code: string }> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof DormouseError) return { kind: error.kind, code: error.code };
  throw new Error(`expected a DormouseError, got ${String(error)}`);
}

test("the machine sees a schema's output, and the history has it", async () => {
  let runs = 0;
  const add = z.object({ by: z.coerce.number(), note: z.string().default("none") }).transform((event) => {
    runs += 1;
    return { ...event, by: event.by * 10 };
  });
  await using runtime = await testRuntime({ agents: [summing({ add })] });
  const one = runtime.client.agent("sum", "one");
  expect(await one.ask({ type: "add", by: "2" })).toEqual({ type: "add", by: 20, note: "none" });
  expect((await one.read())?.context).toEqual({ count: 20 });
  expect(runs).toBe(1);
});

test("a schema is not run again for what a crash makes the host take up again", async () => {
  let runs = 0;
  const add = z.object({ by: z.number() }).transform((event) => {
    runs += 1;
    return { by: event.by + runs };
  });
  await using runtime = await testRuntime({ agents: [summing({ add })] });
  const one = runtime.client.agent("sum", "one");
  expect(await one.ask({ type: "add", by: 1 })).toEqual({ type: "add", by: 2 });
  await runtime.crash();
  expect((await one.read())?.context).toEqual({ count: 2 });
  expect(runs).toBe(1);
});

test("the client checks too, but sends what it was given", async () => {
  const add = z.object({ by: z.number() }).transform(({ by }) => ({ by: by + 1 }));
  const sum = summing({ add });
  await using runtime = await testRuntime({ agents: [sum] });
  const one = runtime.client.agent(sum, "one");
  expect(await one.ask({ type: "add", by: 1 })).toEqual({ type: "add", by: 2 });
  const wrong = one.ask({ type: "add", by: "1" } as never);
  await expect(wrong).rejects.toThrow(/by: .*number.* type=add/);
  expect(await errorOf(wrong)).toEqual({ kind: "invalid", code: "event.schema" });
});

function fail(thrown: unknown): never {
  throw thrown;
}

test.for(["constructor", "__proto__", "toString"])("an event of type %s has no schema", async (type) => {
  const sum = summing({ add: z.object({ by: z.number() }) });
  await using runtime = await testRuntime({ agents: [sum] });
  for (const known of [sum, "sum"] as never[]) {
    const asked = runtime.client.agent(known, "one").ask({ type } as never);
    expect(await errorOf(asked)).toEqual({ kind: "conflict", code: "event.not-taken" });
  }
});

test.for([
  () => undefined,
  () => ({ issues: [null] }),
  () => fail(Object.create(null)),
  // oxlint-disable-next-line unicorn/no-thenable -- as some library might
  () => ({ then: () => undefined }),
])("a schema that gives no verdict is told of with a code: %o", async (validate) => {
  const add = { "~standard": { version: 1, vendor: "test", validate } } as unknown as Schema<{ by: number }>;
  await using runtime = await testRuntime({ agents: [summing({ add })] });
  const error = await errorOf(runtime.client.agent("sum", "one").ask({ type: "add", by: 1 }));
  expect(error.code).toMatch(/^schema\.(?:threw|async)$/);
});

test("a schema that throws is told of with a code, also to one who knows the definition", async () => {
  const add = {
    "~standard": { version: 1, vendor: "test", validate: () => fail(new Error("out of order")) },
  } as unknown as Schema<{ by: number }>;
  const sum = summing({ add });
  await using runtime = await testRuntime({ agents: [sum] });
  const event = { type: "add", by: 1 } as never;
  for (const known of [sum, "sum"] as never[]) {
    const asked = runtime.client.agent(known, "one").ask(event);
    expect(await errorOf(asked)).toEqual({ kind: "failed", code: "schema.threw" });
  }
});

test("an event that does not fit is refused, and the agent stays as it was", async () => {
  await using runtime = await testRuntime({ agents: [summing({ add: z.object({ by: z.number().int() }) })] });
  const one = runtime.client.agent("sum", "one");
  await one.ask({ type: "add", by: 1 });
  const asked = one.ask({ type: "add", by: 1.5 });
  await expect(asked).rejects.toThrow(/by: .*int.* type=add/);
  expect(await errorOf(one.ask({ type: "add" }))).toEqual({ kind: "invalid", code: "event.schema" });
  await one.send({ type: "add", by: "many" });
  expect(await one.ask({ type: "add", by: 1 })).toEqual({ type: "add", by: 1 });
  expect((await one.read())?.context).toEqual({ count: 2 });
});

test("an input that does not fit begins no agent, and the next one may", async () => {
  const input = z.object({ start: z.coerce.number() });
  await using runtime = await testRuntime({ agents: [summing({ input })] });
  const one = runtime.client.agent("sum", "one");
  expect(await errorOf(one.start({ begin: 1 }))).toEqual({ kind: "invalid", code: "input.schema" });
  expect(await one.read()).toBeUndefined();
  expect(await one.start({ start: "7" })).toEqual({ created: true });
  expect((await one.read())?.context).toEqual({ count: 7 });
});

test("a reply that does not fit is told to the asker; what the step did stands", async () => {
  const replied = z.object({ type: z.string(), by: z.number().max(5) }).transform(({ by }) => by);
  await using runtime = await testRuntime({ agents: [summing({ reply: replied })] });
  const one = runtime.client.agent("sum", "one");
  expect(await one.ask({ type: "add", by: 5 })).toBe(5);
  expect(await errorOf(one.ask({ type: "add", by: 6 }))).toEqual({ kind: "invalid", code: "reply.schema" });
  expect((await one.read())?.context).toEqual({ count: 11 });
});

test("a schema that answers by a promise is refused", async () => {
  const add = z.object({ by: z.number() }).refine(() => Promise.resolve(true));
  const failing = { "~standard": { version: 1, vendor: "test", validate: () => Promise.reject(new Error("later")) } };
  for (const schema of [add, failing as unknown as Schema<{ by: number }>]) {
    await using runtime = await testRuntime({ agents: [summing({ add: schema })] });
    const one = runtime.client.agent("sum", "one");
    await one.start();
    expect(await errorOf(one.ask({ type: "add", by: 1 }))).toEqual({ kind: "invalid", code: "schema.async" });
    expect((await one.read())?.context).toEqual({ count: 0 });
  }
});

test.for([
  {
    of: "event",
    schemas: { add: z.object({ by: z.number() }).transform(({ by }) => ({ by, note: (() => by) as never })) },
  },
  { of: "reply", schemas: { reply: z.unknown().transform(() => new URL("https://example.org")) } },
  { of: "input", schemas: { input: z.unknown().transform(() => ({ start: Symbol("one") as never })) } },
])("what a schema makes of an $of must be data", async ({ of, schemas }) => {
  await using runtime = await testRuntime({ agents: [summing(schemas as Schemas)] });
  const one = runtime.client.agent("sum", "one");
  const call = of === "input" ? one.start({ start: 1 }) : one.ask({ type: "add", by: 1 });
  expect(await errorOf(call)).toEqual({ kind: "invalid", code: `${of}.not-data` });
  await runtime.crash();
  expect((await one.read())?.context.count).toBe(of === "reply" ? 1 : of === "event" ? 0 : undefined);
});

function refuseThirteen(value: unknown): { readonly value: unknown } {
  if ((value as { by: number }).by === 13) throw new RangeError("thirteen");
  return { value };
}

test("a schema that throws costs one message, not the host", async () => {
  const add = { "~standard": { version: 1, vendor: "test", validate: refuseThirteen } } as unknown as Schema<{
    by: number;
  }>;
  await using runtime = await testRuntime({ agents: [summing({ add })] });
  const one = runtime.client.agent("sum", "one");
  const asked = one.ask({ type: "add", by: 13 });
  await expect(asked).rejects.toThrow(/thirteen/);
  expect(await errorOf(one.ask({ type: "add", by: 13 }))).toEqual({ kind: "failed", code: "schema.threw" });
  expect(await one.ask({ type: "add", by: 1 })).toEqual({ type: "add", by: 1 });
});
