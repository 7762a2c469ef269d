/**
 * Goal: whoever sends to an agent gets its machine's types, through the public entries alone.
 * Method: this file compiles (`tsc -b test`): every `@ts-expect-error` is an error that a user must get. Its calls are
 * never made, but for `agent(...)` of the modules beside it.
 */
import { type AnyAgentDefinition, connect, startHost } from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import { expect, expectTypeOf, test } from "vitest";
import { fromPromise } from "xstate";
import { anything, counter } from "./counter.ts";
import { research } from "./research.ts";
import { checked } from "./schemas.ts";

test("a definition of every kind is one that a host takes", () => {
  const definitions: readonly AnyAgentDefinition[] = [counter, anything, checked, research];
  expect(definitions.map(({ type }) => type)).toEqual(["counter", "anything", "checked", "research"]);
});

export async function calls(): Promise<void> {
  await using host = await startHost({ agents: [counter, checked, research] });
  // @ts-expect-error not an agent
  await startHost({ agents: [counter.logic] });
  await using client = await connect({ store: "file:./.dormouse" });

  const acme = host.client.agent(counter, "acme");
  await acme.send({ type: "add", by: 1 });
  expectTypeOf(await acme.ask({ type: "add", by: 1 })).toEqualTypeOf<number>();
  expectTypeOf(await client.agent(checked, "acme").ask({ type: "add", by: 1 })).toEqualTypeOf<number>();

  await client.agent(checked, "acme").send({ type: "reset" });
  expectTypeOf(await acme.respond("approval", { ok: true })).toEqualTypeOf<void>();
  // @ts-expect-error a response has the name of what is waited for
  await acme.respond({ type: "approval" });
  expectTypeOf(await client.respond("0.counter/acme", true, { timeout: "1s" })).toEqualTypeOf<void>();

  // @ts-expect-error no such event
  await acme.send({ type: "subtract", by: 1 });
  // @ts-expect-error wrong payload
  await acme.send({ type: "add", by: "1" });
  // @ts-expect-error payload missing
  await acme.send({ type: "add" });
  // @ts-expect-error field too many
  await acme.send({ type: "add", by: 1, extra: true });
  // @ts-expect-error not answered
  await acme.ask({ type: "reset" });
  // @ts-expect-error the reply is a number
  const text: string = await acme.ask({ type: "add", by: 1 });
  // @ts-expect-error a machine without states has none to wait for
  await acme.waitFor("approved");
  await acme.waitFor((state) => state.context.count > 3);
  // @ts-expect-error not in the context
  await acme.waitFor((state) => state.context.total > 3);
  expectTypeOf(await acme.start()).toEqualTypeOf<{ readonly created: boolean }>();
  // @ts-expect-error no such unit of time
  await acme.ask({ type: "add", by: 1 }, { timeout: "7w" });
  // @ts-expect-error only what sends an event has a name of its caller's
  await acme.read({ idempotencyKey: "k" });
  // @ts-expect-error as above
  await acme.start(undefined, { idempotencyKey: "k" });
  // @ts-expect-error as above
  await acme.remove({ idempotencyKey: "k" });
  return void text;
}

export async function callsWithInputAndOutput(): Promise<void> {
  await using client = await connect({ store: "file:./.dormouse" });
  const acme = client.agent(research, "acme");
  await acme.start({ topic: "dormice" });
  // @ts-expect-error the input is missing
  await acme.start();
  // @ts-expect-error wrong input
  await acme.start({ topic: 1 });
  expectTypeOf(await acme.ask({ type: "order" })).toEqualTypeOf<{ accepted: boolean }>();
  const report = await acme.ask({ type: "report" }, { timeout: "7d", idempotencyKey: "r1" });
  expectTypeOf(report.report).toEqualTypeOf<string>();
  await acme.waitFor("awaitingApproval");
  await acme.waitFor({ publishing: "checking" });
  await acme.waitFor("publishing");
  await acme.waitFor({ tag: "waiting" });
  // @ts-expect-error no such state
  await acme.waitFor("awaitingAproval");
  // @ts-expect-error no such nested state
  await acme.waitFor({ publishing: "signing" });
  // @ts-expect-error no such tag
  await acme.waitFor({ tag: "waitin" });
  expectTypeOf((await acme.result()).report).toEqualTypeOf<string>();
  const state = await acme.read();
  state?.context.topic.toUpperCase();
  await acme.terminate();
  await acme.remove();
}

export async function callsByName(): Promise<void> {
  await using client = await connect({ store: "file:./.dormouse" });
  const loose = client.agent("counter", "acme");
  await loose.send({ type: "anything", at: "all" });
  expectTypeOf(await loose.ask({ type: "anything" })).toEqualTypeOf<unknown>();
  await loose.waitFor("anything");
  expectTypeOf(
    await client.agent<typeof counter>("counter", "acme").ask({ type: "add", by: 1 }),
  ).toEqualTypeOf<number>();
  // @ts-expect-error another type's name
  client.agent<typeof counter>("countr", "acme");
  expectTypeOf(await client.agent(anything, "a").ask({ type: "ping" })).toEqualTypeOf<unknown>();
}

export async function callsOfTheTestKit(): Promise<void> {
  await using runtime = await testRuntime({
    agents: [research, counter],
    actors: { research: { write: fromPromise(async () => ({ report: "canned" })) } },
    seed: 1,
    restoreEveryStep: true,
  });
  await runtime.advance("1d");
  // @ts-expect-error no such unit of time
  await runtime.advance("1w");
  expectTypeOf(await runtime.client.agent(counter, "acme").ask({ type: "add", by: 1 })).toEqualTypeOf<number>();
  // @ts-expect-error not an agent
  await testRuntime({ agents: [counter.logic] });
  // @ts-expect-error not an actor
  await testRuntime({ agents: [research], actors: { research: { write: async () => ({ report: "canned" }) } } });
}
