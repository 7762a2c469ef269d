/** The level, words and fields of each line, what is never in one, and how many there may be. */
import type { Observed, Partition } from "@dormouse/sdk";
import { expect, test } from "vitest";
import { Log, type LogOptions } from "./log.ts";

type Line = Readonly<Record<string, unknown>>;

const partition = 3 as Partition;
const agent = "order/ada" as never;
const error = { name: "Error", message: "broken", kind: "failed", code: "agent.step-failed" } as const;

function make(level: LogOptions["level"] = "debug"): { log: Log; lines: () => Line[]; pass: (ms: number) => void } {
  const written: string[] = [];
  let now = 0;
  const log = new Log({
    level,
    name: "host-1",
    destination: { write: (line) => void written.push(line) },
    monotonic: () => now,
  });
  return {
    log,
    lines: () => written.map((line) => JSON.parse(line) as Line),
    pass: (ms) => void (now += ms),
  };
}

test.for([
  [
    { kind: "claimed", partition, epoch: 2, records: 5 },
    { level: "info", partition: 3, epoch: 2, records: 5 },
  ],
  [
    { kind: "regressed", partition, why: "shorter" },
    { level: "warn", partition: 3, why: "shorter" },
  ],
  [
    { kind: "stepped", agent, seq: 7, error: undefined },
    { level: "debug", agent: "order/ada", seq: 7 },
  ],
  [
    { kind: "stepped", agent, seq: 7, error },
    { level: "warn", agent: "order/ada", seq: 7, kind: "failed", code: "agent.step-failed", error: "Error: broken" },
  ],
  [
    { kind: "refused", agent, id: "m", isAsked: true, error },
    { level: "debug", message: "m" },
  ],
  [
    { kind: "refused", agent, id: "m", isAsked: false, error },
    { level: "warn", message: "m" },
  ],
  [
    { kind: "logged", agent, label: "said", value: { a: 1 } },
    { level: "info", label: "said", value: "{ a: 1 }" },
  ],
  [
    { kind: "skipped", partition, why: "late" },
    { level: "warn", partition: 3, why: "late" },
  ],
  [
    { kind: "skipped", partition, why: "unreadable", error },
    { level: "error", why: "unreadable" },
  ],
  [
    { kind: "quarantined", agent, error },
    { level: "error", agent: "order/ada" },
  ],
  [
    { kind: "warned", about: "store", text: "slow" },
    { level: "warn", about: "store", text: "slow" },
  ],
  [
    { kind: "failed", error },
    { level: "error", code: "agent.step-failed" },
  ],
] as const satisfies readonly (readonly [Observed, Line])[])("%o is a line", ([event, expected]) => {
  const { log, lines } = make();
  log.observe(event);
  expect(lines()).toEqual([expect.objectContaining({ ...expected, msg: expect.any(String), host: "host-1" })]);
});

test("what a host is seen to end with is known, so that it is not told twice", () => {
  const { log } = make();
  expect(log.hasToldEnd(new Error("broken"))).toBe(false);
  log.observe({ kind: "failed", error });
  expect(log.hasToldEnd(new Error("broken"))).toBe(true);
  expect(log.hasToldEnd(new Error("broken otherwise"))).toBe(false);
});

test("each line names the incarnation from its start on", () => {
  const { log, lines } = make();
  log.say("info", "before");
  log.started(() => "01M8");
  log.observe({ kind: "claimed", partition, epoch: 1, records: 0 });
  expect(lines().map(({ incarnation }) => incarnation)).toEqual([undefined, "01M8"]);
});

test("steps are not in the log by default", () => {
  const { log, lines } = make("info");
  log.observe({ kind: "stepped", agent, seq: 1, error: undefined });
  log.observe({ kind: "committed", n: 1, entries: 1, bytes: 9 });
  log.observe({ kind: "claimed", partition, epoch: 1, records: 0 });
  expect(lines()).toHaveLength(1);
});

test("where an agent's code threw is told; a thrown thing that throws when it is looked at is no harm", () => {
  const { log, lines } = make();
  const hostile = Object.defineProperty(new Error("x"), "stack", {
    get() {
      throw new Error("again");
    },
  });
  log.observe({ kind: "stepped", agent, seq: 1, error, thrown: new RangeError("here") });
  log.observe({ kind: "stepped", agent, seq: 2, error, thrown: hostile });
  expect(lines().map(({ seq, stack }) => [seq, typeof stack])).toEqual([
    [1, "string"],
    [2, "undefined"],
  ]);
});

test("long texts are cut", () => {
  const { log, lines } = make();
  log.observe({ kind: "logged", agent, label: undefined, value: "x".repeat(100_000) });
  log.observe({ kind: "stepped", agent, seq: 1, error: { name: "Error", message: "y".repeat(100_000) } });
  for (const line of lines()) expect(JSON.stringify(line).length).toBeLessThan(2_500);
});

test("of a storm a hundred lines a second are written, and the rest is counted", () => {
  const { log, lines, pass } = make();
  const fail = (): void => log.observe({ kind: "stepped", agent, seq: 1, error });
  for (let n = 0; n < 250; n += 1) fail();
  log.observe({ kind: "claimed", partition, epoch: 1, records: 0 });
  expect(lines().filter(({ level }) => level === "warn")).toHaveLength(100);
  expect(lines().filter(({ level }) => level === "info")).toHaveLength(1);
  pass(1_000);
  fail();
  expect(lines().slice(-2)).toEqual([
    expect.objectContaining({ msg: "lines like the next were left out", event: "stepped", count: 150 }),
    expect.objectContaining({ msg: "a step failed" }),
  ]);
});
