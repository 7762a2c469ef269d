/**
 * Actions of a machine's own, which run once their step is stored: what they throw is on record, and what is owed is run
 * until it ran, once.
 *
 * Method: one agent on the test kit; crashes between.
 */
import { agent, type Ask, reply } from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import { setup } from "xstate";
import { beforeEach, expect, test } from "vitest";

let runs: string[] = [];
beforeEach(() => {
  runs = [];
});

function run(name: string): never {
  runs.push(name);
  throw new Error(`${name} is out of order`);
}

const bell = agent("bell", {
  machine: setup({
    types: {} as { events: Ask<{ type: "ring" }, string> | { type: "melt" } },
    actions: { toll: () => run("toll"), last: () => run("last") },
  }).createMachine({
    initial: "quiet",
    states: {
      quiet: { on: { ring: { target: "ringing", actions: reply("ding") } } },
      ringing: { entry: [() => run("inline"), "toll"], on: { melt: "molten" } },
      molten: { type: "final", entry: "last" },
    },
  }),
});

test("an action that throws leaves its step as it is, and is on record with what it threw", async () => {
  await using runtime = await testRuntime({ agents: [bell] });
  const one = runtime.client.agent(bell, "one");
  expect(await one.ask({ type: "ring" })).toBe("ding");
  await runtime.quiesce();
  expect(await one.read()).toMatchObject({ value: "ringing", errorCount: 2 });
  const failures: string[] = [];
  for await (const { cause, error } of one.history()) {
    if (error !== undefined) failures.push(`${cause} ${error.kind} ${error.code} ${error.cause?.message}`);
  }
  expect(failures.toSorted()).toEqual([
    "action failed agent.action-failed inline is out of order",
    "action failed agent.action-failed toll is out of order",
  ]);
  await runtime.crash();
  await runtime.quiesce();
  expect(runs).toEqual(["inline", "toll"]);
});

test("an action that the last step owed is run, and not again after a crash", async () => {
  await using runtime = await testRuntime({ agents: [bell] });
  const one = runtime.client.agent(bell, "one");
  await one.ask({ type: "ring" });
  await one.send({ type: "melt" });
  await runtime.quiesce();
  await runtime.crash();
  await runtime.quiesce();
  expect(runs).toEqual(["inline", "toll", "last"]);
  expect(await one.read()).toMatchObject({ status: "done", errorCount: 3 });
});
