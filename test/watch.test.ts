/**
 * Goal: whoever follows an agent leaves nothing behind with each of its steps, and is told when there is no more to follow.
 * Method: a client on a clock that knows which timers are set and neither run nor cancelled.
 */
import { type Client, makeClient } from "@dormouse/client";
import { type Incarnation, startIncarnation } from "@dormouse/core";
import type { Clock } from "@dormouse/core/ports";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { afterEach, expect, test } from "vitest";
import { counter } from "./agents/counter.ts";

const started: Incarnation[] = [];
afterEach(() => {
  for (const incarnation of started.splice(0)) incarnation.kill();
});

async function start(): Promise<{ client: Client; timers: ReadonlySet<object> }> {
  const world = new MemoryWorld(realClock);
  const ports = world.open("host", { clock: realClock, entropy: realEntropy });
  const incarnation = await startIncarnation({ agents: [counter], ports });
  started.push(incarnation);
  const timers = new Set<object>();
  const clock: Clock = {
    ...realClock,
    schedule: (delayMs, call) => {
      const timer = {};
      timers.add(timer);
      const cancel = realClock.schedule(delayMs, () => {
        timers.delete(timer);
        call();
      });
      return () => {
        timers.delete(timer);
        cancel();
      };
    },
  };
  return { client: makeClient({ app: incarnation.app, ports: { ...ports, clock } }), timers };
}

test("a watcher has one timer at a time, however many steps it is told of", async () => {
  const { client, timers } = await start();
  const acme = client.agent(counter, "acme");
  await acme.start();
  const worsts: number[] = [];
  const watching = (async () => {
    for await (const { seq } of acme.watch()) {
      worsts.push(timers.size);
      if (seq === 100) return;
    }
  })();
  for (let n = 2; n <= 100; n += 1) await acme.ask({ type: "add", by: 1 });
  await watching;
  // Its own, and those of an ask.
  expect(Math.max(...worsts)).toBeLessThanOrEqual(3);
});

test("who waits for a place has one timer at a time, however many steps there are before it", async () => {
  const { client, timers } = await start();
  const acme = client.agent(counter, "acme");
  await acme.start();
  let worst = 0;
  await acme.waitFor(({ context }) => {
    worst = Math.max(worst, timers.size);
    if (context.count < 50) void acme.send({ type: "add", by: 1 });
    return context.count >= 50;
  });
  expect(worst).toBeLessThanOrEqual(3);
});

test("a watch ends when its agent is removed, and one that began before its agent waits for it", async () => {
  const { client } = await start();
  const acme = client.agent(counter, "acme");
  const watch = async (): Promise<number[]> => (await Array.fromAsync(acme.watch())).map(({ seq }) => seq);
  const early = watch();
  await acme.ask({ type: "add", by: 1 });
  const late = acme.watch()[Symbol.asyncIterator]();
  expect((await late.next()).value?.seq).toBe(1);
  await acme.remove();
  expect((await early).slice(0, 2)).toEqual([1, 2]);
  while ((await late.next()).done !== true);
});
