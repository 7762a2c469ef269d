/**
 * A host on ports in memory, from outside: what a caller sees of asks, sends, errors, restarts.
 *
 * Method: one world of memory; hosts and clients open it as parties; a crash drops a party without a goodbye.
 */
import { setImmediate as oneTurn } from "node:timers/promises";
import { makeClient, type Client } from "@dormouse/client";
import { DormouseError, type Incarnation, type Observed, startIncarnation } from "@dormouse/core";
import { type Address, partitionOf } from "@dormouse/core/protocol";
import type { Clock, Ports } from "@dormouse/core/ports";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { afterEach, expect, test } from "vitest";
import { counter } from "./agents/counter.ts";

const started: Incarnation[] = [];
afterEach(() => {
  for (const incarnation of started.splice(0)) incarnation.kill();
});

interface Life {
  readonly incarnation: Incarnation;
  readonly client: Client;
  crash(): void;
}

async function start(world: MemoryWorld, party: string): Promise<Life> {
  const ports = world.open(party, { clock: realClock, entropy: realEntropy });
  const incarnation = await startIncarnation({ agents: [counter], ports });
  started.push(incarnation);
  const crash = (): void => {
    incarnation.kill();
    world.end(party);
  };
  return { incarnation, client: makeClient({ app: incarnation.app, ports }), crash };
}

/** A second is a millisecond. */
const hurried: Clock = {
  ...realClock,
  monotonic: () => 1_000 * realClock.monotonic(),
  schedule: (delayMs, call) => realClock.schedule(delayMs / 1_000, call),
};

async function errorOf(promise: Promise<unknown>): Promise<DormouseError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof DormouseError) return error;
  throw new Error(`expected a DormouseError, got ${String(error)}`);
}

test("an ask is answered after its step, and the next sees the state it left", async () => {
  const { client } = await start(new MemoryWorld(realClock), "host");
  const acme = client.agent(counter, "acme");
  expect(await acme.ask({ type: "add", by: 2 })).toBe(2);
  expect(await acme.ask({ type: "add", by: 3 })).toBe(5);
  expect((await acme.read())?.context).toEqual({ count: 5 });
});

test("after a crash the next host goes on from every answered ask", async () => {
  const world = new MemoryWorld(realClock);
  const first = await start(world, "host-1");
  expect(await first.client.agent(counter, "acme").ask({ type: "add", by: 41 })).toBe(41);
  first.crash();
  const second = await start(world, "host-2");
  expect(await second.client.agent(counter, "acme").ask({ type: "add", by: 1 })).toBe(42);
});

test("a drained host leaves a settled world, and the next goes on", async () => {
  const world = new MemoryWorld(realClock);
  const first = await start(world, "host-1");
  await first.client.agent(counter, "acme").ask({ type: "add", by: 41 });
  await first.incarnation.drain();
  const second = await start(world, "host-2");
  expect(await second.client.agent(counter, "acme").ask({ type: "add", by: 1 })).toBe(42);
});

test("a host that is drained twice ends once, and one that is over can be drained", async () => {
  const host = await start(new MemoryWorld(realClock), "host");
  const { incarnation } = host;
  await Promise.all([incarnation.drain(), incarnation.drain()]);
  await incarnation.drain();
  expect(await incarnation.ended).toBeUndefined();
  host.crash();
  await incarnation.drain();
});

test("a store that fails keeps nobody waiting who starts or drains a host, and what it answered stays", async () => {
  const world = new MemoryWorld(hurried);
  let isFull = false;
  const open = (party: string): Ports => {
    const ports = world.open(party, { clock: hurried, entropy: realEntropy });
    const cause = new DormouseError("unavailable", "store.full", "the disk is full");
    const put: Ports["store"]["put"] = async (...call) =>
      isFull ? { outcome: "unknown", cause } : ports.store.put(...call);
    return { ...ports, store: { ...ports.store, put } };
  };
  const ports = open("host-1");
  const warnings: string[] = [];
  const observe = (event: Observed): void => void (event.kind === "warned" && warnings.push(event.text));
  const incarnation = await startIncarnation({ agents: [counter], ports, observe });
  const client = makeClient({ app: incarnation.app, ports });
  expect(await client.agent(counter, "acme").ask({ type: "add", by: 41 })).toBe(41);
  isFull = true;
  await client.agent(counter, "acme").send({ type: "add", by: 1 });
  await incarnation.drain();
  const ended = await incarnation.ended;
  expect(ended).toMatchObject({ kind: "unavailable", code: "host.gave-up" });
  expect(ended?.message).toContain("store.full: the disk is full");
  expect(warnings.join()).toContain("store.full: the disk is full");
  world.end("host-1");

  const error = await errorOf(startIncarnation({ agents: [counter], ports: open("host-2") }));
  expect({ kind: error.kind, code: error.code }).toEqual({ kind: "unavailable", code: "host.gave-up" });
  world.end("host-2");

  isFull = false;
  const second = await start(world, "host-3");
  expect(await second.client.agent(counter, "acme").ask({ type: "add", by: 1 })).toBe(43);
});

test("a message that got the number of a lost barrier is taken as what it is", async () => {
  const world = new MemoryWorld(realClock);
  const first = await start(world, "host-1");
  const ports = world.open("client", { clock: realClock, entropy: realEntropy });
  const acme = makeClient({ app: first.incarnation.app, ports }).agent(counter, "acme");
  expect(await acme.ask({ type: "add", by: 1 })).toBe(1);
  first.crash();
  const own = world.open("host-2", { clock: realClock, entropy: realEntropy });
  const partition = partitionOf("counter/acme" as Address, first.incarnation.app.partitions);
  let isLost = false;
  const barrier: Ports["mailbox"]["barrier"] = async (of, bytes) => {
    const place = await own.mailbox.barrier(of, bytes);
    if (of === partition && !isLost) {
      isLost = true;
      world.loseTail(partition, 1);
      await acme.send({ type: "add", by: 41 });
    }
    return place;
  };
  started.push(await startIncarnation({ agents: [counter], ports: { ...own, mailbox: { ...own.mailbox, barrier } } }));
  expect(await acme.ask({ type: "add", by: 0 })).toBe(42);
});

test("what a stream takes after its tail was lost behind a new owner's barrier is read, though nothing more comes", async () => {
  const world = new MemoryWorld(hurried);
  const first = await start(world, "host-1");
  const ports = world.open("client", { clock: realClock, entropy: realEntropy });
  const acme = makeClient({ app: first.incarnation.app, ports }).agent(counter, "acme");
  for (let asked = 1; asked <= 5; asked += 1) expect(await acme.ask({ type: "add", by: 1 })).toBe(asked);
  first.crash();
  const own = world.open("host-2", { clock: hurried, entropy: realEntropy });
  const partition = partitionOf("counter/acme" as Address, first.incarnation.app.partitions);
  let isLost = false;
  const barrier: Ports["mailbox"]["barrier"] = async (of, bytes) => {
    const place = await own.mailbox.barrier(of, bytes);
    if (of === partition && !isLost) {
      isLost = true;
      // Nothing of the reader has reached the stream, so nobody tells it.
      world.loseTail(partition, Infinity);
      await acme.send({ type: "add", by: 37 });
    }
    return place;
  };
  started.push(await startIncarnation({ agents: [counter], ports: { ...own, mailbox: { ...own.mailbox, barrier } } }));
  await expect.poll(async () => (await acme.read())?.context).toEqual({ count: 42 });
});

test("a message that was given the place of the one before it, whose tail was lost, is sent again", async () => {
  const world = new MemoryWorld(realClock);
  const first = await start(world, "host-1");
  const own = world.open("client", { clock: realClock, entropy: realEntropy });
  const [isFirstLost, isSecondThere] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isCounting = false;
  let appended = 0;
  const append: Ports["mailbox"]["append"] = async (partition, bytes) => {
    if (isCounting) appended += 1;
    const n = appended;
    const place = await own.mailbox.append(partition, bytes);
    if (n === 1) {
      world.loseTail(partition, 1);
      isFirstLost.resolve();
      await isSecondThere.promise;
    }
    if (n === 2) {
      isSecondThere.resolve();
      // The first is acknowledged first.
      await oneTurn();
    }
    return place;
  };
  const ports = { ...own, mailbox: { ...own.mailbox, append } };
  const acme = makeClient({ app: first.incarnation.app, ports }).agent(counter, "acme");
  expect(await acme.ask({ type: "add", by: 1 })).toBe(1);
  first.crash();
  isCounting = true;
  const lost = acme.send({ type: "add", by: 1_000 });
  await isFirstLost.promise;
  await Promise.all([lost, acme.send({ type: "add", by: 41 })]);
  const second = await start(world, "host-2");
  await expect.poll(async () => (await second.client.agent(counter, "acme").read())?.context).toEqual({ count: 42 });
});

test("a command whose answer was lost is not done again to who lives under the key by then", async () => {
  const world = new MemoryWorld(realClock);
  const { client } = await start(world, "host");
  const own = world.open("client", { clock: hurried, entropy: realEntropy });
  let isDeaf = true;
  const subscribe: Ports["channel"]["subscribe"] = (subject, handler) =>
    own.channel.subscribe(subject, (bytes) => {
      if (!isDeaf) handler(bytes);
    });
  const { app } = started.at(-1) ?? {};
  if (app === undefined) throw new Error("a host was just started");
  const other = makeClient({ app, ports: { ...own, channel: { ...own.channel, subscribe } } });
  const acme = client.agent(counter, "acme");
  await acme.ask({ type: "add", by: 1 });
  const removing = other.agent(counter, "acme").remove({ timeout: "1d" });
  while ((await acme.read()) !== undefined) await oneTurn();
  expect(await acme.ask({ type: "add", by: 100 })).toBe(100);
  isDeaf = false;
  await removing;
  expect((await acme.read())?.context).toEqual({ count: 100 });
});

test("a journal of which a record is missing is told of, and not looked for without end", async () => {
  const world = new MemoryWorld(realClock);
  const first = await start(world, "host-1");
  for (const key of ["a", "b", "c"]) await first.client.agent(counter, key).ask({ type: "add", by: 1 });
  first.crash();
  const [, second] = world.objectNames("journal/");
  world.overwriteObject(second ?? "", undefined);
  const error = await errorOf(start(world, "host-2"));
  expect({ kind: error.kind, code: error.code }).toEqual({ kind: "corrupt", code: "record.missing" });
});

test("what is published to a host and makes no sense is nothing", async () => {
  const world = new MemoryWorld(realClock);
  const { incarnation, client } = await start(world, "host");
  const { channel } = world.open("stranger", { clock: realClock, entropy: realEntropy });
  for (const bytes of [new Uint8Array(0), Uint8Array.of(0xc0), Uint8Array.of(0xff, 1, 2)]) {
    for (let partition = 0; partition < incarnation.app.partitions; partition += 1) {
      channel.publish(`taken/${incarnation.app.birth}/${partition}`, bytes);
    }
  }
  expect(await client.agent(counter, "acme").ask({ type: "add", by: 1 })).toBe(1);
});

test("after hosts died, caution ends though new messages come without a pause", async () => {
  const world = new MemoryWorld(realClock);
  for (const party of ["host-1", "host-2"]) (await start(world, party)).crash();
  const ports = world.open("host-3", { clock: realClock, entropy: realEntropy });
  const said: string[] = [];
  const observe = (event: Observed): void => {
    if (event.kind === "warned" && event.about === "caution") said.push(event.text);
  };
  const third = await startIncarnation({ agents: [counter], ports, observe });
  started.push(third);
  const client = makeClient({ app: third.app, ports });
  let asked = 0;
  const ask = async (key: string): Promise<void> => {
    for (; said.length < 2; asked += 1) await client.agent(counter, key).ask({ type: "add", by: 1 });
  };
  await Promise.all(Array.from({ length: 16 }, (_, n) => ask(`k${n % 4}`)));
  expect(said).toEqual([expect.stringContaining("2 hosts in a row died"), expect.stringContaining("is done")]);
  const views = await Promise.all(["k0", "k1", "k2", "k3"].map((key) => client.agent(counter, key).read()));
  expect(views.reduce((sum, view) => sum + (view?.context.count ?? 0), 0)).toBe(asked);
});

test("many asks at once are each applied once", async () => {
  const { client } = await start(new MemoryWorld(realClock), "host");
  const answers = await Promise.all(
    Array.from({ length: 500 }, (_, n) => client.agent(counter, `key-${n % 50}`).ask({ type: "add", by: 1 })),
  );
  expect(answers.filter((count) => count === 10)).toHaveLength(50);
});

test("a step that throws leaves the state as it was, and its asker gets the reason", async () => {
  const { client } = await start(new MemoryWorld(realClock), "host");
  const acme = client.agent(counter, "acme");
  await acme.ask({ type: "add", by: 1 });
  const error = await errorOf(acme.ask({ type: "fail" }));
  expect({ kind: error.kind, code: error.code }).toEqual({ kind: "failed", code: "agent.step-failed" });
  expect(error.message).toContain("the counter is out of order");
  expect(await acme.read()).toMatchObject({ context: { count: 1 }, status: "active", errorCount: 1 });
});

test("an event that no transition takes is answered with what would be", async () => {
  const { client } = await start(new MemoryWorld(realClock), "host");
  const error = await errorOf(client.agent("counter", "acme").ask({ type: "subtract", by: 1 }));
  expect(error.code).toBe("event.not-taken");
  expect(error.message).toContain("accepts=add");
});

test("whoever watches the host sees what nobody takes, and where an agent's code threw", async () => {
  const ports = new MemoryWorld(realClock).open("host", { clock: realClock, entropy: realEntropy });
  const seen: Observed[] = [];
  const incarnation = await startIncarnation({ agents: [counter], ports, observe: (event) => seen.push(event) });
  started.push(incarnation);
  const acme = makeClient({ app: incarnation.app, ports }).agent("counter", "acme");
  await acme.ask({ type: "add", by: 1 });
  const id = await acme.send({ type: "subtract", by: 1 });
  await errorOf(acme.ask({ type: "fail" }));
  expect(seen.filter(({ kind }) => kind === "refused")).toEqual([
    expect.objectContaining({ agent: "counter/acme", id, error: expect.objectContaining({ code: "event.not-taken" }) }),
  ]);
  const failed = seen.find((event) => event.kind === "stepped" && event.error !== undefined);
  expect(failed).toMatchObject({ agent: "counter/acme", thrown: { stack: expect.stringContaining("counter.ts") } });
});

test("two asks under one idempotency key are applied once, and both answered the same", async () => {
  const { client } = await start(new MemoryWorld(realClock), "host");
  const acme = client.agent(counter, "acme");
  const options = { idempotencyKey: "order-7" };
  expect(await acme.ask({ type: "add", by: 5 }, options)).toBe(5);
  expect(await acme.ask({ type: "add", by: 5 }, options)).toBe(5);
  expect((await acme.read())?.context).toEqual({ count: 5 });
});

test("start makes an agent once", async () => {
  const { client } = await start(new MemoryWorld(realClock), "host");
  const acme = client.agent(counter, "acme");
  expect(await acme.start()).toEqual({ created: true });
  expect(await acme.start()).toEqual({ created: false });
});

test("a terminated agent refuses what comes later, and a removed one begins anew", async () => {
  const { client } = await start(new MemoryWorld(realClock), "host");
  const acme = client.agent(counter, "acme");
  await acme.ask({ type: "add", by: 1 });
  await acme.terminate();
  expect((await errorOf(acme.ask({ type: "add", by: 1 }))).code).toBe("agent.ended");
  await acme.remove();
  expect(await acme.read()).toBeUndefined();
  expect(await acme.ask({ type: "add", by: 1 })).toBe(1);
});

test("an agent that sleeps after every turn keeps its state and its whole history", async () => {
  const world = new MemoryWorld(realClock);
  const { client, incarnation } = await start(world, "host");
  const acme = client.agent(counter, "acme");
  for (let turn = 1; turn <= 120; turn += 1) {
    expect(await acme.ask({ type: "add", by: 1 })).toBe(turn);
    await incarnation.passivateAll();
    expect(incarnation.activity().agents).toBe(0);
  }
  const steps = await Array.fromAsync(acme.history());
  expect(steps.map(({ seq }) => seq)).toEqual(Array.from({ length: 121 }, (_, index) => index + 1));
  expect(steps.slice(1).map(({ context }) => context)).toEqual(
    Array.from({ length: 120 }, (_, index) => ({ count: index + 1 })),
  );
  expect((await Array.fromAsync(acme.history({ from: 60, to: 62 }))).map(({ seq }) => seq)).toEqual([60, 61, 62]);
});

test("a settled world keeps no records but seals, and goes on after a crash", async () => {
  const world = new MemoryWorld(realClock);
  const first = await start(world, "host-1");
  for (let n = 0; n < 20; n += 1) await first.client.agent(counter, `key-${n}`).ask({ type: "add", by: n });
  await first.incarnation.settle();
  first.crash();
  const second = await start(world, "host-2");
  expect(await second.client.agent(counter, "key-7").ask({ type: "add", by: 1 })).toBe(8);
  await second.incarnation.settle();
  const records = world.objectNames("journal/").filter((name) => !name.endsWith("/trim"));
  expect(records).toHaveLength(1); // the seal of the first
});

test("agents are listed by type, those in memory and those asleep", async () => {
  const { client, incarnation } = await start(new MemoryWorld(realClock), "host");
  for (let n = 0; n < 12; n += 1) await client.agent(counter, `key ${n}`).ask({ type: "add", by: n });
  await incarnation.passivateAll();
  await client.agent(counter, "awake").ask({ type: "add", by: 1 });
  const agents = await Array.fromAsync(client.list({ type: "counter" }));
  const expected = [...Array.from({ length: 12 }, (_, n) => `counter/key ${n}`), "counter/awake"];
  expect(agents.map(({ agent }) => agent as string).toSorted()).toEqual(expected.toSorted());
  expect(await Array.fromAsync(client.list({ type: "other" }))).toEqual([]);
});

test("a watcher gets the history, then every step as it is committed, and ends with the agent", async () => {
  const { client } = await start(new MemoryWorld(realClock), "host");
  const acme = client.agent(counter, "acme");
  await acme.ask({ type: "add", by: 1 });
  const seen: number[] = [];
  const sawFirst = Promise.withResolvers<void>();
  const watching = (async () => {
    for await (const { seq } of acme.watch()) {
      seen.push(seq);
      sawFirst.resolve();
    }
  })();
  await sawFirst.promise;
  for (let n = 0; n < 5; n += 1) await acme.ask({ type: "add", by: 1 });
  await acme.terminate();
  await watching;
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test("more agents than a host may keep in memory: the longest idle leave", async () => {
  const world = new MemoryWorld(realClock);
  const ports = world.open("host", { clock: realClock, entropy: realEntropy });
  const incarnation = await startIncarnation({ agents: [counter], ports, settings: { activationsMax: 5 } });
  started.push(incarnation);
  const client = makeClient({ app: incarnation.app, ports });
  for (let n = 0; n < 20; n += 1) await client.agent(counter, `key-${n}`).ask({ type: "add", by: n });
  await incarnation.passivateIdle();
  expect(incarnation.activity().agents).toBe(5);
  expect(await client.agent(counter, "key-3").ask({ type: "add", by: 1 })).toBe(4);
});
