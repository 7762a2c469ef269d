/**
 * Short scenarios, each with few agents and one client: what `every-point.test.ts` ends a host in, at every point.
 *
 * A scenario names its workloads, the size of its world, and what the client does; its last pause is long enough for what
 * it is about: a timer that rings, a settle, a hand-over.
 */
import type { Settings } from "@dormouse/core";
import type { Call } from "@dormouse/local";
import {
  type Operation,
  type Random,
  type Run,
  type Script,
  type Shape,
  type Stage,
  simulate,
  type SimulationOptions,
  type Workload,
  workloads,
} from "@dormouse/testing";
import { stepAgainOf } from "./step-again.ts";

export interface Scenario {
  readonly name: string;
  /** The workloads whose agents take part. */
  readonly of: readonly string[];
  readonly shape: Shape;
  /** How often what was committed is settled. */
  readonly settleMs: number;
  /** In the place of those that all scenarios have. */
  readonly settings?: Settings;
  readonly script: Script;
  /** How long a host is stopped, at every call of the store, in the place of a death at every point. */
  readonly pauseMs?: number;
  /** How long it is cut off from its streams there, in the place of that: it lives, and another is made the owner. */
  readonly cutMs?: number;
  /** Of its mishaps, every so manieth is tried. Default 1. */
  readonly stride?: number;
  /** What goes wrong by chance all the while. Default: nothing. */
  readonly rates?: FaultRates;
  /** How often it is played with other chances, in the place of a death at every point. */
  readonly draws?: number;
}

type FaultRates = NonNullable<NonNullable<SimulationOptions["faults"]>["rates"]>;

type Say = Omit<Operation, "agent">;

/** Of these agents' types, one operation. */
function on(known: readonly Workload[], type: string, say: Say): Operation {
  const agent = known.flatMap(({ agents }) => agents).find((one) => one.type === type);
  if (agent === undefined) throw new Error(`no workload has such an agent: ${type}`);
  return { ...say, agent };
}

const alone: Shape = { hosts: 1, partitions: 1 };
const never = 120_000;

export const scenarios: readonly Scenario[] = [
  {
    name: "an ask of a counter",
    of: ["counter"],
    shape: alone,
    settleMs: never,
    script: async ({ workloads: known, perform }) => {
      await perform(on(known, "counter", { verb: "ask", key: "c0", event: { type: "add" } }));
      await perform(on(known, "counter", { verb: "read", key: "c0", event: { type: "read" } }));
    },
  },
  {
    name: "a transfer between two agents of two partitions",
    of: ["bank"],
    shape: { hosts: 1, partitions: 2 },
    settleMs: never,
    script: async ({ workloads: known, perform, sleep }) => {
      const event = { type: "transfer", of: "account/a0", to: "account/a1", amount: 7 };
      await perform(on(known, "account", { verb: "ask", key: "a0", event }));
      await sleep(200);
    },
  },
  {
    name: "a timer",
    of: ["alarm"],
    shape: alone,
    settleMs: never,
    script: async ({ workloads: known, perform, sleep }) => {
      await perform(on(known, "alarm", { verb: "ask", key: "t0", event: { type: "set", ms: 500 } }));
      await sleep(1_000);
    },
  },
  {
    name: "a durable function that runs, sleeps and receives",
    of: ["permit"],
    shape: alone,
    settleMs: never,
    script: async ({ workloads: known, perform, sleep }) => {
      const event = { type: "decide", permit: "p0", ms: [5, 10, 300], fails: 0, isBad: false };
      await perform(on(known, "clerk", { verb: "ask", key: "of-p0", event }));
      await sleep(1_000);
    },
  },
  {
    name: "a parent with a child",
    of: ["family"],
    shape: alone,
    settleMs: never,
    script: async ({ workloads: known, perform, sleep }) => {
      await perform(on(known, "parent", { verb: "ask", key: "p0", event: { type: "job", ms: 100, isToFail: false } }));
      await sleep(600);
    },
  },
  {
    name: "a removal and a rebirth",
    of: ["guest"],
    shape: alone,
    settleMs: 500,
    script: async ({ workloads: known, perform, sleep }) => {
      await perform(on(known, "guest", { verb: "ask", key: "g0", event: { type: "order" } }));
      await perform(on(known, "guest", { verb: "remove", key: "g0", event: { type: "remove" } }));
      await perform(on(known, "guest", { verb: "ask", key: "g0", event: { type: "order" } }));
      await sleep(1_000);
    },
  },
  {
    name: "a hand-over between two hosts",
    of: ["counter"],
    shape: { hosts: 1, partitions: 1 },
    settleMs: never,
    script: async ({ workloads: known, perform, sleep, addHost, drain }) => {
      await perform(on(known, "counter", { verb: "ask", key: "c0", event: { type: "add" } }));
      addHost();
      await sleep(300);
      drain();
      await perform(on(known, "counter", { verb: "ask", key: "c0", event: { type: "add" } }));
      await sleep(1_000);
    },
  },
  {
    name: "a settle and a takeover",
    of: ["counter"],
    shape: { hosts: 2, partitions: 1 },
    settleMs: 300,
    script: async ({ workloads: known, perform, sleep }) => {
      await perform(on(known, "counter", { verb: "ask", key: "c0", event: { type: "add" } }));
      await sleep(2_000);
      await perform(on(known, "counter", { verb: "send", key: "c0", event: { type: "note" } }));
      await sleep(2_000);
    },
  },
  {
    name: "an agent of many pieces, which are merged",
    of: ["scribe"],
    shape: alone,
    settleMs: 300,
    stride: 7,
    script: async (stage) => {
      await writePage(stage, 24_000);
      for (let page = 0; page < 8; page += 1) await writePage(stage, 2_100);
    },
  },
];

/**
 * Scenarios in which a host is stopped past every time-out, or cut off, at each of its calls of the store, and then goes on
 * beside the next owner.
 */
export const lateOwners: readonly Scenario[] = [
  {
    name: "an owner that comes late to a settle",
    of: ["counter"],
    shape: { hosts: 2, partitions: 1 },
    settleMs: 300,
    pauseMs: 45_000,
    script: async ({ workloads: known, perform, sleep }) => {
      for (let round = 0; round < 4; round += 1) {
        await perform(on(known, "counter", { verb: "ask", key: "c0", event: { type: "add" } }));
        await sleep(round < 2 ? 1_000 : 25_000);
      }
    },
  },
  {
    name: "an owner that comes late to a merge of pieces",
    ...lateMerge(20_000),
  },
  {
    name: "an owner that comes late to a merge of pieces that the next one merges too",
    ...lateMerge(2_100),
  },
  {
    // Whoever was answered by the next owner asks both, and hears the first of them.
    name: "an owner that answers readers and does not know that it was replaced",
    of: ["counter"],
    shape: { hosts: 2, partitions: 1 },
    settleMs: never,
    // It has the agent in memory, and tells as soon as the next owner.
    settings: { settleRoundMs: never },
    cutMs: 60_000,
    script: async ({ workloads: known, perform, sleep }) => {
      for (let round = 0; round < 12; round += 1) {
        await perform(on(known, "counter", { verb: "ask", key: "c0", event: { type: "add" } }));
        await perform(on(known, "counter", { verb: "read", key: "c0", event: { type: "read" } }));
        await sleep(5_000);
      }
    },
  },
];

/** An owner stops while it merges; the next one has read the head that names the pieces, and adds to it when they are gone. */
function lateMerge(inkBytes: number): Omit<Scenario, "name"> {
  return {
    of: ["scribe"],
    shape: { hosts: 2, partitions: 1 },
    settleMs: never,
    // A settle follows each record, and no agent leaves memory.
    settings: { settleBytes: 1, settleRoundMs: never },
    pauseMs: 45_000,
    script: async (stage) => {
      await writePage(stage, 64_000);
      for (let page = 0; page < 8; page += 1) await writePage(stage, 2_100);
      await stage.sleep(43_000);
      await stage.perform(on(stage.workloads, "scribe", { verb: "read", key: "s0", event: { type: "read" } }));
      await stage.sleep(2_000);
      await writePage(stage, inkBytes);
    },
  };
}

/** Scenarios of chance: each is played many times, with other chances. */
export const chances: readonly Scenario[] = [
  {
    // Who wrote to a missing app is to be told of it, by whichever owner has found both.
    name: "hand-overs while heads and looks for apps take long",
    of: ["trade"],
    shape: { hosts: 1, partitions: 4 },
    settleMs: 300,
    rates: { "lookup-delayed": 1, "head-delayed": 1 },
    draws: 40,
    script: async ({ workloads: known, perform, sleep, addHost }) => {
      for (let host = 0; host < 4; host += 1) {
        for (const seller of known.flatMap(({ addresses }) => addresses)) {
          const event = { type: "order", seller, buyer: "nowhere/buyer/b0" };
          await perform(on(known, "seller", { verb: "send", key: seller.slice("seller/".length), event }));
        }
        await sleep(4_000);
        addHost();
        await sleep(4_000);
      }
    },
  },
  {
    // What an incarnation wrote of one before it handed it over is none of what its next chain link stands for.
    name: "partitions that go, come back and are taken over",
    of: ["counter"],
    shape: { hosts: 2, partitions: 4 },
    settleMs: 1_000,
    rates: { "crash-before-effect": 0.004 },
    draws: 40,
    script: async ({ workloads: known, perform, sleep, addHost, drain }) => {
      for (let round = 0; round < 8; round += 1) {
        for (const counter of known.flatMap(({ addresses }) => addresses)) {
          const key = counter.slice("counter/".length);
          await perform(on(known, "counter", { verb: "send", key, event: { type: "note" } }));
        }
        if (round % 2 === 0) addHost();
        else drain();
        await sleep(1_500);
      }
    },
  },
];

/** Scenarios of messages whose mailbox is slow, or loses them: what is consumed of it then, a death of the host must not lose. */
export const lateMessages: readonly Scenario[] = [
  {
    name: "a message that is given up, and comes after one whose floor closed it",
    of: ["counter", "alarm"],
    shape: alone,
    settleMs: never,
    script: async (stage) => {
      const { workloads: known, perform, sleep, hold, meet } = stage;
      await setAlarm(stage, 2_500);
      hold(2_000, isSend);
      const givenUp = perform(
        on(known, "counter", { verb: "send", key: "c0", event: { type: "note" }, timeoutMs: 500 }),
      );
      await sleep(100);
      hold(1_000, isHeadRead);
      const behind = perform(on(known, "counter", { verb: "send", key: "c1", event: { type: "note" } }));
      await givenUp;
      meet("reordered", isSend);
      // Heard of in time, it would be published again, and what it overtook too.
      meet("answer-lost", isSend);
      const overtaking = perform(on(known, "counter", { verb: "send", key: "c0", event: { type: "note" } }));
      await sleep(100);
      hold(2_000, isSend);
      await Promise.all([behind, overtaking]);
      await sleep(1_000);
    },
  },
  {
    name: "a message that is sent again after a lost tail, and whose agent is slow to load",
    of: ["counter", "alarm"],
    shape: alone,
    settleMs: never,
    script: async (stage) => {
      const { workloads: known, perform, sleep, hold, meet, loseTail } = stage;
      await setAlarm(stage, 2_500);
      hold(3_000, isHeadRead);
      meet("answer-lost", isSend);
      // It goes at once, and its repeat when the tail is lost.
      hold(0, isSend);
      hold(1_000, isSend);
      const sent = perform(on(known, "counter", { verb: "send", key: "c1", event: { type: "note" } }));
      await sleep(500);
      loseTail(0, 1);
      await sent;
      await sleep(3_000);
    },
  },
];

/** What an alarm does when it rings is committed, and with it how far the mailbox is consumed by then. */
function setAlarm({ workloads: known, perform }: Stage, ms: number): Promise<void> {
  return perform(on(known, "alarm", { verb: "ask", key: "t0", event: { type: "set", ms } }));
}

function isSend({ party, operation }: Call): boolean {
  return party.startsWith("client-") && operation === "append";
}

function isHeadRead({ operation, about }: Call): boolean {
  return operation === "get" && about.endsWith("/head");
}

/** A scribe writes a page, and has time to settle. */
async function writePage(
  { workloads: known, perform, sleep }: Stage,
  inkBytes: number,
  ms: number = 1_000,
): Promise<void> {
  await perform(on(known, "scribe", { verb: "ask", key: "s0", event: { type: "write", inkBytes } }));
  await sleep(ms);
}

/**
 * What happens in a scenario: a host dies at that one of its crash points, or stops or is cut off at that one of its calls;
 * or chance has it otherwise.
 */
export interface Mishap {
  readonly crashAt?: number;
  readonly pauseAt?: { readonly call: number; readonly ms: number };
  readonly cutAt?: { readonly call: number; readonly ms: number };
  readonly draw?: number;
}

/** What is tried in a scenario, by a run of it in which nothing happens. */
export function mishapsOf(scenario: Scenario, { crashPoints, calls }: Run): readonly Mishap[] {
  const { pauseMs, cutMs, draws, stride = 1 } = scenario;
  const upTo = (count: number): readonly number[] =>
    Array.from({ length: Math.ceil(count / stride) }, (_, index) => index * stride);
  if (pauseMs !== undefined) return upTo(calls).map((call) => ({ pauseAt: { call, ms: pauseMs } }));
  if (cutMs !== undefined) return upTo(calls).map((call) => ({ cutAt: { call, ms: cutMs } }));
  if (draws !== undefined) return upTo(draws).map((draw) => ({ draw }));
  return upTo(crashPoints).map((crashAt) => ({ crashAt }));
}

/** Runs a scenario. */
export function play(scenario: Scenario, { draw, ...mishap }: Mishap = {}): Promise<Run> {
  const { of, shape, settleMs, settings, rates = {}, script, name } = scenario;
  return simulate({
    seed: draw === undefined ? name : `${name}, ${draw}`,
    workloads: (random: Random) =>
      workloads.map((make) => make(random.fork("agents"))).filter(({ name: one }) => of.includes(one)),
    faults: { rates },
    worldSpellsPerMinute: {},
    settings: { settleMs, settleRoundMs: 300, ...settings },
    shape,
    script,
    traceLinesMax: 0,
    stepAgain: stepAgainOf,
    ...mishap,
  });
}
