/**
 * Goal: V1 to V3, every fault happens and does what its name says, and a seed repeats a run exactly.
 * Method: a toy of several parties on a MemoryWorld, with all faults at once; and single calls with one fault forced.
 */
import type { Partition, Ports } from "@dormouse/core/ports";
import { MemoryWorld, type Call } from "@dormouse/local";
import { expect, test } from "vitest";
import { callFaults, drawFaults, Faults, spellFaults, type CallFault, type FaultSettings } from "./faults.ts";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { SimulatedWire } from "./simulated-wire.ts";

const partition = 0 as Partition;
const byte = Uint8Array.of(1);

interface Rig {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly world: MemoryWorld;
  readonly effects: string[];
  open(party: string): Ports;
}

function makeRig(seed: number, settings: FaultSettings = {}): Rig {
  const scheduler = new Scheduler({ seed });
  const faults = new Faults(scheduler, settings);
  const effects: string[] = [];
  const observe = ({ call }: { readonly call: Call }): void => void effects.push(`${call.party} ${call.operation}`);
  const wire = new SimulatedWire(scheduler, faults, { observe });
  const world = new MemoryWorld(scheduler.clockFor("servers"));
  scheduler.onEnd((party) => world.end(party));
  const open = (party: string): Ports => {
    const options = { wire, clock: scheduler.clockFor(party), entropy: scheduler.entropyFor(party) };
    const ports = world.open(party, options);
    return { ...ports, store: wire.unreliableStore(party, ports.store) };
  };
  return { scheduler, faults, world, effects, open };
}

/** One of several parties that all do a bit of everything, for ever. */
function startToy(rig: Rig, party: string, all: readonly string[]): void {
  const ports = rig.open(party);
  const random = rig.scheduler.randomFor(`toy/${party}`);
  const rest = (): Promise<void> => new Promise((resolve) => void ports.clock.schedule(1 + random.int(200), resolve));
  const forEver = async (act: () => Promise<unknown>): Promise<void> => {
    for (;;) {
      await act().catch((error: unknown) => rig.scheduler.note(String(error), party));
      await rest();
    }
  };
  let count = 0;
  ports.channel.subscribe("news", () => rig.scheduler.note("heard the news", party));
  ports.channel.serve(party, (bytes) => Promise.resolve(bytes));
  ports.membership.watch(() => rig.scheduler.note("saw a change", party));
  void forEver(() => ports.membership.announce({ incarnation: party, facts: new Uint8Array(0) }));
  void forEver(() => ports.store.put(`object/${random.int(5)}`, ports.entropy.bytes(2), { if: "absent" }));
  void forEver(() => ports.store.get(random.pick(["agents/toy/one/head", "elsewhere/app.json"])));
  void forEver(() => ports.store.delete([`object/${random.int(5)}`]));
  void forEver(() => ports.store.list("object/"));
  void forEver(() => Promise.all([1, 2, 3].map(() => ports.mailbox.append(partition, Uint8Array.of((count += 1))))));
  void forEver(() => ports.channel.request(random.pick(all), byte, 1_000));
  void forEver(async () => ports.channel.publish("news", byte));
  void forEver(async () => {
    const reader = ports.mailbox.read(partition, 1 + random.int(count + 1));
    const messages = await reader.next(10);
    rig.scheduler.note(messages.map((message) => message.sequence).join(" "), party);
    reader.close();
  });
  ports.clock.turn(() => rig.scheduler.note("turned", party));
}

/** Past the wire: what comes before the run meets no fault. */
function makeStream({ world, scheduler }: Rig): Promise<void> {
  const ports = world.open("setup", { clock: scheduler.clockFor("setup"), entropy: scheduler.entropyFor("setup") });
  return ports.mailbox.create(1);
}

async function runToy(seed: number, settings: FaultSettings, seconds: number): Promise<Rig> {
  const rig = makeRig(seed, settings);
  const living = new Set<string>(["a.0", "b.0", "c.0"]);
  rig.scheduler.onEnd((party) => {
    living.delete(party);
    const [name, life] = party.split(".");
    const next = `${name}.${Number(life) + 1}`;
    rig.scheduler.add({
      label: `start ${next}`,
      delayMs: 1_000,
      run: () => {
        living.add(next);
        startToy(rig, next, [...living]);
      },
    });
  });
  await makeStream(rig);
  for (const party of living) startToy(rig, party, [...living]);
  rig.faults.startSpells(() => [...living]);
  await rig.scheduler.run({ forMs: seconds * 1_000 });
  return rig;
}

const everything: FaultSettings = {
  rates: Object.fromEntries(callFaults.map((fault) => [fault, fault.startsWith("crash") ? 0.001 : 0.02])),
  spellsPerMinute: Object.fromEntries(spellFaults.map((fault) => [fault, 5])),
};

test("one seed gives one digest, and another seed another: 50 seeds, twice each, with faults drawn by the seed", async () => {
  const digests = new Set<string>();
  for (let seed = 0; seed < 50; seed += 1) {
    const settings = drawFaults(new Random(seed).fork("settings"));
    const first = await runToy(seed, settings, 10);
    const second = await runToy(seed, settings, 10);
    expect(second.scheduler.digest()).toBe(first.scheduler.digest());
    expect(second.scheduler.trace()).toEqual(first.scheduler.trace());
    expect(second.faults.coverage()).toEqual(first.faults.coverage());
    digests.add(first.scheduler.digest());
  }
  expect(digests.size).toBe(50);
});

test("every fault happens, if it has a rate", async () => {
  const { faults } = await runToy(3, everything, 600);
  expect(Object.entries(faults.coverage()).filter(([, count]) => count === 0)).toEqual([]);
});

test("no fault happens without a rate, and none after they were stopped", async () => {
  const calm = await runToy(3, {}, 60);
  expect(Object.entries(calm.faults.coverage()).filter(([, count]) => count > 0)).toEqual([]);
  const stormy = await runToy(3, everything, 60);
  stormy.faults.stop();
  const before = withoutCrashes(stormy.faults);
  // What was decided before may still come: a caller that dies upon its answer.
  await stormy.scheduler.run({ forMs: 60_000 });
  expect(withoutCrashes(stormy.faults)).toEqual(before);
});

test("what one party appends to one partition arrives in order, with whatever latencies", async () => {
  for (let seed = 0; seed < 20; seed += 1) {
    const rig = makeRig(seed, { latencyMs: { mailbox: [0, 50] } });
    const { mailbox } = rig.open("p");
    await makeStream(rig);
    const numbers = Array.from({ length: 20 }, (_, index) => index);
    await rig.scheduler.complete(Promise.all(numbers.map((n) => mailbox.append(partition, Uint8Array.of(n)))));
    expect(rig.world.stream(0)?.messages.map((message) => message.bytes[0])).toEqual(numbers);
  }
});

test("an append that reordering meets overtakes those before it", async () => {
  let overtaken = 0;
  for (let seed = 0; seed < 20; seed += 1) {
    const rig = makeRig(seed, { latencyMs: { mailbox: [0, 50] } });
    const { mailbox } = rig.open("p");
    await makeStream(rig);
    const first = mailbox.append(partition, Uint8Array.of(1));
    rig.faults.once("reordered", () => true);
    const second = mailbox.append(partition, Uint8Array.of(2));
    const places = await rig.scheduler.complete(Promise.all([first, second]));
    if (places[1].sequence < places[0].sequence) overtaken += 1;
  }
  expect(overtaken).toBeGreaterThan(0);
  expect(overtaken).toBeLessThan(20);
});

test("an append that is held up holds up those behind it, but none that reordering meets", async () => {
  const rig = makeRig(1);
  const { mailbox } = rig.open("p");
  await makeStream(rig);
  rig.faults.hold(1_000, ({ operation }) => operation === "append");
  const held = mailbox.append(partition, Uint8Array.of(1));
  const behind = mailbox.append(partition, Uint8Array.of(2));
  rig.faults.once("reordered", () => true);
  const overtaking = mailbox.append(partition, Uint8Array.of(3));
  await rig.scheduler.complete(Promise.all([held, behind, overtaking]));
  expect(rig.world.stream(0)?.messages.map((message) => message.bytes[0])).toEqual([3, 1, 2]);
  expect(rig.scheduler.now()).toBeGreaterThan(1_000);
});

test("what is published on one subject arrives in order and once, whatever goes wrong", async () => {
  for (let seed = 0; seed < 30; seed += 1) {
    const rig = makeRig(seed, { rates: { "push-late": 0.3, "push-repeated": 0.5, "push-lost": 0.2 } });
    const heard: number[] = [];
    rig.open("listener").channel.subscribe("s", (bytes) => heard.push(bytes[0] ?? 0));
    const { channel, clock } = rig.open("speaker");
    for (let n = 0; n < 20; n += 1) clock.schedule(1 + n, () => channel.publish("s", Uint8Array.of(n)));
    await rig.scheduler.run();
    expect(heard).toEqual([...new Set(heard)].toSorted((left, right) => left - right));
    expect(heard.length).toBeLessThan(20);
  }
});

test.for([
  { fault: "call-lost", outcome: "unknown", isStored: false },
  { fault: "answer-lost", outcome: "unknown", isStored: true },
  { fault: "effect-late", outcome: "unknown", isStored: false },
  { fault: "delayed", outcome: "stored", isStored: true },
  { fault: "conflict", outcome: "conflict", isStored: false },
] as const)("a put that meets $fault is answered $outcome", async ({ fault, outcome, isStored }) => {
  const rig = makeRig(1);
  rig.faults.once(fault, (call) => call.operation === "put");
  const { store } = rig.open("p");
  const answer = await rig.scheduler.complete(store.put("o", byte, { if: "absent" }));
  expect(answer.outcome).toBe(outcome);
  expect(rig.world.objectBytes("o") !== undefined).toBe(isStored);
  await rig.scheduler.run();
  expect(rig.world.objectBytes("o") !== undefined).toBe(isStored || fault === "effect-late");
  expect(rig.effects.filter((effect) => effect === "p put").length).toBeLessThanOrEqual(1);
  expect(rig.faults.coverage()[fault]).toBe(1);
});

test.for([
  { fault: "crash-before-effect", isStored: false, hadAnswer: false },
  { fault: "crash-after-effect", isStored: true, hadAnswer: false },
  { fault: "crash-after-answer", isStored: true, hadAnswer: true },
] as const)("a caller that meets $fault dies there", async ({ fault, isStored, hadAnswer }) => {
  const rig = makeRig(1);
  rig.faults.once(fault, (call) => call.operation === "put");
  const { store } = rig.open("p");
  const seen: string[] = [];
  void (async () => {
    await store.put("o", byte, { if: "absent" });
    seen.push("answer");
    await store.get("o");
    seen.push("beyond");
  })();
  expect(await rig.scheduler.run()).toBe("idle");
  expect(rig.scheduler.hasEnded("p")).toBe(true);
  expect(rig.world.objectBytes("o") !== undefined).toBe(isStored);
  expect(seen).toEqual(hadAnswer ? ["answer"] : []);
  expect(rig.faults.coverage()[fault]).toBe(1);
});

test("every crash point of a run can be tried by its number", async () => {
  const { crashPointsSeen } = (await runThreePuts(undefined)).faults;
  expect(crashPointsSeen).toBe(9);
  const storedCounts: number[] = [];
  for (let point = 0; point < crashPointsSeen; point += 1) {
    const { world, scheduler } = await runThreePuts(point);
    expect(scheduler.hasEnded("p")).toBe(true);
    storedCounts.push(world.objectNames().length);
  }
  // After its answer the next put was on its way; the seed says whether it got there.
  expect(storedCounts.map((count, point) => count - Math.floor(point / 3))).toEqual([
    0,
    1,
    expect.any(Number),
    0,
    1,
    expect.any(Number),
    0,
    1,
    1,
  ]);
});

test("a cut stops one way only: what got there took effect though its answer did not come back", async () => {
  for (const { from, to, isStored } of [
    { from: "p", to: "store", isStored: false },
    { from: "store", to: "p", isStored: true },
  ]) {
    const rig = makeRig(1);
    rig.faults.cut(from, to, 60_000);
    const { store } = rig.open("p");
    const answer = await rig.scheduler.complete(store.put("o", byte, { if: "any" }));
    expect(answer.outcome).toBe("unknown");
    expect(rig.world.objectBytes("o") !== undefined).toBe(isStored);
    const fromOther = await rig.scheduler.complete(rig.open("q").store.put("o", byte, { if: "any" }));
    expect(fromOther.outcome).toBe("stored");
  }
});

test("parties cut off from each other do not hear each other, and others do", async () => {
  const rig = makeRig(1);
  const heard: string[] = [];
  for (const party of ["p", "q"]) rig.open(party).channel.subscribe("s", () => heard.push(party));
  const { channel, clock } = rig.open("speaker");
  rig.faults.cut("speaker", "p", 1_000);
  clock.schedule(1, () => channel.publish("s", byte));
  await rig.scheduler.run();
  expect(heard).toEqual(["q"]);
});

test("a port that is unavailable answers nobody, then everybody", async () => {
  const rig = makeRig(1);
  const { store } = rig.open("p");
  rig.faults.makeUnavailable("store", 30_000);
  await expect(rig.scheduler.complete(store.get("o"))).rejects.toMatchObject({ code: "store.unavailable" });
  await rig.scheduler.run({ forMs: 31_000 });
  expect(await rig.scheduler.complete(store.get("o"))).toBeUndefined();
});

test("what is cut or unavailable is whole again when faults stop", async () => {
  const rig = makeRig(1);
  const { store } = rig.open("p");
  rig.faults.makeUnavailable("store", 60_000);
  rig.faults.cut("p", "store", 60_000);
  rig.faults.stop();
  expect(await rig.scheduler.complete(store.get("o"))).toBeUndefined();
});

test("a call of a party that has ended is never sent, also in the event in which it ends", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  const wire = new SimulatedWire(scheduler, new Faults(scheduler));
  const arrived: string[] = [];
  const call: Call = { party: "p", port: "store", operation: "put", about: "o" };
  scheduler.clockFor("p").schedule(1, () => {
    scheduler.end("p");
    void wire.carry(call, () => arrived.push("call"));
    wire.push({ ...call, party: "q" }, () => arrived.push("push"));
  });
  expect(await scheduler.run()).toBe("idle");
  expect(arrived).toEqual([]);
});

test("a paused party's call takes effect, and its answer waits for it", async () => {
  const rig = makeRig(1);
  const { store } = rig.open("p");
  const put = store.put("o", byte, { if: "any" });
  rig.scheduler.pause("p", 10_000);
  await rig.scheduler.run({ forMs: 9_000 });
  expect(rig.world.objectBytes("o")).toEqual(byte);
  await rig.scheduler.complete(put);
  expect(rig.scheduler.now()).toBe(10_000);
});

test("a fault that is forced meets the first call that matches, and no other", async () => {
  const rig = makeRig(1);
  const { store } = rig.open("p");
  const wanted: CallFault = "answer-lost";
  rig.faults.once(wanted, (call) => call.about === "b");
  const outcomes: string[] = [];
  for (const name of ["a", "b", "b"]) {
    const answer = await rig.scheduler.complete(store.put(name, byte, { if: "any" }));
    outcomes.push(answer.outcome);
  }
  expect(outcomes).toEqual(["stored", "unknown", "stored"]);
});

async function runThreePuts(crashPoint: number | undefined): Promise<Rig> {
  const rig = makeRig(1);
  if (crashPoint !== undefined) rig.faults.crashAt(crashPoint);
  const { store } = rig.open("p");
  void (async () => {
    for (const name of ["1", "2", "3"]) await store.put(name, byte, { if: "absent" });
  })();
  await rig.scheduler.run();
  return rig;
}

function withoutCrashes(faults: Faults): readonly (readonly [fault: string, count: number])[] {
  return Object.entries(faults.coverage()).filter(([fault]) => !fault.startsWith("crash-"));
}
