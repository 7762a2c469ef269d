/**
 * Who is asked when, what an answer over HTTP comes to, and what a crash in between changes: nothing.
 *
 * Method: the agent in a runtime in memory, whose days pass in no time; the webhook on loopback; mails in a list.
 */
import { once } from "node:events";
import type { Server } from "node:http";
import type { AgentRef } from "@dormouse/sdk";
import { testRuntime, type TestRuntime } from "@dormouse/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listenForAnswers } from "./answers.ts";
import { expense } from "./expense.ts";
import { deliverTo, type Mail } from "./mail.ts";

let runtime: TestRuntime;
let server: Server;
let chairs: AgentRef<typeof expense>;
let mails: Mail[];

beforeEach(async () => {
  mails = [];
  deliverTo((mail) => mails.push(mail));
  runtime = await testRuntime({ agents: [expense] });
  const listening = await listenForAnswers(runtime.client, 0);
  ({ server } = listening);
  chairs = runtime.client.agent(expense, "six chairs/2026");
  const [approver, deputy] = ["ada", "bob"];
  await chairs.start({ what: "chairs", euros: 900, approver, deputy, patience: "2d", answerUrl: listening.url });
  await runtime.quiesce();
});
afterEach(async () => {
  server.close();
  await once(server, "close");
  await runtime[Symbol.asyncDispose]();
});

const link = (): string => mails[0]?.text.split(" ").at(-1) ?? "";

async function post(body: string, url: string = link()): Promise<number> {
  const { status } = await fetch(url, { method: "POST", body, headers: { connection: "close" } });
  return status;
}

test("who is asked answers by the link in the mail", async () => {
  expect(await post('{"approved":true,"by":"Ada"}')).toBe(200);
  await expect(chairs.result()).resolves.toEqual({ approved: true, by: "Ada" });
  await runtime.advance("30d");
  expect(mails.map(({ to }) => to)).toEqual(["ada"]);
});

test("who does not answer is reminded, then the deputy is asked, over a crash, each by one mail and the same link", async () => {
  await runtime.advance("1d");
  await runtime.crash();
  await runtime.advance("2d");
  expect(mails.map(({ to }) => to)).toEqual(["ada", "ada"]);
  await runtime.crash();
  await runtime.advance("2d");
  expect(mails.map(({ to }) => to)).toEqual(["ada", "ada", "bob"]);
  expect(new Set(mails.map(({ text }) => text.split(" ").at(-1))).size).toBe(1);
  expect(new Set(mails.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(3);
  expect(await post('{"approved":false,"by":"Bob"}')).toBe(200);
  await expect(chairs.result()).resolves.toEqual({ approved: false, by: "Bob" });
});

test("when nobody answers it is not approved, and the link is dead", async () => {
  await runtime.advance("30d");
  await expect(chairs.result()).resolves.toEqual({ approved: false, by: "nobody" });
  expect(await post('{"approved":true,"by":"Ada"}')).toBe(410);
});

test.for([
  { what: "is no decision", body: '{"approved":"maybe"}', status: 400 },
  { what: "is no JSON", body: "yes", status: 400 },
])("an answer that $what is refused, and the wait goes on", async ({ body, status }) => {
  expect(await post(body)).toBe(status);
  expect((await chairs.read())?.status).toBe("active");
  expect(await post('{"approved":true,"by":"Ada"}')).toBe(200);
});

test("a token that nobody was given answers nothing", async () => {
  const guessed = link().replace(/\/[0-9a-f]{32}/, `/${"0".repeat(32)}`);
  expect(await post('{"approved":true,"by":"Eve"}', guessed)).toBe(410);
  expect(await post("{}", new URL("/", link()).href)).toBe(400);
  expect((await fetch(link(), { headers: { connection: "close" } })).status).toBe(405);
  expect((await chairs.read())?.status).toBe("active");
});
