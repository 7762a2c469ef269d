/**
 * What is said is answered and remembered, over crashes; tools are called once; one turn does not disturb another.
 *
 * Method: the agent in a runtime in memory; the program with lines on its standard input.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testRuntime, type TestRuntime } from "@dormouse/testing";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { chat } from "./chat.ts";

let runtime: TestRuntime;
beforeEach(async () => {
  runtime = await testRuntime({ agents: [chat], restoreEveryStep: true });
});
afterEach(() => runtime[Symbol.asyncDispose]());

test("the model is answered by its tools, and the user by the model", async () => {
  const ada = runtime.client.agent(chat, "ada");
  expect(await ada.ask({ type: "say", text: "Hello" })).toBe("You said: Hello");
  expect(await ada.ask({ type: "say", text: "What is 2 + 3, and 10 + 20 + 30?" })).toBe("5, 60");
  expect(await ada.ask({ type: "say", text: "What did I say first?" })).toBe("Hello");
  const { messages } = (await ada.read())?.context ?? { messages: [] };
  expect(messages.map(({ role }) => role).join(" ")).toBe(
    "user assistant user assistant tool tool assistant user assistant tool assistant",
  );
});

test("a conversation of forty turns outlives crashes, and each has its own", async () => {
  const [ada, bob] = [runtime.client.agent(chat, "ada"), runtime.client.agent(chat, "bob")];
  for (let turn = 1; turn <= 40; turn += 1) {
    if (turn % 10 === 0) await runtime.crash();
    expect(await ada.ask({ type: "say", text: `${turn} + 1` })).toBe(String(turn + 1));
  }
  expect(await ada.ask({ type: "say", text: "What came first?" })).toBe("1 + 1");
  expect(await bob.ask({ type: "say", text: "What came first?" })).toBe("What came first?");
});

test("who speaks while an answer is made is refused, and the answer comes", async () => {
  const ada = runtime.client.agent(chat, "ada");
  const both = await Promise.allSettled([
    ada.ask({ type: "say", text: "1 + 1" }),
    ada.ask({ type: "say", text: "2 + 2" }),
  ]);
  expect(both).toMatchObject([
    { status: "fulfilled", value: "2" },
    { status: "rejected", reason: { code: "event.not-taken" } },
  ]);
});

test("a turn that is stopped adds nothing, and the next one is answered", async () => {
  const ada = runtime.client.agent(chat, "ada");
  const [stopped] = await Promise.all([ada.ask({ type: "say", text: "1 + 1" }), ada.send({ type: "stop" })]);
  expect(stopped).toBe("Stopped.");
  expect((await ada.read())?.context.messages).toEqual([{ role: "user", text: "1 + 1" }]);
  expect(await ada.ask({ type: "say", text: "2 + 2" })).toBe("4");
});

test("the program remembers what was said before it ended", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dormouse-chat-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const run = (input: string): Promise<string> =>
    new Promise((ended, failed) => {
      const line = ["--conditions=@dormouse/source", join(import.meta.dirname, "main.ts")];
      const env = { ...process.env, CHAT_STORE: `file:${folder}` };
      const child = execFile(process.execPath, line, { env }, (error, stdout) =>
        error ? failed(error) : ended(stdout),
      );
      child.stdin?.end(input);
    });
  expect(await run("I am Ada\n2 + 2\n")).toBe("You said: I am Ada\n4\n");
  expect(await run("What did I say first?\n")).toBe("I am Ada\n");
});
