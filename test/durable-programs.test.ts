/**
 * Goal: a durable function comes to the same whatever crashes, however it is parked, and no marked call that was recorded is
 * done again (D7).
 * Method: random programs of marked calls, as data, each executed without a crash, with a crash at every point at which its
 * code runs, parked at each wait, and read back from the store at each step. What it was told must be the same each time.
 *
 * `PROGRAMS=200 SEED=7` executes more of them, of that seed; one that fails is shrunk and printed with its seed.
 *
 * Does not verify which of two calls that end at one moment is recorded first, when a crash comes before either is.
 */
import { agent, durable, type DurableContext } from "@dormouse/sdk";
import { testRuntime } from "@dormouse/testing";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { echo, sink } from "./programs/program-agents.ts";
import { type Input, interpret, type Plan, plans, type Probes, valuesOf } from "./programs/program.ts";

interface Mode {
  /** After so many points the host crashes, so many turns later; missing: never. */
  readonly crash?: { readonly at: number; readonly turns: number; readonly every: boolean };
  readonly parkMs?: number;
  readonly restoreEveryStep?: boolean;
}

interface Execution {
  readonly output: unknown;
  readonly points: number;
  readonly wrong: readonly string[];
}

/** Beyond all that a program waits for: a virtual hour. */
const longMs = 3_600_000;

async function execute(plan: Plan, mode: Mode): Promise<Execution> {
  const witness = new Witness();
  const program = agent("program", {
    run: durable((context: DurableContext<Input>) => interpret(plan, context, witness, { echo, sink })),
  });
  await using runtime = await testRuntime({
    agents: [program, echo, sink],
    ...(mode.restoreEveryStep === undefined ? {} : { restoreEveryStep: mode.restoreEveryStep }),
    ...(mode.parkMs === undefined ? {} : { settings: { parkMs: mode.parkMs } }),
  });
  witness.crashes = new Crashes(mode, () => runtime.crash());
  const ref = runtime.client.agent(program, "p1");
  await ref.start({ round: 0 });
  let passedMs = 0;
  const advance = async (ms: number): Promise<void> => {
    await witness.crashes?.over();
    await runtime.advance(ms);
    await witness.crashes?.over();
    passedMs += ms;
  };
  for (const { afterMs, name, value } of valuesOf(plan)) {
    await advance(afterMs - passedMs);
    await ref.send({ type: name, value });
  }
  await advance(longMs);
  const { output, status } = (await ref.read()) ?? {};
  if (status !== "done") witness.wrong.push(`the program has not ended: status=${status}`);
  const held = await runtime.client.agent(sink, "s1").read();
  witness.checkSent(held?.context.names ?? []);
  return { output, points: witness.points, wrong: witness.wrong };
}

/** Crashes the host at a point, some turns later. */
class Crashes {
  readonly #mode: Mode;
  readonly #crash: () => Promise<void>;
  #under: Promise<void> = Promise.resolve();
  #isUnder = false;
  #count = 0;

  constructor(mode: Mode, crash: () => Promise<void>) {
    this.#mode = mode;
    this.#crash = crash;
  }

  point(points: number): void {
    const { crash } = this.#mode;
    if (crash === undefined || this.#isUnder || this.#count === crashesMax) return;
    const isDue = crash.every ? points % crash.at === 0 : points === crash.at;
    if (!isDue) return;
    this.#isUnder = true;
    this.#count += 1;
    this.#under = this.#after(crash.turns);
  }

  async over(): Promise<void> {
    await this.#under;
  }

  async #after(turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
    await this.#crash();
    this.#isUnder = false;
  }
}

const crashesMax = 20;

/** What the code of one execution does, over all hosts. */
class Witness implements Probes {
  readonly wrong: string[] = [];
  crashes: Crashes | undefined;
  points = 0;
  readonly #keys = new Map<string, string>();
  /** By round: what was told, as the attempt that got furthest was. */
  readonly #told = new Map<number, string[]>();
  readonly #attempts = new Map<string, number>();
  readonly #ended = new Set<string>();
  readonly #sent = new Set<string>();

  point(): void {
    this.points += 1;
    this.crashes?.point(this.points);
  }

  began(body: string, key: string): void {
    if (this.#ended.has(body.replace(/\/(?:inner|outer)$/, ""))) {
      this.wrong.push(`the body of ${body} begins when its result was told`);
    }
    const known = this.#keys.get(body) ?? key;
    this.#keys.set(body, key);
    if (known !== key) this.wrong.push(`the body of ${body} has the key ${key}, and had ${known}`);
  }

  told(round: number, attempt: number, what: string): void {
    const { path } = JSON.parse(what) as { readonly path: string };
    this.#ended.add(`${round} ${path}`);
    const known = this.#told.get(round) ?? [];
    const index = this.#attempts.get(`${round} ${attempt}`) ?? 0;
    this.#attempts.set(`${round} ${attempt}`, index + 1);
    if (known[index] === undefined) known[index] = what;
    else if (known[index] !== what) {
      this.wrong.push(`attempt ${attempt} is told ${what} where an earlier one was told ${known[index]}`);
    }
    this.#told.set(round, known);
  }

  sent(name: string): void {
    this.#sent.add(name);
  }

  checkSent(held: readonly string[]): void {
    if (new Set(held).size !== held.length) this.wrong.push(`what was sent came twice: ${held.join(" ")}`);
    for (const name of this.#sent) if (!held.includes(name)) this.wrong.push(`${name} was sent and did not come`);
  }
}

async function checkPlan(plan: Plan): Promise<void> {
  const plain = await execute(plan, {});
  expect(plain.wrong).toEqual([]);
  const modes: Mode[] = [{ parkMs: 0 }, { restoreEveryStep: true }, { parkMs: 0, restoreEveryStep: true }];
  for (let at = 1; at <= plain.points; at += 1) {
    modes.push({
      crash: { at, turns: at % 5, every: at % 4 === 0 },
      ...(at % 3 === 0 ? { parkMs: 0 } : {}),
      ...(at % 7 === 0 ? { restoreEveryStep: true } : {}),
    });
  }
  for (const mode of modes) {
    const other = await execute(plan, mode);
    expect({ mode, wrong: other.wrong, output: other.output }).toEqual({ mode, wrong: [], output: plain.output });
  }
}

test(
  "a random program comes to the same, whatever crashes and however it is parked",
  { timeout: 120_000 },
  async () => {
    const numRuns = Number(process.env["PROGRAMS"] ?? 5);
    await fc.assert(
      fc.asyncProperty(plans, (plan) => checkPlan(plan)),
      { numRuns, ...(process.env["SEED"] === undefined ? {} : { seed: Number(process.env["SEED"]) }) },
    );
  },
);

test.for<[string, Plan]>([
  [
    "bodies that draw and log, which do not run again",
    { program: [{ op: "race", arms: [[{ op: "deep", ticks: 0 }]] }], restarts: 0 },
  ],
  [
    "attempts that fail beside a wait",
    {
      program: [
        { op: "all", arms: [[{ op: "run", ticks: 1, fails: 2, isForGood: false }], [{ op: "sleep", seconds: 3 }]] },
        { op: "receive", after: 9, isChecked: true, timeout: undefined },
      ],
      restarts: 1,
    },
  ],
])("a program with %s comes to the same", async ([, plan]) => {
  await expect(checkPlan(plan)).resolves.toBeUndefined();
});
