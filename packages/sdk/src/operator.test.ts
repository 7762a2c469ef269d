/**
 * What an operator is told of hosts that are well, die, hang or leave, and of partitions that nobody owns.
 *
 * Method: incarnations on one world in memory, with the real clock; each waits for what hosts say of themselves. Real
 * servers are in `test/servers/cli-cluster.test.ts`.
 */
import { setImmediate as oneTurn } from "node:timers/promises";
import { makeClient } from "@dormouse/client";
import { agent, type HostStatus, type Incarnation, startIncarnation } from "@dormouse/core";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { afterEach, expect, test } from "vitest";
import { fromPromise, setup } from "xstate";
import { makeOperator, type Operator } from "./operator.ts";

const partitions = 4;
const sheep = agent("sheep", { machine: setup({}).createMachine({}) });

let world = new MemoryWorld(realClock);
const hosts: Incarnation[] = [];

afterEach(() => {
  for (const host of hosts.splice(0)) host.kill();
  world = new MemoryWorld(realClock);
});

async function start(name: string, party = name): Promise<Incarnation> {
  const ports = world.open(party, { clock: realClock, entropy: realEntropy });
  const host = await startIncarnation({ agents: [sheep], ports, name, partitions });
  hosts.push(host);
  return host;
}

function operate({ app }: Incarnation, isStoreNamed = true): Operator {
  const ports = world.open("operator", { clock: realClock, entropy: realEntropy });
  const store = isStoreNamed ? ports.store : undefined;
  return makeOperator({ app, ports, store, closed: () => Promise.resolve() });
}

function hasItsOwn({ isReady, partitions: { owned, wanted } }: HostStatus): boolean {
  return isReady && owned === wanted;
}

async function bothReady(...both: readonly Incarnation[]): Promise<void> {
  while (!both.every((host) => hasItsOwn(host.status()))) await oneTurn();
}

test("hosts are told by name, each with its own status, and every partition with its owner", async () => {
  const [two, one] = [await start("two"), await start("one")];
  await bothReady(one, two);
  const { hosts: seen, partitions: owners = [], app } = await operate(one).status();
  expect(app).toBe(one.app);
  expect(seen.map(({ name, incarnation, status }) => [name, incarnation, status?.partitions.total])).toEqual([
    ["one", one.id, partitions],
    ["two", two.id, partitions],
  ]);
  expect(owners.map(({ partition, state }) => [partition, state])).toEqual([0, 1, 2, 3].map((p) => [p, "owned"]));
});

test("without a store nothing is said of owners", async () => {
  const one = await start("one");
  expect((await operate(one, false).status()).partitions).toBeUndefined();
});

test("partitions of a host that died or fell silent name it; those of one that left are free", async () => {
  const one = await start("one");
  const operator = operate(one);
  world.membershipSays(one.id, "suspected");
  const silent = { state: "orphaned", owner: one.id, member: "suspected" };
  expect((await operator.status()).partitions).toEqual([0, 1, 2, 3].map((partition) => ({ partition, ...silent })));
  one.kill();
  world.end("one");
  expect((await operator.status()).partitions?.[0]).toEqual({ partition: 0, ...silent, member: "dead" });
  const two = await start("two");
  await two.drain();
  expect(await operator.status()).toMatchObject({ hosts: [], partitions: [{ state: "free" }, {}, {}, {}] });
});

test("a partition that cannot be read says why, and hides no other", async () => {
  const one = await start("one");
  world.overwriteObject("partitions/2", new TextEncoder().encode("what is this"));
  const { partitions: owners = [] } = await operate(one).status();
  expect(owners.map(({ state }) => state)).toEqual(["owned", "owned", "unreadable", "owned"]);
  expect(owners[2]).toMatchObject({ error: { kind: "corrupt" } });
});

test("a host that is believed alive and does not answer is told of, with how", async () => {
  const one = await start("one");
  one.kill();
  const { hosts: seen } = await operate(one).status();
  expect(seen).toMatchObject([{ name: "one", status: undefined, error: { code: "channel.nobody" } }]);
});

test("a host is found by its name or incarnation; two of one name are told apart", async () => {
  const [first, second, other] = [await start("web", "a"), await start("web", "b"), await start("db")];
  const operator = operate(other);
  expect(await operator.find("db")).toEqual({ incarnation: other.id, name: "db" });
  expect(await operator.find(second.id)).toEqual({ incarnation: second.id, name: "web" });
  const ambiguous = await operator.find("web").catch((error: unknown) => error);
  expect(ambiguous).toMatchObject({ kind: "invalid", code: "host.ambiguous" });
  for (const { id } of [first, second]) expect(String(ambiguous)).toContain(id);
  await expect(operator.find("cache")).rejects.toMatchObject({
    code: "host.unknown",
    message: expect.stringMatching(/living=db,web,web$/) as string,
  });
});

test("a host that drains is followed until it is gone", async () => {
  const [one, two] = [await start("one"), await start("two")];
  await bothReady(one, two);
  const seen: HostStatus[] = [];
  for await (const status of operate(two).drain(one.id)) seen.push(status);
  expect(seen[0]).toMatchObject({ state: "draining", incarnation: one.id });
  expect(await one.ended).toBeUndefined();
  expect((await operate(two).status()).hosts).toMatchObject([{ name: "two" }]);
});

/** Its effect ends when the test says so: until then a host that drains waits. */
const patient = agent("patient", {
  machine: setup({ actors: { wait: fromPromise<void>(() => Promise.withResolvers<void>().promise) } }).createMachine({
    invoke: { src: "wait" },
  }),
});

async function startPatient(): Promise<Incarnation> {
  const ports = world.open("patient", { clock: realClock, entropy: realEntropy });
  const host = await startIncarnation({ agents: [patient], ports, name: "patient", partitions });
  hosts.push(host);
  const client = makeClient({ app: host.app, ports });
  await client.agent(patient, "one").start();
  while (host.status().effects === 0) await oneTurn();
  return host;
}

test("a host that takes longer than the operator waits goes on draining, and says so", async () => {
  const host = await startPatient();
  const drained = Array.fromAsync(operate(host).drain(host.id, { timeout: "1ms" }));
  await expect(drained).rejects.toMatchObject({ kind: "timeout", code: "host.draining" });
  expect(host.status().state).toBe("draining");
});

test("one that falls silent while it drains is not said to be gone", async () => {
  const host = await startPatient();
  const drained = Array.fromAsync(operate(host).drain(host.id));
  while (host.status().state !== "draining") await oneTurn();
  host.kill();
  world.membershipSays(host.id, "suspected");
  await expect(drained).rejects.toMatchObject({ kind: "unavailable", code: "host.lost" });
});

test("one that nobody runs cannot be drained", async () => {
  const one = await start("one");
  await expect(Array.fromAsync(operate(one).drain("nobody"))).rejects.toMatchObject({ code: "channel.nobody" });
});
