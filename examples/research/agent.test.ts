/**
 * What a person's answer comes to, and what the agent does up to there.
 *
 * Method: the agent's real tools on a small folder, in a runtime in memory that is read back after every step.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentRef } from "@dormouse/sdk";
import { testRuntime, type TestRuntime } from "@dormouse/testing";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { research } from "./agent.ts";
import { openWitness, readWitness } from "./witness.ts";

const documents = { "README.md": "# Mice\n\nA dormouse sleeps where a dormouse can.\n", "notes.txt": "Nothing yet.\n" };
let place: string;
let runtime: TestRuntime;
let agent: AgentRef<typeof research>;

const inPlace = (name: string): string => join(place, name);
const witnessed = (): string[] => readWitness(inPlace("witness.log")).map(({ what, name }) => `${what} ${name}`);

async function begin(): Promise<void> {
  await agent.start({ folder: inPlace("documents"), reportPath: inPlace("out/report.md") });
  await runtime.quiesce();
}

beforeEach(async () => {
  place = mkdtempSync(join(tmpdir(), "dormouse-research-"));
  mkdirSync(inPlace("documents"));
  for (const [name, text] of Object.entries(documents)) writeFileSync(inPlace(`documents/${name}`), text);
  openWitness(inPlace("witness.log"));
  runtime = await testRuntime({ agents: [research], restoreEveryStep: true });
  agent = runtime.client.agent(research, "mice");
});
afterEach(async () => {
  await runtime[Symbol.asyncDispose]();
  rmSync(place, { recursive: true, force: true });
});

test("it reads document by document, then waits for as long as it takes, with nothing published", async () => {
  await begin();
  await runtime.advance("365d");
  const state = await agent.read();
  expect(state?.value).toBe("awaitingApproval");
  expect(state?.tags).toEqual(new Set(["waiting"]));
  expect(existsSync(inPlace("out"))).toBe(false);
  const names = ["list", "read", "extract", "read", "extract", "relate", "draft"];
  expect(witnessed()).toEqual(names.flatMap((name) => [`start ${name}`, `end ${name}`]));
});

test("an approval publishes the report, whole and once", async () => {
  await begin();
  await agent.send({ type: "approve", by: "Ada" });
  await agent.send({ type: "approve", by: "Bob" });
  await runtime.quiesce();
  const reportPath = inPlace("out/report.md");
  expect(await agent.result()).toEqual({ outcome: "published", by: "Ada", reportPath });
  expect(readdirSync(inPlace("out"))).toEqual(["report.md"]);
  expect(readFileSync(reportPath, "utf8")).toContain("> A dormouse sleeps where a dormouse can. (`README.md:3`)");
  expect(witnessed().filter((line) => line.endsWith("publish"))).toEqual(["start publish", "end publish"]);
});

test("a rejection ends it, and nothing is published, also not by an approval that comes later", async () => {
  await begin();
  await agent.send({ type: "reject", by: "Ada" });
  await agent.send({ type: "approve", by: "Bob" });
  await runtime.quiesce();
  expect(await agent.result()).toMatchObject({ outcome: "rejected", by: "Ada" });
  expect(existsSync(inPlace("out"))).toBe(false);
});

test("an answer that comes before the report is drafted is not taken for one", async () => {
  await agent.start({ folder: inPlace("documents"), reportPath: inPlace("out/report.md") });
  await agent.send({ type: "approve", by: "Ada" });
  await runtime.quiesce();
  expect((await agent.read())?.value).toBe("awaitingApproval");
});

test("an approval outlives a crash, and the report is published by the next host", async () => {
  await begin();
  await agent.send({ type: "approve", by: "Ada" });
  await runtime.crash();
  await runtime.quiesce();
  expect(await agent.result()).toMatchObject({ outcome: "published" });
  expect(existsSync(inPlace("out/report.md"))).toBe(true);
});

test("a folder without documents ends it with an error that says so", async () => {
  for (const name of Object.keys(documents)) rmSync(inPlace(`documents/${name}`));
  await begin();
  await expect(agent.result()).rejects.toThrow("no Markdown or text file");
});

test("a crash in the middle of a call does that call again, and none of those before", async () => {
  vi.stubEnv("RESEARCH_HOLD", "7");
  await agent.start({ folder: inPlace("documents"), reportPath: inPlace("out/report.md") });
  await expect.poll(witnessed).toContain("start draft");
  vi.unstubAllEnvs();
  await runtime.crash();
  await runtime.quiesce();
  expect((await agent.read())?.value).toBe("awaitingApproval");
  const starts = readWitness(inPlace("witness.log")).filter(({ what }) => what === "start");
  expect(starts.map(({ number, name }) => `${number} ${name}`)).toEqual([
    "1 list",
    "2 read",
    "3 extract",
    "4 read",
    "5 extract",
    "6 relate",
    "7 draft",
    "7 draft",
  ]);
});

test("of very many documents the first are read, and the report says how many are left", async () => {
  for (let index = 0; index < 60; index += 1) writeFileSync(inPlace(`documents/note-${index}.md`), "# A note\n");
  await begin();
  const { report } = (await agent.read())?.context ?? {};
  expect(witnessed().filter((line) => line === "end read")).toHaveLength(4);
  expect(report).toContain("`README.md`");
  expect(report).toContain("A report on 4 documents");
  expect(report).toContain("The folder has 58 more, which were not read.");
});
