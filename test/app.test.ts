/**
 * Goal: an app is made once, whole or not at all, and never a second one on top of what a first one stored (D4).
 * Method: hosts one after another on a world in memory, whose objects are deleted by hand and whose mailbox refuses.
 */
import { makeClient } from "@dormouse/client";
import { DormouseError, type Incarnation, startIncarnation } from "@dormouse/core";
import type { Ports } from "@dormouse/core/ports";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { expect, test } from "vitest";
import { counter } from "./agents/counter.ts";

const appKey = "app.json";

function begin(
  world: MemoryWorld,
  party: string,
  partitions: number,
  wrap: (ports: Ports) => Ports = (ports) => ports,
): Promise<Incarnation> {
  const ports = wrap(world.open(party, { clock: realClock, entropy: realEntropy }));
  return startIncarnation({ agents: [counter], ports, partitions });
}

async function refusalOf(starting: Promise<Incarnation>): Promise<{ readonly kind: string; readonly code: string }> {
  const error = await starting.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof DormouseError)) throw new Error(`it was to be refused: ${String(error)}`);
  return { kind: error.kind, code: error.code };
}

test.for([
  { left: "partitions and journals", lose: (name: string) => name === appKey },
  { left: "journals alone", lose: (name: string) => name === appKey || name.startsWith("partitions/") },
  { left: "partitions alone", lose: (name: string) => name === appKey || name.startsWith("journal/") },
])("an app whose settings are gone is not made anew over its $left, and goes on when they are back", async (given) => {
  const world = new MemoryWorld(realClock);
  const first = await begin(world, "host-1", 2);
  const ports = world.open("client", { clock: realClock, entropy: realEntropy });
  const client = makeClient({ app: first.app, ports });
  expect(await client.agent(counter, "one").ask({ type: "add", by: 1 })).toBe(1);
  await first.drain();
  const lost = world.objectNames("").filter(given.lose);
  const was = new Map(lost.map((name) => [name, world.objectBytes(name)]));
  for (const name of lost) world.overwriteObject(name, undefined);
  const before = world.objectNames("");
  expect(await refusalOf(begin(world, "host-2", 2))).toEqual({ kind: "corrupt", code: "app.lost" });
  expect(world.objectNames("")).toEqual(before);
  for (const [name, bytes] of was) world.overwriteObject(name, bytes);
  const third = await begin(world, "host-3", 2);
  expect(third.app).toEqual(first.app);
  expect(await client.agent(counter, "one").ask({ type: "add", by: 1 })).toBe(2);
  third.kill();
});

test("an app that is being made by several hosts at once is one", async () => {
  const world = new MemoryWorld(realClock);
  const hosts = await Promise.all(["host-1", "host-2", "host-3"].map((party) => begin(world, party, 4)));
  expect(new Set(hosts.map(({ app }) => app.birth)).size).toBe(1);
  for (const host of hosts) host.kill();
});

test("an app for whose partitions the mailbox has no room is not made, and one of fewer can be", async () => {
  const world = new MemoryWorld(realClock);
  const refusal = new DormouseError("invalid", "nats.no-room", "there is no room for so many streams");
  const small = (ports: Ports): Ports => ({
    ...ports,
    mailbox: {
      create: (partitions) => (partitions > 2 ? Promise.reject(refusal) : ports.mailbox.create(partitions)),
      append: (...given) => ports.mailbox.append(...given),
      barrier: (...given) => ports.mailbox.barrier(...given),
      read: (...given) => ports.mailbox.read(...given),
      trim: (...given) => ports.mailbox.trim(...given),
    },
  });
  expect(await refusalOf(begin(world, "host-1", 8, small))).toEqual({ kind: "invalid", code: "nats.no-room" });
  const host = await begin(world, "host-2", 2, small);
  expect(host.app.partitions).toBe(2);
  host.kill();
});
