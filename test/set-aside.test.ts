/**
 * Agents that are set aside, and what is kept for them: taken back, gone on without, removed; nothing else is lost (D4, D9).
 *
 * Method: hosts one after another on a world in memory, with agents whose code changes between them; objects of the store
 * are damaged where an agent is to be unreadable.
 */
import { type Client, makeClient } from "@dormouse/client";
import { type Incarnation, startIncarnation } from "@dormouse/core";
import type { Ports } from "@dormouse/core/ports";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { agent, type AnyAgentDefinition, type Ask, DormouseError, durable, type Observed, reply } from "@dormouse/sdk";
import { assign, fromPromise, sendTo, setup } from "xstate";
import { describe, expect, test } from "vitest";

/** A world, and one host in it after another. */
class Lives implements AsyncDisposable {
  readonly world = new MemoryWorld(realClock);
  incarnation: Incarnation | undefined;
  #count = 0;
  #observed: { readonly kind: Observed["kind"]; readonly agent: string }[] = [];
  readonly #looking = new Set<() => void>();

  async begin(
    agents: readonly AnyAgentDefinition[],
    wrap: (ports: Ports) => Ports = (ports) => ports,
    settings: { readonly parkMs?: number } = {},
  ): Promise<Client> {
    this.#count += 1;
    const ports = wrap(this.world.open(`host-${this.#count}`, { clock: realClock, entropy: realEntropy }));
    const observe = (event: Observed): void => {
      if ("agent" in event) this.#observed.push({ kind: event.kind, agent: event.agent });
      for (const look of this.#looking) look();
    };
    this.incarnation = await startIncarnation({ agents, ports, partitions: 1, settings, observe });
    return makeClient({ app: this.incarnation.app, ports });
  }

  get isFirst(): boolean {
    return this.#count === 1;
  }

  crash(): void {
    this.incarnation?.kill();
    this.world.end(`host-${this.#count}`);
    this.#observed = [];
  }

  /** Resolves when this life's host has said so of an agent whose address begins like this. */
  said(kind: Observed["kind"], prefix: string): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!this.#observed.some((one) => one.kind === kind && one.agent.startsWith(prefix))) return;
        this.#looking.delete(look);
        resolve();
      };
      this.#looking.add(look);
      look();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.crash();
  }
}

/** Remembers its edits, in one state under a name that a change of the code takes away. */
function doc(draft: "drafting" | "writing"): AnyAgentDefinition {
  type Events = Ask<{ type: "edit"; n: number | string }, readonly (number | string)[]>;
  return agent("doc", {
    machine: setup({ types: {} as { context: { edits: readonly (number | string)[] }; events: Events } }).createMachine(
      {
        context: { edits: [] },
        initial: draft,
        states: {
          [draft]: {
            on: {
              edit: {
                actions: [
                  assign({ edits: ({ context, event }) => [...context.edits, event.n] }),
                  reply(({ context }) => context.edits),
                ],
              },
            },
          },
        },
      },
    ),
  });
}

/** Too long for a head, also compressed. */
const longText = Array.from({ length: 4_000 }, (_, index) => Math.sin(index)).join();

/** Passes edits on to a doc of its own. */
function desk(draft: "drafting" | "writing"): readonly AnyAgentDefinition[] {
  const child = doc(draft);
  const machine = setup({ actors: { doc: child.logic } }).createMachine({
    invoke: { id: "doc", src: "doc" },
    on: { edit: { actions: sendTo("doc", ({ event }) => event) } },
  });
  return [child, agent("desk", { machine })];
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "none",
    (error: unknown) => (error instanceof DormouseError ? error.code : String(error)),
  );
}

/** Agents of these keys that took edit 0, on a host whose code they are not fit for. */
async function unfit(lives: Lives, ...keys: readonly string[]): Promise<Client> {
  const before = await lives.begin([doc("drafting")]);
  for (const key of keys) await before.agent("doc", key).ask({ type: "edit", n: 0 });
  lives.crash();
  return lives.begin([doc("writing")]);
}

describe("skip", () => {
  test("drops the message that the agent stumbled over, and no other", async () => {
    await using lives = new Lives();
    const second = await unfit(lives, "one");
    for (const n of [1, 2, 3]) await second.agent("doc", "one").send({ type: "edit", n });
    expect(await codeOf(second.agent("doc", "one").ask({ type: "edit", n: 4 }))).toBe("agent.quarantined");
    lives.crash();
    const third = await lives.begin([doc("drafting")]);
    expect(await third.agent("doc", "one").resume({ skip: true })).toEqual({ wasSetAside: true, isSkipped: true });
    expect(await third.agent("doc", "one").ask({ type: "edit", n: 5 })).toEqual([0, 2, 3, 5]);
    expect(await third.quarantined()).toEqual([]);
  });

  test("leaves an agent set aside that still cannot step, and says why", async () => {
    await using lives = new Lives();
    const bad = await unfit(lives, "acme");
    const acme = bad.agent("doc", "acme");
    await acme.send({ type: "edit", n: 1 });
    await lives.said("quarantined", "doc/acme");
    expect(await codeOf(acme.resume())).toBe("machine.state-removed");
    expect(await bad.quarantined()).toMatchObject([{ agent: "doc/acme", shelved: 1 }]);
    expect(await codeOf(acme.resume({ skip: true }))).toBe("machine.state-removed");
    lives.crash();
    const mended = await lives.begin([doc("drafting")]);
    expect(await mended.agent("doc", "acme").resume()).toEqual({ wasSetAside: true, isSkipped: false });
    expect(await mended.agent("doc", "acme").ask({ type: "edit", n: 2 })).toEqual([0, 2]);
  });

  test("drops nothing where what the agent stumbled over is not among what is kept", async () => {
    await using lives = new Lives();
    const second = await unfit(lives, "one");
    expect(await codeOf(second.agent("doc", "one").ask({ type: "edit", n: 1 }))).toBe("machine.state-removed");
    for (const n of [2, 3]) await second.agent("doc", "one").send({ type: "edit", n });
    expect((await second.quarantined()).map(({ shelved }) => shelved)).toEqual([2]);
    lives.crash();
    const third = await lives.begin([doc("drafting")]);
    expect(await third.agent("doc", "one").resume({ skip: true })).toEqual({ wasSetAside: true, isSkipped: false });
    expect(await third.agent("doc", "one").ask({ type: "edit", n: 5 })).toEqual([0, 2, 3, 5]);
  });

  test("drops nothing of what waits for an agent that was not set aside", async () => {
    await using lives = new Lives();
    const first = await lives.begin([]);
    await first.agent("doc", "one").send({ type: "edit", n: 1 });
    expect(await first.agent("doc", "one").resume({ skip: true })).toEqual({ wasSetAside: false, isSkipped: false });
    lives.crash();
    const second = await lives.begin([doc("drafting")]);
    expect(await second.agent("doc", "one").ask({ type: "edit", n: 2 })).toEqual([1, 2]);
  });
});

test.for([{ skip: false }, { skip: true }])(
  "an agent that is not there cannot be taken back: $skip",
  async (options) => {
    await using lives = new Lives();
    const client = await lives.begin([doc("drafting")]);
    expect(await codeOf(client.agent("doc", "nobody").resume(options))).toBe("agent.not-started");
    expect(await codeOf(client.agent("unheard", "of").resume(options))).toBe("agent.unknown-type");
    await client.agent("doc", "one").start();
    expect(await client.agent("doc", "one").resume(options)).toEqual({ wasSetAside: false, isSkipped: false });
  },
);

/** All reads of heads are answered in one turn, so that all steps of what was kept are in one queue for the journal. */
function headsTogether(ports: Ports, count: number): Ports {
  const all = Promise.withResolvers<void>();
  let left = count;
  const get: Ports["store"]["get"] = async (name) => {
    const object = await ports.store.get(name);
    if (!name.endsWith("/head")) return object;
    left -= 1;
    if (left === 0) all.resolve();
    await all.promise;
    return object;
  };
  return { ...ports, store: { ...ports.store, get } };
}

/** Calls `die` when so many objects of journals are stored: the seal of the host before, then its own records. */
function diesAfter(ports: Ports, records: number, die: () => void): Ports {
  let left = records;
  const put: Ports["store"]["put"] = async (name, ...rest) => {
    const answer = await ports.store.put(name, ...rest);
    if (!name.startsWith("journal/") || name.endsWith("/trim")) return answer;
    left -= 1;
    if (left === 0) die();
    return answer;
  };
  return { ...ports, store: { ...ports.store, put } };
}

test.for([1, 2, 3, 4])(
  "what begins an agent off the shelf is not lost to a crash between two records: after %i",
  async (records) => {
    await using lives = new Lives();
    const first = await lives.begin([]);
    // Events of such a size that records end between them and the small entries that go before each.
    const keys = Array.from({ length: 12 }, (_, index) => `key-${index}`);
    const long = "x".repeat(900_000);
    for (const key of keys) await first.agent("doc", key).send({ type: "edit", n: long });
    lives.crash();

    const died = Promise.withResolvers<void>();
    const die = (): void => {
      lives.crash();
      died.resolve();
    };
    // Who dies while it starts never says so.
    void lives.begin([doc("drafting")], (ports) => diesAfter(headsTogether(ports, keys.length), records, die));
    await died.promise;

    const third = await lives.begin([doc("drafting")]);
    for (const key of keys) {
      const edits = (await third.agent("doc", key).ask({ type: "edit", n: 2 })) as readonly unknown[];
      expect(edits.map((edit) => (edit === long ? 1 : edit))).toEqual([1, 2]);
    }
  },
);

test.for([
  ["note", "begins anew after its next attempt is recorded", [1, 2]],
  ["again", "that a kept message asks for begins once", [1, 1]],
] as const)("of an agent for which %s was kept, an effect %s", async ([type, , expected]) => {
  await using lives = new Lives();
  const attempts: number[] = [];
  const payer = agent("payer", {
    machine: setup({
      types: {} as { context: object; events: Ask<{ readonly type: "note" | "again" }, string> },
      actors: {
        pay: fromPromise(async (given) => {
          const { attempt } = given as unknown as { readonly attempt: number };
          attempts.push(attempt);
          // The first host dies over it.
          if (lives.isFirst) await new Promise(() => undefined);
        }),
      },
    }).createMachine({
      context: {},
      initial: "paying",
      on: { note: { actions: reply("noted") }, again: { target: ".paying", reenter: true } },
      states: { paying: { invoke: { id: "pay", src: "pay", onDone: "paid" } }, paid: {} },
    }),
  });
  const first = await lives.begin([payer]);
  await first.agent("payer", "one").start();
  await lives.said("effect-started", "payer/one");
  lives.crash();
  const second = await lives.begin([]);
  await second.agent("payer", "one").send({ type });
  expect(await codeOf(second.agent("payer", "one").ask({ type }))).toBe("agent.unknown-type");
  lives.crash();
  const third = await lives.begin([payer]);
  await third.agent("payer", "one").waitFor(({ value }) => value === "paid");
  expect(attempts).toEqual(expected);
});

/** The key of a child that was set aside, on a host whose code it is fit for again. */
async function childSetAside(lives: Lives): Promise<{ readonly client: Client; readonly key: string }> {
  const first = await lives.begin(desk("drafting"));
  await first.agent("desk", "one").start();
  await lives.said("stepped", "doc/~");
  lives.crash();
  const second = await lives.begin(desk("writing"));
  for (const n of [1, 2]) await second.agent("desk", "one").send({ type: "edit", n });
  await lives.said("quarantined", "doc/~");
  const [key = ""] = (await second.quarantined()).map((view) => view.agent.replace("doc/", ""));
  lives.crash();
  return { client: await lives.begin(desk("drafting")), key };
}

describe("a child that is set aside", () => {
  test("is read, and taken back, by its address", async () => {
    await using lives = new Lives();
    const { client, key } = await childSetAside(lives);
    const child = client.agent("doc", key);
    expect((await child.read())?.context).toEqual({ edits: [] });
    expect(await child.resume()).toEqual({ wasSetAside: true, isSkipped: false });
    await client.agent("desk", "one").send({ type: "edit", n: 3 });
    await child.waitFor(({ context }) => context.edits.length === 3);
    expect((await child.read())?.context).toEqual({ edits: [1, 2, 3] });
    expect((await Array.fromAsync(child.history())).map(({ cause }) => cause)).toEqual([
      "start",
      "event",
      "event",
      "event",
    ]);
  });

  test("goes on without what it stumbled over", async () => {
    await using lives = new Lives();
    const { client, key } = await childSetAside(lives);
    const child = client.agent("doc", key);
    expect(await child.resume({ skip: true })).toEqual({ wasSetAside: true, isSkipped: true });
    await child.waitFor(({ context }) => context.edits.length === 1);
    expect((await child.read())?.context).toEqual({ edits: [2] });
  });
});

describe("remove", () => {
  test("frees the key of an agent that is set aside at once, and drops what was kept for it", async () => {
    await using lives = new Lives();
    const second = await unfit(lives, "one");
    for (const n of [1, 2]) await second.agent("doc", "one").send({ type: "edit", n });
    await second.agent("doc", "one").remove();
    expect(await second.quarantined()).toEqual([]);
    expect(await second.agent("doc", "one").start()).toEqual({ created: true });
    expect(await second.agent("doc", "one").ask({ type: "edit", n: 3 })).toEqual([3]);
    await second.agent("doc", "one").remove();
    lives.crash();
    const third = await lives.begin([doc("drafting")]);
    expect(await third.agent("doc", "one").ask({ type: "edit", n: 4 })).toEqual([4]);
  });

  test("of an agent whose type is missing drops what was kept for it", async () => {
    await using lives = new Lives();
    const first = await lives.begin([]);
    await first.agent("doc", "one").send({ type: "edit", n: 1 });
    await first.agent("doc", "one").remove();
    lives.crash();
    const second = await lives.begin([doc("drafting")]);
    expect(await second.agent("doc", "one").read()).toBeUndefined();
    expect(await second.agent("doc", "one").ask({ type: "edit", n: 2 })).toEqual([2]);
  });

  const head = "agents/doc/one/head";
  const damages: { readonly [what: string]: (world: MemoryWorld) => void } = {
    "is damaged": (world) => world.overwriteObject(head, world.objectBytes(head)?.fill(0, 20)),
    "is empty": (world) => world.overwriteObject(head, new Uint8Array(0)),
    "names an object that is missing": (world) => {
      const parts = world.objectNames("agents/doc/one/").filter((name) => name !== head);
      expect(parts).not.toEqual([]);
      for (const name of parts) world.overwriteObject(name, undefined);
    },
  };

  test.for(Object.keys(damages))("frees the key of an agent whose head %s", async (what) => {
    await using lives = new Lives();
    const first = await lives.begin([doc("drafting")]);
    for (const n of [1, longText]) await first.agent("doc", "one").ask({ type: "edit", n });
    await first.agent("doc", "other").ask({ type: "edit", n: 1 });
    await lives.incarnation?.settle();
    await first.agent("doc", "one").ask({ type: "edit", n: 3 });
    const { seq: seqBefore = 0 } = (await first.agent("doc", "one").read()) ?? {};
    lives.crash();
    damages[what]?.(lives.world);

    const second = await lives.begin([doc("drafting")]);
    const one = second.agent("doc", "one");
    expect(await codeOf(one.ask({ type: "edit", n: 3 }))).toMatch(/^object\./);
    await one.send({ type: "edit", n: 3 });
    expect((await second.quarantined()).map(({ agent: address }) => address)).toEqual(["doc/one"]);
    await one.remove();
    expect(await second.quarantined()).toEqual([]);
    expect(await one.read()).toBeUndefined();
    lives.crash();

    // Removed, and that not settled yet: the head is as damaged as before.
    const third = await lives.begin([doc("drafting")]);
    expect(await third.agent("doc", "one").ask({ type: "edit", n: 4 })).toEqual([4]);
    const seq = (await third.agent("doc", "one").read())?.seq ?? 0;
    expect(seq).toBeGreaterThan(seqBefore + 1);
    lives.crash();
    const fourth = await lives.begin([doc("drafting")]);
    expect((await fourth.agent("doc", "one").read())?.seq).toBe(seq);
    await lives.incarnation?.settle();
    lives.crash();

    const fifth = await lives.begin([doc("drafting")]);
    expect(await fifth.agent("doc", "one").ask({ type: "edit", n: 5 })).toEqual([4, 5]);
    const steps = await Array.fromAsync(fifth.agent("doc", "one").history({ from: seq - 1 }));
    expect(steps.map((step) => step.seq)).toEqual([seq - 1, seq, seq + 1]);
    expect(await fifth.agent("doc", "other").ask({ type: "edit", n: 2 })).toEqual([1, 2]);
  });
});

/** What is still so while nobody has mended it. */
async function checkSetAside(client: Client): Promise<void> {
  expect(await codeOf(client.agent("doc", "one").ask({ type: "edit", n: 9 }))).toBe("agent.quarantined");
  const set = (await client.quarantined()).map(({ agent: address, error }) => [address, error["kind"]]);
  expect(set).toEqual([["doc/one", "corrupt"]]);
}

/** A minute later, by the clock of its host. */
function later({ clock, ...ports }: Ports): Ports {
  return { ...ports, clock: { ...clock, now: () => clock.now() + 60_000 } };
}

describe("an agent that nobody sends anything, and cannot be read when its next owner loads it", () => {
  let isPaid = false;
  const pay = fromPromise(async () => (isPaid ? 1 : new Promise<number>(() => undefined)));
  const waiters = {
    effect: setup({ actors: { pay } }).createMachine({
      initial: "waiting",
      states: { waiting: { invoke: { id: "pay", src: "pay", onDone: "done" } }, done: {} },
    }),
    timer: setup({}).createMachine({
      initial: "waiting",
      states: { waiting: { after: { 30_000: "done" } }, done: {} },
    }),
  };

  test.for(["effect", "timer"] as const)("is set aside; taken back, it goes on with its %s", async (what) => {
    await using lives = new Lives();
    isPaid = false;
    const waiter = agent("waiter", { machine: waiters[what] });
    const first = await lives.begin([waiter]);
    await first.agent("waiter", "one").start();
    await lives.incarnation?.settle();
    lives.crash();
    const head = "agents/waiter/one/head";
    const before = lives.world.objectBytes(head);
    lives.world.overwriteObject(head, before?.slice(0, 20));
    // By whose clock the timer is due.
    const second = await lives.begin([waiter], later);
    await lives.said("quarantined", "waiter/one");
    expect((await second.quarantined()).map(({ agent: address }) => address)).toEqual(["waiter/one"]);
    lives.world.overwriteObject(head, before);
    isPaid = true;
    expect(await second.agent("waiter", "one").resume()).toEqual({ wasSetAside: true, isSkipped: false });
    await second.agent("waiter", "one").waitFor(({ value }) => value === "done");
    expect(await second.quarantined()).toEqual([]);
  });
});

describe("an agent in memory whose head is changed by hand", () => {
  const head = "agents/doc/one/head";
  const damages: { readonly [what: string]: (world: MemoryWorld, older: Uint8Array | undefined) => void } = {
    "is cut short": (world) => world.overwriteObject(head, world.objectBytes(head)?.subarray(0, 20)),
    "is deleted": (world) => world.overwriteObject(head, undefined),
    "is an older one": (world, older) => world.overwriteObject(head, older),
  };

  /** A host with two agents, of which one has steps that its head, which is not what it was, does not have. */
  async function damaged(lives: Lives, what: string): Promise<{ readonly client: Client; readonly mend: () => void }> {
    const client = await lives.begin([doc("drafting")]);
    let older: Uint8Array | undefined;
    for (const n of [1, 2]) {
      older = lives.world.objectBytes(head);
      for (const key of ["one", "other"]) await client.agent("doc", key).ask({ type: "edit", n });
      await lives.incarnation?.settle();
    }
    const was = lives.world.objectBytes(head);
    damages[what]?.(lives.world, older);
    for (const key of ["one", "other"]) await client.agent("doc", key).ask({ type: "edit", n: 3 });
    await lives.incarnation?.settle();
    await lives.said("quarantined", "doc/one");
    return { client, mend: () => lives.world.overwriteObject(head, was) };
  }

  test.for(Object.keys(damages))("is set aside, and no other, until that is mended: %s", async (what) => {
    await using lives = new Lives();
    const { client, mend } = await damaged(lives, what);
    await checkSetAside(client);
    expect(await client.agent("doc", "other").ask({ type: "edit", n: 4 })).toEqual([1, 2, 3, 4]);
    await lives.incarnation?.settle();
    await lives.incarnation?.passivateAll();
    mend();
    await client.agent("doc", "one").resume();
    expect(await client.agent("doc", "one").ask({ type: "edit", n: 4 })).toEqual([1, 2, 3, 4]);
    await lives.incarnation?.settle();
    expect(await client.quarantined()).toEqual([]);
    lives.crash();
    const next = await lives.begin([doc("drafting")]);
    expect(await next.agent("doc", "one").ask({ type: "edit", n: 5 })).toEqual([1, 2, 3, 4, 5]);
    const steps = await Array.fromAsync(next.agent("doc", "one").history());
    expect(steps.map(({ seq }) => seq)).toEqual(steps.map((_, index) => index + 1));
  });

  test.for(Object.keys(damages))("loses nothing to a crash that comes before that is mended: %s", async (what) => {
    await using lives = new Lives();
    const { mend } = await damaged(lives, what);
    for (const n of [4, 5]) {
      lives.crash();
      const next = await lives.begin([doc("drafting")]);
      await checkSetAside(next);
      expect(await next.agent("doc", "other").ask({ type: "edit", n })).toContain(3);
      await lives.incarnation?.settle();
    }
    lives.crash();
    mend();
    const last = await lives.begin([doc("drafting")]);
    await last.agent("doc", "one").resume();
    expect(await last.agent("doc", "one").ask({ type: "edit", n: 4 })).toEqual([1, 2, 3, 4]);
    expect(await last.agent("doc", "other").ask({ type: "edit", n: 6 })).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test.for(Object.keys(damages))("can be removed: %s", async (what) => {
    await using lives = new Lives();
    const { client } = await damaged(lives, what);
    await client.agent("doc", "one").remove();
    expect(await client.agent("doc", "one").ask({ type: "edit", n: 1 })).toEqual([1]);
    await lives.incarnation?.settle();
    lives.crash();
    const next = await lives.begin([doc("drafting")]);
    expect(await next.agent("doc", "one").ask({ type: "edit", n: 2 })).toEqual([1, 2]);
    expect(await next.quarantined()).toEqual([]);
  });

  test("does not keep its host from draining", async () => {
    await using lives = new Lives();
    const { mend } = await damaged(lives, "is deleted");
    await lives.incarnation?.drain();
    expect(await lives.incarnation?.ended).toBeUndefined();
    mend();
    const next = await lives.begin([doc("drafting")]);
    await next.agent("doc", "one").resume();
    expect(await next.agent("doc", "one").ask({ type: "edit", n: 4 })).toEqual([1, 2, 3, 4]);
  });
});

describe("a durable function whose agent is set aside", () => {
  const head = "agents/worker/one/head";

  test.for([
    { what: "a call that ends", parkMs: 10_000, steps: 3 },
    { what: "a wait that is over", parkMs: 10_000, steps: 5 },
    { what: "a wait that is over", parkMs: 0, steps: 7 },
    { what: "its own end", parkMs: 10_000, steps: 3 },
  ])(
    "goes on when the agent is taken back, after $what meanwhile (parkMs $parkMs)",
    async ({ what, parkMs, steps }) => {
      await using lives = new Lives();
      const gate = Promise.withResolvers<void>();
      let due = 0;
      const worker = agent("worker", {
        run: durable(async ({ run, receive, sleepUntil }) => {
          await receive("go");
          if (what === "a call that ends") await run("work", () => gate.promise);
          else if (what === "a wait that is over") await sleepUntil((due = await run("due", () => Date.now() + 300)));
          else await gate.promise;
          return "done";
        }),
      });
      const client = await lives.begin([worker], undefined, { parkMs });
      const ref = client.agent(worker, "one");
      await ref.start();
      await lives.incarnation?.settle();
      const was = lives.world.objectBytes(head);
      lives.world.overwriteObject(head, was?.subarray(0, 20));
      await ref.respond("go");
      // A parked function has told that it is.
      await ref.waitFor(({ seq }) => seq >= steps);
      await lives.incarnation?.settle();
      await lives.said("quarantined", "worker/one");
      gate.resolve();
      await expect.poll(() => Date.now()).toBeGreaterThan(due);
      // What the function said has come by then.
      expect(await codeOf(ref.ask({ type: "never" } as never))).toBe("agent.quarantined");
      lives.world.overwriteObject(head, was);
      await ref.resume();
      await expect(ref.result({ timeout: "20s" })).resolves.toBe("done");
    },
  );
});
