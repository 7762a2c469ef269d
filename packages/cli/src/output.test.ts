/** What is printed, for people and for programs, on terminals and elsewhere. */
import { DormouseError } from "@dormouse/sdk";
import { expect, test } from "vitest";
import { brief, makeOutput, oneLine, type Output, printable, toJson, wantsColour } from "./output.ts";

interface Printed {
  readonly output: Output;
  readonly stdout: string[];
  readonly stderr: string[];
}

function open({ isJson = false, isTTY = false, isColourWanted = true } = {}): Printed {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const sink = (texts: string[]) => ({ isTTY, write: (text: string) => texts.push(text) });
  return { output: makeOutput({ isJson, isColourWanted, stdout: sink(stdout), stderr: sink(stderr) }), stdout, stderr };
}

const escape = "\u001B";

test.for([
  { isTTY: true, isColourWanted: true, isJson: false, isColoured: true },
  { isTTY: true, isColourWanted: false, isJson: false, isColoured: false },
  { isTTY: false, isColourWanted: true, isJson: false, isColoured: false },
  { isTTY: true, isColourWanted: true, isJson: true, isColoured: false },
])("terminal $isTTY, wanted $isColourWanted, JSON $isJson: coloured $isColoured", ({ isColoured, ...how }) => {
  const { output, stdout, stderr } = open(how);
  output.result(output.paint("bold", "text") + output.show({ a: 1 }), output.paint("bold", "data"));
  output.error(new Error("no"));
  expect([stdout, stderr].map((texts) => texts.join("").includes(escape))).toEqual([isColoured, isColoured]);
});

test.for([
  { environment: {}, isWanted: true },
  { environment: { NO_COLOR: "" }, isWanted: true },
  { environment: { NO_COLOR: "1" }, isWanted: false },
])("in $environment colours are wanted: $isWanted", ({ environment, isWanted }) => {
  expect(wantsColour(environment)).toBe(isWanted);
});

test("a program gets results as JSON, errors as JSON, and no notes", () => {
  const { output, stdout, stderr } = open({ isJson: true });
  output.note("by the way");
  output.result("for people", { count: 1 });
  output.error(new DormouseError("timeout", "call.timeout", "no answer in time"));
  expect(stdout).toEqual(['{"count":1}\n']);
  expect(stderr).toEqual(['{"error":{"kind":"timeout","code":"call.timeout","message":"no answer in time"}}\n']);
});

test("a person gets an error's message, and its code to look up", () => {
  const { output, stderr } = open();
  output.error(new DormouseError("timeout", "call.timeout", "no answer in time; ask again"));
  output.error(new Error("the agent's own words"));
  expect(stderr).toEqual(["error: no answer in time; ask again (call.timeout)\n", "error: the agent's own words\n"]);
});

test("text from an agent cannot steer the terminal", () => {
  const { output, stderr } = open({ isTTY: true, isColourWanted: false });
  output.error(new Error(`clear${escape}[2J\u009B2J\rover`));
  expect(stderr.join("")).toBe(String.raw`error: clear\x1b[2J\x9b2J\x0dover` + "\n");
  expect(output.show(`a${escape}[2J`)).toBe(String.raw`a\x1b[2J`);
  expect(printable("two\nlines\tand a tab")).toBe("two\nlines\tand a tab");
});

test("a list has one line for each, whatever its names hold", () => {
  expect(oneLine(`two\nlines\t${escape}[2J`)).toBe(String.raw`two\nlines\t\x1b[2J`);
});

test.for<{ what: string; value: unknown; text: string }>([
  {
    what: "short data is whole",
    value: { type: "add", by: 1n, list: [1, 2] },
    text: "{ type: 'add', by: 1n, list: [ 1, 2 ] }",
  },
  {
    what: "an error is its message",
    value: new TypeError(`no${escape}\nway`),
    text: String.raw`TypeError: no\x1b\nway`,
  },
  { what: "what is deep is named", value: { a: { b: { c: { d: 1 } } } }, text: "{ a: { b: { c: [Object] } } }" },
  { what: "a long list is cut", value: Array.from({ length: 9 }, () => 0), text: "[ 0, 0, 0, 0, ... 5 more items ]" },
  { what: "a long text is cut", value: ["x".repeat(60)], text: `[ '${"x".repeat(48)}'... 12 more characters ]` },
  { what: "the whole is cut", value: { ["k".repeat(200)]: 1 }, text: `{ ${"k".repeat(117)}…` },
])("on one line, shortened: $what", ({ value, text }) => {
  expect(brief(value)).toBe(text);
});

test.for<{ what: string; value: unknown; json: unknown }>([
  { what: "a bigint", value: 10n, json: "10" },
  { what: "nothing", value: undefined, json: null },
  { what: "no number", value: Number.NaN, json: "NaN" },
  { what: "a date", value: new Date(0), json: "1970-01-01T00:00:00.000Z" },
  { what: "no date", value: new Date(Number.NaN), json: null },
  { what: "bytes", value: new Uint8Array([1, 2, 3]), json: "AQID" },
  { what: "a set", value: new Set([1n, 2n]), json: ["1", "2"] },
  { what: "a map", value: new Map([[{ a: 1 }, new Set([1])]]), json: [[{ a: 1 }, [1]]] },
  { what: "an error", value: new TypeError("no"), json: { name: "TypeError", message: "no" } },
  {
    what: "an object",
    value: { list: [1n, { deep: new Date(0) }] },
    json: { list: ["1", { deep: "1970-01-01T00:00:00.000Z" }] },
  },
])("$what as JSON", ({ value, json }) => {
  expect(toJson(value)).toEqual(json);
});
