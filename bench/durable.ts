/**
 * What durable functions cost: how many of three checkpoints run, what a `run` takes beyond its commit, what a re-run over
 * many checkpoints takes, and a conversation that grows.
 */
import { randomBytes } from "node:crypto";
import { agent, durable, type DurableContext } from "@dormouse/sdk";
import { counter } from "./agents.ts";
import { bytesOnDisk, inFlight, inFolder, openBenchHost } from "./bench-host.ts";
import { atMost, type Figure, median, print, quantile } from "./figure.ts";

const functions = 2_000;
const calls = 1_000;
const turns = 300;
const turnBytes = 2_048;
const around = 10;

const three = agent("three", {
  passivateAfter: "1d",
  run: durable(async ({ run }) => {
    const first = await run("first", () => 1);
    const second = await run("second", () => first + 1);
    return run("third", () => second + 1);
  }),
});

let loopMs = 0;

/** Makes calls, then waits; what it computes after the wait shows when its re-run was through. */
const many = agent("many", {
  passivateAfter: "1d",
  run: durable(async ({ run, receive }) => {
    let sum = 0;
    const begunMs = performance.now();
    for (let n = 0; n < calls; n += 1) sum += await run("call", () => n);
    // Of its last run, for who measures here.
    loopMs = performance.now() - begunMs;
    await receive("go");
    return sum;
  }),
});

const chat = agent("chat", {
  passivateAfter: "1d",
  run: durable(async ({ run, receive, log }: DurableContext) => {
    for (;;) {
      const text = await receive("turn");
      if (text === "end") return;
      await run("reply", () => randomBytes((turnBytes * 3) / 4).toString("base64"));
      log("turn");
    }
  }),
});

async function threeAt(width: number): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const host = await openBenchHost(folder, [three]);
    const one = async (key: string): Promise<void> => {
      const ref = host.client.agent(three, key);
      await ref.start();
      await ref.result();
    };
    await inFlight(200, width, (n) => one(`warm-${n}`));
    const count = width === 1 ? functions / 4 : functions;
    const begunMs = performance.now();
    const tookMs = await inFlight(count, width, (n) => one(`f-${n}`));
    const perSecond = (count * 1_000) / (performance.now() - begunMs);
    await host.close();
    const name = `functions of three checkpoints, ${width} in flight`;
    return [
      { what: name, value: perSecond, unit: "functions/s" },
      { what: `${name}: p50, from start to result`, value: quantile(tookMs, 0.5), unit: "ms" },
    ];
  });
}

/** One call after another: each is a commit, as each ask of one client is. */
async function runOverhead(): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const host = await openBenchHost(folder, [many, counter]);
    await host.client.agent(counter, "c").ask({ type: "add" });
    const asksBegunMs = performance.now();
    for (let n = 0; n < calls; n += 1) await host.client.agent(counter, "c").ask({ type: "add" });
    const askMs = (performance.now() - asksBegunMs) / calls;
    const ref = host.client.agent(many, "m");
    await ref.start();
    await ref.send({ type: "go" });
    await ref.result();
    const callMs = loopMs / calls;
    await host.close();
    return [
      { what: "one `run` after another", value: callMs, unit: "ms" },
      { what: "one `run`, against one ask of the same host", value: callMs / askMs, unit: "×" },
    ];
  });
}

async function reRun(): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const host = await openBenchHost(folder, [many], { parkMs: 0 });
    const ref = host.client.agent(many, "m");
    await ref.start();
    await ref.waitFor(({ seq }) => seq > calls + 2);
    const begunMs = performance.now();
    await ref.send({ type: "go" });
    await ref.result();
    const tookMs = performance.now() - begunMs;
    await host.close();
    return [{ what: `a re-run over ${calls} checkpoints, from the event to the result`, value: tookMs, unit: "ms" }];
  });
}

async function conversation(): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const host = await openBenchHost(folder, [chat]);
    const ref = host.client.agent(chat, "c");
    await ref.start();
    const tookMs: number[] = [];
    const before = host.toMailbox.bytes + host.toStore.bytes;
    const disk = bytesOnDisk(folder);
    const steps = ref.watch()[Symbol.asyncIterator]();
    for (let n = 0; n < turns; n += 1) {
      const begunMs = performance.now();
      await ref.send({ type: "turn", value: randomBytes((turnBytes * 3) / 4).toString("base64") });
      for (let isTold = false; !isTold;) {
        const { value, done } = await steps.next();
        isTold = done === true || value.emitted.length > 0;
      }
      tookMs.push(performance.now() - begunMs);
    }
    await ref.send({ type: "turn", value: "end" });
    await ref.result();
    await host.incarnation.settle();
    const handed = host.toMailbox.bytes + host.toStore.bytes - before;
    const grown = bytesOnDisk(folder) - disk;
    await host.close();
    const changed = turns * 2 * turnBytes;
    const early = median(tookMs.slice(4, 4 + around));
    const late = median(tookMs.slice(turns - around));
    const what = `a conversation of ${turns} turns of 2 kB and 2 kB back`;
    return [
      { what: `${what}: one turn, around the 10th`, value: early, unit: "ms" },
      { what: `${what}: one turn, around the 300th`, value: late, unit: "ms" },
      atMost(1.5, { what: `${what}: time of the 300th turn`, value: late / early, unit: "× the 10th" }),
      atMost(4, { what: `${what}: handed to both ports`, value: handed / changed, unit: "× what changed" }),
      { what: `${what}: growth on disk`, value: grown / changed, unit: "× what changed" },
    ];
  });
}

print([
  ...(await threeAt(1)),
  ...(await threeAt(64)),
  ...(await runOverhead()),
  ...(await reRun()),
  ...(await conversation()),
]);
process.exit(0);
