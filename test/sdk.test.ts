/** What `@dormouse/sdk` is to a program: its names, what it makes of the environment, what it says without a host. */
import { getEventListeners } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as sdk from "@dormouse/sdk";
import { agent, type Ask, connect, reply, startHost } from "@dormouse/sdk";
import * as operate from "@dormouse/sdk/operate";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { setup } from "xstate";

const mirror = agent("mirror", {
  machine: setup({
    types: {} as { context: { of: { deep: number } }; events: Ask<{ type: "isFrozen" }, boolean> },
  }).createMachine({
    // Made anew for each agent: an object of the module would stay frozen.
    context: () => ({ of: { deep: 1 } }),
    on: { isFrozen: { actions: reply(({ context }) => Object.isFrozen(context.of)) } },
  }),
});

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-sdk-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

test("it has what a program needs, and no second way to start a host", () => {
  const names = [
    "DormouseError",
    "RetryAfter",
    "TerminalError",
    "agent",
    "checkpoint",
    "connect",
    "currentCall",
    "durable",
    "loadAgents",
    "message",
    "now",
    "random",
    "ref",
    "reply",
    "replyTo",
  ];
  expect(Object.keys(sdk).toSorted()).toEqual([...names, "settingFacts", "startHost", "uuid"]);
});

test("operators have an entry of their own", () => {
  const operating = ["checkStore", "connectOperator", "createApp"];
  const options = ["defined", "environmentSource", "flagOf", "makeOption", "makeSecret", "namesOf", "optionFileError"];
  const more = ["optionValueError", "partitionsOption", "placeOptions", "placesOf", "readOptionFile", "readOptions"];
  const last = ["readValue", "secretOnLine", "textKind", "variableOf", "wantedOf"];
  expect(Object.keys(operate).toSorted()).toEqual([...operating, ...options, ...more, ...last].toSorted());
});

describe("contexts are frozen", () => {
  test.for([
    { environment: "development", freezeContexts: undefined, isFrozen: true },
    { environment: undefined, freezeContexts: undefined, isFrozen: true },
    { environment: "production", freezeContexts: undefined, isFrozen: false },
    { environment: "production", freezeContexts: true, isFrozen: true },
    { environment: "development", freezeContexts: false, isFrozen: false },
  ])(
    "in NODE_ENV $environment with freezeContexts $freezeContexts: $isFrozen",
    async ({ environment, freezeContexts, isFrozen }) => {
      vi.stubEnv("NODE_ENV", environment);
      // As a program may spread it from elsewhere: undefined is as if it were not there.
      const settings = { freezeContexts } as sdk.Settings;
      await using host = await startHost({ agents: [mirror], store: `file:${folder}`, settings });
      expect(await host.client.agent(mirror, "one").ask({ type: "isFrozen" })).toBe(isFrozen);
    },
  );
});

test("an app never has a number of partitions that none may have", async () => {
  for (const partitions of [0, 1.5, 4_097]) {
    const started = startHost({ agents: [mirror], store: `file:${folder}`, partitions });
    await expect(started).rejects.toMatchObject({ kind: "invalid", code: "option.invalid" });
  }
  await (await startHost({ agents: [mirror], store: `file:${folder}`, partitions: 3 })).drain();
});

test("a folder's store is tried where it is, and one that is not there is not made", async () => {
  await (await startHost({ agents: [mirror], store: `file:${folder}` })).drain();
  const passed: string[] = [];
  await operate.checkStore({ store: `file:${folder}`, passed: (check) => passed.push(check) });
  expect(passed).toEqual(["create", "refuse-create", "swap", "refuse-stale", "concurrent-create"]);
  const missing = operate.checkStore({ store: `file:${join(folder, "none")}` });
  await expect(missing).rejects.toMatchObject({ kind: "unavailable", code: "folder.missing" });
});

test("a signal that is aborted while a client connects ends that, and one that is closed lets go of its signal", async () => {
  const store = `file:${folder}`;
  const host = await startHost({ agents: [mirror], store, signal: new AbortController().signal });
  const stop = new AbortController();
  const connecting = connect({ store, signal: stop.signal });
  stop.abort(new Error("enough"));
  await expect(connecting).rejects.toThrow("enough");
  const { signal } = new AbortController();
  for (let n = 0; n < 3; n += 1) await (await connect({ store, signal })).close();
  await host.drain();
  await (await startHost({ agents: [mirror], store, signal })).drain();
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("without a host, an ask and a read are told the same, and what to do", async () => {
  const store = `file:${folder}`;
  await (await startHost({ agents: [mirror], store })).drain();
  await using client = await connect({ store });
  const one = client.agent(mirror, "one");
  const errors = await Promise.all(
    [one.ask({ type: "isFrozen" }), one.read()].map((call) => call.catch((error: unknown) => error)),
  );
  for (const error of errors) expect(error).toMatchObject({ kind: "unavailable", code: "host.not-running" });
  const [asked, read] = errors.map((error) => (error as Error).message);
  expect(asked).toBe(read);
  expect(asked).toContain("startHost(");
});
