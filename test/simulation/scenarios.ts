/**
 * Short scenarios, each with few agents and one client: what `every-point.test.ts` ends a host in, at every point.
 *
 * A scenario names its workloads, the size of its world, and what the client does; its last pause is long enough for what
 * it is about: a timer that rings, a settle, a hand-over.
 */
import {
  type Operation,
  type Random,
  type Run,
  type Script,
  type Shape,
  simulate,
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
  readonly script: Script;
}

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
];

/** Runs a scenario; `crashAt`: with the death of a host at that one of its crash points. */
export function play(scenario: Scenario, crashAt?: number): Promise<Run> {
  const { of, shape, settleMs, script, name } = scenario;
  return simulate({
    seed: name,
    workloads: (random: Random) =>
      workloads.map((make) => make(random.fork("agents"))).filter(({ name: one }) => of.includes(one)),
    faults: {},
    worldSpellsPerMinute: {},
    settings: { settleMs, settleRoundMs: 300 },
    shape,
    script,
    traceLinesMax: 0,
    stepAgain: stepAgainOf,
    ...(crashAt === undefined ? {} : { crashAt }),
  });
}
