/**
 * What `startHost` and `connect` add to the runtime: a client that outlives hosts, and problems that are said where nobody
 * observes.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { agent, connect, startHost } from "@dormouse/sdk";
import { setup } from "xstate";
import { afterEach, expect, test, vi } from "vitest";
import { counter } from "./agents/counter.ts";

const folders: string[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

const door = agent("door", {
  machine: setup({ types: {} as { events: { type: "open" } | { type: "close" } } }).createMachine({
    initial: "closed",
    states: { closed: { on: { open: "opened" } }, opened: { on: { close: "closed" } } },
  }),
});

test(
  "who waits for an agent, or follows it, waits over the time between two hosts; who reads is told",
  { timeout: 30_000 },
  async () => {
    const store = await newStore();
    const first = await startHost({ agents: [door], store });
    await using client = await connect({ store });
    const front = client.agent(door, "front");
    await front.start();
    const steps = front.watch()[Symbol.asyncIterator]();
    expect((await steps.next()).value).toMatchObject({ seq: 1 });
    const next = steps.next();
    const isOpened = front.waitFor("opened");
    // Both have been answered once.
    await front.read();
    await first.drain();
    await vi.waitFor(() => expect(client.isHostRunning).toBe(false));
    await expect(front.read()).rejects.toMatchObject({ code: "host.not-running" });
    await front.send({ type: "open" });
    await using second = await startHost({ agents: [door], store });
    expect((await isOpened).value).toBe("opened");
    expect((await next).value).toMatchObject({ seq: 2, event: { type: "open" } });
    expect(second.incarnation).not.toBe(first.incarnation);
  },
);

test("what went wrong and nobody is told of goes to standard error, unless someone observes", async () => {
  const said: string[] = [];
  vi.spyOn(console, "error").mockImplementation((text: string) => void said.push(text));
  const observed = vi.fn<(event: unknown) => void>();
  const outcomes = [{}, { observe: observed }];
  for (const options of outcomes) {
    await using host = await startHost({ agents: [counter], store: await newStore(), ...options });
    const acme = host.client.agent("counter", "acme");
    await acme.send({ type: "subtract" });
    await acme.send({ type: "fail" });
    await expect(acme.ask({ type: "subtract" })).rejects.toMatchObject({ code: "event.not-taken" });
  }
  expect(said).toEqual([
    expect.stringMatching(/^dormouse: counter\/acme: a message changed nothing: .*type=subtract/),
    expect.stringMatching(/^dormouse: counter\/acme: step 2 failed: .*out of order[^]*counter\.ts/),
  ]);
  expect(observed).toHaveBeenCalled();
});

test("a host that nobody else ends is drained when its process is told to end", async () => {
  const program = `
    import { startHost } from "@dormouse/sdk";
    import { counter } from ${JSON.stringify(new URL("agents/counter.ts", import.meta.url).href)};
    const host = await startHost({ agents: [counter], store: ${JSON.stringify(await newStore())} });
    void host.ended.then(() => console.log("drained"));
    console.log("ready");`;
  const child = spawn(process.execPath, ["--conditions=@dormouse/source", "--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
    cwd: import.meta.dirname,
  });
  const exited = once(child, "exit");
  const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await said.next()).value).toBe("ready");
  child.kill("SIGTERM");
  expect((await said.next()).value).toBe("drained");
  expect(await exited).toEqual([null, "SIGTERM"]);
});

async function newStore(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "dormouse-host-"));
  folders.push(folder);
  return `file:${folder}`;
}
