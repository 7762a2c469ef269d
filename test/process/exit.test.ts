/**
 * A process that ends by itself in the middle of a write to its folder: it ends, and says why if it was by an error.
 *
 * Method: a process that writes to a folder all the time, and ends so.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "dormouse-exit-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Ends while a write is under way, in whatever way the lines do it. */
async function ending(lines: string): Promise<{ readonly by: unknown; readonly stderr: string }> {
  const program = `
    import { openFolder, realClock, realEntropy } from "@dormouse/local";
    const { store } = await openFolder(process.argv[1], { clock: realClock, entropy: realEntropy });
    const write = () => store.put("an object", new Uint8Array(100), { if: "any" });
    await write();
    setTimeout(() => { ${lines} }, 0);
    for (;;) await write();
  `;
  const line = [
    "--conditions=@dormouse/source",
    "--input-type=module",
    "--eval",
    program,
    join(folder, String(Math.random())),
  ];
  const child = spawn(process.execPath, line, { cwd: import.meta.dirname, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (chunk) => (stderr += String(chunk)));
  await once(child, "close");
  return { by: child.exitCode ?? child.signalCode, stderr };
}

test("process.exit in the middle of a write ends the process", async () => {
  const { by } = await ending("process.exit(3)");
  expect([3, "SIGKILL"]).toContain(by);
});

test("what nobody catches is told on standard error, also in the middle of a write", async () => {
  const { by, stderr } = await ending('throw new TypeError("nobody catches this")');
  expect(stderr).toContain("TypeError: nobody catches this");
  expect([1, "SIGKILL"]).toContain(by);
});
