/**
 * Goal: a server of `deploy/nats` takes a new mapping without a restart. Method: its own files, with paths and ports of a
 * test, one of its servers, and a reload by signal.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findNats, missingServers } from "@dormouse/testing/servers";
import { describe, expect, test } from "vitest";

const deploy = join(import.meta.dirname, "../../deploy/nats");

const found = await findNats();

// A server that runs elsewhere, or in a container, has a configuration of its own.
describe.skipIf((await missingServers(["nats"])) !== false || found.by !== "binary")("deploy/nats", () => {
  test("a server of a cluster reloads its configuration", async () => {
    const folder = await mkdtemp(join(tmpdir(), "dormouse-nats-"));
    for (const file of ["cluster.conf", "server.conf", "mappings.conf"]) await copyWithin(folder, file);
    const program = found.by === "binary" ? found.path : "";
    const child = spawn(program, ["-c", join(folder, "cluster.conf"), "-a", "127.0.0.1", "-p", "-1"], {
      env: { NATS_NAME: "nats-1", NATS_ROUTES: "[nats://127.0.0.1:1]" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = once(child, "exit");
    const seen: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      if (line.includes("Server is ready")) child.kill("SIGHUP");
      if (/reload/i.test(line)) seen.push(line);
      if (/Reloaded server configuration|Failed to reload/.test(line)) child.kill("SIGKILL");
    }
    await ended;
    await rm(folder, { recursive: true });
    expect(seen.at(-1)).toContain("Reloaded server configuration");
  });
});

async function copyWithin(folder: string, file: string): Promise<void> {
  const text = await readFile(join(deploy, file), "utf8");
  await writeFile(
    join(folder, file),
    text
      .replace("store_dir: /data", `store_dir: ${JSON.stringify(folder)}`)
      .replace("http_port: 8222", 'http: "127.0.0.1:-1"')
      .replace("0.0.0.0:6222", "127.0.0.1:-1"),
  );
}
