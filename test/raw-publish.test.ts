/**
 * Goal: what a client without our code publishes is an event like any other: taken once (D4), whatever becomes of its
 * stream or its host; and what is none is skipped and told (D9).
 *
 * Method: a world of memory that is published to past the client; hosts one after another, whose store and mailbox are held
 * where a crash or a stream that goes backwards is to meet them.
 */
import { type Client, makeClient } from "@dormouse/client";
import { agent, type Ask, type Incarnation, message, type Observed, reply, startIncarnation } from "@dormouse/core";
import type { Mailbox, Ports } from "@dormouse/core/ports";
import { type Address, partitionOf } from "@dormouse/core/protocol";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { afterEach, expect, test } from "vitest";
import { assign, fromPromise, setup } from "xstate";

/** The ids of all messages that a step was computed for, committed or not. */
const computed: string[] = [];

type Events =
  | { type: "add"; n: number; padding?: string }
  | { type: "wait" }
  | Ask<{ type: "told" }, true>
  | { type: "fail" };

let waited = Promise.withResolvers<void>();

const tally = agent("tally", {
  machine: setup({
    types: {} as { context: { ns: readonly number[]; waited: number }; events: Events },
    actors: { wait: fromPromise(() => waited.promise) },
  }).createMachine({
    context: { ns: [], waited: 0 },
    initial: "idle",
    on: {
      add: {
        actions: assign({
          ns: ({ context, event }) => {
            computed.push(message().id);
            return [...context.ns, event.n];
          },
        }),
      },
      told: { actions: reply(true) },
      fail: {
        actions: assign(() => {
          throw new Error("out of order");
        }),
      },
    },
    states: {
      idle: { on: { wait: "waiting" } },
      waiting: {
        invoke: {
          src: "wait",
          onDone: { target: "idle", actions: assign({ waited: ({ context }) => context.waited + 1 }) },
        },
      },
    },
  }),
});

/** Hosts one after another on one world. */
class Lives {
  readonly world = new MemoryWorld(realClock);
  readonly observed: Observed[] = [];
  readonly #partitions: number;
  readonly #looking = new Set<() => void>();
  #count = 0;
  #incarnation: Incarnation | undefined;

  constructor(partitions = 1) {
    this.#partitions = partitions;
    lives.push(this);
  }

  async begin(
    wrap: (ports: Ports) => Ports = (ports) => ports,
    seen: (event: Observed) => void = () => undefined,
  ): Promise<Client> {
    this.#count += 1;
    const ports = this.world.open(`host-${this.#count}`, { clock: realClock, entropy: realEntropy });
    this.#incarnation = await startIncarnation({
      agents: [tally],
      ports: wrap(ports),
      partitions: this.#partitions,
      isCautious: false,
      observe: (event) => {
        this.observed.push(event);
        for (const look of this.#looking) look();
        seen(event);
      },
    });
    return makeClient({ app: this.#incarnation.app, ports });
  }

  /** Resolves when what was observed meets a condition. */
  until(isMet: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!isMet()) return;
        this.#looking.delete(look);
        resolve();
      };
      this.#looking.add(look);
      look();
    });
  }

  crash(): void {
    this.#incarnation?.kill();
    this.world.end(`host-${this.#count}`);
  }

  publish(
    event: unknown,
    { key = "a", partition = 0 }: { readonly key?: string; readonly partition?: number } = {},
  ): void {
    this.publishBytes(new TextEncoder().encode(JSON.stringify(event)), { key, partition });
  }

  publishBytes(
    bytes: Uint8Array,
    {
      type = "tally",
      key = "a",
      partition = 0,
    }: { readonly type?: string; readonly key?: string; readonly partition?: number } = {},
  ): void {
    this.world.publishRaw(partition, { type, key }, bytes);
  }

  skipped(): readonly string[] {
    return this.observed.flatMap((event) => (event.kind === "skipped" ? [event.error?.code ?? event.why] : []));
  }
}

const lives: Lives[] = [];
afterEach(() => {
  for (const one of lives.splice(0)) one.crash();
  computed.length = 0;
  waited = Promise.withResolvers();
});

/** What an agent has taken, when all that was published before is. */
async function taken(client: Client, key = "a"): Promise<readonly number[] | undefined> {
  await client.agent(tally, key).ask({ type: "told" });
  return (await client.agent(tally, key).read())?.context.ns;
}

/** Holds calls until it is opened. */
class Gate {
  readonly #opened = Promise.withResolvers<void>();
  readonly #reached = Promise.withResolvers<void>();
  isShut = false;

  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  async pass(): Promise<void> {
    if (!this.isShut) return;
    this.#reached.resolve();
    await this.#opened.promise;
  }

  open(): void {
    this.isShut = false;
    this.#opened.resolve();
  }
}

/** Holds what readers give out. */
function holdReads(mailbox: Mailbox, gate: Gate): Mailbox {
  return {
    ...mailbox,
    read: (partition, from) => {
      const reader = mailbox.read(partition, from);
      const next = async (messagesMax: number) => {
        const messages = await reader.next(messagesMax);
        await gate.pass();
        return messages;
      };
      return { next, close: () => reader.close() };
    },
  };
}

/** Holds the reading of agents. */
function holdHeads(ports: Ports, gate: Gate): Ports {
  const get: Ports["store"]["get"] = async (name) => {
    if (name.startsWith("agents/")) await gate.pass();
    return ports.store.get(name);
  };
  return { ...ports, store: { ...ports.store, get } };
}

test("a raw publish is a plain event, and begins its agent", async () => {
  const one = new Lives();
  const client = await one.begin();
  one.publish({ type: "add", n: 1 });
  one.publish({ type: "add", n: 2 });
  one.publish({ type: "fail" });
  one.publish({ type: "add", n: 3 });
  expect(await taken(client)).toEqual([1, 2, 3]);
  const [init, first] = await Array.fromAsync(client.agent(tally, "a").history());
  expect(init?.cause).toBe("start");
  expect(first).toMatchObject({ cause: "event", from: undefined, event: { type: "add", n: 1 } });
  expect((await client.agent(tally, "a").read())?.errorCount).toBe(1);
  for (const id of computed) expect(id).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
  expect(new Set(computed).size).toBe(3);
});

test("one whose step was not committed is read again as the same message", async () => {
  const one = new Lives();
  const client = await one.begin();
  expect(await taken(client)).toEqual([]);
  one.crash();
  const stalled = Promise.withResolvers<void>();
  await one.begin((ports) => {
    const put: Ports["store"]["put"] = async (name, bytes, condition) => {
      if (!name.startsWith("journal/") || computed.length === 0) return ports.store.put(name, bytes, condition);
      stalled.resolve();
      return new Promise(() => undefined);
    };
    return { ...ports, store: { ...ports.store, put } };
  });
  one.publish({ type: "add", n: 1 });
  await stalled.promise;
  one.crash();
  const again = await one.begin();
  expect(await taken(again)).toEqual([1]);
  expect(computed.length).toBe(2);
  expect(new Set(computed).size, "one id").toBe(1);
});

test("a crash between the records of one backlog takes none of it twice", async () => {
  const one = new Lives();
  await one.begin();
  one.crash();
  // More than a record holds, handed out while the agent is being read.
  const ns = Array.from({ length: 12 }, (_, n) => n);
  for (const n of ns) one.publish({ type: "add", n, padding: "x".repeat(900_000) });
  const gate = new Gate();
  gate.isShut = true;
  let entries = 0;
  const crashed = Promise.withResolvers<void>();
  const started = one.begin(
    (ports) => holdHeads(ports, gate),
    (event) => {
      if (event.kind !== "committed") return;
      entries += event.entries;
      one.crash();
      crashed.resolve();
    },
  );
  started.catch(() => undefined);
  await gate.reached;
  gate.open();
  await crashed.promise;
  expect(entries, "one record held some").toBeGreaterThan(2);
  expect(entries, "and not all").toBeLessThan(ns.length);
  const client = await one.begin();
  expect(await taken(client)).toEqual(ns);
});

test("one that came to another partition, or in another encoding, goes on to its own", async () => {
  const one = new Lives(4);
  const client = await one.begin();
  const here = partitionOf("tally/käse b" as Address, 4);
  for (let partition = 0; partition < 4; partition += 1) {
    one.publish({ type: "add", n: partition }, { key: "k~C3~A4se~20b", partition });
    one.publish({ type: "add", n: 10 + partition }, { key: "k~c3~a4~73e~20b", partition });
    one.publish({ type: "add", n: 20 + partition }, { key: "k\u00e4se b", partition });
  }
  const expected = [0, 10, 20].flatMap((first) => [0, 1, 2, 3].map((partition) => first + partition));
  const { context } = await client
    .agent(tally, "käse b")
    .waitFor((state) => state.context.ns.length >= expected.length);
  expect([...context.ns].toSorted((left, right) => left - right)).toEqual(
    expected.toSorted((left, right) => left - right),
  );
  expect(one.skipped().filter((why) => why.includes("passed on")).length).toBe(9);
  one.publish({ type: "add", n: 99 }, { key: "k~C3~A4se~20b", partition: here });
  expect((await taken(client, "käse b"))?.at(-1)).toBe(99);
});

test.for([
  { what: "no JSON", bytes: "{", code: "raw.not-json" },
  { what: "no UTF-8", bytes: Uint8Array.of(0x22, 0xff, 0x22), code: "raw.not-json" },
  { what: "nothing", bytes: "", code: "raw.not-json" },
  { what: "no object", bytes: '"add"', code: "raw.not-event" },
  { what: "a list", bytes: '[{"type":"add"}]', code: "raw.not-event" },
  { what: "null", bytes: "null", code: "raw.not-event" },
  { what: "no type", bytes: '{"n":1}', code: "raw.not-event" },
  { what: "a type that is no text", bytes: '{"type":1}', code: "raw.not-event" },
  { what: "an empty type", bytes: '{"type":""}', code: "raw.not-event" },
  { what: "an event of XState's own", bytes: '{"type":"xstate.init"}', code: "event.reserved" },
  {
    what: "an event too deep",
    bytes: `{"type":"add","n":${"[".repeat(400)}${"]".repeat(400)}}`,
    code: "event.not-data",
  },
  { what: "one too large", bytes: `{"type":"add","n":"${"x".repeat(1_048_576)}"}`, code: "raw.too-large" },
  { what: "an ill-formed type", bytes: '{"type":"add"}', type: "Tally", code: "type.invalid" },
  { what: "an ill-formed key", bytes: '{"type":"add"}', key: "a~4", code: "address.encoding" },
  { what: "a key that is no UTF-8", bytes: '{"type":"add"}', key: "~FF", code: "address.encoding" },
  { what: "an empty key", bytes: '{"type":"add"}', key: "", code: "key.invalid" },
  { what: "a key too long", bytes: '{"type":"add"}', key: "k".repeat(257), code: "key.invalid" },
  { what: "a child's key", bytes: '{"type":"add"}', key: "~7Echild", code: "key.reserved" },
] as const)("$what is skipped and told, and what comes after is taken", async ({ bytes, code, ...to }) => {
  const one = new Lives();
  const client = await one.begin();
  one.publishBytes(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes, to);
  one.publish({ type: "add", n: 1 });
  expect(await taken(client)).toEqual([1]);
  expect(one.skipped()).toEqual([code]);
  expect(JSON.stringify(one.observed), "nothing of what it held is told").not.toContain("xxxx");
  one.crash();
  expect(await taken(await one.begin())).toEqual([1]);
});

test("one for a type that no host runs is kept until one does", async () => {
  const one = new Lives();
  const client = await one.begin();
  one.publishBytes(new TextEncoder().encode('{"type":"add","n":1}'), { type: "other" });
  one.publish({ type: "add", n: 1 });
  expect(await taken(client)).toEqual([1]);
  const [refused] = one.observed.filter(({ kind }) => kind === "refused");
  expect(refused).toMatchObject({ agent: "other/a", error: { code: "agent.unknown-type" } });
});

// ------------------------------------------------------------------------------------------------- a stream that goes backwards

test("of a lost tail whose numbers are given again, the new ones are taken and the old ones not again", async () => {
  const one = new Lives();
  const first = await one.begin();
  for (let n = 1; n <= 6; n += 1) one.publish({ type: "add", n });
  expect(await taken(first)).toEqual([1, 2, 3, 4, 5, 6]);
  one.crash();
  // The client's opening and question went last; then four of the six.
  one.world.loseTail(0, 6);
  for (let n = 7; n <= 16; n += 1) one.publish({ type: "add", n });
  const client = await one.begin();
  expect(await taken(client)).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
  expect(one.observed.some(({ kind }) => kind === "regressed")).toBe(true);
  one.crash();
  expect(await taken(await one.begin())).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
});

test("a crash while a stream that went backwards is read again takes none twice", async () => {
  const one = new Lives();
  const gate = new Gate();
  const client = await one.begin((ports) => ({ ...ports, mailbox: holdReads(ports.mailbox, gate) }));
  for (let n = 1; n <= 3; n += 1) one.publish({ type: "add", n });
  one.publish({ type: "wait" });
  expect(await taken(client)).toEqual([1, 2, 3]);
  gate.isShut = true;
  one.world.loseTail(0, 1);
  await gate.reached;
  // What happens beside the mailbox commits a position of which nothing was read again yet.
  waited.resolve();
  await client.agent(tally, "a").waitFor(({ context }) => context.waited === 1);
  one.crash();
  const again = await one.begin();
  expect(await taken(again)).toEqual([1, 2, 3]);
  // Twice in a row, nothing of the first is forgotten.
  one.crash();
  one.world.loseTail(0, 1);
  expect(await taken(await one.begin())).toEqual([1, 2, 3]);
});

test("one whose agent is being read while the stream goes backwards is taken once", async () => {
  const one = new Lives();
  const heads = new Gate();
  heads.isShut = true;
  const client = await one.begin((ports) => holdHeads(ports, heads));
  one.publish({ type: "add", n: 1 });
  one.publish({ type: "add", n: 2 });
  await heads.reached;
  const caughtUp = one.observed.filter(({ kind }) => kind === "caught-up").length;
  one.world.loseTail(0, 1);
  await one.until(() => one.observed.filter(({ kind }) => kind === "caught-up").length > caughtUp);
  heads.open();
  // The second is in no stream any more; but it was read from it, as good as any.
  expect(await taken(client)).toEqual([1, 2]);
  one.crash();
  expect(await taken(await one.begin())).toEqual([1, 2]);
});

test("one that is decided between the loss and the new reading is taken once", async () => {
  const one = new Lives();
  const heads = new Gate();
  const reads = new Gate();
  heads.isShut = true;
  const client = await one.begin((ports) => ({
    ...holdHeads(ports, heads),
    mailbox: holdReads(ports.mailbox, reads),
  }));
  one.publish({ type: "add", n: 1 });
  one.publish({ type: "add", n: 2 });
  await heads.reached;
  reads.isShut = true;
  one.world.loseTail(0, 1);
  await reads.reached;
  await one.until(() => one.observed.some(({ kind }) => kind === "regressed"));
  heads.open();
  await client.agent(tally, "a").waitFor(({ context }) => context.ns.length === 2);
  reads.open();
  expect(await taken(client)).toEqual([1, 2]);
  one.crash();
  expect(await taken(await one.begin())).toEqual([1, 2]);
});
