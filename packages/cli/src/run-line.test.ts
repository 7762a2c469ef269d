/** Lines that need no agent: wrong ones, and those that ask for help. */
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { runLine } from "./run-line.ts";

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...line: readonly string[]): Promise<Ended> {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const code = await runLine(line, {
    stdout: { write: (text) => stdout.push(text) },
    stderr: { write: (text) => stderr.push(text) },
    isColourWanted: true,
    environment: {},
  });
  return { code, stdout: stdout.join(""), stderr: stderr.join("") };
}

const event = '{"type":"add"}';

test.for([
  { line: [], says: "dormouse <command>" },
  { line: ["shout"], says: 'no command "shout"' },
  { line: ["send"], says: "<type/key> is missing" },
  { line: ["send", "counter/x"], says: "<event-json> is missing" },
  { line: ["send", "counter/x", "{", '"type":"add"}'], says: "one argument too many" },
  { line: ["send", "counter/x", "{type:add}"], says: "the event is not JSON" },
  { line: ["send", "counter/x", '"add"'], says: "an event is a JSON object" },
  { line: ["start", "counter/x", "{"], says: "the input is not JSON" },
  { line: ["read", "counter"], says: "an address is" },
  { line: ["read", "counter/"], says: "key" },
  { line: ["send", "counter/~child", '{"type":"add"}'], says: "key" },
  { line: ["ask", "counter/~child", '{"type":"add"}'], says: "key" },
  { line: ["start", "counter/~child"], says: "key" },
  { line: ["read", "counter/x", "--timeout", "soon"], says: "a duration is" },
  { line: ["read", "counter/x", "--timeout", "3"], says: "a number with its unit" },
  { line: ["read", "counter/x", "--force"], says: "--force" },
  { line: ["read", "counter/x", "--store"], says: "--store" },
  { line: ["read", "counter/x", "--store", "nats://x"], says: "a store is named by a URL" },
  { line: ["list", "--status", "fine"], says: "--status takes active, done" },
  { line: ["start", "counter/x", "--idempotency-key", "k"], says: "--idempotency-key" },
  { line: ["list", "No Type"], says: "the name of an agent type" },
  { line: ["errors", "sheep/dolly"], says: "the name of an agent type" },
  { line: ["history", "counter/x", "--from", "0"], says: "the number of a step" },
  { line: ["history", "counter/x", "--to", "1.5"], says: "the number of a step" },
  { line: ["history", "counter/x", "--from", "3", "--to", "2"], says: "--from is above --to" },
  { line: ["resume", "counter"], says: "an address is" },
  { line: ["skip"], says: "<type/key> is missing" },
  { line: ["dev", "nothing.ts"], says: "no such module" },
  { line: ["app"], says: "app is followed by create, status, drain" },
  { line: ["app", "destroy"], says: "app is followed by create, status, drain" },
  { line: ["store"], says: "store is followed by probe" },
  { line: ["app", "drain"], says: "<host> is missing" },
  { line: ["app", "status"], says: "name a mailbox" },
  { line: ["app", "create", "--partitions", "2.5"], says: "--partitions must be a whole number from 1 to 4096" },
  { line: ["app", "create", "--mailbox", "nats://127.0.0.1:1"], says: "name a store too" },
  { line: ["read", "counter/x", "--mailbox", "localhost"], says: "a mailbox is named by a URL" },
  { line: ["read", "counter/x", "--mailbox", "nats://x", "--nats-token", "hunter2"], says: "--nats-token-file" },
  { line: ["read", "counter/x", "--s3-session-token=hunter2"], says: "DORMOUSE_S3_SESSION_TOKEN" },
  { line: ["send", "billing/account/acme", "{}"], says: "is a JSON object" },
  { line: ["send", "billing/account/acme", event], says: "--app billing account/acme" },
  { line: ["start", "doc/a/b", "--app", "shop"], says: "/shop/doc/a/b" },
  { line: ["ask", "/billing/account/acme", event], says: "--app billing" },
  {
    line: ["read", "counter/x", "--store", "s3://bucket"],
    says: "a bucket goes with a mailbox on NATS; name it too: mailbox=none",
  },
  { line: ["read", "counter/x", "--nats-replicas", "7"], says: "--nats-replicas must be a whole number from 1 to 5" },
])("$line is wrong usage: exit code 2", async ({ line, says }) => {
  const { code, stdout, stderr } = await run(...line);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(says);
  expect(stderr).toContain("dormouse");
});

const names =
  "dev,start,send,ask,respond,read,list,waits,history,errors,resume,skip,app create,app status,app drain,store probe";

test.for(["", ...names.split(",")])("help on %o is a result", async (name) => {
  const { code, stdout, stderr } = await run(...(name === "" ? [] : name.split(" ")), "--help");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain(`dormouse ${name === "" ? "<command>" : name}`);
});

test.for([
  { line: ["help"], says: "dormouse <command>" },
  { line: ["help", "send"], says: "usage: dormouse send" },
  { line: ["help", "app", "drain"], says: "usage: dormouse app drain <host>" },
  { line: ["help", "cluster"], says: "DORMOUSE_NATS_TOKEN_FILE" },
  { line: ["-h"], says: "dormouse <command>" },
  { line: ["send", "-h"], says: "usage: dormouse send" },
])("$line is help too", async ({ line, says }) => {
  const { code, stdout } = await run(...line);
  expect(code).toBe(0);
  expect(stdout).toContain(says);
});

test("a program gets wrong usage as data", async () => {
  const { code, stderr } = await run("send", "--json");
  expect(code).toBe(2);
  expect(JSON.parse(stderr)).toEqual({
    error: { kind: "invalid", code: "cli.usage", message: "<type/key> is missing" },
  });
});

test("the version is the package's", async () => {
  const { stdout } = await run("--version");
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test("in a clone that is not built, dormouse says what to do", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dormouse-unbuilt-"));
  try {
    cpSync(resolve(import.meta.dirname, "../bin"), join(folder, "bin"), { recursive: true });
    cpSync(resolve(import.meta.dirname, "../package.json"), join(folder, "package.json"));
    const started = promisify(execFile)(process.execPath, [join(folder, "bin/dormouse.js"), "--version"]);
    const said = expect.stringMatching(/^error: .*npm run build.*\n$/) as string;
    await expect(started).rejects.toMatchObject({ code: 1, stdout: "", stderr: said });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
