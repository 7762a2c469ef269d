/**
 * Goal: a test that asks for S3 has it with conditional writes that hold, and what was stored outlasts a kill; the proxy
 * before it harms what it is told to.
 * Method: a real server, plain requests.
 */
import { missingServers, s3Faults, s3Proxy, startS3, type S3Server } from "@dormouse/testing/servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

describe.skipIf(await missingServers(["s3"]))("an S3 server", () => {
  let s3: S3Server;
  beforeAll(async () => void (s3 = await startS3()));
  afterAll(() => s3.close());

  function put(name: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${s3.endpoint}/${s3.bucket}/${name}`, { method: "PUT", body, headers });
  }

  test("keeps its port and what it stored over a kill", async () => {
    expect((await put("kept", "here")).status).toBe(200);
    const { pid } = s3;
    await s3.kill();
    expect(s3.pid).toBeUndefined();
    await expect(put("kept", "not taken")).rejects.toThrow("fetch failed");
    await s3.start();
    expect(s3.pid).not.toBe(pid);
    expect(await (await fetch(`${s3.endpoint}/${s3.bucket}/kept`)).text()).toBe("here");
  });

  test("of many creates at once one is stored, and of many replacements of one version", async () => {
    const creates = await Promise.all(
      Array.from({ length: 32 }, (_, index) => put("once", String(index), { "if-none-match": "*" })),
    );
    expect(creates.filter(({ ok }) => ok)).toHaveLength(1);
    const etag = creates.find(({ ok }) => ok)?.headers.get("etag") ?? "";
    const replaced = await Promise.all(
      Array.from({ length: 32 }, (_, index) => put("once", `again ${index}`, { "if-match": etag })),
    );
    expect(replaced.filter(({ ok }) => ok)).toHaveLength(1);
  });

  test("another bucket is another, and empty", async () => {
    const bucket = await s3.newBucket();
    await put("a", "b");
    expect(bucket).not.toBe(s3.bucket);
    expect((await fetch(`${s3.endpoint}/${bucket}/a`)).status).toBe(404);
  });

  test("a running server is used as it is, with its own bucket, and is not for the test to kill or start", async () => {
    const { endpoint, bucket, accessKeyId, secretAccessKey } = s3;
    const url = new URL(`/${bucket}?region=eu-north-1`, endpoint);
    const without = startS3({ found: { by: "url", url: url.href } });
    await expect(without).rejects.toMatchObject({ kind: "invalid", code: "servers.variable" });
    [url.username, url.password] = [accessKeyId, encodeURIComponent("a/secret")];
    const used = await startS3({ found: { by: "url", url: url.href } });
    expect(used).toMatchObject({ endpoint, bucket, region: "eu-north-1", accessKeyId, secretAccessKey: "a/secret" });
    expect(secretAccessKey).not.toBe("");
    const refusal = { kind: "invalid", code: "servers.not-ours" };
    await expect(used.kill()).rejects.toMatchObject(refusal);
    await expect(used.start()).rejects.toMatchObject(refusal);
  });

  test("a proxy asks for each request what it meets, and what it passes is whole", async () => {
    await using proxy = await s3Proxy({
      target: s3.endpoint,
      fault: ({ method, number }) => (method === "PUT" && number === 1 ? s3Faults.resetAfter : undefined),
    });
    const url = `${proxy.endpoint}/${s3.bucket}/lost`;
    const headers = { "if-none-match": "*" };
    await expect(fetch(url, { method: "PUT", body: "stored", headers })).rejects.toThrow("fetch failed");
    expect((await fetch(url, { method: "PUT", body: "stored", headers })).status).toBe(412);
    const head = await fetch(url, { method: "HEAD" });
    expect(head.headers.get("content-length")).toBe("6");
    expect(await (await fetch(url)).text()).toBe("stored");
    expect(proxy.requests.map((request) => request.split(" ")[0])).toEqual(["PUT", "PUT", "HEAD", "GET"]);
  });

  test("a proxy that is cut accepts nothing until it is mended, and a delayed request arrives", async () => {
    await using proxy = await s3Proxy({ target: s3.endpoint });
    await proxy.cut();
    await expect(fetch(proxy.endpoint)).rejects.toThrow("fetch failed");
    await proxy.mend();
    const met = proxy.next("GET", s3Faults.delay(1, s3Faults.answer(503, "SlowDown")));
    const response = await fetch(proxy.endpoint);
    await met;
    expect([response.status, await response.text()]).toEqual([503, "<Error><Code>SlowDown</Code></Error>"]);
    expect((await fetch(proxy.endpoint)).status).toBe(200);
  });
});
