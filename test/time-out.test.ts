/**
 * What a call that ran out of time tells, and what its time is for.
 *
 * Method: a client whose clock is moved by hand, on a world in memory.
 */
import { type Client, makeClient } from "@dormouse/client";
import { DormouseError, type Incarnation, type Observed, startIncarnation } from "@dormouse/core";
import type { Channel, Mailbox } from "@dormouse/core/ports";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { expect, test } from "vitest";
import { oneTurn, StandingClock } from "../packages/testing/src/standing-clock.ts";
import { counter } from "./agents/counter.ts";

interface Stage extends AsyncDisposable {
  readonly world: MemoryWorld;
  readonly clock: StandingClock;
  readonly client: Client;
  /** What the mailbox took of the client, as text. */
  readonly accepted: string[];
}

/** A host with one partition, and a client whose requests may be held up. */
async function open(
  request?: (clock: StandingClock, ask: () => Promise<Uint8Array>) => Promise<Uint8Array>,
): Promise<Stage> {
  const world = new MemoryWorld(realClock);
  const hostPorts = world.open("host", { clock: realClock, entropy: realEntropy });
  const host = await startIncarnation({ agents: [counter], ports: hostPorts, partitions: 1 });
  const clock = new StandingClock(0);
  const ports = world.open("client", { clock: clock.life(), entropy: realEntropy });
  const channel: Pick<Channel, "subscribe" | "request"> = {
    subscribe: (...args) => ports.channel.subscribe(...args),
    request: (...args) => {
      const ask = (): Promise<Uint8Array> => ports.channel.request(...args);
      return request === undefined ? ask() : request(clock, ask);
    },
  };
  const accepted: string[] = [];
  const append: Mailbox["append"] = async (partition, bytes) => {
    const acceptance = await ports.mailbox.append(partition, bytes);
    accepted.push(Buffer.from(bytes).toString("latin1"));
    return acceptance;
  };
  const client = makeClient({ app: host.app, ports: { ...ports, mailbox: { append }, clock: clock.life(), channel } });
  const close = async (): Promise<void> => {
    await client.close();
    host.kill();
  };
  return { world, clock, client, accepted, [Symbol.asyncDispose]: close };
}

/** Until nothing moves any more. */
async function settled(clock: StandingClock): Promise<void> {
  do await oneTurn();
  while (!clock.isStill);
}

/** What the call is refused with when so much time has passed and nothing moves any more. */
async function errorAfter(clock: StandingClock, ms: number, called: Promise<unknown>): Promise<DormouseError> {
  const refused = called.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  await settled(clock);
  clock.moveTo(clock.elapsedMs + ms);
  const error = await refused;
  if (error instanceof DormouseError) return error;
  throw error ?? new Error("it was not refused");
}

const timeout = 1_000;

test.for(["send", "ask"] as const)("%s that the mailbox refuses until its time is over says why", async (verb) => {
  await using stage = await open();
  stage.world.refuseAppends(0, true);
  const one = stage.client.agent("counter", "one");
  const event = { type: "add", by: 1 };
  const called = verb === "send" ? one.send(event, { timeout }) : one.ask(event, { timeout });
  const error = await errorAfter(stage.clock, timeout, called);
  expect(error).toMatchObject({ kind: "timeout", code: "call.timeout", cause: { code: "mailbox.full" } });
  expect(error.message).toContain("mailbox.full");
  expect(error.message).toContain("the same idempotency key");
});

test.for(["send", "ask"] as const)("%s without a time-out ends after 30 seconds", async (verb) => {
  await using stage = await open();
  stage.world.refuseAppends(0, true);
  const one = stage.client.agent("counter", "one");
  const called = one[verb]({ type: "add", by: 1 });
  expect(await errorAfter(stage.clock, 30_000, called)).toMatchObject({ kind: "timeout", code: "call.timeout" });
});

test("a refusal of the mailbox that is over is not told", async () => {
  await using stage = await open();
  const one = stage.client.agent(counter, "one");
  await one.send({ type: "add", by: 1 });
  stage.world.refuseAppends(0, true);
  const refused = await errorAfter(stage.clock, timeout, one.send({ type: "add", by: 1 }, { timeout }));
  expect(refused.cause).toMatchObject({ code: "mailbox.full" });
  stage.world.refuseAppends(0, false);
  stage.clock.moveTo(stage.clock.elapsedMs + 10_000);
  await one.send({ type: "add", by: 1 });
  // Accepted, and never answered: `reset` replies nothing.
  const silent = stage.client.agent("counter", "one").ask({ type: "reset" }, { timeout });
  const error = await errorAfter(stage.clock, timeout, silent);
  expect(error.code).toBe("call.timeout");
  expect(error.cause).toBeUndefined();
  expect(error.message).not.toContain("mailbox");
});

test("what waited for the mailbox until its callers had gone is not sent when it takes messages again", async () => {
  await using stage = await open();
  const one = stage.client.agent(counter, "one");
  await one.ask({ type: "add", by: 1 });
  stage.world.refuseAppends(0, true);
  // The second's caller goes while the first, a lower number, still waits; and so on.
  const called = [2, 1, 4, 3, 6, 5].map((seconds) =>
    one.send({ type: "add", by: 1 }, { timeout: 1_000 * seconds }).catch((error: unknown) => error),
  );
  for (let second = 0; second < 6; second += 1) {
    stage.clock.moveTo(stage.clock.elapsedMs + 1_000);
    await settled(stage.clock);
  }
  expect((await Promise.all(called)).map((error) => (error as DormouseError).code)).toEqual(
    called.map(() => "call.timeout"),
  );
  stage.world.refuseAppends(0, false);
  stage.clock.moveTo(stage.clock.elapsedMs + 10_000);
  expect(await one.ask({ type: "add", by: 1 })).toBe(2);
});

test("an ask that is over is not asked again, though its repeat still waits for the mailbox", async () => {
  await using stage = await open();
  const one = stage.client.agent("counter", "one");
  // Accepted, and never answered: `reset` replies nothing.
  const silent = one.ask({ type: "reset" }, { timeout: 5_000 }).catch((error: unknown) => error);
  await settled(stage.clock);
  stage.world.refuseAppends(0, true);
  // The repeat.
  stage.clock.moveTo(2_000);
  await settled(stage.clock);
  stage.clock.moveTo(5_000);
  expect(await silent).toMatchObject({ code: "call.timeout" });
  stage.world.refuseAppends(0, false);
  stage.accepted.length = 0;
  stage.clock.moveTo(20_000);
  await one.ask({ type: "add", by: 1 });
  expect(stage.accepted.map((text) => [text.includes("add"), text.includes("reset")])).toEqual([[true, false]]);
});

test.for(["read", "waitFor", "start"] as const)("%s that runs out of time names no idempotency key", async (verb) => {
  await using stage = await open(() => new Promise(() => undefined));
  if (verb === "start") stage.world.refuseAppends(0, true);
  const one = stage.client.agent("counter", "one");
  const calls = {
    read: () => one.read({ timeout }),
    waitFor: () => one.waitFor("nowhere", { timeout }),
    start: () => one.start(undefined, { timeout }),
  };
  const error = await errorAfter(stage.clock, timeout, calls[verb]());
  expect(error).toMatchObject({ kind: "timeout", code: "call.timeout" });
  expect(error.message).not.toContain("idempotency");
});

test("a read that nobody answers runs out of time, and says what the last try came to", async () => {
  await using stage = await open((_clock, _ask) =>
    Promise.reject(new DormouseError("unavailable", "channel.nobody", "nobody serves this subject now")),
  );
  const error = await errorAfter(stage.clock, timeout, stage.client.agent(counter, "one").read({ timeout }));
  expect(error).toMatchObject({ kind: "timeout", code: "call.timeout", cause: { code: "channel.nobody" } });
});

test("a read that nobody answers is not asked again ever so often", async () => {
  let asked = 0;
  await using stage = await open(() => {
    asked += 1;
    return Promise.reject(new DormouseError("unavailable", "channel.nobody", "nobody serves this subject now"));
  });
  const refused = stage.client
    .agent(counter, "one")
    .read({ timeout: 8_000 })
    .catch((error: unknown) => error);
  for (let ms = 0; ms < 8_000; ms += 50) {
    await settled(stage.clock);
    stage.clock.moveTo(ms);
  }
  await settled(stage.clock);
  // About 100 ms apart at first, 400 later.
  expect(asked).toBeGreaterThan(10);
  expect(asked).toBeLessThan(30);
  stage.clock.moveTo(8_000);
  expect(await refused).toMatchObject({ code: "call.timeout" });
});

test("the time of a history is for all its pages, but not for what its reader does between them", async () => {
  let pages = 0;
  await using stage = await open((clock, ask) => {
    pages += 1;
    clock.moveTo(clock.elapsedMs + 0.4 * timeout);
    return pages === 3 ? new Promise(() => undefined) : ask();
  });
  const one = stage.client.agent(counter, "one");
  await Promise.all(Array.from({ length: 450 }, () => one.send({ type: "reset" })));
  await one.ask({ type: "add", by: 1 });
  let told = 0;
  const reading = async (): Promise<void> => {
    for await (const step of one.history({ timeout })) {
      told = step.seq;
      if (told === 200) stage.clock.moveTo(stage.clock.elapsedMs + 10 * timeout);
    }
  };
  // Of the whole time a fifth is left to the third page, and two fifths have passed.
  const error = await errorAfter(stage.clock, 0, reading());
  expect(error).toMatchObject({ kind: "timeout", code: "call.timeout" });
  expect(error.message).toContain(`timeoutMs=${timeout}`);
  expect({ pages, told }).toEqual({ pages: 3, told: 400 });
});

test("an ask under a key that comes again is answered by what its agent keeps, also when the host's clock has jumped", async () => {
  const world = new MemoryWorld(realClock);
  let [aheadMs, isDeaf] = [0, true];
  const released = Promise.withResolvers<void>();
  const hostClock = { ...realClock, now: () => realClock.now() + aheadMs };
  const host = await startIncarnation({
    agents: [counter],
    ports: world.open("host", { clock: hostClock, entropy: realEntropy }),
    partitions: 1,
    observe: (event) => (event.kind === "released" && event.seq === 2 ? released.resolve() : undefined),
  });
  const clock = new StandingClock(0);
  const ports = world.open("client", { clock: clock.life(), entropy: realEntropy });
  const subscribe: Channel["subscribe"] = (subject, handler) =>
    ports.channel.subscribe(subject, (bytes) => (isDeaf ? undefined : handler(bytes)));
  const client = makeClient({ app: host.app, ports: { ...ports, channel: { ...ports.channel, subscribe } } });
  const asked = client.agent(counter, "one").ask({ type: "add", by: 1 }, { idempotencyKey: "k" });
  await released.promise;
  [aheadMs, isDeaf] = [3_600_000, false];
  // What the partition keeps of answers, it forgets by its host's clock.
  await client.agent(counter, "two").ask({ type: "add", by: 1 });
  clock.moveTo(1_500);
  expect(await asked).toBe(1);
  await client.close();
  host.kill();
});

test("an ask under a key that comes again while its agent cannot be read is told so, and answered when it can", async () => {
  const world = new MemoryWorld(realClock);
  const head = "agents/counter/one/head";
  let [aheadMs, isDeaf] = [0, true];
  const hostClock = { ...realClock, now: () => realClock.now() + aheadMs };
  const begin = (party: string, observe?: (event: Observed) => void): Promise<Incarnation> =>
    startIncarnation({
      agents: [counter],
      ports: world.open(party, { clock: hostClock, entropy: realEntropy }),
      partitions: 1,
      ...(observe === undefined ? {} : { observe }),
    });
  const released = Promise.withResolvers<void>();
  const first = await begin("first", (event) =>
    event.kind === "released" && event.seq === 2 ? released.resolve() : undefined,
  );
  const clock = new StandingClock(0);
  const ports = world.open("client", { clock: clock.life(), entropy: realEntropy });
  const subscribe: Channel["subscribe"] = (subject, handler) =>
    ports.channel.subscribe(subject, (bytes) => (isDeaf ? undefined : handler(bytes)));
  const client = makeClient({ app: first.app, ports: { ...ports, channel: { ...ports.channel, subscribe } } });
  const add = { type: "add", by: 1 } as const;
  const one = client.agent(counter, "one");
  const asked = one.ask(add, { idempotencyKey: "k" }).catch((error: unknown) => error);
  await released.promise;
  await first.settle();
  first.kill();
  world.end("first");
  const whole = world.objectBytes(head);
  world.overwriteObject(head, new Uint8Array(0));

  [aheadMs, isDeaf] = [3_600_000, false];
  const second = await begin("second");
  // What the partition keeps of answers, it forgets by its host's clock.
  await client.agent(counter, "two").ask(add);
  clock.moveTo(1_500);
  expect(await asked).toMatchObject({ kind: "corrupt" });
  world.overwriteObject(head, whole);
  await one.resume();
  expect(await one.ask(add, { idempotencyKey: "k" })).toBe(1);
  await client.close();
  second.kill();
});
