/**
 * Goal: a server of `deploy/nats` takes a new mapping without a restart, and who is refused for a while goes on when he is
 * allowed again. Method: configurations with paths and ports of a test, one server, and a reload by signal.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Channel, Mailbox, Partition } from "@dormouse/core/ports";
import { connectNats } from "@dormouse/nats";
import { findNats, missingServers } from "@dormouse/testing/servers";
import { describe, expect, test, vi } from "vitest";

const bytes = new Uint8Array([1]);

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

  test("who may not publish any more is told so, and goes on when it is allowed again", async () => {
    await using server = await Strict.start();
    const nats = await connectNats({ servers: server.url });
    const mailbox = nats.mailbox("app");
    await mailbox.create(1);
    const zero = 0 as Partition;
    expect((await mailbox.append(zero, bytes)).sequence).toBe(1);
    await server.allow(`publish: { deny: "dormouse.box.>" }`);
    const refused = await Promise.allSettled([mailbox.append(zero, bytes), mailbox.append(zero, bytes)]);
    for (const one of refused) {
      expect(one).toMatchObject({
        reason: { code: "mailbox.no-ack", message: expect.stringContaining("publish subject=dormouse.box.") as string },
      });
    }
    await server.allow("");
    expect((await mailbox.append(zero, bytes)).sequence).toBe(2);
    await nats.close();
  });

  test("what a connection listens to is heard again after it was not allowed for a while", async () => {
    await using server = await Strict.start();
    const [nats, other] = await Promise.all([
      connectNats({ servers: server.url }),
      connectNats({ servers: server.url }),
    ]);
    const mailbox = nats.mailbox("app");
    await mailbox.create(1);
    nats.channel.serve("question", () => Promise.resolve(bytes));
    await answered(other.channel);
    for (const deny of ["_INBOX.>", "dormouse.>"]) {
      await server.allow(`subscribe: { deny: "${deny}" }`);
      await expect(nats.channel.request("question", bytes, 100)).rejects.toMatchObject({ code: /^channel/ });
      await server.allow("");
      await answered(other.channel);
      await accepted(mailbox);
    }
    await Promise.all([nats.close(), other.close()]);
  });
});

/** Resolves when a question is answered; those that get no answer are asked again. */
async function answered(channel: Channel): Promise<void> {
  await vi.waitFor(() => channel.request("question", bytes, 1_000), 20_000);
}

/** The same of a message to be acknowledged. */
async function accepted(mailbox: Mailbox): Promise<void> {
  await vi.waitFor(() => mailbox.append(0 as Partition, bytes), 20_000);
}

/** A server whose one user may do as told; `allow` resolves when the server has taken in what he may now. */
class Strict implements AsyncDisposable {
  url = "";
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(folder: string) {
    this.#folder = folder;
    const program = found.by === "binary" ? found.path : "";
    this.#child = spawn(program, ["-c", this.#conf, "-a", "127.0.0.1", "-p", "-1"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#lines = createInterface({ input: this.#child.stderr ?? process.stdin })[Symbol.asyncIterator]();
  }

  static async start(): Promise<Strict> {
    const folder = await mkdtemp(join(tmpdir(), "dormouse-nats-"));
    await writeFile(join(folder, "strict.conf"), Strict.#text(folder, ""));
    const server = new Strict(folder);
    const [port] = /\d+$/.exec(await server.#says("Listening for client connections")) ?? [];
    server.url = `nats://host:secret@127.0.0.1:${port}`;
    await server.#says("Server is ready");
    return server;
  }

  async allow(permissions: string): Promise<void> {
    await writeFile(this.#conf, Strict.#text(this.#folder, permissions));
    this.#child.kill("SIGHUP");
    await this.#says("Reloaded server configuration");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
    await rm(this.#folder, { recursive: true });
  }

  get #conf(): string {
    return join(this.#folder, "strict.conf");
  }

  static #text(folder: string, permissions: string): string {
    const user = `{ user: host, password: secret, permissions: { ${permissions} } }`;
    return [`jetstream { store_dir: ${JSON.stringify(folder)} }`, `authorization { users: [${user}] }`, ""].join("\n");
  }

  /** The next line with this text. */
  async #says(text: string): Promise<string> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error(`the server ended before it said: ${text}`);
      if (value.includes(text)) return value;
    }
  }
}

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
