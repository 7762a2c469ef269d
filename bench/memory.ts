/** Memory of agents: small ones that are active, and many that sleep with a timer each. Run with `--expose-gc`. */
import { setImmediate as turn } from "node:timers/promises";
import { counter, patient, sleeper } from "./agents.ts";
import { type BenchHost, inFlight, inFolder, openBenchHost } from "./bench-host.ts";
import { atMost, type Figure, print } from "./figure.ts";

const active = 50_000;
const sleeping = 100_000;
const waiting = 30_000;
const warming = 2_000;
/** Below this, what 100,000 agents take cannot be told from noise. */
const measurableBytes = 20;
/** Timers due within this time may be in memory, whoever sleeps. */
const nearMs = 1_200_000;

/** What JavaScript holds, after everything that can go has gone. */
async function held(): Promise<number> {
  const collect = globalThis.gc;
  if (collect === undefined) throw new Error("run this with node --expose-gc");
  for (let round = 0; round < 4; round += 1) {
    await turn();
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** A host that has done a little of everything, so that what it holds anyway is there before the count. */
async function warm(folder: string): Promise<BenchHost> {
  const host = await openBenchHost(folder, [counter, sleeper]);
  await inFlight(2_000, 64, (n) => host.client.agent(counter, `warm-${n}`).ask({ type: "add" }));
  await host.incarnation.passivateAll();
  await host.incarnation.settle();
  return host;
}

/** Sends to so many agents that are not in memory; resolves when all of them have taken it. Asks would leave answers. */
async function sendToNew(host: BenchHost, total: number, send: (n: number) => Promise<unknown>): Promise<void> {
  await inFlight(total, 256, send);
  while (host.incarnation.activity().agents < total) await turn();
  await host.incarnation.settle();
}

async function activeAgents(): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const host = await warm(folder);
    const before = await held();
    await sendToNew(host, active, (n) => host.client.agent(counter, `${n}`).send({ type: "add" }));
    const after = await held();
    const { agents } = host.incarnation.activity();
    if (agents !== active) throw new Error(`of ${active} agents ${agents} are in memory`);
    await host.close();
    return [
      atMost(3_072, { what: "a small active agent: one of 50,000", value: (after - before) / active, unit: "bytes" }),
    ];
  });
}

async function sleepingAgents(what: string, delayMs: number): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const host = await warm(folder);
    const before = await held();
    const wave = 10_000;
    for (let from = 0; from < sleeping; from += wave) {
      await sendToNew(host, wave, (n) => host.client.agent(sleeper, `${from + n}`).send({ type: "sleep", delayMs }));
      while (host.incarnation.activity().agents > 0) await host.incarnation.passivateAll();
    }
    await host.incarnation.settle();
    const after = await held();
    await host.close();
    const figure = { what: `${what}: one of 100,000`, value: (after - before) / sleeping, unit: "bytes" };
    return [delayMs > nearMs ? atMost(measurableBytes, figure) : figure];
  });
}

async function waitingFunctions(): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const host = await openBenchHost(folder, [counter, patient], { parkMs: 0 });
    await inFlight(warming, 64, (n) => host.client.agent(patient, `warm-${n}`).start());
    const leave = async (): Promise<void> => {
      while (host.incarnation.activity().effects > 0 || host.incarnation.activity().agents > 0) {
        await host.incarnation.passivateAll();
        await turn();
      }
      await host.incarnation.settle();
    };
    await leave();
    const before = await held();
    // Not by `start`: it is an ask, of which the host keeps the answer for a while.
    await inFlight(waiting, 256, (n) => host.client.agent(patient, `${n}`).send({ type: "begin" }));
    while (host.incarnation.activity().effects < 1) await turn();
    await leave();
    const after = await held();
    let found = 0;
    for await (const _ of host.client.waits()) found += 1;
    if (found !== waiting + warming) throw new Error(`of ${waiting + warming} functions ${found} wait`);
    await host.close();
    const figure = {
      what: "a durable function that waits: one of 30,000",
      value: (after - before) / waiting,
      unit: "bytes",
    };
    return [atMost(measurableBytes, figure)];
  });
}

export async function measure(): Promise<Figure[]> {
  return [
    ...(await activeAgents()),
    ...(await waitingFunctions()),
    ...(await sleepingAgents("asleep with a timer due in a day", 86_400_000)),
    ...(await sleepingAgents("asleep with a timer due in half an hour", 1_800_000)),
    ...(await sleepingAgents("asleep with a timer due in five minutes", 300_000)),
  ];
}

if (import.meta.main) print(await measure());
