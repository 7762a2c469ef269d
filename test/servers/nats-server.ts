/**
 * Real NATS servers for tests: nats-server, as .cache/bin has it, or as DORMOUSE_NATS_SERVER names it. On free ports of
 * this machine, which a server keeps when it is started again.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const natsProgram =
  process.env["DORMOUSE_NATS_SERVER"] ?? join(import.meta.dirname, "../../.cache/bin/nats-server");
const missing = `there is no NATS server to test against: put nats-server 2.14.5 there, or name it in DORMOUSE_NATS_SERVER; looked for ${natsProgram}`;

/** Whether tests against NATS can run. Where CI runs, they must. */
export function haveNatsServer(): boolean {
  if (existsSync(natsProgram)) return true;
  if (process.env["CI"] !== undefined) throw new Error(missing);
  console.warn(`\n!!! SKIPPED: ${missing}\n`);
  return false;
}

export interface NatsServerOptions {
  /** More of the server's configuration. Default: JetStream on, nothing else. */
  readonly configuration?: string;
  /** Without JetStream. */
  readonly isPlain?: boolean;
  readonly port?: number;
}

export class NatsServer {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  readonly #configuration: string;
  #process: ChildProcess | undefined;

  private constructor(name: string, folder: string, port: number, configuration: string) {
    this.name = name;
    this.folder = folder;
    this.port = port;
    this.#configuration = configuration;
  }

  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const folder = await mkdtemp(join(tmpdir(), "dormouse-nats-"));
    const port = options.port ?? (await freePort());
    const server = new NatsServer("n1", folder, port, configure("n1", folder, port, options));
    await server.run();
    return server;
  }

  /** Three servers that know each other. */
  static async startCluster(): Promise<readonly NatsServer[]> {
    const names = ["n1", "n2", "n3"];
    const ports = await Promise.all(names.map(freePort));
    const routes = await Promise.all(names.map(freePort));
    const servers = await Promise.all(
      names.map(async (name, index) => {
        const folder = await mkdtemp(join(tmpdir(), "dormouse-nats-"));
        const port = ports[index] ?? 0;
        const peers = routes.map((route) => `nats://127.0.0.1:${route}`).join(", ");
        const configuration = `cluster { name: test, listen: "127.0.0.1:${routes[index]}", routes: [${peers}] }`;
        return new NatsServer(name, folder, port, configure(name, folder, port, { configuration }));
      }),
    );
    await Promise.all(servers.map((server) => server.run()));
    return servers;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Starts it, again after a kill: with what it had stored. */
  async run(): Promise<void> {
    const file = join(this.folder, "server.conf");
    await writeFile(file, this.#configuration);
    const child = spawn(natsProgram, ["-c", file], { stdio: ["ignore", "ignore", "pipe"] });
    this.#process = child;
    const seen: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      if (line.includes("Server is ready")) {
        child.stderr.resume();
        return;
      }
      seen.push(line);
    }
    throw new Error(`nats-server did not start: ${seen.slice(-5).join("; ")}`);
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  /** Kills it and forgets what it stored. */
  async remove(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function configure(name: string, folder: string, port: number, options: NatsServerOptions): string {
  const jetstream = `jetstream { store_dir: "${folder}/store", max_file_store: 20GB, max_memory_store: 256MB }`;
  return [
    `server_name: ${name}`,
    `listen: "127.0.0.1:${port}"`,
    options.isPlain === true ? "" : jetstream,
    options.configuration ?? "",
  ].join("\n");
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
