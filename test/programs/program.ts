/** Durable functions as data, and what runs them: programs of marked calls, drawn at random, shrunk as data is. */
import { checkpoint, type DurableContext, TerminalError } from "@dormouse/sdk";
import * as fc from "fast-check";
import type { echo, sink } from "./program-agents.ts";

/** One thing that a program does. Every op has a name of its own in the program, made of where it stands. */
export type Op =
  /** Waits for so many turns of the event loop, fails so often, then gives its name. */
  | { readonly op: "run"; readonly ticks: number; readonly fails: number; readonly isForGood: boolean }
  /** Two marked functions, called below others, one of them inside the other's body too. */
  | { readonly op: "deep"; readonly ticks: number }
  | { readonly op: "sleep"; readonly seconds: number }
  /** Values come `after` so many seconds since the start, one that the schema refuses before one that will do. */
  | {
      readonly op: "receive";
      readonly after: number;
      readonly isChecked: boolean;
      readonly timeout: number | undefined;
    }
  | { readonly op: "ask"; readonly isRefused: boolean }
  | { readonly op: "send" }
  | { readonly op: "log" }
  /** The code between the calls, which draws. */
  | { readonly op: "draw" }
  /** Not awaited. */
  | { readonly op: "left"; readonly arm: Program }
  | { readonly op: "all" | "allSettled"; readonly arms: readonly Program[] }
  /** Each arm sleeps first, one for a second longer than the one before: so the first to end is known. */
  | { readonly op: "race" | "any"; readonly arms: readonly Program[] };

export type Program = readonly Op[];

export interface Plan {
  readonly program: Program;
  /** How often the function begins anew before it ends. */
  readonly restarts: number;
}

/** What the interpreter tells while it runs: for the test, which crashes there and compares. */
export interface Probes {
  /** Something is about to happen, or has: where a crash may fall. */
  point(): void;
  began(body: string, key: string): void;
  /** The function was told what a call came to. */
  told(round: number, attempt: number, what: string): void;
  sent(name: string): void;
}

export interface Input {
  readonly round: number;
}

type Context = DurableContext<Input>;

interface Worlds {
  readonly echo: typeof echo;
  readonly sink: typeof sink;
}

/** What a durable function that runs the plan does. */
export async function interpret(plan: Plan, context: Context, probes: Probes, worlds: Worlds): Promise<unknown> {
  const { round } = context.input;
  const run = new Interpreter(context, probes, worlds, round);
  const results = await run.all(plan.program, `${round}`);
  if (round < plan.restarts) return context.restart({ round: round + 1 });
  return results;
}

class Interpreter {
  readonly #context: Context;
  readonly #probes: Probes;
  readonly #worlds: Worlds;
  readonly #round: number;

  constructor(context: Context, probes: Probes, worlds: Worlds, round: number) {
    this.#context = context;
    this.#probes = probes;
    this.#worlds = worlds;
    this.#round = round;
  }

  async all(program: Program, path: string): Promise<unknown[]> {
    const results: unknown[] = [];
    for (const [index, op] of program.entries()) results.push(await this.#one(op, `${path}.${index}`));
    return results;
  }

  async #one(op: Op, path: string): Promise<unknown> {
    switch (op.op) {
      case "left":
        this.all(op.arm, path).catch(() => undefined);
        return "left";
      case "all":
        return Promise.all(op.arms.map((arm, index) => this.all(arm, `${path}.${index}`)));
      case "allSettled":
        return Promise.allSettled(op.arms.map((arm, index) => this.all(arm, `${path}.${index}`)));
      case "race":
        return Promise.race(this.#staggered(op.arms, path));
      case "any":
        return Promise.any(this.#staggered(op.arms, path));
      case "draw":
        this.#tell(path, "drew");
        return "drew";
      case "log":
        this.#context.log(path);
        return "logged";
      case "run":
      case "deep":
      case "sleep":
      case "receive":
      case "ask":
      case "send":
        return this.#told(path, this.#call(op, path));
    }
  }

  #staggered(arms: readonly Program[], path: string): Promise<unknown[]>[] {
    return arms.map((arm, index) =>
      this.all([{ op: "sleep", seconds: index * armSeconds }, ...arm], `${path}.${index}`),
    );
  }

  /** What a call comes to, as data, as the function is told it. */
  async #told(path: string, call: Promise<unknown>): Promise<unknown> {
    this.#probes.point();
    let result: unknown;
    try {
      result = await call;
    } catch (error) {
      const { name, message, code } = error as Error & { readonly code?: string };
      result = { name, code: code ?? message };
    }
    this.#tell(path, result);
    this.#probes.point();
    return result;
  }

  #tell(path: string, result: unknown): void {
    const { now, random, uuid, attempt } = this.#context;
    const told = JSON.stringify({ path, result, now: now(), random: random(), uuid: uuid() });
    this.#probes.told(this.#round, attempt, told);
  }

  #call(
    op: Extract<Op, { op: "run" | "deep" | "sleep" | "receive" | "ask" | "send" }>,
    path: string,
  ): Promise<unknown> {
    const { run, sleep, receive, ask, send } = this.#context;
    switch (op.op) {
      case "run":
        return run(
          `run ${path}`,
          async ({ attempt, idempotencyKey }) => {
            await this.#body(path, idempotencyKey, op.ticks);
            if (op.isForGood) throw new TerminalError(`for good ${path}`);
            if (attempt <= op.fails) throw Object.assign(new RangeError("not yet"), { code: "E_NOT_YET" });
            return path;
          },
          { retry: { maxAttempts: 3, initialInterval: "2s", backoff: 1, jitter: 0 } },
        );
      case "deep":
        return this.#deep(path, op.ticks);
      case "sleep":
        return sleep(op.seconds * 1_000);
      case "receive":
        return receive(path, {
          ...(op.isChecked ? { schema: evenSchema } : {}),
          ...(op.timeout === undefined ? {} : { timeout: op.timeout * 1_000 }),
        });
      case "ask":
        return ask(this.#worlds.echo, "e1", { type: op.isRefused ? "refuse" : "say", text: path });
      case "send": {
        return (async () => {
          await send(this.#worlds.sink, "s1", { type: "put", name: path });
          this.#probes.sent(path);
        })();
      }
    }
  }

  async #deep(path: string, ticks: number): Promise<string> {
    const inner = checkpoint(`inner ${path}`, async () => {
      await this.#body(`${path}/inner`, path, ticks);
      return "inner";
    });
    const outer = checkpoint(`outer ${path}`, async (given: string) => {
      await this.#body(`${path}/outer`, path, 0);
      return `${given} ${await this.#plainly(path)}`;
    });
    return outer(await inner());
  }

  /** Inside a marked call: the outermost is the boundary. */
  #plainly(path: string): Promise<string> {
    return this.#context.run("plain", ({ idempotencyKey }) =>
      this.#context.random() < 2 ? `plain ${path}` : idempotencyKey,
    );
  }

  async #body(path: string, key: string, ticks: number): Promise<void> {
    const name = `${this.#round} ${path}`;
    this.#probes.began(name, key);
    this.#context.random();
    this.#context.log(`in ${path}`);
    this.#probes.point();
    for (let tick = 0; tick < ticks; tick += 1) await new Promise((resolve) => void setImmediate(resolve));
    this.#probes.point();
  }
}

/** Above what an arm without waits of its own takes; those are at the second, values come half-way between. */
const armSeconds = 1_000;

const evenSchema = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: (value: unknown) =>
      typeof value === "number" && value % 2 === 0 ? { value: value * 10 } : { issues: [{ message: "odd" }] },
  },
} as const;

export interface Value {
  readonly afterMs: number;
  readonly name: string;
  readonly value: number;
}

/** The values that the program's receives wait for, by when they are sent. */
export function valuesOf({ program, restarts }: Plan): Value[] {
  const values: Value[] = [];
  const visit = (ops: Program, path: string, shift: number): void =>
    ops.forEach((op, index) => {
      const at = `${path}.${index + shift}`;
      if (op.op === "receive") {
        // Half a second beyond: never at the time of anything that the program does.
        const afterMs = op.after * 1_000 + 500;
        if (op.isChecked) values.push({ afterMs: afterMs - 250, name: at, value: 3 });
        values.push({ afterMs, name: at, value: 4 });
      } else if (op.op === "left") visit(op.arm, at, 0);
      else if (op.op === "race" || op.op === "any") op.arms.forEach((arm, arm_) => visit(arm, `${at}.${arm_}`, 1));
      else if (op.op === "all" || op.op === "allSettled") {
        op.arms.forEach((arm, arm_) => visit(arm, `${at}.${arm_}`, 0));
      }
    });
  for (let round = 0; round <= restarts; round += 1) visit(program, `${round}`, 0);
  return values.toSorted((a, b) => a.afterMs - b.afterMs);
}

const instant: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    op: fc.constant("run" as const),
    ticks: fc.nat(3),
    fails: fc.constant(0),
    isForGood: fc.boolean(),
  }),
  fc.record({ op: fc.constant("deep" as const), ticks: fc.nat(2) }),
  fc.record({ op: fc.constant("ask" as const), isRefused: fc.boolean() }),
  fc.record({ op: fc.constant("send" as const) }),
  fc.record({ op: fc.constant("log" as const) }),
  fc.record({ op: fc.constant("draw" as const) }),
);

const waiting: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    op: fc.constant("run" as const),
    ticks: fc.nat(2),
    fails: fc.nat(3),
    isForGood: fc.constant(false),
  }),
  fc.record({ op: fc.constant("sleep" as const), seconds: fc.nat(30) }),
  fc.record({
    op: fc.constant("receive" as const),
    after: fc.nat(40),
    isChecked: fc.boolean(),
    timeout: fc.option(fc.nat(20), { nil: undefined }),
  }),
);

const leaf: fc.Arbitrary<Op> = fc.oneof(instant, waiting);
const shortProgram = fc.array(instant, { minLength: 1, maxLength: 3 });
const armsOf = (program: fc.Arbitrary<Program>): fc.Arbitrary<readonly Program[]> =>
  fc.array(program, { minLength: 1, maxLength: 3 });

const { op } = fc.letrec<{ op: Op; program: Program }>((tie) => ({
  op: fc.oneof(
    { depthSize: "small", maxDepth: 2 },
    leaf,
    leaf,
    fc.record({ op: fc.constantFrom("all" as const, "allSettled" as const), arms: armsOf(tie("program")) }),
    fc.record({ op: fc.constantFrom("race" as const, "any" as const), arms: armsOf(shortProgram) }),
    fc.record({ op: fc.constant("left" as const), arm: tie("program") }),
  ),
  program: fc.array(tie("op"), { minLength: 1, maxLength: 3 }),
}));

export const plans: fc.Arbitrary<Plan> = fc.record({
  program: fc.array(op, { minLength: 1, maxLength: 4 }),
  restarts: fc.nat(1),
});
