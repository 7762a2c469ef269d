/**
 * Goal: a damaged object of far wake-ups is told of, and is not forgotten: once it is mended, it wakes whom it names.
 * Method: hosts one after the other in a world of memory whose wall clock is moved by hand.
 */
import { makeClient } from "@dormouse/client";
import { agent, type Observed, startIncarnation } from "@dormouse/core";
import type { Clock } from "@dormouse/core/ports";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { expect, test } from "vitest";
import { setup } from "xstate";
import { counter } from "./agents/counter.ts";

const dayMs = 86_400_000;

const alarm = agent("alarm", {
  machine: setup({ types: {} as { events: { type: "poke" } } }).createMachine({
    initial: "asleep",
    states: { asleep: { after: { [dayMs]: "awake" } }, awake: {} },
  }),
});

test("an object of wake-ups that cannot be read is told of once, stays named, and is tried again by the next host", async () => {
  let passedMs = 0;
  let round: (() => void) | undefined;
  const settleRoundMs = 77_777;
  const clock: Clock = {
    ...realClock,
    now: () => realClock.now() + passedMs,
    schedule: (delayMs, call) => {
      if (delayMs !== settleRoundMs) return realClock.schedule(delayMs, call);
      round = call;
      return () => undefined;
    },
  };
  const world = new MemoryWorld(clock);
  let damages = 0;
  let damaged = Promise.withResolvers<void>();
  const observe = (event: Observed): void => {
    if (event.kind !== "skipped" || event.error?.kind !== "corrupt") return;
    damages += 1;
    damaged.resolve();
  };
  const begin = async (party: string) => {
    const ports = world.open(party, { clock, entropy: realEntropy });
    const settings = { settleRoundMs };
    const incarnation = await startIncarnation({ agents: [alarm, counter], ports, partitions: 1, settings, observe });
    return { incarnation, client: makeClient({ app: incarnation.app, ports }) };
  };

  const first = await begin("host-1");
  await first.client.agent(alarm, "clock").start();
  await first.incarnation.settle();
  first.incarnation.kill();
  world.end("host-1");
  const [name = "", ...others] = world.objectNames("partitions/").filter((one) => one.includes("/timers/"));
  expect(others).toEqual([]);
  const whole = world.objectBytes(name);
  world.overwriteObject(name, Uint8Array.of(1, 2, 3));
  passedMs = 2 * dayMs;

  for (const [index, party] of ["host-2", "host-3"].entries()) {
    damaged = Promise.withResolvers();
    const { incarnation, client } = await begin(party);
    await damaged.promise;
    round?.();
    await client.agent(counter, "other").ask({ type: "add", by: 1 });
    await incarnation.settle();
    await incarnation.drain();
    expect(damages, "once by each host").toBe(index + 1);
    world.end(party);
  }

  world.overwriteObject(name, whole);
  const last = await begin("host-4");
  expect((await last.client.agent(alarm, "clock").waitFor("awake", { timeout: "4s" })).value).toBe("awake");
  await last.client.agent(counter, "other").ask({ type: "add", by: 1 });
  await last.incarnation.settle();
  expect(world.objectBytes(name), "taken in, it goes").toBeUndefined();
  last.incarnation.kill();
});
