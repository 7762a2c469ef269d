/**
 * Goal: a test that asks for NATS has it with JetStream, alone or as a cluster, and what was stored outlasts a kill.
 * Method: real servers, and a client without a driver.
 */
import { missingServers, startNats } from "@dormouse/testing/servers";
import { describe, expect, test } from "vitest";
import { ask } from "./nats-client.ts";

const stream = { name: "kept", subjects: ["kept.*"], storage: "file" };

describe.skipIf(await missingServers(["nats"]))("NATS servers", () => {
  test("one has JetStream, and keeps its port and what it stored over a kill", async () => {
    await using nats = await startNats();
    const [server] = nats.servers;
    if (server === undefined) throw new Error("there is no server");
    expect(nats.urls).toEqual([server.url]);
    expect(await ask(server.url, "$JS.API.STREAM.CREATE.kept", stream)).not.toHaveProperty("error");
    expect(await ask(server.url, "kept.a")).toMatchObject({ stream: "kept", seq: 1 });
    const { pid } = server;
    await server.kill();
    await expect(ask(server.url, "kept.a")).rejects.toThrow("ECONNREFUSED");
    expect(server.pid).toBeUndefined();
    await server.start();
    expect(server.pid).not.toBe(pid);
    expect(await ask(server.url, "kept.a")).toMatchObject({ stream: "kept", seq: 2 });
  });

  test("three form a cluster, which goes on without one of them and comes back when all were killed", async () => {
    await using nats = await startNats({ servers: 3 });
    const [first, second, third] = nats.urls as [string, string, string];
    // Whoever answers knows of the others a moment later.
    await expect
      .poll(() => ask(first, "$JS.API.STREAM.CREATE.kept", { ...stream, num_replicas: 3 }), { timeout: 60_000 })
      .toMatchObject({ config: { num_replicas: 3 } });
    expect(await ask(second, "kept.a")).toMatchObject({ seq: 1 });
    const leader = leaderOf(await allCurrent(second));
    const follower = nats.servers.findIndex(({ name }) => name !== leader);
    await nats.servers[follower]?.kill();
    const { seq } = await ask(nats.urls[(follower + 1) % 3] ?? "", "kept.a");
    expect(seq).toBeGreaterThanOrEqual(2);
    await nats.servers[follower]?.start();
    await allCurrent(first);
    await Promise.all(nats.servers.map((server) => server.kill()));
    for (const server of nats.servers) await server.start();
    expect(await ask(third, "$JS.API.STREAM.INFO.kept")).toMatchObject({ state: { messages: seq } });
  });

  test("more configuration is the server's, and what it makes of bad configuration is told", async () => {
    await using nats = await startNats({ config: "max_payload: 4096" });
    const [url = ""] = nats.urls;
    expect(await ask(url, "$JS.API.INFO")).not.toHaveProperty("error");
    const tooLong = { long: "x".repeat(5_000) };
    await expect(ask(url, "$JS.API.INFO", tooLong)).rejects.toThrow(/ended the connection|ECONNRESET|EPIPE/);
    await expect(startNats({ config: "no_such_word: 1" })).rejects.toMatchObject({
      kind: "unavailable",
      code: "servers.not-started",
      message: expect.stringContaining("no_such_word") as string,
    });
  });

  test("a running server is used as it is, and is not for the test to configure, kill or start", async () => {
    await using nats = await startNats();
    const found = { by: "url", url: nats.urls.join(",") } as const;
    const [used, ...others] = (await startNats({ found })).servers;
    expect(others).toEqual([]);
    expect(used?.url).toBe(nats.urls[0]);
    const refusal = { kind: "invalid", code: "servers.not-ours" };
    await expect(used?.kill()).rejects.toMatchObject(refusal);
    await expect(used?.start()).rejects.toMatchObject(refusal);
    await expect(startNats({ found, servers: 3 })).rejects.toMatchObject(refusal);
    await expect(startNats({ found, config: "max_payload: 4096" })).rejects.toMatchObject(refusal);
  });
});

/** What is said of the stream once all three have what it holds: a copy that is just being made is none yet. */
/** Looked for now and then: servers that are asked without a pause come to nothing else. */
async function allCurrent(url: string): Promise<Record<string, unknown>> {
  let info: Record<string, unknown> = {};
  const current = async (): Promise<number> => {
    info = await ask(url, "$JS.API.STREAM.INFO.kept");
    const { replicas = [] } = (info["cluster"] ?? {}) as { replicas?: readonly { readonly current: boolean }[] };
    return replicas.filter((replica) => replica.current).length;
  };
  await expect.poll(current, { timeout: 120_000, interval: 200 }).toBe(2);
  return info;
}

function leaderOf(info: Record<string, unknown>): unknown {
  return (info["cluster"] as { readonly leader?: unknown } | undefined)?.leader;
}
