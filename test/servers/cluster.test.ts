/**
 * Hosts and clients on real NATS and S3 servers, by the sdk alone.
 *
 * Method: one NATS, one S3 server; each test is an app of its own, with hosts in this process. Processes that are killed
 * are in `test/cluster`.
 */
import { randomBytes } from "node:crypto";
import { connect as connectPlain } from "@nats-io/transport-node";
import { agent, connect, type Host, type HostOptions, type Observed, type Places, ref, startHost } from "@dormouse/sdk";
import { connectOperator } from "@dormouse/sdk/operate";
import { missingServers, type Nats, type S3Server, startNats, startS3 } from "@dormouse/testing/servers";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { sendTo, setup } from "xstate";
import { counter } from "../agents/counter.ts";

const partitions = 8;

describe.skipIf(await missingServers(["nats", "s3"]))("a cluster", () => {
  let nats: Nats;
  let s3: S3Server;
  let apps = 0;
  let app = "";
  const hosts: Host[] = [];

  beforeAll(async () => {
    // What deploy/nats/mappings.conf says, of one app.
    const mapping = `"dormouse.send.raw.*.*": "dormouse.box.raw.{{partition(${partitions},1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"`;
    [nats, s3] = await Promise.all([startNats({ config: `mappings = { ${mapping} }` }), startS3()]);
  });
  afterAll(() => Promise.all([nats, s3].map((server) => server.close())));
  afterEach(async () => {
    await Promise.all(hosts.splice(0).map((host) => host.drain().catch(() => undefined)));
  });

  const places = (): Places => {
    const { bucket, endpoint, region, accessKeyId, secretAccessKey } = s3;
    return {
      mailbox: nats.urls.join(","),
      store: `s3://${bucket}/test`,
      s3: { endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } },
    };
  };
  const newApp = (): string => `app-${(apps += 1)}`;
  const start = async (options: Partial<HostOptions> = {}): Promise<Host> => {
    const { signal } = new AbortController();
    const host = await startHost({ agents: [counter], app, partitions, signal, ...places(), ...options });
    hosts.push(host);
    return host;
  };

  test.for([
    ["a client", connect],
    ["an operator", connectOperator],
  ] as const)("%s is not connected by a signal that is aborted meanwhile", async ([, connecting]) => {
    app = newApp();
    await start();
    const stop = new AbortController();
    const connected = connecting({ mailbox: places().mailbox ?? "", app, signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(connected).rejects.toThrow("enough");
  });

  test("a client without the store asks, sends and reads; the next host goes on where the last one ended", async () => {
    app = newApp();
    const host = await start();
    await using client = await connect({ mailbox: places().mailbox ?? "", app });
    const acme = client.agent(counter, "acme");
    expect(await acme.ask({ type: "add", by: 1 })).toBe(1);
    await acme.send({ type: "add", by: 1 });
    expect((await acme.read())?.context).toMatchObject({ count: expect.any(Number) });
    await host.drain();
    await vi.waitFor(() => expect(client.isHostRunning).toBe(false), 20_000);
    const asked = acme.ask({ type: "add", by: 1 });
    await start();
    expect(await asked).toBe(3);
  });

  test("a client that finds another number of partitions on the store than its hosts have sends nothing", async () => {
    app = newApp();
    await start();
    const url = `${s3.endpoint}/${s3.bucket}/test/${app}/app.json`;
    const settings = (await (await fetch(url)).json()) as object;
    await fetch(url, { method: "PUT", body: JSON.stringify({ ...settings, partitions: 2 * partitions }) });
    await using client = await connect({ ...places(), app });
    await expect(client.agent(counter, "acme").send({ type: "add", by: 1 })).rejects.toMatchObject({
      kind: "invalid",
      code: "app.mismatch",
    });
  });

  test("a client whose store does not answer is told of the app by its hosts", async () => {
    app = newApp();
    await start();
    const { s3: reached, ...others } = places();
    await using client = await connect({ ...others, s3: { ...reached, endpoint: "http://127.0.0.1:1" }, app });
    expect(await client.agent(counter, "acme").ask({ type: "add", by: 1 })).toBe(1);
  });

  test("a host that joins and one that leaves share and hand over; no ask fails", async () => {
    app = newApp();
    const one = await start({ name: "one" });
    await using client = await connect({ ...places(), app });
    expect(await addToAll(client)).toEqual(new Set([1]));
    const two = await start({ name: "two" });
    for (let round = 2; !(one.status().isReady && two.status().isReady); round += 1) {
      expect(await addToAll(client)).toEqual(new Set([round]));
    }
    const { owned } = two.status().partitions;
    expect(owned + one.status().partitions.owned).toBe(partitions);
    expect(owned).toBeGreaterThan(0);
    const asked = addToAll(client);
    await one.drain();
    expect((await asked).size).toBe(1);
    expect((await addToAll(client)).size).toBe(1);
    expect(two.status().partitions.owned).toBe(partitions);
  });

  test("an agent of one app sends to an agent of another, and apps stay apart", async () => {
    const shop = newApp();
    const bank = newApp();
    const payer = agent("payer", {
      machine: setup({ types: {} as { events: { type: "pay" } } }).createMachine({
        on: { pay: { actions: sendTo(ref(counter, "ada", { app: bank }), { type: "add", by: 1 }) } },
      }),
    });
    await start({ app: shop, agents: [payer] });
    const banker = await start({ app: bank });
    await using client = await connect({ ...places(), app: shop });
    for (let n = 0; n < 5; n += 1) await client.agent(payer, "ada").send({ type: "pay" });
    await banker.client.agent(counter, "ada").waitFor(({ context }) => context.count === 5);
    await expect(client.agent(counter, "ada").read({ timeout: "2s" })).resolves.toBeUndefined();
  });

  test("a mailbox that is full of what is no event is emptied, and its agents go on", async () => {
    app = newApp();
    const streamBytesMax = 4_194_304;
    const settings = { settleRoundMs: 50 };
    const host = await start({ partitions: 1, nats: { streamBytesMax }, settings, observe: () => undefined });
    const acme = host.client.agent(counter, "acme");
    expect(await acme.ask({ type: "add", by: 1 })).toBe(1);
    const plain = await connectPlain({ servers: nats.urls[0] ?? "" });
    // Until not even a small message fits, or as much as would fill it if nothing was taken out meanwhile.
    for (const bytes of [900_000, 50_000, 100]) {
      const junk = new Uint8Array(bytes);
      for (let sent = 0; sent < 500 && sent * bytes < streamBytesMax; sent += 1) {
        const answer = await plain.request(`dormouse.box.${app}.0`, junk);
        if (answer.string().includes("maximum bytes exceeded")) break;
      }
    }
    await plain.close();
    expect(await acme.ask({ type: "add", by: 1 })).toBe(2);
  });

  test("a mailbox that holds less than is sent is emptied as it fills, so that what is sent goes on", async () => {
    app = newApp();
    const streamBytesMax = 4_194_304;
    const host = await start({ partitions: 1, nats: { streamBytesMax }, settings: { settleRoundMs: 50 } });
    const acme = host.client.agent(counter, "acme");
    const pad = randomBytes(150_000).toString("hex");
    for (let sent = 0; sent < 32; sent += 1)
      await acme.send({ type: "add", by: 1, pad } as { type: "add"; by: number });
    expect(await acme.ask({ type: "add", by: 1 })).toBe(33);
  });

  test("a partition whose object was damaged goes on when it is put back, without a new host", async () => {
    app = newApp();
    const first = await start({ partitions: 2 });
    const keys = Array.from({ length: 8 }, (_, n) => `key-${n}`);
    await Promise.all(keys.map(addTo(first)));
    await first.drain();
    const url = `${s3.endpoint}/${s3.bucket}/test/${app}/partitions/0`;
    const good = await (await fetch(url)).arrayBuffer();
    await fetch(url, { method: "PUT", body: good.slice(0, 20) });
    const host = await start({ partitions: 2, settings: { settleRoundMs: 50 }, observe: () => undefined });
    const told = await Promise.allSettled(keys.map(addTo(host)));
    expect(
      new Set(told.map((one) => (one.status === "fulfilled" ? one.value : (one.reason as { code: string }).code))),
    ).toEqual(new Set([2, "partition.stopped"]));
    expect(host.status().reason).toBe("1 partitions cannot be read");
    await fetch(url, { method: "PUT", body: good });
    await vi.waitFor(() => expect(host.status()).toMatchObject({ isReady: true }), 20_000);
    expect(new Set(await Promise.all(keys.map(addTo(host))))).toEqual(new Set([3]));
  });

  test("a plain NATS client publishes an event by the server's mapping; what is no event is passed over", async () => {
    app = "raw";
    const told: Observed[] = [];
    const host = await start({ observe: (event) => void (event.kind === "skipped" && told.push(event)) });
    const plain = await connectPlain({ servers: [...nats.urls] });
    const publish = async (subject: string, body: string): Promise<void> => {
      // JetStream answers when its stream has the message.
      await plain.request(`dormouse.send.raw.${subject}`, body, { timeout: 5_000 });
    };
    const keys = ["ada", "eve", "a.b c/ü", "x".repeat(60)];
    for (const key of keys) await publish(`counter.${encoded(key)}`, JSON.stringify({ type: "add", by: 2 }));
    await publish("counter.ada", "no event");
    await publish("counter.ada", JSON.stringify({ type: "add", by: 3 }));
    for (const key of keys) {
      const sum = key === "ada" ? 5 : 2;
      await host.client.agent(counter, key).waitFor(({ context }) => context.count === sum);
    }
    expect(told).toHaveLength(1);
    await plain.close();
  });

  describe("bad input", () => {
    test("a bucket and a server that are not there are told as such", async () => {
      app = newApp();
      const noBucket = start({ store: "s3://no-such-bucket-here/test" });
      await expect(noBucket).rejects.toMatchObject({ kind: "invalid", code: "store.bucket" });
      const noServer = start({ mailbox: "nats://127.0.0.1:1" });
      await expect(noServer).rejects.toMatchObject({ kind: "unavailable", code: "nats.unreachable" });
    });

    test("an app has one number of partitions, for ever; one that no host runs is not there for a client without the store", async () => {
      app = newApp();
      await start();
      await expect(start({ partitions: 16 })).rejects.toMatchObject({ kind: "invalid", code: "app.mismatch" });
      await expect(connect({ mailbox: places().mailbox ?? "", app: "nobodys" })).rejects.toMatchObject({
        kind: "unavailable",
        code: "app.no-host",
      });
      await expect(connect({ ...places(), app: "nobodys" })).rejects.toMatchObject({ code: "app.mismatch" });
    });
  });
});

function addTo(host: Host): (key: string) => Promise<number> {
  return (key) => host.client.agent(counter, key).ask({ type: "add", by: 1 });
}

/** Adds one to each of many agents, over all partitions. */
async function addToAll(client: Host["client"]): Promise<ReadonlySet<number>> {
  const keys = Array.from({ length: 32 }, (_, n) => `k${n}`);
  return new Set(await Promise.all(keys.map((key) => client.agent(counter, key).ask({ type: "add", by: 1 }))));
}

function encoded(key: string): string {
  return [...new TextEncoder().encode(key)].map((byte) => tokenOf(byte)).join("");
}

function tokenOf(byte: number): string {
  const character = String.fromCharCode(byte);
  return /[A-Za-z0-9_-]/.test(character) ? character : `~${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}
