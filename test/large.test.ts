/**
 * What is large: however much gathers in one record or one settle, it can be read back; what alone would be too much is
 * refused, and its asker told.
 *
 * Method: hosts that share a world in memory; the second takes up what the first left.
 */
import { makeClient, type Client } from "@dormouse/client";
import { type AnyAgentDefinition, type Incarnation, startIncarnation } from "@dormouse/core";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { agent, type Ask, reply } from "@dormouse/sdk";
import { assign, setup } from "xstate";
import { afterEach, expect, test } from "vitest";

const started: Incarnation[] = [];
afterEach(() => {
  for (const incarnation of started.splice(0)) incarnation.kill();
});

type Event =
  | Ask<{ readonly type: "keep"; readonly letter: string; readonly count: number }, number>
  | Ask<{ readonly type: "give"; readonly letter: string; readonly count: number }, string>;

const hoarder = agent("hoarder", {
  machine: setup({ types: { context: {} as { readonly text: string }, events: {} as Event } }).createMachine({
    context: { text: "" },
    on: {
      keep: {
        actions: [
          assign({ text: ({ event }) => event.letter.repeat(event.count) }),
          reply(({ context }) => context.text.length),
        ],
      },
      give: { actions: reply(({ event }) => event.letter.repeat(event.count)) },
    },
  }),
});

const times = 90;
const count = 3_000_000;

test("many large replies and changes at once are all there after a crash", { timeout: 60_000 }, async () => {
  const world = new MemoryWorld(realClock);
  const first = await start(world, "host-1");
  const hoarders = keys.map((key) => first.client.agent(hoarder, key));
  const given = await Promise.all(hoarders.map((one) => one.ask({ type: "give", letter: "x", count })));
  expect(given.every((text) => text.length === count)).toBe(true);
  await Promise.all(hoarders.map((one) => one.ask({ type: "keep", letter: "y", count })));
  first.crash();
  const second = await start(world, "host-2");
  const seen = await Promise.all(keys.map((key) => second.client.agent(hoarder, key).read()));
  expect(seen.every((one) => one?.context.text.length === count)).toBe(true);
});

test("many large changes of one agent are settled, and all there after a crash", { timeout: 60_000 }, async () => {
  const world = new MemoryWorld(realClock);
  const first = await start(world, "host-1");
  const one = first.client.agent(hoarder, "one");
  for (let n = 0; n < times; n += 1) await one.ask({ type: "keep", letter: String(n % 10), count });
  await first.incarnation.settle();
  first.crash();
  const second = await start(world, "host-2");
  const again = second.client.agent(hoarder, "one");
  expect(await again.read()).toMatchObject({ context: { text: "9".repeat(count) }, seq: times + 1 });
  let steps = 0;
  for await (const _step of again.history()) steps += 1;
  expect(steps).toBe(times + 1);
});

test("a reply that would fill more than a record is refused, and its asker told", async () => {
  const { client } = await start(new MemoryWorld(realClock), "host");
  const one = client.agent(hoarder, "one");
  const answer = one.ask({ type: "give", letter: "x", count: 40_000_000 });
  await expect(answer).rejects.toMatchObject({ kind: "invalid", code: "step.ways-out-too-large" });
  expect(await one.ask({ type: "give", letter: "x", count: 1 })).toBe("x");
});

test("a child that ends with more than a message holds has failed, as its parent hears", async () => {
  const child = setup({}).createMachine({ type: "final", output: "x".repeat(2_000_000) });
  const parent = agent("parent", {
    machine: setup({ actors: { child }, types: { context: {} as { readonly why: string } } }).createMachine({
      context: { why: "" },
      initial: "busy",
      states: {
        busy: {
          invoke: {
            src: "child",
            onDone: "done",
            onError: { target: "failed", actions: assign({ why: ({ event }) => String(event.error) }) },
          },
        },
        done: {},
        failed: {},
      },
    }),
  });
  const { client } = await start(new MemoryWorld(realClock), "host", [parent]);
  const one = client.agent(parent, "one");
  await one.start();
  const { context } = await one.waitFor("failed");
  expect(context.why).toContain("output");
});

const keys = Array.from({ length: times }, (_, n) => `k${n}`);

async function start(
  world: MemoryWorld,
  party: string,
  agents: readonly AnyAgentDefinition[] = [hoarder],
): Promise<{ readonly incarnation: Incarnation; readonly client: Client; crash(): void }> {
  const ports = world.open(party, { clock: realClock, entropy: realEntropy });
  const incarnation = await startIncarnation({ agents, ports, partitions: 1 });
  started.push(incarnation);
  const crash = (): void => {
    incarnation.kill();
    world.end(party);
  };
  return { incarnation, client: makeClient({ app: incarnation.app, ports }), crash };
}
