/**
 * Goal: whoever observes a host is told why a durable function or an attempt in it failed, and what it logged.
 * Method: what a host of one agent tells its observer, until the agent has ended.
 */
import { makeClient } from "@dormouse/client";
import { startIncarnation } from "@dormouse/core";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { agent, durable, type Observed } from "@dormouse/sdk";
import { expect, test } from "vitest";

function fetch({ attempt }: { readonly attempt: number }): void {
  if (attempt < 3) throw new RangeError(`busy ${attempt}`);
}

test("an observer is told why a function failed, of each attempt that failed, and of what was logged", async () => {
  const thrown = new TypeError("no such field");
  const broken = agent("broken", {
    run: durable(async ({ run, log }) => {
      log("begins");
      log("has", { pages: 2 });
      await run("fetch", fetch, { retry: { initialInterval: 1 } });
      throw thrown;
    }),
  });
  const ports = new MemoryWorld(realClock).open("host", { clock: realClock, entropy: realEntropy });
  const seen: Observed[] = [];
  const host = await startIncarnation({ agents: [broken], ports, observe: (event) => seen.push(event) });
  const ref = makeClient({ app: host.app, ports }).agent(broken, "b1");
  await ref.start();
  await ref.result().catch(() => undefined);
  host.kill();
  const told = seen.filter(({ kind }) => ["effect-started", "effect-ended", "attempt-failed", "logged"].includes(kind));
  expect(told).toMatchObject([
    { kind: "effect-started", agent: "broken/b1", src: "run", attempt: 1 },
    { kind: "logged", agent: "broken/b1", value: "begins" },
    { kind: "logged", label: "has", value: { pages: 2 } },
    { kind: "attempt-failed", agent: "broken/b1", name: "fetch", attempt: 1, error: { message: "busy 1" } },
    { kind: "attempt-failed", agent: "broken/b1", name: "fetch", attempt: 2, error: { message: "busy 2" } },
    { kind: "effect-ended", src: "run", isOk: false, error: { name: "TypeError", message: "no such field" }, thrown },
  ]);
});
