/**
 * A bug of the runtime itself ends its host, with a word, and never the process around it (H1).
 *
 * Method: a clock that throws once, at the n-th look from when it is told to: in the step of a message, of a timer, of
 * an effect's result. What escaped its host would fail the run as an unhandled error.
 */
import { type Client, makeClient } from "@dormouse/client";
import { type Incarnation, startIncarnation } from "@dormouse/core";
import type { Clock } from "@dormouse/core/ports";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { agent, type Ask, reply } from "@dormouse/sdk";
import { fromPromise, setup } from "xstate";
import { afterEach, expect, test } from "vitest";

let release = Promise.withResolvers<void>();

const sleeper = agent("sleeper", {
  machine: setup({
    types: {} as {
      events: Ask<{ type: "ping" }, string> | Ask<{ type: "nap" }, string> | Ask<{ type: "work" }, string>;
    },
    actors: { work: fromPromise<void>(async () => release.promise) },
  }).createMachine({
    initial: "awake",
    on: { ping: { actions: reply("pong") } },
    states: {
      awake: {
        on: {
          nap: { target: "napping", actions: reply("good night") },
          work: { target: "busy", actions: reply("so be it") },
        },
      },
      napping: { after: { 40: "awake" } },
      busy: { invoke: { src: "work", onDone: "awake" } },
    },
  }),
});

/** Throws at the look that `looksLeft` counts down to. */
class BrokenClock {
  looksLeft = Infinity;
  readonly clock: Clock = {
    ...realClock,
    now: () => {
      this.looksLeft -= 1;
      if (this.looksLeft === 0) throw new TypeError("the clock is broken");
      return realClock.now();
    },
  };
}

const started: Incarnation[] = [];
afterEach(() => {
  for (const incarnation of started.splice(0)) incarnation.kill();
});

/** A host on a world where an agent is at rest. */
async function begin(): Promise<{ client: Client; incarnation: Incarnation; broken: BrokenClock }> {
  release = Promise.withResolvers();
  const world = new MemoryWorld(realClock);
  const open = (party: string, clock: Clock) => world.open(party, { clock, entropy: realEntropy });
  const broken = new BrokenClock();
  const incarnation = await startIncarnation({ agents: [sleeper], partitions: 1, ports: open("host", broken.clock) });
  started.push(incarnation);
  const client = makeClient({ app: incarnation.app, ports: open("client", realClock) });
  expect(await client.agent(sleeper, "one").ask({ type: "ping" })).toBe("pong");
  return { client, incarnation, broken };
}

const bug = { kind: "internal", code: "host.failed" };

test.for([
  { where: "in memory", asleep: 0 },
  { where: "asleep", asleep: 1 },
])("in the step of a message to an agent that is $where", async ({ asleep }) => {
  const { client, incarnation, broken } = await begin();
  expect(asleep === 0 ? 0 : await incarnation.passivateAll()).toBe(asleep);
  broken.looksLeft = 1;
  await client.agent(sleeper, "one").send({ type: "ping" });
  expect(await incarnation.ended).toMatchObject(bug);
});

test.for([1, 2, 3])("when a timer is due, at look %i", async (look) => {
  const { client, incarnation, broken } = await begin();
  expect(await client.agent(sleeper, "one").ask({ type: "nap" })).toBe("good night");
  broken.looksLeft = look;
  expect(await incarnation.ended).toMatchObject(bug);
});

test("when an effect has ended", async () => {
  const { client, incarnation, broken } = await begin();
  expect(await client.agent(sleeper, "one").ask({ type: "work" })).toBe("so be it");
  broken.looksLeft = 1;
  release.resolve();
  expect(await incarnation.ended).toMatchObject(bug);
});
