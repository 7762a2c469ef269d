/**
 * Goal: thousands of functions that wait for a week all go on, after a restart too. What they hold is in `bench/memory.ts`.
 * Method: a world in memory on virtual time.
 */
import { makeClient } from "@dormouse/client";
import { type Observed, startIncarnation } from "@dormouse/core";
import type { Ports } from "@dormouse/core/ports";
import { type Address, partitionOf } from "@dormouse/core/protocol";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { agent, durable } from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import { expect, test } from "vitest";

const count = 10_000;

test("ten thousand functions wait for a week, and all are answered after a restart", { timeout: 180_000 }, async () => {
  let begun = 0;
  const patient = agent("patient", {
    run: durable(async ({ receive, run }) => {
      await run("begin", () => (begun += 1));
      return receive("answer");
    }),
  });
  await using runtime = await testRuntime({ agents: [patient] });
  const refs = Array.from({ length: count }, (_, n) => runtime.client.agent(patient, `p${n}`));
  await Promise.all(refs.map((ref) => ref.start()));
  await runtime.advance("7d");
  await runtime.crash();
  await Promise.all(refs.map((ref, n) => ref.send({ type: "answer", value: n })));
  await runtime.quiesce();
  const outputs = await Promise.all(refs.map((ref) => ref.result()));
  expect(outputs).toEqual(Array.from({ length: count }, (_, n) => n));
  expect(begun).toBe(count);
});

test("an agent whose function waits leaves memory, and goes on when the wait ends", async () => {
  const waiting = agent("waiting", { run: durable(async ({ receive }) => receive("answer")) });
  const ports = new MemoryWorld(realClock).open("host", { clock: realClock, entropy: realEntropy });
  const host = await startIncarnation({ agents: [waiting], ports, settings: { parkMs: 0 } });
  const client = makeClient({ app: host.app, ports });
  const ref = client.agent(waiting, "w1");
  await ref.start();
  await expect.poll(() => host.passivateAll(), { timeout: 20_000 }).toBe(1);
  expect(host.activity()).toMatchObject({ agents: 0, effects: 0 });
  await ref.send({ type: "answer", value: 7 });
  await expect(ref.result()).resolves.toBe(7);
  await client.close();
  host.kill();
});

test("a function that goes on while its agent is about to leave memory runs to its end", async () => {
  const [begun, mayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let begins = 0;
  const worker = agent("worker", {
    run: durable(async ({ receive, run }) => {
      await receive("go");
      await run("work", () => {
        begins += 1;
        begun.resolve();
        return mayEnd.promise;
      });
      return receive("more");
    }),
  });
  const own = new MemoryWorld(realClock).open("host", { clock: realClock, entropy: realEntropy });
  // The head that is written first takes its time: the other agent's partition waits for it.
  const [firstHead, mayWrite] = [Promise.withResolvers<string>(), Promise.withResolvers<void>()];
  let isSlow = false;
  const put: Ports["store"]["put"] = async (name, ...rest) => {
    if (isSlow && name.endsWith("/head")) {
      isSlow = false;
      firstHead.resolve(name);
      await mayWrite.promise;
    }
    return own.store.put(name, ...rest);
  };
  const ports = { ...own, store: { ...own.store, put } };
  const steps = new Map<string, number>();
  const observe = (event: Observed): void => void (event.kind === "stepped" && steps.set(event.agent, event.seq));
  const host = await startIncarnation({ agents: [worker], ports, settings: { parkMs: 0 }, observe });
  const client = makeClient({ app: host.app, ports });
  /** An event that nothing waits for is kept, by a step. */
  const keep = async (key: string, type: string, value: number): Promise<void> => {
    const before = steps.get(`worker/${key}`) ?? 0;
    await client.agent(worker, key).send({ type, value });
    await expect.poll(() => steps.get(`worker/${key}`)).toBeGreaterThan(before);
  };
  const keys = Array.from({ length: 64 }, (_, n) => `w${n}`);
  const placeOf = (key: string): number => partitionOf(`worker/${key}` as Address, host.app.partitions);
  const pair = ["w0", keys.find((key) => placeOf(key) !== placeOf("w0")) ?? ""];
  for (const key of pair) await client.agent(worker, key).start();
  let asleep = 0;
  await expect.poll(async () => (asleep += await host.passivateAll()), { timeout: 20_000 }).toBe(2);
  // Both have something to settle, and still wait.
  for (const key of pair) await keep(key, "other", 0);
  isSlow = true;
  const passivating = host.passivateAll();
  const name = await firstHead.promise;
  const other = pair.find((key) => !name.includes(`/${key}/`)) ?? "";
  const ref = client.agent(worker, other);
  await ref.send({ type: "go", value: 0 });
  await begun.promise;
  mayWrite.resolve();
  await passivating;
  await keep(other, "more", 7);
  expect(host.activity()).toMatchObject({ effects: 1 });
  mayEnd.resolve();
  await expect(ref.result()).resolves.toBe(7);
  expect(begins).toBe(1);
  await client.close();
  host.kill();
});
