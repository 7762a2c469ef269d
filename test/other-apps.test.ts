/**
 * Goal: an agent of one app sends to an agent of another, and each message is taken once, in order (D1, D4); what cannot be
 * sent is told, and holds up nothing else (D9).
 *
 * Method: two apps in one world of memory, each with hosts of its own that are killed at every record they commit.
 */
import { type Client, makeClient } from "@dormouse/client";
import {
  agent,
  type AnyAgentDefinition,
  type Ask,
  type Incarnation,
  message,
  type Observed,
  ref,
  reply,
  startIncarnation,
} from "@dormouse/core";
import { type Clock, DormouseError, type Ports } from "@dormouse/core/ports";
import { type Address, partitionOf } from "@dormouse/core/protocol";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { afterEach, describe, expect, test } from "vitest";
import { assign, sendTo, setup } from "xstate";
import { decodePartition } from "../packages/core/src/format/partition.ts";
import { decodeTaken } from "../packages/core/src/runtime/release/reply.ts";

interface Note {
  readonly n: number;
  readonly from: string | undefined;
}

/** Sends on what it is told to, and keeps what comes back. */
const shop = agent("shop", {
  machine: setup({
    types: {} as {
      context: { thanked: readonly number[] };
      events: Ask<{ type: "pay"; to: string; ns: readonly number[] }, true> | { type: "thanks"; n: number };
    },
  }).createMachine({
    context: { thanked: [] },
    on: {
      pay: {
        actions: [
          sendTo(
            ({ event }) => ref(event.to),
            ({ event, self }) => ({ type: "paid", n: event.ns[0], shop: self }),
          ),
          sendTo(
            ({ event }) => ref(event.to),
            ({ event, self }) => ({ type: "paid", n: event.ns[1], shop: self }),
          ),
          sendTo(
            ({ event }) => ref(event.to),
            ({ event, self }) => ({ type: "paid", n: event.ns[2], shop: self }),
          ),
          reply(true),
        ],
      },
      thanks: { actions: assign({ thanked: ({ context, event }) => [...context.thanked, event.n] }) },
    },
  }),
});

/** Keeps what it is paid, and thanks by the reference that came with it. */
const ledger = agent("ledger", {
  machine: setup({
    types: {} as {
      context: { paid: readonly Note[] };
      events: { type: "paid"; n: number; shop: ReturnType<typeof ref> };
    },
  }).createMachine({
    context: { paid: [] },
    on: {
      paid: {
        actions: [
          assign({ paid: ({ context, event }) => [...context.paid, { n: event.n, from: message().from }] }),
          sendTo(
            ({ event }) => event.shop,
            ({ event }) => ({ type: "thanks", n: event.n }),
          ),
        ],
      },
    },
  }),
});

/** Hosts of one app, one after the other. */
class Lives {
  readonly #world: MemoryWorld;
  readonly #name: string;
  readonly #agents: readonly AnyAgentDefinition[];
  readonly #partitions: number;
  readonly #clock: Clock;
  readonly seen: Observed[] = [];
  #count = 0;
  #incarnation: Incarnation | undefined;
  /** How many records are to come until the host is killed. */
  #recordsLeft = Infinity;
  #killed: () => void = () => undefined;

  constructor(
    cluster: MemoryWorld,
    name: string,
    agents: readonly AnyAgentDefinition[],
    { partitions = 2, clock = realClock }: { readonly partitions?: number; readonly clock?: Clock } = {},
  ) {
    this.#world = cluster.app(name);
    this.#name = name;
    this.#agents = agents;
    this.#partitions = partitions;
    this.#clock = clock;
    lives.push(this);
  }

  async begin(wrap: (ports: Ports) => Ports = (ports) => ports): Promise<Client> {
    this.#count += 1;
    this.#recordsLeft = Infinity;
    const ports = wrap(this.#world.open(this.#party, { clock: this.#clock, entropy: realEntropy }));
    this.#incarnation = await startIncarnation({
      agents: this.#agents,
      ports,
      app: this.#name,
      partitions: this.#partitions,
      isCautious: false,
      settings: { outboxRepeatMs: 50 },
      observe: (event) => this.#observe(event),
    });
    return this.client();
  }

  /** Of a party that outlives the hosts. */
  client(): Client {
    const app = this.#incarnation?.app;
    if (app === undefined) throw new Error("no host has begun");
    const ports = this.#world.open(`${this.#name}-client`, { clock: this.#clock, entropy: realEntropy });
    return makeClient({ app, ports });
  }

  crash(): void {
    this.#incarnation?.kill();
    this.#world.end(this.#party);
  }

  async drain(): Promise<void> {
    await this.#incarnation?.drain();
  }

  /** Kills the host as soon as it has committed so many more records, before it lets anything of the last one out. */
  killAfter(records: number): Promise<void> {
    this.#recordsLeft = records;
    return new Promise((resolve) => (this.#killed = resolve));
  }

  get #party(): string {
    return `${this.#name}-host-${this.#count}`;
  }

  #observe(event: Observed): void {
    this.seen.push(event);
    if (event.kind === "committed") {
      this.#recordsLeft -= 1;
      if (this.#recordsLeft === 0) {
        this.crash();
        this.#killed();
      }
    }
  }
}

const lives: Lives[] = [];
afterEach(() => {
  for (const one of lives.splice(0)) one.crash();
});

function paidTo(
  client: Client,
  key: string,
  count: number,
): Promise<{ readonly context: { readonly paid: readonly Note[] } }> {
  return client.agent(ledger, key).waitFor(({ context }) => context.paid.length >= count);
}

function thanksOf(client: Client, count: number): Promise<unknown> {
  return client.agent(shop, "one").waitFor(({ context }) => context.thanked.length >= count);
}

async function errorOf(promise: Promise<unknown> | (() => unknown)): Promise<DormouseError> {
  try {
    await (typeof promise === "function" ? promise() : promise);
  } catch (error) {
    if (error instanceof DormouseError) return error;
  }
  throw new Error("expected a DormouseError");
}

test("an agent of another app takes what it is sent in order, and can answer", async () => {
  const cluster = new MemoryWorld(realClock);
  const shops = await new Lives(cluster, "shops", [shop]).begin();
  const billing = await new Lives(cluster, "billing", [ledger], { partitions: 5 }).begin();
  const one = shops.agent(shop, "one");
  for (const first of [1, 4, 7])
    await one.ask({ type: "pay", to: "billing/ledger/a", ns: [first, first + 1, first + 2] });
  await thanksOf(shops, 9);
  const { context } = await paidTo(billing, "a", 9);
  const ns = Array.from({ length: 9 }, (_, index) => index + 1);
  expect(context.paid).toEqual(ns.map((n) => ({ n, from: "/shops/shop/one" })));
  expect((await one.read())?.context.thanked).toEqual(ns);
  expect((await one.read())?.errorCount).toBe(0);
});

test("messages go to the partitions of the receiver's app, however many it has", async () => {
  const cluster = new MemoryWorld(realClock);
  const shops = await new Lives(cluster, "shops", [shop], { partitions: 1 }).begin();
  const home = new Lives(cluster, "billing", [ledger], { partitions: 7 });
  const billing = await home.begin();
  const keys = Array.from({ length: 20 }, (_, index) => `k/${index}`);
  for (const key of keys)
    await shops.agent(shop, "one").ask({ type: "pay", to: `billing/ledger/${key}`, ns: [1, 2, 3] });
  for (const key of keys) expect((await paidTo(billing, key, 3)).context.paid.map(({ n }) => n)).toEqual([1, 2, 3]);
  expect(home.seen.filter(({ kind }) => kind === "skipped")).toEqual([]);
});

describe("every message is taken once, wherever a host is killed", () => {
  for (const victim of ["shops", "billing"] as const) {
    for (let record = 1; record <= 6; record += 1) {
      test(`${victim}, after record ${record} of its life`, async () => {
        const cluster = new MemoryWorld(realClock);
        const both = { shops: new Lives(cluster, "shops", [shop]), billing: new Lives(cluster, "billing", [ledger]) };
        const shops = await both.shops.begin();
        const billing = await both.billing.begin();
        const killed = both[victim].killAfter(record);
        // What the client sends is kept by the mailbox, whoever lives.
        for (const first of [1, 4]) {
          await shops
            .agent(shop, "one")
            .send({ type: "pay", to: "billing/ledger/a", ns: [first, first + 1, first + 2] });
        }
        // What comes together goes into one record, so there may be fewer.
        await Promise.race([killed, thanksOf(shops, 6)]);
        both[victim].crash();
        await both[victim].begin();
        await thanksOf(shops, 6);
        const ns = [1, 2, 3, 4, 5, 6];
        expect((await paidTo(billing, "a", 6)).context.paid.map(({ n }) => n)).toEqual(ns);
        expect((await shops.agent(shop, "one").read())?.context.thanked).toEqual(ns);
      });
    }
  }
});

test("what waits to learn where it goes outlives its host", async () => {
  const cluster = new MemoryWorld(realClock);
  const home = new Lives(cluster, "shops", [shop]);
  const asked = Promise.withResolvers<void>();
  // The other app's store does not answer in this life.
  const shops = await home.begin((ports) => ({
    ...ports,
    elsewhere: (app) => {
      const { mailbox } = ports.elsewhere?.(app) ?? ports;
      asked.resolve();
      return { mailbox, store: { get: () => new Promise(() => undefined) } };
    },
  }));
  const billing = await new Lives(cluster, "billing", [ledger]).begin();
  await shops.agent(shop, "one").ask({ type: "pay", to: "billing/ledger/a", ns: [1, 2, 3] });
  await asked.promise;
  home.crash();
  await home.begin();
  await thanksOf(shops, 3);
  expect((await paidTo(billing, "a", 3)).context.paid.map(({ n }) => n)).toEqual([1, 2, 3]);
});

test("what is found of an app meanwhile lets nothing overtake what still waits", async () => {
  const cluster = new MemoryWorld(realClock);
  const first = Promise.withResolvers<void>();
  let asked = 0;
  const shops = await new Lives(cluster, "shops", [shop]).begin((ports) => ({
    ...ports,
    elsewhere: (app) => {
      const there = ports.elsewhere?.(app) ?? ports;
      const get: Ports["store"]["get"] = async (name) => {
        asked += 1;
        if (asked === 1) await first.promise;
        return there.store.get(name);
      };
      return { mailbox: there.mailbox, store: { get } };
    },
  }));
  const billing = await new Lives(cluster, "billing", [ledger]).begin();
  // Of two partitions, each with its own outbox.
  const [early = "", late = ""] = ["shop/a", "shop/b", "shop/c"]
    .toSorted((left, right) => partitionOf(left as Address, 2) - partitionOf(right as Address, 2))
    .filter((_, index) => index !== 1)
    .map((address) => address.slice("shop/".length));
  await shops.agent(shop, early).ask({ type: "pay", to: "billing/ledger/a", ns: [1, 2, 3] });
  await shops.agent(shop, late).ask({ type: "pay", to: "billing/ledger/b", ns: [1, 2, 3] });
  await paidTo(billing, "b", 3);
  await shops.agent(shop, early).ask({ type: "pay", to: "billing/ledger/a", ns: [4, 5, 6] });
  await shops.agent(shop, late).ask({ type: "pay", to: "billing/ledger/b", ns: [4, 5, 6] });
  await paidTo(billing, "b", 6);
  first.resolve();
  expect((await paidTo(billing, "a", 6)).context.paid.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6]);
});

test("what the other app has taken is kept no longer", async () => {
  const cluster = new MemoryWorld(realClock);
  const home = new Lives(cluster, "shops", [shop], { partitions: 1 });
  const shops = await home.begin();
  const told = Promise.withResolvers<void>();
  await new Lives(cluster, "billing", [ledger], { partitions: 1 }).begin((ports) => {
    const publish: Ports["channel"]["publish"] = (subject, bytes) => {
      ports.channel.publish(subject, bytes);
      if (decodeTaken(bytes)?.upTo === 3) told.resolve();
    };
    return { ...ports, channel: { ...ports.channel, publish } };
  });
  await shops.agent(shop, "one").ask({ type: "pay", to: "billing/ledger/a", ns: [1, 2, 3] });
  await told.promise;
  await home.drain();
  const bytes = cluster.app("shops").objectBytes("partitions/0") ?? new Uint8Array(0);
  const { outbox } = decodePartition(bytes, "partitions/0").state;
  expect([...outbox].map(([lane, { next, entries }]) => [lane, next, entries.size])).toEqual([["billing/0", 4, 0]]);
});

describe("an app that is not there", () => {
  test("is counted among the sender's errors, and holds up nothing else", async () => {
    const cluster = new MemoryWorld(realClock);
    const home = new Lives(cluster, "shops", [shop, ledger]);
    const shops = await home.begin();
    const one = shops.agent(shop, "one");
    await one.ask({ type: "pay", to: "biling/ledger/a", ns: [1, 2, 3] });
    await one.ask({ type: "pay", to: "ledger/here", ns: [1, 2, 3] });
    await thanksOf(shops, 3);
    await one.waitFor(({ errorCount }) => errorCount === 3);
    const failed = (await Array.fromAsync(one.history())).filter(({ error }) => error !== undefined);
    expect(failed.map(({ cause, error }) => [cause, error?.code])).toEqual(
      Array.from({ length: 3 }, () => ["undelivered", "app.missing"]),
    );
    const skipped = home.seen.filter((event) => event.kind === "skipped");
    expect(skipped.map(({ why }) => why)).toEqual(
      Array.from({ length: 3 }, () => expect.stringContaining("/biling/ledger/a")),
    );
  });

  test("and is made later is found by what is sent then", async () => {
    let aheadMs = 0;
    const clock: Clock = { ...realClock, monotonic: () => realClock.monotonic() + aheadMs };
    const cluster = new MemoryWorld(realClock);
    const shops = await new Lives(cluster, "shops", [shop], { clock }).begin();
    const one = shops.agent(shop, "one");
    await one.ask({ type: "pay", to: "billing/ledger/a", ns: [1, 2, 3] });
    await one.waitFor(({ errorCount }) => errorCount === 3);
    const billing = await new Lives(cluster, "billing", [ledger]).begin();
    aheadMs += 10_000;
    await one.ask({ type: "pay", to: "billing/ledger/a", ns: [4, 5, 6] });
    expect((await paidTo(billing, "a", 3)).context.paid.map(({ n }) => n)).toEqual([4, 5, 6]);
    expect((await one.read())?.errorCount).toBe(3);
  });

  test("or cannot be read, or is another, is told as such", async () => {
    const cluster = new MemoryWorld(realClock);
    const shops = await new Lives(cluster, "shops", [shop]).begin();
    const one = shops.agent(shop, "one");
    cluster.app("torn").overwriteObject("app.json", new TextEncoder().encode("{"));
    const other = { name: "new", birth: "b", partitions: 1, hash: "fnv1a32", format: 1 };
    cluster.app("old").overwriteObject("app.json", new TextEncoder().encode(JSON.stringify(other)));
    await one.ask({ type: "pay", to: "torn/ledger/a", ns: [1, 2, 3] });
    await one.waitFor(({ errorCount }) => errorCount === 3);
    await one.ask({ type: "pay", to: "old/ledger/a", ns: [1, 2, 3] });
    await one.waitFor(({ errorCount }) => errorCount === 6);
    const codes = (await Array.fromAsync(one.history())).flatMap(({ error }) => error?.code ?? []);
    expect(new Set(codes)).toEqual(new Set(["app.unreadable", "app.missing"]));
  });
});

test("where the store holds one app, a message to another is counted among the sender's errors", async () => {
  const shops = await new Lives(new MemoryWorld(realClock), "shops", [shop]).begin(
    ({ elsewhere: _none, ...ports }) => ports,
  );
  const one = shops.agent(shop, "one");
  await one.ask({ type: "pay", to: "billing/ledger/a", ns: [1, 2, 3] });
  await one.waitFor(({ errorCount }) => errorCount === 3);
  const codes = (await Array.fromAsync(one.history())).flatMap(({ error }) => error?.code ?? []);
  expect(new Set(codes)).toEqual(new Set(["app.alone"]));
});

test("an address in full that names its own app stays there, and so does a key with a slash", async () => {
  const home = new Lives(new MemoryWorld(realClock), "shops", [shop, ledger]);
  const shops = await home.begin();
  const one = shops.agent(shop, "one");
  await one.ask({ type: "pay", to: "shops/ledger/a/b", ns: [1, 2, 3] });
  await thanksOf(shops, 3);
  expect((await paidTo(shops, "a/b", 3)).context.paid.map(({ from }) => from)).toEqual(Array(3).fill("shop/one"));
  // Whoever answers by the sender's name reaches it, also where that holds a slash.
  await shops.agent(shop, "o/ne").ask({ type: "pay", to: "ledger/c", ns: [1, 2, 3] });
  const [first] = (await paidTo(shops, "c", 3)).context.paid;
  expect(first?.from).toBe("/shops/shop/o/ne");
  expect(ref(first?.from ?? "").sessionId).toBe("/shops/shop/o/ne");
});

test("a client refuses an agent of another app, and names the way there", async () => {
  const shops = await new Lives(new MemoryWorld(realClock), "shops", [shop]).begin();
  const error = await errorOf(() => shops.agent("billing/ledger", "a"));
  expect(error).toMatchObject({ kind: "invalid", code: "type.invalid" });
  expect(error.message).toContain('connect({ app: "billing" })');
});

test.for([
  { text: "Billing/ledger/a", code: "app.invalid" },
  { text: "billing/Ledger/a", code: "type.invalid" },
  { text: "billing/ledger/", code: "key.invalid" },
  { text: "/billing", code: "address.invalid" },
  { text: "ledger", code: "address.invalid" },
])("ref($text) is refused as $code", async ({ text, code }) => {
  expect(await errorOf(() => ref(text))).toMatchObject({ kind: "invalid", code });
});

test("a ref by definition names another app by an option", async () => {
  expect(ref(ledger, "a/b", { app: "billing" }).sessionId).toBe("/billing/ledger/a/b");
  expect(ref("billing/ledger/a/b").sessionId).toBe("/billing/ledger/a/b");
  expect(await errorOf(() => ref(ledger, "a", { app: "no app" }))).toMatchObject({ code: "app.invalid" });
});
