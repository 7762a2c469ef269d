/** Goal: S1 to S5. Method: small programs of timers and bare events, whose order is looked at from outside. */
import { expect, test } from "vitest";
import { Random } from "./random.ts";
import { Scheduler, SimulationError } from "./scheduler.ts";

const realTimer = globalThis.setTimeout;

function orderOf(seed: number, add: (scheduler: Scheduler, ran: string[]) => void): Promise<readonly string[]> {
  const scheduler = new Scheduler({ seed });
  const ran: string[] = [];
  add(scheduler, ran);
  return scheduler.run().then(() => ran);
}

test("a chain of 1,000 awaits completes between two events", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  let depth = 0;
  let depthSeen = -1;
  async function climb(): Promise<void> {
    for (let step = 0; step < 1_000; step += 1) {
      await Promise.resolve();
      depth += 1;
    }
  }
  scheduler.add({ label: "first", delayMs: 0, run: () => void climb() });
  scheduler.add({ label: "second", delayMs: 1, run: () => (depthSeen = depth) });
  expect(await scheduler.run()).toBe("idle");
  expect(depthSeen).toBe(1_000);
});

test("time moves to the next event at once, and stands still while events are ready", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  const times: number[] = [];
  for (const delayMs of [3_600_000, 5, 0, 0, 86_400_000]) {
    scheduler.add({ label: "look", delayMs, run: () => times.push(scheduler.now()) });
  }
  await scheduler.run();
  expect(times).toEqual([0, 0, 5, 3_600_000, 86_400_000]);
});

test("the seed picks among what is ready: every order comes up, and each again with its seed", async () => {
  const letters = ["a", "b", "c"];
  const add = (scheduler: Scheduler, ran: string[]): void => {
    for (const letter of letters) scheduler.add({ label: letter, delayMs: 0, run: () => ran.push(letter) });
  };
  const orders = new Set<string>();
  for (let seed = 0; seed < 100; seed += 1) {
    const order = await orderOf(seed, add);
    expect(await orderOf(seed, add)).toEqual(order);
    orders.add(order.join(""));
  }
  expect(orders.size).toBe(6);
});

test("events of one lane keep their order, also when a later one has the shorter delay, and over a pause", async () => {
  for (let seed = 0; seed < 50; seed += 1) {
    const random = new Random(seed);
    const scheduler = new Scheduler({ seed });
    const ran: number[] = [];
    for (let number = 0; number < 20; number += 1) {
      const delayMs = random.int(30);
      scheduler.add({ party: "p", lane: "lane", label: `${number}`, delayMs, run: () => ran.push(number) });
    }
    scheduler.add({ label: "pause", delayMs: random.int(20), run: () => scheduler.pause("p", 100) });
    await scheduler.run();
    expect(ran).toEqual(Array.from({ length: 20 }, (_, number) => number));
  }
});

test("a paused party's events wait for it, everybody else's do not", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  const ran: string[] = [];
  const see = (party: string): void => void ran.push(`${party} ${scheduler.now()}`);
  scheduler.pause("sleeper", 1_000);
  for (const delayMs of [10, 999, 1_001]) {
    for (const party of ["sleeper", "other"]) scheduler.clockFor(party).schedule(delayMs, () => see(party));
  }
  expect(scheduler.isPaused("sleeper")).toBe(true);
  await scheduler.run();
  expect(ran.filter((line) => line.startsWith("other"))).toEqual(["other 10", "other 999", "other 1001"]);
  expect(ran.filter((line) => line.startsWith("sleeper"))).toEqual(["sleeper 1000", "sleeper 1000", "sleeper 1001"]);
  expect(scheduler.isPaused("sleeper")).toBe(false);
});

test("of a party that has ended nothing runs again: no timer, no turn, nothing new", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  const clock = scheduler.clockFor("mortal");
  const ran: string[] = [];
  const ended: string[] = [];
  scheduler.onEnd((party) => ended.push(party));
  const cancel = clock.schedule(10, () => ran.push("timer"));
  clock.schedule(5, () => {
    ran.push("last");
    clock.turn(() => ran.push("turn"));
    scheduler.end("mortal");
    clock.schedule(1, () => ran.push("after"));
  });
  expect(await scheduler.run()).toBe("idle");
  cancel();
  expect(ran).toEqual(["last"]);
  expect(ended).toEqual(["mortal"]);
  expect(scheduler.now()).toBe(5);
  expect(scheduler.hasEnded("mortal")).toBe(true);
  expect(scheduler.pendingCount).toBe(0);
});

test("of what a party sent before it ended, the seed lets the first few of each lane arrive", async () => {
  const arrivals = new Set<string>();
  for (let seed = 0; seed < 60; seed += 1) {
    const ran = await orderOf(seed, (scheduler, seen) => {
      for (const name of ["1", "2", "3"]) {
        scheduler.add({ origin: "p", lane: "l", label: name, delayMs: 5, run: () => seen.push(name) });
      }
      scheduler.add({ label: "end", delayMs: 1, run: () => scheduler.end("p") });
    });
    arrivals.add(ran.join(""));
  }
  expect([...arrivals].toSorted()).toEqual(["", "1", "12", "123"]);
});

test("a cancelled event does not run, and cancelling twice or too late does nothing", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  let ranCount = 0;
  const cancels = Array.from({ length: 2_000 }, (_, index) =>
    scheduler.add({ label: "x", delayMs: index, run: () => (ranCount += 1) }),
  );
  for (const [index, cancel] of cancels.entries()) if (index % 4 !== 0) cancel();
  for (const [index, cancel] of cancels.entries()) if (index % 4 !== 0) cancel();
  expect(scheduler.pendingCount).toBe(500);
  await scheduler.run();
  for (const cancel of cancels) cancel();
  expect(ranCount).toBe(500);
  expect(scheduler.pendingCount).toBe(0);
});

test("a run ends by time, by number of events, by a condition, or idle, and can go on", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  let ticks = 0;
  const clock = scheduler.clockFor("p");
  const tick = (): void => {
    ticks += 1;
    if (ticks < 100) clock.schedule(10, tick);
  };
  clock.schedule(10, tick);
  expect(await scheduler.run({ forMs: 55 })).toBe("time");
  expect([ticks, scheduler.now()]).toEqual([5, 55]);
  expect(await scheduler.run({ events: 2 })).toBe("events");
  expect(ticks).toBe(7);
  expect(await scheduler.run({ until: () => ticks === 20 })).toBe("done");
  expect(ticks).toBe(20);
  expect(await scheduler.run()).toBe("idle");
  expect([ticks, scheduler.now()]).toEqual([100, 1_000]);
});

test("complete gives a promise's outcome, and says so when it can never come", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  const soon = new Promise<string>((resolve) => scheduler.clockFor("p").schedule(10, () => resolve("done")));
  expect(await scheduler.complete(soon)).toBe("done");
  await expect(scheduler.complete(Promise.reject(new Error("no")))).rejects.toThrow("no");
  const never = new Promise<void>(() => undefined);
  await expect(scheduler.complete(never)).rejects.toMatchObject({ reason: "idle" });
});

test("a run that does not come to an end is stopped, with the last events in the message", async () => {
  const scheduler = new Scheduler({ seed: 1, eventsMax: 500 });
  const clock = scheduler.clockFor("looper");
  const loop = (): void => void clock.schedule(1, loop);
  loop();
  const error: unknown = await scheduler.run().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SimulationError);
  expect(error).toMatchObject({ reason: "too-many-events", message: expect.stringContaining("looper: timer 1ms") });
});

test("a run that takes too much of the processor is stopped", async () => {
  const scheduler = new Scheduler({ seed: 1, cpuMsMax: 20 });
  const clock = scheduler.clockFor("looper");
  const loop = (): void => void clock.schedule(1, loop);
  loop();
  await expect(scheduler.run()).rejects.toMatchObject({ reason: "too-long" });
});

test("an event that throws stops the run and is named", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  scheduler.clockFor("p").schedule(3, () => {
    throw new Error("a bug");
  });
  const cause = expect.objectContaining({ message: "a bug" }) as unknown;
  await expect(scheduler.run()).rejects.toMatchObject({ reason: "threw", cause });
});

test("what acts from outside, as a real timer does, stops the run", async () => {
  const scheduler = new Scheduler({ seed: 1 });
  const clock = scheduler.clockFor("p");
  const loop = (): void => void clock.schedule(1, loop);
  loop();
  clock.schedule(1, () => realTimer(() => scheduler.add({ label: "intruder", delayMs: 0, run: loop }), 5));
  await expect(scheduler.run()).rejects.toMatchObject({ reason: "outside" });
});

test("the trace is readable and bounded, the digest covers more than it shows", async () => {
  const scheduler = await runTenTimers("a");
  expect(scheduler.trace()).toEqual([
    "      8      1.507s p: timer 1507ms",
    "      9      1.508s p: timer 1508ms",
    "     10      1.509s p: timer 1509ms",
  ]);
  const other = await runTenTimers("b");
  expect(other.trace()).toEqual(scheduler.trace());
  expect(other.digest()).not.toBe(scheduler.digest());
  const [one, two] = [new Scheduler({ seed: 1 }), new Scheduler({ seed: 1 })];
  one.note("same", "a");
  two.note("same", "b");
  expect(one.digest()).not.toBe(two.digest());
  expect(scheduler.digest()).toMatch(/^[0-9a-f]{16}$/);
});

async function runTenTimers(firstNote: string): Promise<Scheduler> {
  const scheduler = new Scheduler({ seed: 1, traceLinesMax: 3 });
  scheduler.note(firstNote);
  for (let index = 0; index < 10; index += 1) scheduler.clockFor("p").schedule(1_500 + index, () => undefined);
  await scheduler.run();
  return scheduler;
}
