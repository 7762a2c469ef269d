/**
 * Goal: the memory drivers keep the ports' promises, and their hooks make the world as bad as they say.
 * Method: the conformance suites with two parties, then each hook and each wire fault by itself.
 */
import { DormouseError, type Clock, type Partition, type Ports } from "@dormouse/core/ports";
import {
  channelConformance,
  mailboxConformance,
  membershipConformance,
  objectStoreConformance,
} from "@dormouse/testing";
import { expect, test } from "vitest";
import { realClock, realEntropy } from "./clock.ts";
import { MemoryWorld } from "./memory.ts";
import { directWire, LostAnswer, type Call, type Wire } from "./wire.ts";

const zero = 0 as Partition;
const options = { clock: realClock, entropy: realEntropy };

const cases = [
  ...objectStoreConformance(async () => {
    const { near, far, close } = openTwo();
    return { store: near.store, other: far.store, close };
  }),
  ...mailboxConformance(async () => {
    const { world, near, close } = openTwo();
    return {
      mailbox: near.mailbox,
      cutReaders: (partition) => world.interruptReaders(partition),
      loseTail: (partition, count) => world.loseTail(partition, count),
      fill: (partition) => world.refuseAppends(partition, true),
      close,
    };
  }),
  ...membershipConformance(async () => {
    const { near, far, close } = openTwo();
    return { membership: near.membership, other: far.membership, close };
  }),
  ...channelConformance(async () => {
    const { near, far, close } = openTwo();
    return { near: near.channel, far: far.channel, close };
  }),
];

test.for(cases.map((one) => [one.name, one] as const))("%s", async ([, one]) => {
  await expect(one.run()).resolves.toBeUndefined();
});

test("a put whose answer is lost is unknown, and may be stored", async () => {
  const { world, near } = openTwo({ lost: "answer" });
  await expect(near.store.put("a", bytes(1), { if: "absent" })).resolves.toMatchObject({ outcome: "unknown" });
  expect(world.objectBytes("a")).toEqual(bytes(1));
});

test("a put that is lost on its way is unknown, and is not stored", async () => {
  const { world, near } = openTwo({ lost: "call" });
  await expect(near.store.put("a", bytes(1), { if: "absent" })).resolves.toMatchObject({ outcome: "unknown" });
  expect(world.objectNames()).toEqual([]);
});

test.for([
  ["append", "mailbox.no-ack"],
  ["barrier", "mailbox.no-ack"],
  ["create", "mailbox.no-ack"],
  ["trim", "mailbox.no-ack"],
  ["next", "mailbox.interrupted"],
  ["get", "store.unavailable"],
  ["list", "store.unavailable"],
  ["delete", "store.unavailable"],
  ["announce", "membership.unavailable"],
] as const)("a lost answer to %s is %s", async ([operation, code]) => {
  const { world, near } = openTwo({ lost: "answer" });
  await world.open("maker", options).mailbox.create(1);
  const calls: Record<typeof operation, () => Promise<unknown>> = {
    append: () => near.mailbox.append(zero, bytes(1)),
    barrier: () => near.mailbox.barrier(zero, bytes(1)),
    create: () => near.mailbox.create(1),
    trim: () => near.mailbox.trim(zero, 1),
    next: () => near.mailbox.read(zero, 1).next(1),
    get: () => near.store.get("a"),
    list: () => near.store.list("a"),
    delete: () => near.store.delete(["a"]),
    announce: () => near.membership.announce({ incarnation: "01A", facts: bytes(1) }),
  };
  await expect(calls[operation]()).rejects.toMatchObject({ kind: "unavailable", code });
});

test("the apps of one world share time, channel and parties, and neither streams nor objects", async () => {
  const { world, near } = openTwo();
  const billing = world.app("billing");
  const there = billing.open("there", options);
  await there.mailbox.create(1);
  await there.store.put("app.json", bytes(7), { if: "any" });
  expect(world.objectNames()).toEqual([]);
  expect(world.stream(0)).toBeUndefined();
  const elsewhere = near.elsewhere?.("billing");
  expect((await elsewhere?.store.get("app.json"))?.bytes).toEqual(bytes(7));
  expect(await near.elsewhere?.("nowhere").store.get("app.json")).toBeUndefined();
  await elsewhere?.mailbox.append(zero, bytes(1));
  await near.mailbox.create(1);
  const { at } = await near.mailbox.barrier(zero, bytes(2));
  const messages = await there.mailbox.read(zero, 1).next(9);
  expect(messages).toMatchObject([{ sequence: 1, bytes: bytes(1) }]);
  expect(at).toBeGreaterThan(messages[0]?.at ?? Infinity);
  billing.refuseAppends(0, true);
  await expect(elsewhere?.mailbox.append(zero, bytes(3))).rejects.toMatchObject({ code: "mailbox.full" });
  const heard = new Promise<Uint8Array>((resolve) => void there.channel.subscribe("news", resolve));
  near.channel.publish("news", bytes(4));
  expect(await heard).toEqual(bytes(4));
  expect(world.app("billing")).toBe(billing);
  expect(billing.app("default")).toBe(world);
});

test("a raw publish names its agent beside its bytes", async () => {
  const { world, near } = openTwo();
  await near.mailbox.create(1);
  const sentTo = { type: "counter", key: "a~20b" };
  const place = world.publishRaw(0, sentTo, bytes(1));
  await near.mailbox.append(zero, bytes(2));
  const [raw, own] = await near.mailbox.read(zero, 1).next(9);
  expect(raw).toEqual({ ...place, bytes: bytes(1), sentTo });
  expect(own).not.toHaveProperty("sentTo");
});

test("a request whose answer is lost ends by its time-out", async () => {
  const { near, far } = openTwo({ lost: "call" });
  far.channel.serve("echo", async (request) => request);
  const error = { kind: "timeout", code: "channel.timeout" };
  await expect(near.channel.request("echo", bytes(1), 20)).rejects.toMatchObject(error);
});

test("a wake-up that the wire loses delays a reader and loses nothing", async () => {
  const { world, near, far } = openTwo({ lost: "push" });
  await far.mailbox.create(1);
  const waiting = near.mailbox.read(zero, 1).next(1);
  await far.mailbox.append(zero, bytes(1));
  await expect(waiting).resolves.toMatchObject([{ sequence: 1 }]);
  expect(world.stream(0)?.messages).toHaveLength(1);
});

test("a party that has ended hears nothing more, and its calls go nowhere", async () => {
  const { world, near, far } = openTwo();
  await far.mailbox.create(1);
  const heard: string[] = [];
  near.channel.subscribe("subject", () => heard.push("published"));
  near.channel.serve("echo", async (request) => request);
  near.membership.watch(() => heard.push("changed"));
  void near.mailbox
    .read(zero, 1)
    .next(1)
    .then(() => heard.push("read"));
  void near.channel.request("echo", bytes(1), 5).catch(() => heard.push("timed out"));
  world.end("near");
  void near.store.put("a", bytes(1), { if: "any" }).then(() => heard.push("stored"));

  far.channel.publish("subject", bytes(1));
  await far.membership.announce({ incarnation: "01A", facts: bytes(1) });
  await far.mailbox.append(zero, bytes(1));
  await expect(far.channel.request("echo", bytes(1), 20)).rejects.toMatchObject({ code: "channel.nobody" });
  expect(heard).toEqual([]);
  expect(world.objectNames()).toEqual([]);
});

test("a name that has ended can be opened again", async () => {
  const { world, far } = openTwo();
  world.end("near");
  const again = world.open("near", options);
  await again.store.put("a", bytes(1), { if: "any" });
  await expect(far.store.get("a")).resolves.toMatchObject({ bytes: bytes(1) });
});

test("a stream made anew has another name, begins at one, and cuts its readers off", async () => {
  const { world, near } = openTwo();
  await near.mailbox.create(1);
  const before = await near.mailbox.barrier(zero, bytes(1));
  const waiting = near.mailbox.read(zero, 2).next(1);
  await Promise.all([
    expect(waiting).rejects.toMatchObject({ code: "mailbox.interrupted" }),
    Promise.resolve().then(() => world.recreateStream(0)),
  ]);
  const after = await near.mailbox.barrier(zero, bytes(1));
  expect(after.sequence).toBe(1);
  expect(after.stream).not.toBe(before.stream);
  expect(after.at).toBeGreaterThan(before.at);
});

test("a stream's time rises even when the world's clock stands still or goes back", async () => {
  const times = [5_000, 5_000, 4_000, 6_000];
  const world = new MemoryWorld({ now: () => times.shift() ?? 0 });
  const { mailbox } = world.open("near", options);
  await mailbox.create(1);
  const places = [];
  for (let index = 0; index < 4; index += 1) places.push(await mailbox.barrier(zero, bytes(1)));
  const at = places.map((place) => place.at);
  expect(at).toEqual(at.toSorted((left, right) => left - right));
  expect(new Set(at).size).toBe(4);
  expect(at.at(-1)).toBe(6_000);
});

test("membership says what it is told, and forgets what is unknown", async () => {
  const { world, near } = openTwo();
  await near.membership.announce({ incarnation: "01A", facts: bytes(1) });
  for (const state of ["suspected", "dead", "unknown"] as const) {
    world.membershipSays("01A", state);
    await expect(near.membership.stateOf("01A")).resolves.toBe(state);
  }
});

test("a reader asked twice at once refuses the second", async () => {
  const { near } = openTwo();
  await near.mailbox.create(1);
  const reader = near.mailbox.read(zero, 1);
  const first = reader.next(1).catch((error: unknown) => error);
  await expect(reader.next(1)).rejects.toMatchObject({ code: "mailbox.reader-busy" });
  reader.close();
  expect(await first).toBeInstanceOf(DormouseError);
});

function openTwo({ lost }: { readonly lost?: "call" | "answer" | "push" } = {}): {
  readonly world: MemoryWorld;
  readonly near: Ports;
  readonly far: Ports;
  readonly close: () => void;
} {
  const world = new MemoryWorld(realClock);
  // With a wire that loses, rechecks come at once instead of seconds later.
  const clock: Clock =
    lost === "push" ? { ...realClock, schedule: (_delayMs, callback) => realClock.schedule(1, callback) } : realClock;
  const near = world.open("near", { ...options, clock, wire: lost === undefined ? directWire : losingWire(lost) });
  const far = world.open("far", options);
  return {
    world,
    near,
    far,
    close: () => {
      world.end("near");
      world.end("far");
    },
  };
}

function losingWire(lost: "call" | "answer" | "push"): Wire {
  return {
    async carry<T>(call: Call, effect: () => T): Promise<T> {
      if (lost === "call") throw new LostAnswer(call.operation);
      const answer = effect();
      if (lost === "answer") throw new LostAnswer(call.operation);
      return answer;
    },
    push(call, deliver) {
      if (lost !== "push") directWire.push(call, deliver);
    },
  };
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}
