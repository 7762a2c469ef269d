/**
 * What a host reads that takes over from a dead one: bundles in the place of records, where the store is across a network.
 *
 * Method: two hosts of one partition on one world in memory, the second with a store that counts what is read of journals.
 */
import { type Incarnation, type Settings, startIncarnation } from "@dormouse/core";
import { makeClient } from "@dormouse/client";
import type { ObjectStore } from "@dormouse/core/ports";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { expect, test } from "vitest";
import { counter } from "./agents/counter.ts";

const asks = 200;

class Pair {
  readonly world: MemoryWorld = new MemoryWorld(realClock);
  readonly #names: string[] = [];
  readonly #hosts: Incarnation[] = [];
  readonly #isRemote: boolean;

  constructor(isRemote: boolean) {
    this.#isRemote = isRemote;
  }

  /** What hosts have read of journals and bundles since `forget`. */
  get read(): readonly string[] {
    return this.#names.filter((name) => /^(?:journal\/.*\/\d+|bundles\/.*)$/.test(name));
  }

  get store(): ObjectStore {
    return this.world.open("reader", { clock: realClock, entropy: realEntropy }).store;
  }

  async start(name: string, settings: Settings = {}): Promise<Incarnation> {
    const ports = this.world.open(name, { clock: realClock, entropy: realEntropy });
    const { store } = ports;
    const counted: ObjectStore = {
      isRemote: this.#isRemote,
      get: (object) => {
        this.#names.push(object);
        return store.get(object);
      },
      put: (object, bytes, condition) => store.put(object, bytes, condition),
      list: (prefix, options) => store.list(prefix, options),
      delete: (objects) => store.delete(objects),
    };
    const host = await startIncarnation({
      agents: [counter],
      ports: { ...ports, store: counted },
      partitions: 1,
      settings,
    });
    this.#hosts.push(host);
    return host;
  }

  /** Asks one after the other, so that each makes a record; then the host dies, and another one is asked. */
  async takeOver(between: () => Promise<void> = async () => undefined): Promise<number> {
    const first = await this.start("a", { bundleRecords: 64 });
    const client = makeClient({
      app: first.app,
      ports: this.world.open("client", { clock: realClock, entropy: realEntropy }),
    });
    const ref = client.agent(counter, "c");
    for (let n = 0; n < asks; n += 1) await ref.ask({ type: "add", by: 1 });
    await between();
    first.kill();
    this.world.end("a");
    this.#names.length = 0;
    await this.start("b");
    return ref.ask({ type: "add", by: 1 });
  }

  /** The newest host settles everything and ends. */
  async drain(): Promise<void> {
    await this.#hosts.at(-1)?.drain();
  }

  end(): void {
    for (const host of this.#hosts) host.kill();
  }
}

async function withPair<T>(isRemote: boolean, work: (pair: Pair) => Promise<T>): Promise<T> {
  const pair = new Pair(isRemote);
  try {
    return await work(pair);
  } finally {
    pair.end();
  }
}

test("a takeover reads bundles, and only the records that are in none", () =>
  withPair(true, async (pair) => {
    expect(await pair.takeOver()).toBe(asks + 1);
    const bundles = pair.read.filter((name) => name.startsWith("bundles/"));
    expect(bundles.length).toBe(Math.floor(asks / 64));
    expect(pair.read.length - bundles.length).toBeLessThan(64);
  }));

test("a bundle that is gone or damaged is made up for by its records", () =>
  withPair(true, async (pair) => {
    const spoil = async (): Promise<void> => {
      const [one = "", two = ""] = await pair.store.list("bundles/");
      await pair.store.delete([one]);
      await pair.store.put(two, new Uint8Array(99), { if: "any" });
    };
    expect(await pair.takeOver(spoil)).toBe(asks + 1);
    expect(pair.read.length).toBeGreaterThan(128);
  }));

test("a store that is near holds no bundles", () =>
  withPair(false, async (pair) => {
    expect(await pair.takeOver()).toBe(asks + 1);
    expect(await pair.store.list("bundles/")).toEqual([]);
  }));

test("what is settled leaves no bundles", () =>
  withPair(true, async (pair) => {
    await pair.takeOver();
    const names = await pair.store.list("bundles/");
    expect(names.length).toBeGreaterThan(0);
    await pair.drain();
    expect(await pair.store.list("bundles/")).toEqual([]);
  }));
