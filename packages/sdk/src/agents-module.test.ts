/** Which exports of a module become a host's agents, and what is said of a module that has none. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { loadAgents } from "./agents-module.ts";

const folder = mkdtempSync(join(tmpdir(), "dormouse-agents-"));
afterAll(() => rmSync(folder, { recursive: true }));

function moduleOf(name: string, source: string, kind: "mjs" | "mts" = "mjs"): string {
  const path = join(folder, `${name}.${kind}`);
  const any = kind === "mts" ? ": string" : "";
  writeFileSync(path, `const made = (type${any}) => ({ type, logic: {}, passivateAfterMs: 1 });\n${source}`);
  return path;
}

test.for([
  { where: "by name", source: 'export const a = made("a"); export const b = made("b");', types: ["a", "b"] },
  { where: "as the default", source: 'export default made("a");', types: ["a"] },
  { where: "in a list", source: 'export default [made("a"), made("b")];', types: ["a", "b"] },
  { where: "twice", source: 'export const a = made("a"); export default [a];', types: ["a"] },
  { where: "among others", source: 'export const a = made("a"); export const names = ["x"], n = null;', types: ["a"] },
])("agents are found $where", async ({ where, source, types }) => {
  const agents = await loadAgents(moduleOf(where.replaceAll(" ", "-"), source));
  expect(agents.map(({ type }) => type).toSorted()).toEqual(types);
});

test("what is no definition in a list of agents is passed on, for the host to refuse", async () => {
  expect(await loadAgents(moduleOf("mixed", 'export default [made("a"), 7];'))).toHaveLength(2);
});

test("a module that throws is told with what it threw", async () => {
  const loaded = loadAgents(moduleOf("throws", 'throw new TypeError("not today");'));
  await expect(loaded).rejects.toMatchObject({
    kind: "failed",
    code: "agents.threw",
    message: expect.stringMatching(/not today: module=.*throws\.mjs/),
    cause: expect.objectContaining({ name: "TypeError" }),
  });
});

test("a module whose decorators are as they were written is told what to do", async () => {
  const text = "class Shelter { @checkpoint() async countBeds(): Promise<number> { return 1; } }";
  await expect(loadAgents(moduleOf("decorated", text, "mts"))).rejects.toMatchObject({
    code: "agents.threw",
    message: expect.stringMatching(/runs no decorators.+module=.*decorated\.mts/),
  });
  await expect(loadAgents(moduleOf("unparsed", "class {"))).rejects.toMatchObject({
    message: expect.not.stringContaining("decorators"),
  });
});

test("a module without agents, and one that is not there, are told by path", async () => {
  await expect(loadAgents(moduleOf("none", "export const a = 1;"))).rejects.toMatchObject({
    code: "agents.none",
    message: expect.stringContaining("none.mjs"),
  });
  await expect(loadAgents(join(folder, "gone.js"))).rejects.toMatchObject({
    code: "agents.missing",
    message: expect.stringContaining("gone.js"),
  });
});
