/**
 * Goal: hosts of one release are replaced by those of the next under load, one by one; nobody notices, and no host ever
 * meets bytes that it cannot read.
 *
 * Method: the release to come is a copy of the sources with `next-release.patch` in it, beside this one in one process. Both
 * have their own modules and their own msgpackr, but for the class of errors, since the ports they share throw it. What is
 * stored and sent is looked at byte by byte.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setImmediate as oneTurn } from "node:timers/promises";
import * as core from "@dormouse/core";
import { type Client, makeClient } from "@dormouse/client";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { assign, sendTo, setup } from "xstate";
import { root } from "../simulation/bugs.ts";
import { plant } from "../simulation/plant.ts";

type Core = typeof core;
type Counted = core.Ask<{ type: "add"; key: string }, number>;

const partitions = 8;
const keys: readonly string[] = Array.from({ length: 24 }, (_, n) => `k${n}`);
const timeout = 60_000;

/** A counter that answers, and tells a total of its own key. */
function agentsOf({ agent, reply, ref }: Core, version: number): readonly core.AnyAgentDefinition[] {
  const total = agent("total", {
    machine: setup({ types: {} as { context: { count: number }; events: { type: "add" } } }).createMachine({
      context: { count: 0 },
      on: { add: { actions: assign({ count: ({ context }) => context.count + 1 }) } },
    }),
  });
  const counter = agent("counter", {
    version,
    machine: setup({ types: {} as { context: { count: number }; events: Counted } }).createMachine({
      context: { count: 0 },
      on: {
        add: {
          actions: [
            assign({ count: ({ context }) => context.count + 1 }),
            reply(({ context }) => context.count),
            sendTo(({ event }) => ref(total, event.key), { type: "add" }),
          ],
        },
      },
    }),
  });
  return [counter, total];
}

let tree = "";
let next: Core;
let nextClient: { readonly makeClient: typeof makeClient };

beforeAll(async () => {
  const file = join(import.meta.dirname, "next-release.patch");
  tree = plant({ name: "the next release", file }, { owned: ["msgpackr"] });
  const errors = "packages/core/src/agent/errors.ts";
  writeFileSync(join(tree, errors), `export * from ${JSON.stringify(join(root, errors))};\n`);
  next = (await fromTree("packages/core/src/index.ts")) as Core;
  nextClient = (await fromTree("packages/client/src/index.ts")) as typeof nextClient;
}, timeout);

function fromTree(path: string): Promise<unknown> {
  return import(pathToFileURL(join(tree, path)).href);
}

afterAll(() => rmSync(tree, { recursive: true, force: true }));

let world = new MemoryWorld(realClock);
let hosts = new Set<core.Incarnation>();
let parties = 0;

beforeEach(() => {
  world = new MemoryWorld(realClock);
  hosts = new Set();
});

afterEach(() => {
  for (const host of hosts) host.kill();
});

async function begin(release: Core, version: number): Promise<core.Incarnation> {
  parties += 1;
  const host = await release.startIncarnation({
    agents: agentsOf(release, version),
    ports: world.open(`host-${parties}`, { clock: realClock, entropy: realEntropy }),
    partitions,
    settings: { settleRoundMs: 20 },
  });
  hosts.add(host);
  return host;
}

/** As an orchestrator does: the old one drains and ends, then the new one begins and is ready. */
async function replace(old: core.Incarnation, release: Core, version: number): Promise<core.Incarnation> {
  await old.drain();
  hosts.delete(old);
  expect(await old.ended).toBeUndefined();
  const host = await begin(release, version);
  await until(() => [...hosts].every((one) => one.status().isReady));
  return host;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await oneTurn();
}

/** Asks every counter again and again, the next one when the last has answered with the next number, until it is ended. */
class Load {
  rounds = 0;
  readonly #client: Client;
  readonly #ended: Promise<void>;
  #isEnding = false;

  constructor(client: Client) {
    this.#client = client;
    this.#ended = this.#run();
    // Told by `end`.
    this.#ended.catch(() => undefined);
  }

  async #run(): Promise<void> {
    while (!this.#isEnding) {
      const asked = keys.map((key) => this.#client.agent("counter", key).ask({ type: "add", key }));
      this.rounds += 1;
      const answers = new Set(await Promise.all(asked));
      if (answers.size > 1 || !answers.has(this.rounds)) {
        throw new Error(`in round ${this.rounds} counters answered ${[...answers].join(", ")}`);
      }
    }
  }

  /** Resolves when so many more rounds were answered. */
  async more(rounds: number): Promise<void> {
    const enough = this.rounds + rounds;
    await Promise.race([until(() => this.rounds > enough), this.#ended]);
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#ended;
  }
}

/** Of each kind, by its letter, the versions among all that is stored and sent now. */
function versions(): ReadonlyMap<string, ReadonlySet<number>> {
  const stored = world.objectNames().map((name) => world.objectBytes(name));
  const sent = world.streamPartitions().flatMap((one) => world.stream(one)?.messages.map(({ bytes }) => bytes) ?? []);
  const found = new Map<string, Set<number>>();
  for (const bytes of [...stored, ...sent]) {
    if (bytes === undefined || Buffer.from(bytes.subarray(0, 3)).toString() !== "DRM") continue;
    const [kind = 0, version = 0] = bytes.subarray(3, 5);
    const letter = String.fromCharCode(kind);
    found.set(letter, (found.get(letter) ?? new Set()).add(version));
  }
  return found;
}

function isAnyOf(version: number): boolean {
  return [...versions().values()].some((found) => found.has(version));
}

function isOnly(kind: string, version: number): boolean {
  return [...(versions().get(kind) ?? [])].join() === String(version);
}

async function settleAll(): Promise<void> {
  for (const host of hosts) await host.settle();
}

test("rolls between two formats and two agent versions under load", { timeout }, async () => {
  let [a, b, c] = [await begin(core, 1), await begin(core, 1), await begin(core, 1)];
  const client = makeClient({ app: a.app, ports: world.open("client", { clock: realClock, entropy: realEntropy }) });
  const load = new Load(client);

  // One step, back, and on again, which is allowed until the last host is of the next release.
  for (const [release, version] of [
    [next, 1],
    [core, 1],
    [next, 2],
  ] as const) {
    a = await replace(a, release, version);
    await load.more(5);
    await settleAll();
    expect(isAnyOf(2)).toBe(false);
  }
  b = await replace(b, next, 2);
  await load.more(5);
  await settleAll();
  expect(isAnyOf(2)).toBe(false);

  c = await replace(c, next, 2);
  await until(() => ["R", "E"].every((kind) => versions().get(kind)?.has(2) === true));
  // Each host begins to write the newer format when it has looked twice: the last one some rounds after the others.
  while (!["P", "H"].every((kind) => isOnly(kind, 2))) {
    await load.more(1);
    await settleAll();
  }
  await load.end();

  await expect(begin(core, 1)).rejects.toMatchObject({
    kind: "invalid",
    code: "host.too-old",
    message: expect.stringMatching(/reads=1 writes=2/),
  });
  for (const key of keys) {
    expect((await client.agent("counter", key).read())?.context).toEqual({ count: load.rounds });
    await client.agent("total", key).waitFor(({ context }) => (context as { count: number }).count >= load.rounds);
    expect((await client.agent("total", key).read())?.context).toEqual({ count: load.rounds });
  }
  expect([a, b, c].map((host) => host.status().quarantined + host.status().shelved)).toEqual([0, 0, 0]);
});

test("a message in a newer format waits for a host that reads it, with what came after it", { timeout }, async () => {
  const older = await begin(core, 1);
  const client = (name: string): Parameters<typeof makeClient>[0] => ({
    app: older.app,
    ports: world.open(name, { clock: realClock, entropy: realEntropy }),
  });
  const ahead = nextClient.makeClient({ ...client("ahead"), formats: { writes: 2 } });
  await ahead.agent("counter", "k1").send({ type: "add", key: "k1" });
  await until(() => older.status().reason?.includes("newer format") === true);
  const answer = makeClient(client("behind")).agent("counter", "k1").ask({ type: "add", key: "k1" });
  await replace(older, next, 1);
  expect(await answer).toBe(2);
});
