/**
 * The demo as a person runs it: it checks its own claims, so that its exit code is the result.
 *
 * Method: as fast as it can, in a temporary folder that its places are made in. What the agent does is in
 * `examples/research/agent.test.ts`.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const entry = resolve(import.meta.dirname, "../../examples/research/demo.ts");
const folder = mkdtempSync(join(tmpdir(), "dormouse-demo-"));
mkdirSync(join(folder, "empty"));
writeFileSync(join(folder, "note.md"), "# A note\n\nA note on a dormouse has at least six words.\n");

interface Ended {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

function demo(...line: readonly string[]): Promise<Ended> {
  return new Promise((ended) => {
    const options = { cwd: folder, env: { ...process.env, INIT_CWD: folder, RESEARCH_PACE_MS: "0" } };
    const args = ["--conditions=@dormouse/source", entry, ...line];
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      ended({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

function reportOf(stdout: string): string {
  return resolve(folder, /^The report: (.+)$/m.exec(stdout)?.[1] ?? "");
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("all of its claims hold", () => {
  test("on this repository's documents, killed in the eleventh call of twelve", async () => {
    const { code, stdout, stderr } = await demo();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("✓ call 11 had started and not ended");
    expect(stdout).toContain("✓ of calls 1 to 10, 0 were done again");
    expect(stdout).toContain("✓ 12 calls ran to their end, each once");
    expect(stdout).toMatch(/ {2}#\d+ +\S+ {2}approve \{ by: 'you' \}\n +awaitingApproval → publishing/);
    expect(existsSync(reportOf(stdout))).toBe(true);
  });

  test("on a folder that is named, and twice at once", async () => {
    const ended = await Promise.all([demo("."), demo(folder)]);
    for (const { code, stderr } of ended) expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const reports = ended.map(({ stdout }) => reportOf(stdout));
    expect(reports.map((path) => existsSync(path))).toEqual([true, true]);
    expect(new Set(reports).size).toBe(2);
  });
});

test.for([
  { what: "is not there", path: "nowhere", says: "there is no such folder" },
  { what: "is a file", path: "note.md", says: "this is no folder" },
  { what: "has no documents", path: "empty", says: "there is no Markdown or text file" },
])("a folder that $what fails at once, in words", async ({ path, says }) => {
  const { code, stderr } = await demo(path);
  expect(code).toBe(1);
  expect(stderr).toContain(`The demo failed: ${says}`);
});
