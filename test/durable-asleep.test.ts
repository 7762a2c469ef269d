/**
 * Goal: thousands of functions that wait for a week all go on, after a restart too. What they hold is in `bench/memory.ts`.
 * Method: a world in memory on virtual time.
 */
import { makeClient } from "@dormouse/client";
import { startIncarnation } from "@dormouse/core";
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
