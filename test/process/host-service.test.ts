/**
 * `dormouse-host` as a process of its own, from its start to its exit code.
 *
 * Method: a temporary project with one module of agents, on a folder; its own lines and `/ready` tell what it is at.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { connect } from "@dormouse/sdk";
import { afterAll, afterEach, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const entry = join(root, "services/host/src/main.ts");

/** Counts; fails; and runs an effect that ends when there is a file `open`, or never. */
const agents = `
import { existsSync, watch } from "node:fs";
import { agent, reply } from "@dormouse/sdk";
import { assign, fromPromise, setup } from "xstate";

const opened = fromPromise(({ signal }) => new Promise((resolve) => {
  const look = () => existsSync("open") && resolve();
  watch(".", { signal }, look);
  look();
}));

export default [
  agent("counter", {
    machine: setup({}).createMachine({
      context: { count: 0 },
      on: {
        add: {
          actions: [assign({ count: ({ context }) => context.count + 1 }), reply(({ context }) => context.count)],
        },
        break: { actions: assign(() => { throw new Error("broken here"); }) },
      },
    }),
  }),
  agent("door", {
    machine: setup({ actors: { opened } }).createMachine({
      initial: "closed",
      states: {
        closed: { on: { knock: { target: "waiting", actions: reply(() => "wait") } } },
        waiting: { invoke: { src: "opened", onDone: "open" } },
        open: {},
      },
    }),
  }),
];
// Left open by whoever wrote the agents: it must not keep the process.
setInterval(() => undefined, 1_000);
`;

type Line = Readonly<Record<string, unknown>>;

const folder = mkdtempSync(join(tmpdir(), "dormouse-host-"));
symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
writeFileSync(join(folder, "agents.mjs"), agents);

class HostProcess {
  readonly process: ChildProcess;
  readonly exited: Promise<unknown>;
  readonly lines: Line[] = [];
  stderr = "";
  #told: () => void = () => undefined;

  constructor(environment: Readonly<Record<string, string>> = {}, line: readonly string[] = []) {
    this.process = spawn(process.execPath, ["--conditions=@dormouse/source", entry, ...line], {
      cwd: folder,
      env: { PATH: process.env["PATH"], DORMOUSE_HEALTH_LISTEN: "127.0.0.1:0", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.exited = once(this.process, "close").then(() => this.#told());
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    if (this.process.stdout === null) throw new Error("it has no standard output");
    createInterface({ input: this.process.stdout }).on("line", (text) => {
      this.lines.push(JSON.parse(text) as Line);
      this.#told();
    });
  }

  /** The first line that says this, once it is there. */
  async said(msg: string): Promise<Line> {
    for (;;) {
      const told = new Promise<void>((resolveTold) => (this.#told = resolveTold));
      const found = this.lines.find((line) => line["msg"] === msg);
      if (found !== undefined) return found;
      if (this.process.exitCode !== null) throw new Error(`it ended without "${msg}": ${this.stderr}`);
      await told;
    }
  }

  /** Where it is asked for its health, once it is ready. */
  async ready(): Promise<string> {
    await this.said("the host is ready");
    return String((await this.said("the host starts"))["health"]);
  }
}

let host: HostProcess | undefined;

function start(...options: ConstructorParameters<typeof HostProcess>): HostProcess {
  host = new HostProcess(...options);
  return host;
}

afterEach(async () => {
  host?.process.kill("SIGKILL");
  await host?.exited;
  host = undefined;
});
afterAll(() => rmSync(folder, { recursive: true }));

const store = "file:./data";
const environment = { DORMOUSE_AGENTS: "./agents.mjs", DORMOUSE_STORE: store, DORMOUSE_LOG_LEVEL: "info" };

test("a host takes messages, tells how it is, and drains when it is told to end", async () => {
  const running = start(environment);
  const url = await running.ready();
  const [live, ready] = await Promise.all([fetch(`${url}/live`), fetch(`${url}/ready`)]);
  expect([live.status, ready.status]).toEqual([200, 200]);
  expect(await ready.json()).toMatchObject({ state: "running", isReady: true });

  {
    await using client = await connect({ store: `file:${join(folder, "data")}` });
    const ada = client.agent("counter", "ada");
    expect([await ada.ask({ type: "add" }), await ada.ask({ type: "add" })]).toEqual([1, 2]);
    await expect(ada.ask({ type: "break" })).rejects.toThrow("broken here");
  }

  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('dormouse_steps_total{type="counter",outcome="failed"} 1\n');
  expect(metrics).toMatch(/^dormouse_records_total [1-9]/m);
  expect(metrics).toMatch(/^process_resident_memory_bytes /m);
  expect(await running.said("a step failed")).toMatchObject({ level: "warn", agent: "counter/ada", seq: 4 });

  running.process.kill("SIGTERM");
  await running.exited;
  expect(running.process.exitCode).toBe(0);
  expect(running.lines.at(-1)).toMatchObject({ msg: "the host has drained", incarnation: expect.any(String) });
  expect(running.stderr).toBe("");
});

test("while it drains it is live and not ready; it waits for effects, and goes on where it was at its next start", async () => {
  const running = start({ ...environment, DORMOUSE_DRAIN_MS: "60000" });
  const url = await running.ready();
  {
    await using client = await connect({ store: `file:${join(folder, "data")}` });
    await client.agent("door", "a").ask({ type: "knock" });
  }
  running.process.kill("SIGTERM");
  await running.said("the host drains");
  const [live, ready] = await Promise.all([fetch(`${url}/live`), fetch(`${url}/ready`)]);
  expect([live.status, ready.status]).toEqual([200, 503]);
  expect(await ready.json()).toMatchObject({ state: "draining", reason: "the host is draining" });
  writeFileSync(join(folder, "open"), "");
  await running.exited;
  expect(running.process.exitCode).toBe(0);

  await start(environment).ready();
  await using client = await connect({ store: `file:${join(folder, "data")}` });
  expect(await client.agent("counter", "ada").ask({ type: "add" })).toBe(3);
  expect(await client.agent("door", "a").read()).toMatchObject({ value: "open" });
  rmSync(join(folder, "open"));
});

test("a second signal ends it at once", async () => {
  const running = start({ ...environment, DORMOUSE_DRAIN_MS: "60000" });
  await running.ready();
  await using client = await connect({ store: `file:${join(folder, "data")}` });
  await client.agent("door", "b").ask({ type: "knock" });
  running.process.kill("SIGTERM");
  await running.said("the host drains");
  running.process.kill("SIGINT");
  await running.exited;
  // By SIGKILL where it is in the middle of a write.
  expect([130, "SIGKILL"]).toContain(running.process.exitCode ?? running.process.signalCode);
});

test("a configuration that cannot be right ends with 2 before anything is made, and says why", async () => {
  const running = start({ ...environment, DORMOUSE_STORE: "file:./new", DORMOUSE_LOG_LEVEL: "loud" });
  await running.exited;
  expect(running.process.exitCode).toBe(2);
  expect(running.stderr).toMatch(/^error: DORMOUSE_LOG_LEVEL must be one of .* \(config\.value\)\n$/);
  expect(existsSync(join(folder, "new"))).toBe(false);
});

test("agents that are not there end it with 2, agents that throw with 1", async () => {
  const gone = start({ ...environment, DORMOUSE_AGENTS: "./gone.mjs" });
  await gone.exited;
  expect(gone.process.exitCode).toBe(2);
  expect(await gone.said("the host has failed")).toMatchObject({ level: "error", code: "agents.missing" });

  writeFileSync(join(folder, "throws.mjs"), 'throw new Error("not today");');
  const throwing = start({ ...environment, DORMOUSE_AGENTS: "./throws.mjs" });
  await throwing.exited;
  expect(throwing.process.exitCode).toBe(1);
  const line = await throwing.said("the host has failed");
  expect(line).toMatchObject({ code: "agents.threw", stack: expect.stringContaining("throws.mjs:1") });
});

test.for([
  ["ends the process", "process.exit(0);"],
  ["waits for what never comes", "await new Promise(() => undefined);"],
] as const)("a module of agents that %s ends it with 1, and is told of", async ([, source]) => {
  writeFileSync(join(folder, "ends.mjs"), source);
  const running = start({ ...environment, DORMOUSE_AGENTS: "./ends.mjs" });
  await running.exited;
  expect(running.process.exitCode).toBe(1);
  expect(await running.said("the host has failed")).toMatchObject({ level: "error", code: "agents.ended" });
});

test("a folder that another host holds ends it with 1", async () => {
  await start(environment).ready();
  const second = new HostProcess(environment);
  await second.exited;
  expect(second.process.exitCode).toBe(1);
  expect(await second.said("the host has failed")).toMatchObject({ code: "folder.in-use" });
});

test("what an agent's code throws where nobody handles it ends the host with 1, and is in the log", async () => {
  writeFileSync(join(folder, "stray.mjs"), `${agents}\nsetImmediate(() => { throw new Error("stray"); });`);
  const running = start({ ...environment, DORMOUSE_AGENTS: "./stray.mjs" });
  await running.exited;
  expect(running.process.exitCode).toBe(1);
  expect(await running.said("something threw that nobody handles, and the host ends")).toMatchObject({
    level: "error",
    error: "Error: stray",
  });
});

test("it drains also where nobody reads its log any more", async () => {
  const running = start({ ...environment, DORMOUSE_LOG_LEVEL: "debug" });
  await running.ready();
  running.process.stdout?.destroy();
  await using client = await connect({ store: `file:${join(folder, "data")}` });
  expect(await client.agent("counter", "eve").ask({ type: "add" })).toBe(1);
  running.process.kill("SIGTERM");
  await running.exited;
  expect(running.process.exitCode).toBe(0);
});
