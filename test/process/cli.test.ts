/**
 * The command as a process of its own, on a folder whose host is another process or nowhere.
 *
 * Method: a temporary project with one module; its hosts run under `dormouse dev`, or as a program of their own where
 * they are to die. Tests of one `describe` go through one folder's life, in order; they wait for lines that are printed.
 * What each command prints is in `packages/cli/src/commands.test.ts`.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const entry = join(root, "packages/cli/src/main.ts");
/** How a host ends that takes a bomb's event. */
const bombExitCode = 7;
/** Hosts that three bombs may end before all are set aside, with some to spare. */
const livesMax = 24;
const conditions = "--conditions=@dormouse/source";

/** A module of agents: one that counts, and one that ends its process while there is a file `fuse` in the project. */
const agents = (extra: string): string => `
import { existsSync } from "node:fs";
import { agent, type Ask, reply } from "@dormouse/sdk";
import { assign, setup } from "xstate";

type Events = Ask<{ type: "add"; by: number }, number> | { type: "reset" } | { type: "double" };

export const counter = agent("counter", {
  machine: setup({ types: {} as { context: { count: number }; events: Events } }).createMachine({
    context: { count: 0 },
    on: {
      add: {
        actions: [assign({ count: ({ context, event }) => context.count + event.by }), reply(({ context }) => context.count)],
      },
      reset: { actions: assign({ count: 0 }) },
      ${extra}
    },
  }),
});

type BombEvents = { type: "explode" } | Ask<{ type: "ask" }, number>;

export const bomb = agent("bomb", {
  machine: setup({ types: {} as { context: { survived: number }; events: BombEvents } }).createMachine({
    context: { survived: 0 },
    on: {
      explode: {
        actions: assign(({ context }) => {
          if (existsSync("fuse")) process.exit(${bombExitCode});
          return { survived: context.survived + 1 };
        }),
      },
      ask: { actions: reply(({ context }) => context.survived) },
    },
  }),
});
`;

/** Runs the agents until it dies of them, or is told to end; names those that are set aside. */
const hostProgram = `
import { startHost } from "@dormouse/sdk";
import { bomb, counter } from "./agents.ts";

const host = await startHost({
  agents: [bomb, counter],
  observe: (event) => {
    if (event.kind === "quarantined") console.log("set aside", event.agent);
  },
});
process.on("SIGTERM", () => void host.drain());
console.log("ready");
await host.ended;
`;

interface Ended {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

class Project {
  readonly folder = mkdtempSync(join(tmpdir(), "dormouse-cli-"));
  readonly #store: readonly string[];

  /** @param store - What every line says of where the agents live. */
  constructor(store: readonly string[] = []) {
    this.#store = store;
    symlinkSync(join(root, "node_modules"), join(this.folder, "node_modules"));
    this.write("package.json", '{ "type": "module" }');
    this.write("agents.ts", agents(""));
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  dormouse(...line: readonly string[]): Promise<Ended> {
    return new Promise((ended) => {
      const args = [conditions, entry, ...line, ...this.#store];
      execFile(process.execPath, args, { cwd: this.folder }, (error, stdout, stderr) => {
        ended({ code: error === null ? 0 : error.code, stdout, stderr });
      });
    });
  }

  dev(...options: readonly string[]): Running {
    return new Running(this.folder, [entry, "dev", "agents.ts", ...this.#store, ...options]);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A process that runs on, and what it prints. */
class Running {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  #text = "";
  #seen = 0;
  #isOver = false;
  #printed: () => void = () => undefined;

  constructor(folder: string, line: readonly string[]) {
    this.process = spawn(process.execPath, [conditions, ...line], { cwd: folder });
    this.ended = once(this.process, "close");
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#text += text;
        this.#printed();
      });
    }
    this.process.once("close", () => {
      this.#isOver = true;
      this.#printed();
    });
  }

  /** Everything it printed. */
  get text(): string {
    return this.#text;
  }

  /** Resolves with the first line that fits and was not given before; called by one at a time. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const printed = new Promise<void>((resolvePrinted) => (this.#printed = resolvePrinted));
      const lines = this.#text.slice(this.#seen).split("\n").slice(0, -1);
      const index = lines.findIndex((line) => pattern.test(line));
      if (index >= 0) {
        this.#seen += lines.slice(0, index + 1).join("\n").length + 1;
        return lines[index] ?? "";
      }
      if (this.#isOver) throw new Error(`it has ended without ${String(pattern)}:\n${this.#text}`);
      await printed;
    }
  }

  async end(): Promise<number | null> {
    this.process.kill("SIGTERM");
    await this.ended;
    return this.process.exitCode;
  }
}

describe("over the lives of a folder's hosts", () => {
  const project = new Project();
  let dev: Running;
  afterAll(async () => {
    await dev.end();
    project.remove();
  });

  test("a folder where no host ever ran is an error, and is not made", async () => {
    const line = ["send", "counter/x", '{"type":"reset"}', "--json"];
    const ended = await project.dormouse(...line);
    expect(ended).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("folder.missing") });
    expect(existsSync(join(project.folder, ".dormouse"))).toBe(false);
  });

  test("commands reach a host in another process", async () => {
    dev = project.dev("--json");
    await dev.line(/"ready"/);
    expect(await project.dormouse("ask", "counter/x", '{"type":"add","by":5}')).toEqual({
      code: 0,
      stdout: "5\n",
      stderr: "",
    });
    const [listed, history, errors, wrong] = await Promise.all([
      project.dormouse("list", "counter", "--json"),
      project.dormouse("history", "counter/x"),
      project.dormouse("errors"),
      project.dormouse("list", "--app", "shop"),
    ]);
    expect(listed.code).toBe(0);
    expect(JSON.parse(listed.stdout)).toMatchObject({ agent: "counter/x", seq: 2 });
    expect(history).toMatchObject({ code: 0, stdout: expect.stringContaining("add { by: 5 }") });
    expect(errors).toMatchObject({ code: 0, stdout: "" });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("app.mismatch") });
  });

  test("a second host is refused, with the process that holds the folder", async () => {
    const { code, stderr } = await project.dormouse("dev", "agents.ts");
    expect(code).toBe(1);
    expect(stderr).toContain("folder.in-use");
    expect(stderr).toMatch(/pid=\d+/);
  });

  test("a host does not outlive a dev that is killed", async () => {
    dev.process.kill("SIGKILL");
    // The host inherits standard output, which is closed when both have ended.
    await dev.ended;
    expect(dev.process.signalCode).toBe("SIGKILL");
  });

  test("what only a host can tell is refused while none runs", async () => {
    const lines = [["ask", "counter/x", '{"type":"add","by":1}'], ["list"]];
    for (const ended of await Promise.all(lines.map((line) => project.dormouse(...line)))) {
      expect(ended).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("host.not-running") });
    }
  });

  test("what is sent meanwhile is kept, and the next host takes it", async () => {
    const sent = await project.dormouse("send", "counter/x", '{"type":"reset"}');
    expect(sent).toMatchObject({ code: 0, stdout: expect.stringContaining("kept in the mailbox of counter/x") });
    dev = project.dev();
    await dev.line(/ready: bomb, counter/);
    expect((await project.dormouse("ask", "counter/x", '{"type":"add","by":1}')).stdout).toBe("1\n");
    expect(await dev.end()).toBe(0);
  });
});

const brokenFunction = `
import { agent, durable } from "@dormouse/sdk";
export const broken = agent("broken", {
  run: durable(async ({ run, log }) => {
    log("has", { pages: 2 });
    const fetch = ({ attempt }) => {
      if (attempt === 1) throw new RangeError("busy");
    };
    await run("fetch", fetch, { retry: { initialInterval: 1 } });
    throw new TypeError("no such field");
  }),
});
`;

describe("dev", () => {
  // What the host writes there is beside the module, and no change of it.
  const project = new Project(["--store", "file:./data"]);
  let dev: Running;
  beforeAll(() => {
    project.write("agents.ts", "throw new Error('not today');");
    dev = project.dev();
  });
  afterAll(async () => {
    await dev.end();
    project.remove();
  });

  test.for([
    { what: "throws", source: undefined, says: /not today/ },
    { what: "does not parse", source: "export const = 1;", says: /error:/ },
    { what: "exports no agent", source: "export const agent = 1;", says: /exports no agent/ },
  ])("waits for a change of a module that $what", async ({ source, says }) => {
    if (source !== undefined) project.write("agents.ts", source);
    expect(await dev.line(says)).toMatch(says);
    expect(await dev.line(/started again/)).toContain("when a source file changes");
  });

  test("starts once the module is mended", async () => {
    project.write("agents.ts", agents(""));
    await dev.line(/ready: bomb, counter/);
    expect((await project.dormouse("ask", "counter/x", '{"type":"add","by":5}')).stdout).toBe("5\n");
  });

  test("runs a changed module in a fresh process, and agents go on", async () => {
    project.write("agents.ts", agents("double: { actions: assign({ count: ({ context }) => context.count * 2 }) },"));
    await dev.line(/ready/);
    await project.dormouse("send", "counter/x", '{"type":"double"}');
    expect((await project.dormouse("ask", "counter/x", '{"type":"add","by":1}')).stdout).toBe("11\n");
  });

  test("sees a change of a source file beside the module, and no other", async () => {
    project.write("report.json", '{ "by": "an agent" }');
    project.write("helper.ts", "export const one = 1;");
    await dev.line(/ready/);
    const changes = dev.text.split("\n").filter((line) => line.includes("has changed"));
    expect(new Set(changes.slice(0, -1))).toEqual(new Set(["agents.ts has changed: starting a new host"]));
    expect(changes.at(-1)).toBe("helper.ts has changed: starting a new host");
  });

  test("says what a function logs, and why it and its attempts fail, with the place", async () => {
    project.write("agents.ts", brokenFunction);
    await dev.line(/ready: broken/);
    await project.dormouse("start", "broken/b1");
    await dev.line(/effect run failed/);
    await dev.line(/agents\.ts:\d/);
    const told = dev.text.split("\n").filter((line) => /has:|attempt|effect run/.test(line));
    expect(told).toEqual([
      "broken/b1 effect run starts",
      "broken/b1 has: { pages: 2 }",
      "broken/b1 fetch attempt 1 failed: busy",
      "broken/b1 effect run failed: no such field",
    ]);
  });

  test("waits for a change when the module ends its host, also without a word", async () => {
    project.write("agents.ts", "process.exit(0);");
    expect(await dev.line(/the host has ended/)).toContain("started again when a source file changes");
  });

  test("ends well when it is told to", async () => {
    expect(await dev.end()).toBe(0);
  });
});

describe("an agent that ends its host again and again", () => {
  const project = new Project();
  let host: Running;
  beforeAll(async () => {
    project.write("host.ts", hostProgram);
    host = new Running(project.folder, ["host.ts"]);
    await host.line(/ready/);
    const keys = ["mended", "skipped"];
    await Promise.all(keys.map((key) => project.dormouse("ask", `bomb/${key}`, '{"type":"ask"}')));
    await host.end();
    project.write("fuse", "");
    // The third one never took a message before.
    const bombs = [...keys, "fresh"];
    await Promise.all(bombs.map((key) => project.dormouse("send", `bomb/${key}`, '{"type":"explode"}')));
    await liveUntilSetAside(bombs.length);
  });
  afterAll(async () => {
    await host.end();
    project.remove();
  });

  /** One host after another, until this many agents are set aside: the last of them lives. */
  async function liveUntilSetAside(count: number): Promise<void> {
    let left = count;
    for (let lives = 0; lives < livesMax; lives += 1) {
      host = new Running(project.folder, ["host.ts"]);
      try {
        for (; left > 0; left -= 1) await host.line(/^set aside/);
        return;
      } catch {
        expect(host.process.exitCode).toBe(bombExitCode);
      }
    }
    throw new Error(`${left} agents were not set aside in ${livesMax} lives`);
  }

  test("is told of by errors, with why and what is kept for it", async () => {
    const { code, stdout } = await project.dormouse("errors", "--json");
    expect(code).toBe(0);
    const views = stdout
      .trimEnd()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(views).toMatchObject(
      ["fresh", "mended", "skipped"].map((key) => ({
        kind: "set-aside",
        agent: `bomb/${key}`,
        shelved: 1,
        error: { code: "agent.killed-host" },
      })),
    );
    expect((await project.dormouse("errors")).stdout).toMatch(
      /^bomb\/mended {2}\S+ {2}set aside, 1 message is kept\n {6}its host died twice .+ \(agent\.killed-host\)\n/m,
    );
    expect((await project.dormouse("ask", "bomb/mended", '{"type":"ask"}')).stderr).toContain("agent.quarantined");
  });

  test("is told of by list, with the state it stays in", async () => {
    const { stdout } = await project.dormouse("list", "bomb");
    expect(stdout).toMatch(/^bomb\/mended +set aside +\d+ +0\nbomb\/skipped +set aside +\d+ +0\n/m);
    const read = (await project.dormouse("read", "bomb/mended")).stdout;
    expect(read).toContain("{ survived: 0 }");
    expect(read).toMatch(/^ {2}status +set aside, .*\n {2}why +its host died twice/m);
  });

  test("is told of by list also if it was its first message, and by its status", async () => {
    const { stdout } = await project.dormouse("list", "bomb", "--status", "set-aside", "--json");
    const views = stdout
      .trimEnd()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(views).toMatchObject([
      { key: "fresh", status: "not-started", value: null, seq: 0, isSetAside: true },
      { key: "mended", status: "active", isSetAside: true },
      { key: "skipped", status: "active", isSetAside: true },
    ]);
    expect((await project.dormouse("list", "bomb")).stdout).toMatch(/^bomb\/fresh +set aside +0 +0$/m);
    expect((await project.dormouse("list", "counter", "--status", "set-aside")).stdout).toBe("");
  });

  test("takes what was kept when it is mended and resumed", async () => {
    rmSync(join(project.folder, "fuse"));
    expect(await project.dormouse("resume", "bomb/mended")).toEqual({
      code: 0,
      stdout: "bomb/mended is taken back\n",
      stderr: "",
    });
    expect((await project.dormouse("ask", "bomb/mended", '{"type":"ask"}')).stdout).toBe("1\n");
  });

  test("goes on without what it stumbled over when that is skipped", async () => {
    const { stdout } = await project.dormouse("skip", "bomb/skipped", "--json");
    expect(JSON.parse(stdout)).toEqual({ agent: "bomb/skipped", wasSetAside: true, isSkipped: true });
    expect((await project.dormouse("ask", "bomb/skipped", '{"type":"ask"}')).stdout).toBe("0\n");
    await project.dormouse("skip", "bomb/fresh");
    expect((await project.dormouse("errors")).stdout).toBe("");
    expect((await project.dormouse("list")).stdout).not.toContain("set aside");
  });
});
