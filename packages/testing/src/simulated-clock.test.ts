/** Goal: K1 to K3, and clocks that are wrong. Method: timers that say when they ran, by several clocks. */
import { expect, test } from "vitest";
import { Scheduler } from "./scheduler.ts";

const wallStartMs = 1_000_000;

function start(seed: number = 1): Scheduler {
  return new Scheduler({ seed, wallStartMs });
}

test("timers run in the order of their due times, those of one delay in the order in which they were set", async () => {
  for (let seed = 0; seed < 30; seed += 1) {
    const scheduler = start(seed);
    const clock = scheduler.clockFor("p");
    const ran: string[] = [];
    for (const name of ["c1", "c2", "c3"]) clock.schedule(30, () => ran.push(name));
    clock.schedule(10, () => ran.push("a"));
    clock.schedule(20, () => ran.push("b"));
    await scheduler.run();
    expect(ran).toEqual(["a", "b", "c1", "c2", "c3"]);
  }
});

test("timers of different delays that are due at one time run in either order", async () => {
  const orders = new Set<string>();
  for (let seed = 0; seed < 20; seed += 1) {
    const scheduler = start(seed);
    const ran: string[] = [];
    for (const party of [`p${seed}`, "q"]) scheduler.clockFor(party).schedule(10, () => ran.push(party.slice(0, 1)));
    await scheduler.run();
    orders.add(ran.join(""));
  }
  expect([...orders].toSorted()).toEqual(["pq", "qp"]);
});

test("no delay is shorter than a millisecond, and none runs within the call", async () => {
  const scheduler = start();
  const times: number[] = [];
  scheduler.clockFor("p").schedule(0, () => times.push(scheduler.now()));
  scheduler.clockFor("p").schedule(-5, () => times.push(scheduler.now()));
  expect(times).toEqual([]);
  await scheduler.run();
  expect(times).toEqual([1, 1]);
});

test("a turn runs after all of its party that is ready, in the order asked for, without time passing", async () => {
  for (let seed = 0; seed < 30; seed += 1) {
    const scheduler = start(seed);
    const clock = scheduler.clockFor("p");
    const ran: string[] = [];
    clock.turn(() => {
      ran.push("turn 1");
      clock.turn(() => ran.push(`turn 3 at ${scheduler.now()}`));
    });
    clock.turn(() => ran.push("turn 2"));
    for (const name of ["x", "y"]) scheduler.add({ party: "p", label: name, delayMs: 0, run: () => ran.push("ready") });
    await scheduler.run();
    expect(ran).toEqual(["ready", "ready", "turn 1", "turn 2", "turn 3 at 0"]);
  }
});

test("a stepped wall clock jumps, and monotonic time and timers do not notice", async () => {
  const scheduler = start();
  const clock = scheduler.clockFor("p");
  const seen: (readonly number[])[] = [];
  clock.schedule(100, () => clock.step(-50_000));
  clock.schedule(200, () => seen.push([clock.now(), clock.monotonic(), scheduler.clockFor("q").now()]));
  await scheduler.run();
  expect(seen).toEqual([[wallStartMs + 200 - 50_000, 200, wallStartMs + 200]]);
});

test("a clock that runs fast tells more time, and its timers are due sooner, though never before their delay", async () => {
  const scheduler = start();
  const clock = scheduler.clockFor("fast");
  const seen: number[] = [];
  clock.drift(1.25);
  clock.schedule(1_000, () => seen.push(scheduler.now(), clock.monotonic(), clock.now() - wallStartMs));
  clock.schedule(3, () => expect(clock.monotonic()).toBeGreaterThanOrEqual(3));
  await scheduler.run();
  expect(seen).toEqual([800, 1_000, 1_000]);
  clock.drift(0.5);
  clock.schedule(100, () => undefined);
  await scheduler.run();
  expect([scheduler.now(), clock.monotonic()]).toEqual([1_000, 1_100]);
});

test("each party has a clock of its own, and entropy of its own", () => {
  const scheduler = start();
  expect(scheduler.clockFor("p")).toBe(scheduler.clockFor("p"));
  expect(scheduler.clockFor("p")).not.toBe(scheduler.clockFor("q"));
  expect(scheduler.entropyFor("p").bytes(8)).not.toEqual(scheduler.entropyFor("q").bytes(8));
});
