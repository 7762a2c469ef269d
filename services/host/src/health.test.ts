/** What an orchestrator and a scraper are answered. Method: a real server on a free port, asked by fetch. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { HostStatus } from "@dormouse/sdk";
import { type Health, serveHealth } from "./health.ts";
import { starting } from "./starting.ts";

const running: HostStatus = { ...starting("one"), state: "running", isReady: true, reason: undefined };

let status: HostStatus = running;
let health: Health;
const listen = { address: "127.0.0.1", port: 0 };
const options = { listen, status: () => status, metrics: async () => "dormouse_ready 1\n" };
beforeAll(async () => {
  health = await serveHealth(options);
});
afterAll(() => health[Symbol.asyncDispose]());

test("a host that is ready is live and ready", async () => {
  status = running;
  const [live, ready] = await Promise.all([fetch(`${health.url}/live`), fetch(`${health.url}/ready`)]);
  expect([live.status, ready.status]).toEqual([200, 200]);
  expect(await ready.json()).toEqual(running);
});

test("a host that drains is live and not ready, and says why", async () => {
  status = { ...running, state: "draining", isReady: false, reason: "the host is draining" };
  const [live, ready] = await Promise.all([fetch(`${health.url}/live`), fetch(`${health.url}/ready`)]);
  expect([live.status, ready.status]).toEqual([200, 503]);
  expect(await ready.json()).toMatchObject({ isReady: false, reason: "the host is draining" });
});

test("metrics are text as Prometheus reads it", async () => {
  const response = await fetch(`${health.url}/metrics`);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await response.text()).toBe("dormouse_ready 1\n");
});

test("metrics that cannot be told are an answer, and end nothing", async () => {
  const broken = { ...options, metrics: () => Promise.reject(new Error("it has a secret")) };
  await using other = await serveHealth(broken);
  const response = await fetch(`${other.url}/metrics`);
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain("secret");
  expect((await fetch(`${other.url}/live`)).status).toBe(200);
});

test("HEAD is answered as GET, without a body", async () => {
  status = running;
  const response = await fetch(`${health.url}/ready`, { method: "HEAD" });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-length")).toBe(String(JSON.stringify(running).length + 1));
  expect(await response.text()).toBe("");
});

test.for(["POST", "PUT", "DELETE", "OPTIONS"])("%s is refused", async (method) => {
  const response = await fetch(`${health.url}/live`, { method, ...(method === "OPTIONS" ? {} : { body: "x" }) });
  expect(response.status).toBe(405);
  expect(response.headers.get("allow")).toBe("GET, HEAD");
});

test("other paths are not there; a query changes nothing", async () => {
  expect((await fetch(`${health.url}/`)).status).toBe(404);
  expect((await fetch(`${health.url}/live?from=here`)).status).toBe(200);
});

test("headers that are too large are refused", async () => {
  const response = await fetch(`${health.url}/live`, { headers: { large: "x".repeat(9_000) } });
  expect(response.status).toBe(431);
});

test("an address that is taken is told", async () => {
  const port = Number(new URL(health.url).port);
  const second = serveHealth({ ...options, listen: { ...listen, port } });
  await expect(second).rejects.toMatchObject({ kind: "conflict", code: "health.in-use" });
});

test("an address of another machine is told", async () => {
  const elsewhere = serveHealth({ ...options, listen: { address: "192.0.2.1", port: 0 } });
  await expect(elsewhere).rejects.toMatchObject({ kind: "invalid", code: "health.listen" });
});
