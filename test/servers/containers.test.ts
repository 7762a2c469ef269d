/**
 * Goal: where a container engine answers, servers in containers are as good as processes: the same ports, and what was
 * stored, over a kill.
 * Method: the real engine. Without one there is nothing to try, in CI neither: skipped, loudly.
 */
import { findContainer, s3Proxy, startNats, startS3 } from "@dormouse/testing/servers";
import { describe, expect, test } from "vitest";
import { ask } from "./nats-client.ts";

const [nats, s3] = await Promise.all([findContainer("nats"), findContainer("s3")]);
if (nats.by === "nothing") console.warn(`\n!!! SKIPPED, servers in containers: ${nats.why}\n`);

describe.skipIf(nats.by === "nothing" || s3.by === "nothing")("in containers", { timeout: 180_000 }, () => {
  test("three NATS servers are a cluster, and keep what they stored over a kill", async () => {
    if (nats.by === "nothing") return;
    await using cluster = await startNats({ servers: 3, found: nats });
    const [url = ""] = cluster.urls;
    const stream = { name: "kept", subjects: ["kept.*"], storage: "file", num_replicas: 3 };
    expect(await ask(url, "$JS.API.STREAM.CREATE.kept", stream)).toMatchObject({ config: { num_replicas: 3 } });
    expect(await ask(url, "kept.a")).toMatchObject({ seq: 1 });
    const pids = cluster.servers.map(({ pid }) => pid);
    await Promise.all(cluster.servers.map((server) => server.kill()));
    await expect(ask(url, "kept.a")).rejects.toThrow("ECONN");
    for (const server of cluster.servers) await server.start();
    expect(cluster.servers.map(({ pid }) => pid)).not.toEqual(pids);
    expect(await ask(url, "$JS.API.STREAM.INFO.kept")).toMatchObject({ state: { messages: 1 } });
  });

  test("an S3 server keeps what it stored over a kill", async () => {
    if (s3.by === "nothing") return;
    await using server = await startS3({ found: s3 });
    await using proxy = await s3Proxy({ target: server.endpoint });
    const bucket = await server.newBucket();
    const { pid } = server;
    await server.kill();
    await expect(server.newBucket()).rejects.toThrow("fetch failed");
    await server.start();
    expect(server.pid).not.toBe(pid);
    expect((await fetch(`${proxy.endpoint}/${bucket}/none`)).status).toBeGreaterThanOrEqual(403);
    expect(await server.newBucket()).not.toBe(bucket);
  });
});
