/**
 * Goal: no server outlives the process that started it, however that process ends, and nothing is left behind.
 * Method: a process of its own starts servers and is killed; an open connection to each server tells when it ends.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { missingServers } from "@dormouse/testing/servers";
import { describe, expect, onTestFinished, test, vi } from "vitest";

const exec = promisify(execFile);

const program = (rest: string): string => `
  import { startNats, startS3 } from "@dormouse/testing/servers";
  const [nats, s3] = await Promise.all([startNats(), startS3()]);
  console.log(JSON.stringify([...nats.urls, s3.endpoint]));
  ${rest}`;

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "dormouse-orphans-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

function args(rest: string): string[] {
  return ["--conditions=@dormouse/source", "--input-type=module", "-e", program(rest)];
}

describe.skipIf(await missingServers(["nats", "s3"]))("servers of a process", () => {
  test.for(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
    "end when it ends by %s, and their folders go",
    async (signal) => {
      const temporary = await folder();
      const env = { ...process.env, TMPDIR: temporary };
      const child = spawn(process.execPath, args("setInterval(() => {}, 1_000);"), {
        env,
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
      const sockets = await Promise.all(
        (JSON.parse(line) as string[]).map(async (url) => {
          const socket = connect(Number(new URL(url).port), "127.0.0.1");
          await once(socket, "connect");
          return socket.resume().on("error", () => undefined);
        }),
      );
      expect(await readdir(temporary)).toHaveLength(2);
      const ended = sockets.map((socket) => once(socket, "close"));
      child.kill(signal);
      await Promise.all(ended);
      await vi.waitFor(async () => expect(await readdir(temporary)).toEqual([]));
    },
  );

  test("do not hold it up when it forgets to close them", async () => {
    const temporary = await folder();
    const { stdout } = await exec(process.execPath, args(""), { env: { ...process.env, TMPDIR: temporary } });
    expect(JSON.parse(stdout)).toHaveLength(2);
    await vi.waitFor(async () => expect(await readdir(temporary)).toEqual([]));
  });
});
