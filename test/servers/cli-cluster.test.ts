/**
 * Goal: each command does on a cluster what it does on a folder, an operator makes an app, sees it and drains a host of it,
 * and what cannot be reached or is refused is told in one line.
 *
 * Method: real servers, behind NATS accounts and a proxy that checks signatures; two hosts in this process, each command a
 * process of its own with credentials in its environment. Tests go through one app's life, in order.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Host, startHost } from "@dormouse/sdk";
import {
  findNats,
  missingServers,
  type Nats,
  s3Faults,
  s3Proxy,
  type S3Proxy,
  type S3Server,
  startNats,
  startS3,
  tcpProxy,
} from "@dormouse/testing/servers";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { counter } from "../agents/counter.ts";

const entry = join(resolve(import.meta.dirname, "../.."), "packages/cli/src/main.ts");
const credentials = { accessKeyId: "AKDORMOUSE", secretAccessKey: "a/secret+with/odd=characters" };
const streamBytesMax = 4_194_304;
/** Of bob's account there is no JetStream. */
const accounts = `accounts {
  with { jetstream: enabled, users: [{ user: ada, password: "ada's secret" }] }
  without { users: [{ user: bob, password: "bob's secret" }] }
}`;

interface Ended {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

function linesOf(stdout: string): unknown[] {
  return stdout
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
}

const isConfigurable = (await findNats()).by !== "url";

describe.skipIf((await missingServers(["nats", "s3"])) !== false || !isConfigurable)("on a cluster", () => {
  let nats: Nats;
  let s3: S3Server;
  let proxy: S3Proxy;
  let places: { readonly mailbox: string; readonly store: string };
  let environment: Readonly<Record<string, string>>;
  const hosts = new Map<string, Host>();

  beforeAll(async () => {
    [nats, s3] = await Promise.all([startNats({ config: accounts }), startS3()]);
    proxy = await s3Proxy({ target: s3.endpoint, secrets: { [credentials.accessKeyId]: credentials.secretAccessKey } });
    places = { mailbox: nats.urls.join(","), store: `s3://${s3.bucket}/agents` };
    environment = {
      DORMOUSE_NATS_USER: "ada",
      DORMOUSE_NATS_PASSWORD: "ada's secret",
      DORMOUSE_NATS_STREAM_BYTES_MAX: String(streamBytesMax),
      DORMOUSE_S3_ENDPOINT: proxy.endpoint,
      DORMOUSE_S3_REGION: s3.region,
      DORMOUSE_S3_ACCESS_KEY_ID: credentials.accessKeyId,
      DORMOUSE_S3_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      DORMOUSE_S3_FORCE_PATH_STYLE: "true",
    };
  });

  afterAll(async () => {
    await Promise.all([...hosts.values()].map((host) => host.drain()));
    await proxy.close();
    await Promise.all([nats.close(), s3.close()]);
  });

  function run(line: readonly string[], changed: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return new Promise((ended) => {
      const args = ["--conditions=@dormouse/source", entry, ...line];
      const { PATH = "" } = process.env;
      const env = { PATH, ...environment, ...changed };
      execFile(process.execPath, args, { cwd: tmpdir(), env }, (error, stdout, stderr) => {
        ended({ code: error === null ? 0 : error.code, stdout, stderr });
      });
    });
  }

  /** With the mailbox and the store on the line. */
  function dormouse(...line: readonly string[]): Promise<Ended> {
    return run([...line, "--mailbox", places.mailbox, "--store", places.store]);
  }

  function dormouseWith(changed: Readonly<Record<string, string>>, ...line: readonly string[]): Promise<Ended> {
    return run([...line, "--mailbox", places.mailbox, "--store", places.store], changed);
  }

  function withoutStore(...line: readonly string[]): Promise<Ended> {
    return run([...line, "--mailbox", places.mailbox]);
  }

  async function start(name: string, called = name): Promise<Host> {
    const host = await startHost({
      ...places,
      name: called,
      agents: [counter],
      nats: { user: "ada", password: "ada's secret", streamBytesMax },
      s3: { endpoint: proxy.endpoint, region: s3.region, forcePathStyle: true, credentials },
      signal: new AbortController().signal,
      observe: () => undefined,
    });
    hosts.set(name, host);
    return host;
  }

  function statusOf(name: string): ReturnType<Host["status"]> {
    const host = hosts.get(name);
    if (host === undefined) throw new Error(`there is no host ${name}`);
    return host.status();
  }

  test("an app that is not there is told, with how to make it", async () => {
    const { code, stderr } = await dormouse("app", "status");
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining("dormouse app create") as string });
    const noHost = await run(["list", "--mailbox", places.mailbox]);
    expect(noHost).toMatchObject({ code: 1, stderr: expect.stringContaining("(app.no-host)") as string });
  });

  test("app create refuses a store whose conditions do not hold, by the check that fails, and makes nothing", async () => {
    await using unfit = await s3Proxy({
      target: s3.endpoint,
      fault: ({ method, url, headers, body }) => {
        const { "if-none-match": condition } = headers;
        if (method !== "PUT" || condition === undefined) return undefined;
        return async (_forward, response) => {
          const { status, headers: answered } = await fetch(s3.endpoint + url, { method, body: new Uint8Array(body) });
          response.writeHead(status, { etag: answered.get("etag") ?? "" }).end();
        };
      },
    });
    const refused = await dormouseWith({ DORMOUSE_S3_ENDPOINT: unfit.endpoint }, "app", "create");
    expect(refused.stderr).toContain("check=refuse-create (store.unfit)");
    const status = await dormouse("app", "status");
    expect(status.stderr).toContain("dormouse app create");
  });

  test("app create makes it, leaves it as it is, and refuses another number of partitions", async () => {
    const made = await dormouseWith({ DORMOUSE_PARTITIONS: "4" }, "app", "create");
    expect(made).toMatchObject({
      code: 0,
      stderr: "",
      stdout: expect.stringMatching(/^the app default is made: 4 partitions/) as string,
    });
    const again = await dormouse("app", "create", "--json");
    expect(again.code).toBe(0);
    expect(linesOf(again.stdout)).toEqual([
      { app: "default", birth: expect.any(String) as string, partitions: 4, created: false },
    ]);
    const other = await dormouse("app", "create", "--partitions", "8");
    expect(other).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringMatching(/wanted=8 found=4 \(app\.mismatch\)/) as string,
    });
  });

  test("without a host, status names what nobody owns, and send keeps what is sent", async () => {
    const { code, stdout, stderr } = await dormouse("app", "status");
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("no host runs") as string });
    expect(stdout).toContain("partitions 0-3: nobody owns it");
    const sent = await dormouse("send", "counter/early", '{"type":"add","by":2}');
    expect(sent).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/is kept in the mailbox of counter\/early: no host runs/) as string,
    });
  });

  test("with two hosts, both are ready, each with its partitions, and every partition is owned", async () => {
    await start("one");
    await start("two");
    await vi.waitFor(
      () => {
        for (const name of hosts.keys()) expect(statusOf(name)).toMatchObject({ isReady: true });
        expect(statusOf("one").partitions.owned + statusOf("two").partitions.owned).toBe(4);
      },
      { timeout: 30_000 },
    );
    const { code, stdout, stderr } = await dormouse("app", "status", "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(linesOf(stdout)).toEqual([
      expect.objectContaining({ kind: "app", name: "default", partitions: 4, hosts: 2 }),
      expect.objectContaining({ kind: "host", name: "one", incarnation: hosts.get("one")?.incarnation }),
      expect.objectContaining({ kind: "host", name: "two", incarnation: hosts.get("two")?.incarnation }),
    ]);
  });

  test("each command on agents does what it does on a folder; a client needs no store", async () => {
    const ofLines: readonly (readonly [line: readonly string[], stdout: string])[] = [
      [["start", "counter/ada"], "counter/ada is started\n"],
      [["ask", "counter/ada", '{"type":"add","by":3}'], "3\n"],
      [["ask", "counter/early", '{"type":"add","by":1}'], "3\n"],
      [["send", "counter/ada", '{"type":"reset"}'], "reset is accepted for counter/ada\n"],
      [["resume", "counter/ada"], "counter/ada was not set aside\n"],
      [["skip", "counter/ada"], "counter/ada was not set aside\n"],
    ];
    for (const [line, stdout] of ofLines) expect(await withoutStore(...line)).toEqual({ code: 0, stdout, stderr: "" });
    const failed = await withoutStore("ask", "counter/ada", '{"type":"fail"}');
    expect(failed).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/out of order.*\(agent\.step-failed\)/) as string,
    });
    const states = [
      [["read", "counter/ada"], /context {2}\{ count: 0 \}/],
      [["list", "counter"], /counter\/ada .*\n.*counter\/early/s],
      [["history", "counter/ada"], /#2 .*add \{ by: 3 \}/],
      [["errors"], /counter\/ada .*out of order/s],
    ] as const;
    for (const [line, stdout] of states)
      expect(await withoutStore(...line)).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(stdout) as string,
        stderr: "",
      });
  });

  test("a drained host hands over and is gone; what its agents are is with the other", async () => {
    const unknown = await dormouse("app", "drain", "three");
    expect(unknown).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/host=three living=one,two \(host\.unknown\)/) as string,
    });
    const { code, stdout, stderr } = await dormouse("app", "drain", "one");
    const { incarnation } = hosts.get("one") ?? {};
    expect({ code, stdout }).toEqual({ code: 0, stdout: `one (${incarnation}) is gone\n` });
    expect(stderr).toMatch(/^one \(\w+\) is draining: \d partitions? left$/m);
    await hosts.get("one")?.ended;
    await vi.waitFor(() => expect(statusOf("two")).toMatchObject({ isReady: true, partitions: { owned: 4 } }), {
      timeout: 30_000,
    });
    const status = await dormouse("app", "status");
    expect(status).toMatchObject({
      code: 0,
      stderr: "",
      stdout: expect.stringMatching(/\ntwo +\w+ +ready +4 of 4 /) as string,
    });
    expect(status.stdout).not.toContain("one ");
    const answer = await dormouse("ask", "counter/early", '{"type":"add","by":1}');
    expect(answer).toEqual({ code: 0, stdout: "4\n", stderr: "" });
  });

  test("a name that two hosts have is refused, and their incarnations are told", async () => {
    const host = await start("two, again", "two");
    const refused = await dormouse("app", "drain", "two");
    expect(refused).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/\(host\.ambiguous\)/) as string,
    });
    expect(refused.stderr).toContain(host.incarnation);
    const drained = await dormouse("app", "drain", host.incarnation, "--json");
    expect(drained).toMatchObject({ code: 0, stderr: "" });
    expect(linesOf(drained.stdout).at(-1)).toEqual({ kind: "gone", incarnation: host.incarnation, name: "two" });
  });

  test("store probe tries a bucket without NATS, and names each check", async () => {
    const { code, stdout, stderr } = await run(["store", "probe", "--store", places.store, "--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const checks = ["create", "refuse-create", "swap", "refuse-stale", "concurrent-create"];
    expect(linesOf(stdout)).toEqual(checks.map((check) => ({ check, passed: true })));
  });

  test("store probe goes on after a store's refusals, and ends with the check that a store without ETags fails", async () => {
    let puts = 0;
    await using busy = await s3Proxy({
      target: s3.endpoint,
      fault: ({ method }) => {
        if (method === "PUT") puts += 1;
        // The first is that of opening the store; an error's connection is not kept.
        const isRefused = method === "PUT" && puts > 1 && puts < 5;
        return isRefused ? s3Faults.answer(503, "SlowDown", { connection: "close" }) : undefined;
      },
    });
    const probed = await dormouseWith({ DORMOUSE_S3_ENDPOINT: busy.endpoint }, "store", "probe");
    expect(probed).toMatchObject({ code: 0, stderr: "the store is fit\n" });
    await using page = await s3Proxy({
      target: s3.endpoint,
      fault: () => (_forward, response) => void response.writeHead(200).end("<html>welcome</html>"),
    });
    const refused = await dormouseWith({ DORMOUSE_S3_ENDPOINT: page.endpoint }, "store", "probe");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("(store.unfit)");
  });

  test("a command ends though the server that it asked hangs", async () => {
    await using path = await tcpProxy({ target: nats.urls[0] ?? "" });
    path.hold();
    const { code, stderr } = await run(["list", "--mailbox", path.url]);
    expect(stderr).toContain("(nats.unreachable)");
    expect(code).toBe(1);
  });

  test("dev runs a module's agents there too, and leaves when it is ended", async () => {
    const module = resolve(import.meta.dirname, "../agents/counter.ts");
    const where = ["--app", "devs", "--mailbox", places.mailbox, "--store", places.store];
    const args = ["--conditions=@dormouse/source", entry, "dev", module, ...where, "--json"];
    const env = { PATH: process.env["PATH"] ?? "", ...environment };
    const dev = spawn(process.execPath, args, { cwd: tmpdir(), env, stdio: ["ignore", "pipe", "inherit"] });
    const closed = once(dev, "close");
    const [text] = (await once(dev.stdout, "data")) as [Buffer];
    expect(JSON.parse(text.toString())).toMatchObject({ kind: "ready", types: ["counter"] });
    const answer = await dormouse("ask", "counter/dev", '{"type":"add","by":7}', "--app", "devs");
    expect(answer).toEqual({ code: 0, stdout: "7\n", stderr: "" });
    dev.kill("SIGTERM");
    expect(await closed).toEqual([0, null]);
    expect((await dormouse("app", "status", "--app", "devs")).stderr).toContain("no host runs");
  });

  test.for([
    { what: "a wrong password", changed: { DORMOUSE_NATS_PASSWORD: "hunter2" }, says: "(nats.refused)" },
    {
      what: "an account without JetStream",
      changed: { DORMOUSE_NATS_USER: "bob", DORMOUSE_NATS_PASSWORD: "bob's secret" },
      says: "(nats.no-jetstream)",
    },
    { what: "a wrong key", changed: { DORMOUSE_S3_SECRET_ACCESS_KEY: "hunter2" }, says: "(store.credentials)" },
    { what: "no such bucket", changed: {}, line: ["--store", "s3://no-such-bucket"], says: "(store.bucket)" },
    { what: "no NATS", changed: {}, line: ["--mailbox", "nats://127.0.0.1:1"], says: "(nats.unreachable)" },
    { what: "no such app", changed: {}, line: ["--app", "nobody"], says: "(app.mismatch)", code: 2 },
  ])("$what is told in one line", async ({ changed, line = [], says, code = 1 }) => {
    const ended = await run(["app", "status", "--mailbox", places.mailbox, "--store", places.store, ...line], changed);
    expect(ended).toMatchObject({ code, stdout: "" });
    const [error = "", ...more] = ended.stderr.trimEnd().split("\n");
    expect(error).toContain(says);
    expect(more).toEqual([]);
    expect(ended.stderr).not.toContain("hunter2");
  });
});
