/** Goal: a definition keeps what it was given, resolved, and refuses what cannot be right. */
import { createMachine } from "xstate";
import { expect, test } from "vitest";
import { ref } from "./actions.ts";
import { agent } from "./definition.ts";
import { parseDuration } from "./duration.ts";
import { DormouseError } from "./errors.ts";

const machine = createMachine({});

test("options have their defaults", () => {
  expect(agent("counter", { machine })).toEqual({
    type: "counter",
    logic: machine,
    version: 1,
    onError: "skip",
    passivateAfterMs: 30_000,
    input: undefined,
    events: undefined,
    replies: undefined,
  });
  const given = agent("counter", { machine, version: 3, onError: "fail", passivateAfter: "2m" });
  expect(given).toMatchObject({ version: 3, onError: "fail", passivateAfterMs: 120_000 });
});

test.for([
  { code: "type.invalid", define: () => agent("Counter", { machine }) },
  { code: "agent.no-machine", define: () => agent("counter", {} as never) },
  { code: "agent.no-machine", define: () => agent("counter", { machine: { transition: () => {} } as never }) },
  { code: "agent.version", define: () => agent("counter", { machine, version: 0 }) },
  { code: "agent.version", define: () => agent("counter", { machine, version: 1.5 }) },
  { code: "duration.invalid", define: () => agent("counter", { machine, passivateAfter: -1 }) },
])("$code", ({ code, define }) => {
  expect(define).toThrow(expect.objectContaining({ kind: "invalid", code }));
});

test.for([
  [0, 0],
  [1.5, 1.5],
  ["500ms", 500],
  ["10s", 10_000],
  ["1.5m", 90_000],
  ["2h", 7_200_000],
  ["7d", 604_800_000],
] as const)("the duration %s is %d ms", ([duration, ms]) => {
  expect(parseDuration(duration)).toBe(ms);
});

test.for([Number.NaN, Infinity, -1, "10", "s", "-1s", "1 s", "1e3s", "1w"])("%s is no duration", (duration) => {
  expect(() => parseDuration(duration as never)).toThrow(DormouseError);
});

test("a ref names an agent, by definition or by address, and refuses what is none", () => {
  const counter = agent("counter", { machine });
  expect(ref(counter, "a/b").sessionId).toBe("counter/a/b");
  expect(ref("counter/a").sessionId).toBe("counter/a");
  expect(() => ref(counter, "~child")).toThrow(expect.objectContaining({ code: "key.reserved" }));
  expect(() => ref(counter, "")).toThrow(expect.objectContaining({ code: "key.invalid" }));
  expect(() => ref("counter")).toThrow(expect.objectContaining({ code: "address.invalid" }));
  const from: string | undefined = [""].at(1); // as \`message().from\` is where a client sent the event
  expect(() => ref(from!)).toThrow(
    expect.objectContaining({ code: "address.invalid", message: expect.stringContaining("message().from") as string }),
  );
});
