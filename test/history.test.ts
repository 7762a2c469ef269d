/**
 * Goal: reading a history costs as much as it holds, and following an agent costs as much as it does; nobody misses a step.
 * Method: a world of memory whose store counts what is read of it.
 */
import { type Client, makeClient } from "@dormouse/client";
import { agent, type Incarnation, startIncarnation } from "@dormouse/core";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { afterEach, expect, test } from "vitest";
import { assign, setup } from "xstate";

const started: Incarnation[] = [];
afterEach(() => {
  for (const incarnation of started.splice(0)) incarnation.kill();
});

const diary = agent("diary", {
  machine: setup({
    types: {} as { context: { count: number }; events: { type: "note"; text: string } },
  }).createMachine({
    context: { count: 0 },
    on: { note: { actions: assign(({ context }) => ({ count: context.count + 1 })) } },
  }),
});

interface Life {
  readonly world: MemoryWorld;
  readonly incarnation: Incarnation;
  readonly client: Client;
  /** How many objects of agents were read. */
  readonly reads: () => number;
  /** Bytes of the largest answer to a read. */
  readonly largestAnswer: () => number;
}

async function start(): Promise<Life> {
  let reads = 0;
  const world = new MemoryWorld(realClock);
  const opened = world.open("host", { clock: realClock, entropy: realEntropy });
  const get: typeof opened.store.get = (name) => {
    if (name.startsWith("agents/")) reads += 1;
    return opened.store.get(name);
  };
  let largest = 0;
  const request: typeof opened.channel.request = async (...asked) => {
    const answer = await opened.channel.request(...asked);
    largest = Math.max(largest, answer.length);
    return answer;
  };
  const { channel } = opened;
  const watched = { subscribe: channel.subscribe.bind(channel), request };
  const ports = { ...opened, store: { ...opened.store, get } };
  const incarnation = await startIncarnation({ agents: [diary], ports, partitions: 1 });
  started.push(incarnation);
  return {
    world,
    incarnation,
    client: makeClient({ app: incarnation.app, ports: { ...ports, channel: watched } }),
    reads: () => reads,
    largestAnswer: () => largest,
  };
}

/** Not to be compressed. */
const text = (): string => Buffer.from(realEntropy.bytes(750)).toString("base64");

/** Notes, and a settle after so many of them. */
async function write({ client, incarnation }: Life, count: number, settledAfter: number): Promise<void> {
  const mine = client.agent(diary, "mine");
  for (let n = 1; n <= count; n += 1) {
    await mine.send({ type: "note", text: text() });
    if (n % settledAfter !== 0) continue;
    await mine.waitFor(({ context }) => context.count >= n);
    await incarnation.settle();
  }
}

test("a long history that is read to its end is read from the store about once", async () => {
  const life = await start();
  await write(life, 1_500, 30);
  const objects = life.world.objectNames("agents/").length;
  expect(objects).toBeGreaterThan(50);
  const readBefore = life.reads();
  const steps = await Array.fromAsync(life.client.agent(diary, "mine").history());
  expect(steps.map(({ seq }) => seq)).toEqual(Array.from({ length: 1_501 }, (_, index) => index + 1));
  expect(steps.map(({ context }) => (context as { count: number }).count)).toEqual(steps.map((_, index) => index));
  expect(life.reads() - readBefore).toBeLessThan(3 * objects);
});

test("any part of a history is what the whole has there", async () => {
  const life = await start();
  await write(life, 400, 30);
  const mine = life.client.agent(diary, "mine");
  await mine.waitFor(({ context }) => context.count === 400);
  const whole = await Array.fromAsync(mine.history());
  for (const [from, to] of [
    [1, 1],
    [30, 32],
    [31, 300],
    [390, 401],
    [392, Infinity],
    [401, Infinity],
    [402, Infinity],
  ] as const) {
    expect(await Array.fromAsync(mine.history({ from, to }))).toEqual(whole.slice(from - 1, to));
  }
});

test("who follows an agent is told of new steps from memory, not from the store", async () => {
  const life = await start();
  await write(life, 60, 30);
  const mine = life.client.agent(diary, "mine");
  const seen: number[] = [];
  let readBefore = 0;
  for await (const { seq } of mine.watch()) {
    seen.push(seq);
    if (seq === 61) readBefore = life.reads();
    if (seq === 100) break;
    if (seq >= 61) await mine.send({ type: "note", text: text() });
  }
  expect(seen).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
  expect(life.reads() - readBefore).toBe(0);
});

test("the history of a removed agent's next life begins with that life", async () => {
  const life = await start();
  await write(life, 30, 30);
  const mine = life.client.agent(diary, "mine");
  await mine.remove();
  expect((await Array.fromAsync(mine.history())).length).toBe(0);
  await mine.start();
  const steps = await Array.fromAsync(mine.history());
  expect(steps.map(({ cause, context }) => ({ cause, context }))).toEqual([{ cause: "start", context: { count: 0 } }]);
});

test("a history of large steps comes in parts that a channel can carry", async () => {
  const life = await start();
  const mine = life.client.agent(diary, "mine");
  const large = "x".repeat(900_000);
  for (let n = 1; n <= 40; n += 1) await mine.send({ type: "note", text: large });
  await mine.waitFor(({ context }) => context.count === 40);
  const steps = await Array.fromAsync(mine.history());
  expect(steps.map(({ seq }) => seq)).toEqual(Array.from({ length: 41 }, (_, index) => index + 1));
  expect(life.largestAnswer()).toBeLessThan(10_000_000);
});
