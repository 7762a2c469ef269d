/**
 * Several hosts of one app: who owns what, and what becomes of it when hosts come, go, die, or are thought dead.
 *
 * Method: hosts of their own on one world in memory, with the real clock; each waits for what hosts say of themselves,
 * never for a time. What the network may do to them is the simulator's.
 */
import { crc32 } from "node:zlib";
import { agent, type AnyAgentDefinition, type Incarnation, ref, type Settings, startIncarnation } from "@dormouse/core";
import { setImmediate as oneTurn } from "node:timers/promises";
import { type Client, makeClient } from "@dormouse/client";
import { makeAddress, partitionOf, readOwners } from "@dormouse/core/protocol";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import type { Ports } from "@dormouse/core/ports";
import { afterEach, expect, test } from "vitest";
import { fromPromise, sendTo, setup } from "xstate";
import { counter } from "./agents/counter.ts";

const partitions = 16;

/** What effects of a gate wait for, and how many have begun. */
let opened = Promise.withResolvers<void>();
let begun = 0;

const pass = fromPromise<void>(async () => {
  begun += 1;
  await opened.promise;
});

const gate = agent("gate", {
  machine: setup({ types: {} as { events: { type: "enter" } }, actors: { pass } }).createMachine({
    initial: "before",
    states: {
      before: { on: { enter: "within" } },
      within: { invoke: { src: "pass", onDone: "through" } },
      through: {},
    },
  }),
});

interface Host {
  readonly incarnation: Incarnation;
  owned(): number;
  kill(isKnown?: boolean): void;
}

const all = [counter, gate];
/** Sends to an app that is not there. */
const lost = agent("lost", {
  machine: setup({ types: {} as { events: { type: "send" } } }).createMachine({
    on: { send: { actions: sendTo(ref(counter, "any", { app: "nowhere" }), { type: "reset" }) } },
  }),
});

/** The counter of the release to come, and of this one. */
const counterNext = agent("counter", { machine: counter.logic, version: 2 });

/** Hosts of one test, and what they say. */
class Cluster {
  readonly world: MemoryWorld = new MemoryWorld(realClock);
  readonly #hosts: Incarnation[] = [];

  async host(
    name: string,
    settings: Settings = {},
    agents: readonly AnyAgentDefinition[] = all,
    change: (ports: Ports) => Ports = (same) => same,
  ): Promise<Host> {
    const incarnation = await startIncarnation({
      agents,
      ports: change(this.world.open(name, { clock: realClock, entropy: realEntropy })),
      name,
      partitions,
      settings,
    });
    this.#hosts.push(incarnation);
    return {
      incarnation,
      owned: () => incarnation.status().partitions.owned,
      kill: (isKnown = true) => {
        incarnation.kill();
        this.world.end(name, isKnown);
      },
    };
  }

  client({ incarnation }: Host): Client {
    const ports = this.world.open("client", { clock: realClock, entropy: realEntropy });
    return makeClient({ app: incarnation.app, ports });
  }

  /** Resolves when `holds` does; looked at in every turn of the event loop. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await oneTurn();
  }

  end(): void {
    for (const incarnation of this.#hosts) incarnation.kill();
  }
}

let cluster = new Cluster();

afterEach(() => {
  cluster.end();
  cluster = new Cluster();
  opened = Promise.withResolvers<void>();
  begun = 0;
});

/** Adds one to each of many agents, over all partitions. */
async function addToAll(client: Client): Promise<readonly number[]> {
  const keys = Array.from({ length: 64 }, (_, n) => `k${n}`);
  return Promise.all(keys.map((key) => client.agent(counter, key).ask({ type: "add", by: 1 })));
}

test("each of three hosts owns its share, and every agent answers", async () => {
  const hosts = [await cluster.host("a"), await cluster.host("b"), await cluster.host("c")];
  await cluster.until(() => hosts.every(({ incarnation }) => incarnation.status().isReady));
  expect(hosts.map((host) => host.owned()).reduce((sum, owned) => sum + owned)).toBe(partitions);
  for (const host of hosts) expect(host.owned()).toBeGreaterThan(0);
  expect(new Set(await addToAll(cluster.client(hosts[0]!)))).toEqual(new Set([1]));
});

test("a host that hands a partition on before it has read it is ready all the same", async () => {
  const readable = Promise.withResolvers<void>();
  const first = cluster.host("a", {}, all, (ports) => {
    const { mailbox } = ports;
    const late: Ports["mailbox"] = {
      create: (count) => mailbox.create(count),
      append: (partition, bytes) => mailbox.append(partition, bytes),
      barrier: async (partition, bytes) => {
        await readable.promise;
        return mailbox.barrier(partition, bytes);
      },
      read: (partition, from) => mailbox.read(partition, from),
      trim: (partition, below) => mailbox.trim(partition, below),
    };
    return { ...ports, mailbox: late };
  });
  const second = await cluster.host("b");
  await cluster.until(() => second.incarnation.status().isReady && second.owned() > 0);
  readable.resolve();
  const one = await first;
  await cluster.until(() => one.incarnation.status().isReady);
  expect(one.owned() + second.owned()).toBe(partitions);
});

test("what a host sent before it handed a partition on, and is acknowledged after, it does not send again", async () => {
  const relay = agent("relay", {
    machine: setup({ types: {} as { events: { type: "send" } } }).createMachine({
      on: { send: { actions: sendTo(ref(counter, "sum"), { type: "add", by: 1 }) } },
    }),
  });
  const keys = Array.from({ length: 16 }, (_, n) => `k${n}!`);
  const mayArrive = Promise.withResolvers<void>();
  const sent: string[] = [];
  let arrived = 0;
  const repeatMs = 54_321;
  const repeats = new Set<() => void>();
  const first = await cluster.host("a", { outboxRepeatMs: repeatMs }, [counter, relay], (ports) => {
    const { mailbox, clock } = ports;
    const schedule: Ports["clock"]["schedule"] = (delayMs, call) => {
      if (delayMs !== repeatMs) return clock.schedule(delayMs, call);
      repeats.add(call);
      return () => void repeats.delete(call);
    };
    const slow: Ports["mailbox"] = {
      create: (count) => mailbox.create(count),
      append: async (partition, bytes) => {
        const from = keys.filter((key) => Buffer.from(bytes).includes(makeAddress("relay", key)));
        sent.push(...from);
        await mayArrive.promise;
        const place = await mailbox.append(partition, bytes);
        arrived += from.length;
        return place;
      },
      barrier: (partition, bytes) => mailbox.barrier(partition, bytes),
      read: (partition, from) => mailbox.read(partition, from),
      trim: (partition, below) => mailbox.trim(partition, below),
    };
    return { ...ports, mailbox: slow, clock: { ...clock, schedule } };
  });
  const client = cluster.client(first);
  for (const key of keys) await client.agent(relay, key).send({ type: "send" });
  await cluster.until(() => new Set(sent).size === keys.length);
  const second = await cluster.host("b", {}, [counter, relay]);
  await cluster.until(() => second.owned() > 0 && first.owned() + second.owned() === partitions);
  mayArrive.resolve();
  await cluster.until(() => arrived === sent.length);
  await oneTurn();
  sent.length = 0;
  for (const repeat of repeats) repeat();
  await oneTurn();
  const { store } = cluster.world.open("reader", { clock: realClock, entropy: realEntropy });
  const { signal } = new AbortController();
  const owners = await readOwners(
    { store, clock: realClock, entropy: realEntropy, signal, patience: { ms: 1_000 } },
    partitions,
  );
  const isFirsts = (key: string): boolean =>
    owners[partitionOf(makeAddress("relay", key), partitions)]?.owner === first.incarnation.id;
  expect(keys.filter((key) => !isFirsts(key)).length).toBeGreaterThan(0);
  expect(sent.filter((key) => !isFirsts(key))).toEqual([]);
});

test("a host that was sealed is known to be over, also to one that starts later and never heard of it", async () => {
  const first = await cluster.host("a");
  const second = await cluster.host("b");
  await cluster.until(() => first.incarnation.status().isReady && second.incarnation.status().isReady);
  second.kill(false);
  cluster.world.membershipSays(second.incarnation.id, "suspected");
  await cluster.until(() => first.owned() === partitions);
  const { membership } = cluster.world.open("later", { clock: realClock, entropy: realEntropy });
  await expect.poll(() => membership.stateOf(second.incarnation.id)).toBe("dead");
});

test("a host that reads other settings of the app than those that run does not start", async () => {
  const first = await cluster.host("one");
  const ports = cluster.world.open("two", { clock: realClock, entropy: realEntropy });
  const store: Ports["store"] = {
    ...ports.store,
    put: (...put) => ports.store.put(...put),
    list: (...listed) => ports.store.list(...listed),
    delete: (...deleted) => ports.store.delete(...deleted),
    get: async (name) => {
      const found = await ports.store.get(name);
      if (found === undefined || name !== "app.json") return found;
      const changed = Buffer.from(found.bytes).toString().replace(`"partitions": ${partitions}`, '"partitions": 8');
      return { ...found, bytes: Buffer.from(changed) };
    },
  };
  await expect(startIncarnation({ agents: all, ports: { ...ports, store } })).rejects.toMatchObject({
    kind: "invalid",
    code: "app.mismatch",
    message: expect.stringContaining("partitions=8") as string,
  });
  expect(first.owned()).toBe(partitions);
});

test("a host that joins under load gets its share, and nothing is lost, doubled or refused", async () => {
  const first = await cluster.host("a");
  const client = cluster.client(first);
  const joined = new AbortController();
  const load = (async (): Promise<number> => {
    let rounds = 0;
    while (!joined.signal.aborted || rounds < 3) {
      rounds += 1;
      expect(new Set(await addToAll(client))).toEqual(new Set([rounds]));
    }
    return rounds;
  })();
  const second = await cluster.host("b");
  await cluster.until(() => second.incarnation.status().isReady && second.owned() > 0);
  joined.abort();
  const rounds = await load;
  expect(first.owned() + second.owned()).toBe(partitions);
  expect((await client.agent(counter, "k1").read())?.context).toEqual({ count: rounds });
});

test("what a dead host owned is taken up by those that live, with all that was answered", async () => {
  const hosts = [await cluster.host("a"), await cluster.host("b"), await cluster.host("c")];
  await cluster.until(() => hosts.every(({ incarnation }) => incarnation.status().isReady));
  const client = cluster.client(hosts[0]!);
  await addToAll(client);
  hosts[1]!.kill();
  expect(new Set(await addToAll(client))).toEqual(new Set([2]));
  expect(hosts[0]!.owned() + hosts[2]!.owned()).toBe(partitions);
});

test("a host that drains hands everything over, and no ask fails", async () => {
  const hosts = [await cluster.host("a"), await cluster.host("b")];
  await cluster.until(() => hosts.every(({ incarnation }) => incarnation.status().isReady));
  const client = cluster.client(hosts[1]!);
  await addToAll(client);
  const asked = addToAll(client);
  await hosts[0]!.incarnation.drain();
  expect(await hosts[0]!.incarnation.ended).toBeUndefined();
  expect(new Set(await asked)).toEqual(new Set([2]));
  expect(new Set(await addToAll(client))).toEqual(new Set([3]));
  expect(hosts[1]!.owned()).toBe(partitions);
});

test("a host that is thought dead and lives is sealed: it ends, says so, and its partitions go on elsewhere", async () => {
  const hosts = [await cluster.host("a"), await cluster.host("b")];
  await cluster.until(() => hosts.every(({ incarnation }) => incarnation.status().isReady));
  const client = cluster.client(hosts[0]!);
  await addToAll(client);
  cluster.world.membershipSays(hosts[1]!.incarnation.id, "suspected");
  expect(new Set(await addToAll(client))).toEqual(new Set([2]));
  expect(hosts[0]!.owned()).toBe(partitions);
  expect(await hosts[1]!.incarnation.ended).toMatchObject({ kind: "sealed" });
});

test.for([
  [60_000, 8, "waits for their end"],
  [0, 16, "does not wait when its grace is over, and they begin again where it went"],
] as const)("with a grace of %i ms, a partition whose effects run %s", async ([drainMs, begunInAll]) => {
  const first = await cluster.host("a", { drainMs });
  const client = cluster.client(first);
  const keys = Array.from({ length: 8 }, (_, n) => `g${n}`);
  for (const key of keys) await client.agent(gate, key).send({ type: "enter" });
  await cluster.until(() => begun === 8);
  const second = await cluster.host("b", { drainMs });
  const left = first.incarnation.drain();
  // All that holds no effect has moved, and what does has not; or all has, and they have begun again.
  const hasMoved = (): boolean => first.owned() === (drainMs > 0 ? keys.length : 0);
  await cluster.until(() => hasMoved() && begun === begunInAll);
  opened.resolve();
  await left;
  for (const key of keys) await client.agent(gate, key).waitFor("through");
  expect(begun).toBe(begunInAll);
  expect(second.owned()).toBe(partitions);
});

test("a state of a newer version waits, with what is sent to its agent, for a host that has that version", async () => {
  const newer = await cluster.host("newer", {}, [counterNext]);
  const client = cluster.client(newer);
  expect(new Set(await addToAll(client))).toEqual(new Set([1]));
  const older = await cluster.host("older");
  await newer.incarnation.drain();
  await cluster.until(() => older.owned() === partitions);
  const k1 = client.agent(counter, "k1");
  const asked = k1.ask({ type: "add", by: 1 });
  await cluster.until(() => older.incarnation.status().shelved === 1);
  await expect(k1.read()).rejects.toMatchObject({ code: "agent.newer-state" });
  await k1.send({ type: "add", by: 10 });
  await cluster.until(() => older.incarnation.status().shelved === 2);
  expect(older.incarnation.status().quarantined).toBe(0);
  expect(await client.agent(counter, "new").ask({ type: "add", by: 1 })).toBe(1);

  const again = await cluster.host("again", {}, [counterNext]);
  await older.incarnation.drain();
  await cluster.until(() => again.owned() === partitions);
  expect(await asked).toBe(2);
  expect(await k1.ask({ type: "add", by: 1 })).toBe(13);
  expect(again.incarnation.status().shelved).toBe(0);
});

test("a host of older code that joins gets nothing from one of newer code, until that one leaves", async () => {
  const newer = await cluster.host("newer", { settleRoundMs: 20 }, [counterNext, gate]);
  const client = cluster.client(newer);
  await addToAll(client);
  const older = await cluster.host("older", { settleRoundMs: 20 });
  const third = await cluster.host("third", { settleRoundMs: 20 }, [counterNext, gate]);
  await cluster.until(() => third.incarnation.status().isReady);
  expect(newer.owned() + third.owned()).toBe(partitions);
  expect(third.owned()).toBeGreaterThan(0);
  expect(new Set(await addToAll(client))).toEqual(new Set([2]));
  expect(older.owned()).toBe(0);
  expect(older.incarnation.status()).toMatchObject({ isReady: true, shelved: 0 });
  await newer.incarnation.drain();
  await cluster.until(() => older.owned() + third.owned() === partitions);
  expect(older.owned()).toBeGreaterThan(0);
});

/** The same object as a later release would write it, in a format that nobody here knows. */
function inNewerFormat(bytes: Uint8Array | undefined): Uint8Array {
  if (bytes === undefined) throw new Error("there is no such object");
  const newer = Uint8Array.from(bytes);
  newer[4] = 9;
  new DataView(newer.buffer).setUint32(5, crc32(newer.subarray(9), crc32(newer.subarray(3, 5))));
  return newer;
}

const k1 = makeAddress("counter", "k1");

test.for([
  ["an agent", "agents/counter/k1/head", "object.version", 111],
  // Nothing of it is consumed, so the ask that was refused is taken too.
  ["a partition", `partitions/${partitionOf(k1, partitions)}`, "partition.stopped", 112],
] as const)(
  "%s in a newer format waits, with what is sent, for a host that reads it",
  async ([, name, code, count]) => {
    const first = await cluster.host("first");
    await addToAll(cluster.client(first));
    await first.incarnation.drain();
    const { world } = cluster;
    const readable = world.objectBytes(name);
    world.overwriteObject(name, inNewerFormat(readable));

    const older = await cluster.host("older");
    const agentOf = (host: Host, key: string) => cluster.client(host).agent(counter, key);
    const refused = { code, message: expect.stringMatching(/a host that reads it/) };
    await expect(agentOf(older, "k1").ask({ type: "add", by: 1 })).rejects.toMatchObject(refused);
    await agentOf(older, "k1").send({ type: "add", by: 10 });
    const elsewhere = Array.from({ length: 64 }, (_, n) => `k${n}`).find(
      (key) => partitionOf(makeAddress("counter", key), partitions) !== partitionOf(k1, partitions),
    );
    expect(await agentOf(older, elsewhere ?? "").ask({ type: "add", by: 1 })).toBe(2);
    expect(older.incarnation.status().quarantined).toBe(0);
    await older.incarnation.drain();

    world.overwriteObject(name, readable);
    const newer = await cluster.host("newer");
    expect(await agentOf(newer, "k1").ask({ type: "add", by: 100 })).toBe(count);
    expect(newer.incarnation.status()).toMatchObject({ quarantined: 0, shelved: 0 });
  },
);

test("a message to a missing app is told by a host that knows its sender's type, whoever looked for the app before", async () => {
  const looking = Promise.withResolvers<void>();
  let looks = 0;
  const missing = (after: Promise<void>) => (ports: Ports) => ({
    ...ports,
    elsewhere: () => ({
      store: {
        get: async () => {
          looks += 1;
          await after;
          return undefined;
        },
      },
      mailbox: ports.mailbox,
    }),
  });
  const first = await cluster.host("a", {}, [...all, lost], missing(looking.promise));
  const client = cluster.client(first);
  const one = client.agent(lost, "one");
  await one.send({ type: "send" });
  await one.waitFor(({ seq }) => seq === 2);
  first.kill();
  looks = 0;
  const older = await cluster.host("b", {}, all, missing(Promise.resolve()));
  await cluster.until(() => older.owned() === partitions && looks > 0);
  await older.incarnation.settle();
  older.kill();
  const again = await cluster.host("c", {}, [...all, lost], missing(Promise.resolve()));
  await cluster.until(() => again.owned() === partitions);
  expect(await one.waitFor(({ errorCount }) => errorCount > 0)).toMatchObject({ errorCount: 1 });
});

test("what is learned of a message to a missing app, after its sender's partition has moved on, is the next owner's", async () => {
  const looking = Promise.withResolvers<void>();
  const loading = Promise.withResolvers<void>();
  let isCold = false;
  let loads = 0;
  const first = await cluster.host("a", {}, [...all, lost], (ports) => ({
    ...ports,
    elsewhere: () => ({
      store: {
        get: async () => {
          await looking.promise;
          return undefined;
        },
      },
      mailbox: ports.mailbox,
    }),
    store: {
      ...ports.store,
      get: async (name) => {
        if (isCold && name.startsWith("agents/lost/")) {
          loads += 1;
          await loading.promise;
        }
        return ports.store.get(name);
      },
    },
  }));
  const client = cluster.client(first);
  const keys = Array.from({ length: 32 }, (_, n) => `l${n}`);
  await Promise.all(keys.map((key) => client.agent(lost, key).send({ type: "send" })));
  await Promise.all(keys.map((key) => client.agent(lost, key).waitFor(({ seq }) => seq === 2)));
  await first.incarnation.settle();
  expect(await first.incarnation.passivateAll()).toBe(keys.length);
  isCold = true;
  looking.resolve();
  await cluster.until(() => loads > 0);
  const second = await cluster.host("b", {}, [...all, lost]);
  await cluster.until(() => second.incarnation.status().isReady && second.owned() > 0);
  loading.resolve();
  for (const key of keys) await client.agent(lost, key).waitFor(({ errorCount }) => errorCount === 1);
  expect(first.incarnation.status().state).toBe("running");
});

test("a partition that stands still to be handed over, and cannot be settled since a head is damaged, goes on where it was", async () => {
  const handing = Promise.withResolvers<string>();
  const damaged = Promise.withResolvers<void>();
  let isHanding = false;
  const first = await cluster.host("a", {}, all, (ports) => ({
    ...ports,
    store: {
      ...ports.store,
      // The first of the two settles of a hand-over is written; the second one comes when the head is damaged.
      put: async (name, ...rest) => {
        if (isHanding && name.startsWith("partitions/")) {
          handing.resolve(name);
          await damaged.promise;
        }
        return ports.store.put(name, ...rest);
      },
    },
  }));
  const client = cluster.client(first);
  await addToAll(client);
  isHanding = true;
  const second = await cluster.host("b");
  const name = await handing.promise;
  const isThere = (key: string): boolean =>
    name === `partitions/${partitionOf(makeAddress("counter", key), partitions)}`;
  const [one = "", other = ""] = Array.from({ length: 64 }, (_, n) => `k${n}`).filter(isThere);
  const add = (key: string): Promise<number> => client.agent(counter, key).ask({ type: "add", by: 1 });
  expect([await add(one), await add(other)]).toEqual([2, 2]);
  const head = `agents/counter/${one}/head`;
  const before = cluster.world.objectBytes(head);
  cluster.world.overwriteObject(head, before?.slice(0, 20));
  damaged.resolve();
  await cluster.until(() => second.owned() === second.incarnation.status().partitions.wanted - 1);
  expect(await add(other)).toBe(3);
  await expect(add(one)).rejects.toMatchObject({ kind: "corrupt" });
  expect((await client.quarantined()).map(({ agent: address }) => address)).toEqual([`counter/${one}`]);
  cluster.world.overwriteObject(head, before);
  await client.agent(counter, one).resume();
  expect(await add(one)).toBe(3);
  await first.incarnation.drain();
  expect(await first.incarnation.ended).toBeUndefined();
  expect(second.owned()).toBe(partitions);
  expect([await add(one), await add(other)]).toEqual([4, 4]);
});

test("what a partition took that stood still and goes on is not taken again when its host settles and dies", async () => {
  const handing = Promise.withResolvers<string>();
  const damaged = Promise.withResolvers<void>();
  const again = Promise.withResolvers<void>();
  let isHanding = false;
  let mend: ((name: string) => void) | undefined;
  const first = await cluster.host("a", {}, all, (ports) => ({
    ...ports,
    store: {
      ...ports.store,
      put: async (name, ...rest) => {
        if (isHanding && name.startsWith("partitions/")) {
          handing.resolve(name);
          await damaged.promise;
        }
        return ports.store.put(name, ...rest);
      },
      // Its object is read when it is taken up again; from then on the head can be read.
      get: async (name) => {
        mend?.(name);
        return ports.store.get(name);
      },
    },
  }));
  const client = cluster.client(first);
  await addToAll(client);
  isHanding = true;
  await cluster.host("b");
  const name = await handing.promise;
  const isThere = (key: string): boolean =>
    name === `partitions/${partitionOf(makeAddress("counter", key), partitions)}`;
  const [one = "", other = ""] = Array.from({ length: 64 }, (_, n) => `k${n}`).filter(isThere);
  const add = (key: string): Promise<number> => client.agent(counter, key).ask({ type: "add", by: 1 });
  // After the first settle, which has what is read of the mailbox; heads are written in the second one, but for one.
  expect([await add(one), await add(other)]).toEqual([2, 2]);
  const head = `agents/counter/${one}/head`;
  const before = cluster.world.objectBytes(head);
  mend = (read) => {
    if (read !== name) return;
    cluster.world.overwriteObject(head, before);
    again.resolve();
  };
  cluster.world.overwriteObject(head, before?.slice(0, 20));
  damaged.resolve();
  await again.promise;
  await first.incarnation.settle();
  first.kill();
  expect([await add(one), await add(other)]).toEqual([3, 3]);
});

test("a message to a missing app is told to a sender that could not be read meanwhile, when it can be read again", async () => {
  const looking = Promise.withResolvers<void>();
  let looks = 0;
  const get = async (): Promise<undefined> => {
    looks += 1;
    await looking.promise;
  };
  const first = await cluster.host("a", {}, [lost], (ports) => ({
    ...ports,
    elsewhere: () => ({ store: { get }, mailbox: ports.mailbox }),
  }));
  const client = cluster.client(first);
  const one = client.agent(lost, "one");
  await one.send({ type: "send" });
  await one.waitFor(({ seq }) => seq === 2);
  await first.incarnation.settle();
  await first.incarnation.passivateAll();
  const head = "agents/lost/one/head";
  const before = cluster.world.objectBytes(head);
  cluster.world.overwriteObject(head, before?.slice(0, 20));
  await cluster.until(() => looks > 0);
  looking.resolve();
  await cluster.until(() => first.incarnation.status().quarantined === 1);
  cluster.world.overwriteObject(head, before);
  await one.resume();
  expect(await one.waitFor(({ errorCount }) => errorCount > 0)).toMatchObject({ errorCount: 1 });
});
