/**
 * Goal: a backlog does not fill a host's memory: what is stepped and not committed stays within its credit (R3).
 * Method: events wait in a world of memory until a host starts; its steps and commits are counted.
 */
import { makeClient } from "@dormouse/client";
import { type AnyAgentDefinition, agent, startIncarnation } from "@dormouse/core";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { expect, test } from "vitest";
import { assign, setup } from "xstate";
import { batchEnvelopesMax, creditEntriesMax } from "../packages/core/src/agent/limits.ts";

/** What may be open: its credit, and the last message that was taken under it. */
const openMax = creditEntriesMax + batchEnvelopesMax;

test.for([
  { what: "many events in each mailbox message", partitions: 1, sentAtOnce: 4_000 },
  { what: "one event in each mailbox message", partitions: 1, sentAtOnce: 1 },
  { what: "several partitions", partitions: 4, sentAtOnce: 4_000 },
])("a backlog is never further ahead of its commits than credit allows: $what", async (given) => {
  const { partitions, sentAtOnce } = given;
  let steps = 0;
  let entries = 0;
  let worst = 0;
  const tally = tallyOf(() => {
    steps += 1;
    worst = Math.max(worst, steps - entries);
  });
  const world = new MemoryWorld(realClock);
  const begin = (party: string, committed: (count: number) => void) => {
    const ports = world.open(party, { clock: realClock, entropy: realEntropy });
    return startIncarnation({
      agents: [tally],
      ports,
      partitions,
      observe: (event) => void (event.kind === "committed" && committed(event.entries)),
    });
  };

  const first = await begin("host-1", () => undefined);
  const keys = Array.from({ length: 20 }, (_, n) => `key-${n}`);
  const ports = world.open("client", { clock: realClock, entropy: realEntropy });
  const client = makeClient({ app: first.app, ports });
  await Promise.all(keys.map((key) => client.agent(tally, key).start()));
  first.kill();
  world.end("host-1");
  const total = 12_000;
  for (let sent = 0; sent < total; sent += sentAtOnce) {
    await Promise.all(
      Array.from({ length: sentAtOnce }, (_, n) =>
        client.agent(tally, keys[(sent + n) % keys.length] ?? "").send({ type: "add" }),
      ),
    );
  }

  const all = Promise.withResolvers<void>();
  const second = await begin("host-2", (count) => {
    entries += count;
    if (entries >= total) all.resolve();
  });
  expect(steps, "nobody waits for the whole backlog at a start").toBeLessThan(total);
  await all.promise;
  expect(steps).toBe(total);
  // What waited for agents to be loaded, by partition, and what was read meanwhile.
  expect(worst).toBeLessThanOrEqual((partitions + 1) * openMax);
  second.kill();
});

function tallyOf(stepped: () => void): AnyAgentDefinition {
  const machine = setup({ types: {} as { context: { count: number }; events: { type: "add" } } }).createMachine({
    context: { count: 0 },
    on: {
      add: {
        actions: assign(({ context }) => {
          stepped();
          return { count: context.count + 1 };
        }),
      },
    },
  });
  return agent("tally", { machine });
}
