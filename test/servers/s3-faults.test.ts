/**
 * Goal: whatever a store, the network or the time does to one call, the S3 driver says what is known and no more, tries
 * once, ends in time, and gives no secret away; a store it cannot use is refused at opening, in words.
 * Method: a real server behind a proxy that does harm on request. Time passes by hand.
 */
import dns from "node:dns";
import { inspect } from "node:util";
import type { Etag } from "@dormouse/core/ports";
import { realEntropy } from "@dormouse/local";
import { openS3Store, type S3Options, type S3Store } from "@dormouse/s3";
import {
  missingServers,
  s3Faults,
  s3Proxy,
  startS3,
  type S3Fault,
  type S3Proxy,
  type S3Server,
} from "@dormouse/testing/servers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";

const { answer, cutOff, resetAfter, resetBefore, rewrite, silence, silenceAfter, stall } = s3Faults;
const credentials = {
  accessKeyId: "AKDORMOUSE",
  secretAccessKey: "the-secret-itself",
  sessionToken: "the-token-itself",
};

/** A clock whose timers fire when the test says so. */
class HandClock {
  aheadMs = 0;
  readonly #timers = new Set<() => void>();

  now(): number {
    return Date.now() + this.aheadMs;
  }

  schedule(_delayMs: number, callback: () => void): () => void {
    this.#timers.add(callback);
    return () => void this.#timers.delete(callback);
  }

  /** More time than any call may take. */
  pass(): void {
    for (const callback of this.#timers) callback();
  }
}

const noEtag = rewrite(({ headers }) => {
  const { etag: _, ...rest } = headers;
  return { headers: rest };
});

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

/** What a promise is rejected with, which must give no secret away. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  const error: unknown = await promise.then(
    (value) => expect.unreachable(`it came to ${inspect(value)}`),
    (reason: unknown) => reason,
  );
  expectNoSecret(error);
  return error;
}

function expectNoSecret(value: unknown): void {
  const text = inspect(value, { depth: 20, showHidden: true, maxStringLength: null, maxArrayLength: null });
  expect(text).not.toContain(credentials.secretAccessKey);
  expect(text).not.toContain(credentials.sessionToken);
}

describe.skipIf(await missingServers(["s3"]))("behind a proxy that does harm", () => {
  let server: S3Server;
  let proxy: S3Proxy;
  let clock: HandClock;
  let url: string;
  let store: S3Store;
  let bucket: string;

  beforeAll(async () => {
    server = await startS3();
    proxy = await s3Proxy({
      target: ({ host }) => {
        const [, hosted] = /^(.+)\.s3\.test:/.exec(host) ?? [];
        return hosted === undefined ? server.endpoint : `${server.endpoint}/${hosted}`;
      },
      secrets: { [credentials.accessKeyId]: credentials.secretAccessKey },
    });
  });
  afterAll(async () => {
    await proxy.close();
    await server.close();
  });
  beforeEach(async () => {
    bucket = await server.newBucket();
    url = `s3://${bucket}/below`;
    clock = new HandClock();
    store = await open();
    proxy.requests.length = 0;
  });
  afterEach(() => store.close());

  function open(options: Partial<S3Options> = {}): Promise<S3Store> {
    const rest = { endpoint: proxy.endpoint, region: "eu-north-1", forcePathStyle: true, entropy: realEntropy };
    return openS3Store({ url, credentials, clock, ...rest, ...options });
  }

  async function stored(name: string, content: Uint8Array): Promise<Etag> {
    const put = await store.put(name, content, { if: "any" });
    if (put.outcome !== "stored") throw new Error(`a put without a fault was ${put.outcome}`);
    return put.etag;
  }

  /** Lets time pass when `met` has been met. */
  async function overdue<T>(met: Promise<void>, call: Promise<T>): Promise<T> {
    await met;
    clock.pass();
    return call;
  }

  const putAnswers: readonly { fault: S3Fault; is: string; outcome: string; condition?: "any" | "absent" | "match" }[] =
    [
      { is: "503 SlowDown", fault: answer(503, "SlowDown"), outcome: "unknown" },
      { is: "500 InternalError", fault: answer(500, "InternalError"), outcome: "unknown" },
      { is: "403 ExpiredToken", fault: answer(403, "ExpiredToken"), outcome: "unknown" },
      { is: "400 RequestTimeout", fault: answer(400, "RequestTimeout"), outcome: "unknown" },
      { is: "307", fault: answer(307, "TemporaryRedirect", { location: "http://127.0.0.1:1/" }), outcome: "unknown" },
      { is: "404 NoSuchBucket", fault: answer(404, "NoSuchBucket"), outcome: "unknown", condition: "match" },
      { is: "200 without an ETag", fault: noEtag, outcome: "unknown" },
      { is: "204", fault: answer(204, "", { etag: '"an-etag"' }), outcome: "unknown" },
      { is: "412", fault: answer(412, "PreconditionFailed"), outcome: "unknown", condition: "any" },
      { is: "412", fault: answer(412, "PreconditionFailed"), outcome: "refused" },
      { is: "412", fault: answer(412, "PreconditionFailed"), outcome: "refused", condition: "match" },
      { is: "404 NoSuchKey, AWS's word", fault: answer(404, "NoSuchKey"), outcome: "refused", condition: "match" },
      { is: "404 NoSuchKey", fault: answer(404, "NoSuchKey"), outcome: "unknown", condition: "absent" },
      { is: "409", fault: answer(409, "ConditionalRequestConflict"), outcome: "conflict" },
      { is: "a reset before the store heard of it", fault: resetBefore, outcome: "unknown" },
    ];
  test.for(putAnswers.map((row) => [row.is, row.condition ?? "absent", row.outcome, row] as const))(
    "a put that is answered %s, %s, is %s, and is tried once",
    async ([, condition, outcome, { fault }]) => {
      const etag = await stored("other", bytes(1));
      const met = proxy.next("PUT", fault);
      proxy.requests.length = 0;
      const put = await store.put("a", bytes(1), condition === "match" ? { if: "match", etag } : { if: condition });
      await met;
      expect(put.outcome).toBe(outcome);
      expect(proxy.requests).toHaveLength(1);
      expectNoSecret(put);
    },
  );

  test.for([
    ["the connection is reset", resetAfter, false],
    ["no answer comes", silenceAfter, true],
  ] as const)(
    "a put that took effect before %s is unknown, and its repeat refused with our own bytes there",
    async ([, fault, isLate]) => {
      const met = proxy.next("PUT", fault);
      const putting = store.put("a", bytes(1, 2, 3), { if: "absent" });
      const put = await (isLate ? overdue(met, putting) : putting);
      expect(put).toMatchObject({ outcome: "unknown", cause: { kind: "unavailable", code: "store.unavailable" } });
      expect(await store.put("a", bytes(1, 2, 3), { if: "absent" })).toEqual({ outcome: "refused" });
      expect((await store.get("a"))?.bytes).toEqual(bytes(1, 2, 3));
    },
  );

  test("a put that never reached the store is unknown, and its repeat is stored", async () => {
    const put = await overdue(proxy.next("PUT", silence), store.put("a", bytes(1), { if: "absent" }));
    expect(put).toMatchObject({ outcome: "unknown", cause: { kind: "unavailable", code: "store.unavailable" } });
    expectNoSecret(put);
    expect((await store.put("a", bytes(1), { if: "absent" })).outcome).toBe("stored");
  });

  const harms: readonly { is: string; fault: S3Fault; isLate?: true }[] = [
    { is: "503 SlowDown", fault: answer(503, "SlowDown") },
    { is: "500 InternalError", fault: answer(500, "InternalError") },
    { is: "403 AccessDenied", fault: answer(403, "AccessDenied") },
    { is: "a 404 that is not S3's", fault: answer(404, "NotFound") },
    { is: "a bucket that is gone", fault: answer(404, "NoSuchBucket") },
    { is: "a reset", fault: resetBefore },
    { is: "half a body and the end", fault: cutOff },
    { is: "silence", fault: silence, isLate: true },
    { is: "half a body and silence", fault: stall, isLate: true },
  ];
  const calls = [
    { call: "get", method: "GET", run: () => store.get("a") },
    { call: "list", method: "GET", run: () => store.list("") },
    { call: "delete", method: "POST", run: () => store.delete(["a"]) },
  ];
  const harmed = harms.flatMap((harm) => calls.map((call) => [call.call, harm.is, { ...harm, ...call }] as const));
  test.for(harmed)(
    "a %s that meets %s is unavailable, and is tried once",
    async ([, , { fault, isLate, method, run }]) => {
      await stored("a", new Uint8Array(2_000));
      proxy.requests.length = 0;
      const met = proxy.next(method, fault);
      const calling = failure(run());
      const error = await (isLate ? overdue(met, calling) : calling);
      expect(error).toMatchObject({ kind: "unavailable", code: "store.unavailable" });
      expect(proxy.requests).toHaveLength(1);
    },
  );

  test("an object that is not there is undefined", async () => {
    expect(await store.get("a")).toBeUndefined();
  });

  test("a delete of which the store says that some failed is unavailable", async () => {
    const body = "<DeleteResult><Error><Key>below/b</Key><Code>InternalError</Code></Error></DeleteResult>";
    void proxy.next(
      "POST",
      rewrite(() => ({ body: Buffer.from(body) })),
    );
    expect(await failure(store.delete(["a", "b"]))).toMatchObject({ kind: "unavailable", code: "store.unavailable" });
  });

  test("more than 1,000 names are deleted", async () => {
    const names = Array.from({ length: 1_001 }, (_, index) => `p/${String(index).padStart(4, "0")}`);
    await Promise.all(names.map((name) => stored(name, bytes())));
    await store.delete(names);
    expect(await store.list("p/")).toEqual([]);
  });

  test("a list that comes in pages of the store's choice is whole", async () => {
    for (const name of ["p/1", "p/2", "p/3"]) await stored(name, bytes());
    const token = Buffer.from("below/p/1").toString("base64url");
    const page =
      "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>below/p/1</Key></Contents>" +
      `<NextContinuationToken>${token}</NextContinuationToken></ListBucketResult>`;
    void proxy.next(
      "GET",
      rewrite(() => ({ body: Buffer.from(page) })),
    );
    expect(await store.list("p/")).toEqual(["p/1", "p/2", "p/3"]);
  });

  test("a store that does not list in order is unfit", async () => {
    const page =
      "<ListBucketResult><Contents><Key>below/b</Key></Contents><Contents><Key>below/a</Key></Contents></ListBucketResult>";
    void proxy.next(
      "GET",
      rewrite(() => ({ body: Buffer.from(page) })),
    );
    expect(await failure(store.list(""))).toMatchObject({ kind: "invalid", code: "store.unfit" });
  });

  test.for([
    [
      "its length said",
      rewrite(({ headers, body }) => ({ headers: { ...headers, "content-length": String(body.length) } })),
    ],
    ["its length not said", rewrite(() => ({}))],
  ] as const)("an object that is too large, %s, is not read, and others are", async ([, fault]) => {
    await stored("large", new Uint8Array(1_001));
    await stored("small", new Uint8Array(1_000));
    const narrow = await open({ objectBytesMax: 1_000 });
    void proxy.next("GET", fault);
    expect(await failure(narrow.get("large"))).toMatchObject({ kind: "corrupt", code: "object.too-large" });
    expect((await narrow.get("small"))?.bytes).toHaveLength(1_000);
    const put = await narrow.put("b", new Uint8Array(1_001), { if: "any" });
    expect(put).toMatchObject({ outcome: "unknown", cause: { code: "object.too-large" } });
    expect(await store.get("b")).toBeUndefined();
    await narrow.close();
  });

  test.for(["", "a/../b", ".", "a\u0000b", "a\uffff", "\ud800", "x".repeat(1_019)])(
    "a name S3 does not keep is refused: %j",
    async (name) => {
      expect(await failure(store.get(name))).toMatchObject({ kind: "invalid", code: "store.name" });
      expect(await store.put(name, bytes(1), { if: "any" })).toMatchObject({
        outcome: "unknown",
        cause: { code: "store.name" },
      });
      expect(proxy.requests).toEqual([]);
    },
  );

  test("a store that is killed is unavailable, and used again when it is back", async () => {
    await stored("a", bytes(1));
    await server.kill();
    expect((await store.put("a", bytes(2), { if: "any" })).outcome).toBe("unknown");
    expect(await failure(store.get("a"))).toMatchObject({ code: "store.unavailable" });
    expect(await failure(store.list(""))).toMatchObject({ code: "store.unavailable" });
    expect(await failure(store.delete(["a"]))).toMatchObject({ code: "store.unavailable" });
    await server.start();
    expect((await store.get("a"))?.bytes).toEqual(bytes(1));
    await stored("a", bytes(3));
    expect((await store.get("a"))?.bytes).toEqual(bytes(3));
  });

  test("an object's name with the bucket in the host", async () => {
    const { lookup } = dns;
    const local = (host: string, ...rest: [never, never]): void =>
      lookup(host.endsWith(".s3.test") ? "127.0.0.1" : host, ...rest);
    dns.lookup = local as typeof lookup;
    try {
      const { port } = new URL(proxy.endpoint);
      const hosted = await open({ endpoint: `http://s3.test:${port}`, forcePathStyle: false });
      expect((await hosted.put("a", bytes(7), { if: "absent" })).outcome).toBe("stored");
      expect((await hosted.get("a"))?.bytes).toEqual(bytes(7));
      expect(proxy.requests.filter((request) => request.includes(bucket))).toEqual([]);
      await hosted.close();
    } finally {
      dns.lookup = lookup;
    }
    expect((await store.get("a"))?.bytes).toEqual(bytes(7));
  });

  test("a clock an hour off is found out at opening, one that jumps later costs one try", async () => {
    clock.aheadMs = 3_600_000;
    const off = await open();
    expect((await off.put("a", bytes(1), { if: "absent" })).outcome).toBe("stored");
    clock.aheadMs = -3_600_000;
    expect((await off.put("b", bytes(1), { if: "absent" })).outcome).toBe("unknown");
    expect((await off.put("b", bytes(1), { if: "absent" })).outcome).toBe("stored");
    await off.close();
  });

  test("close waits for what is under way, and then nothing more is done", async () => {
    const met = proxy.next("PUT", silenceAfter);
    const putting = store.put("a", bytes(1), { if: "absent" });
    await met;
    let isClosed = false;
    const closing = store.close().then(() => (isClosed = true));
    expect(await failure(store.get("a"))).toMatchObject({ kind: "closed", code: "store.closed" });
    expect(await store.put("b", bytes(1), { if: "any" })).toMatchObject({
      outcome: "unknown",
      cause: { code: "store.closed" },
    });
    expect(isClosed).toBe(false);
    clock.pass();
    expect((await putting).outcome).toBe("unknown");
    await closing;
    await store.close();
  });

  const refusals: readonly {
    is: string;
    code: string;
    kind?: string;
    options?: Partial<S3Options>;
    on?: [string, S3Fault];
  }[] = [
    {
      is: "another secret",
      code: "store.credentials",
      options: { credentials: { ...credentials, secretAccessKey: "no" } },
    },
    {
      is: "another key",
      code: "store.credentials",
      options: { credentials: { ...credentials, accessKeyId: "AKNOBODY" } },
    },
    { is: "a key that may not list", code: "store.credentials", on: ["GET", answer(403, "AccessDenied")] },
    { is: "a key that may not write", code: "store.not-writable", on: ["PUT", answer(403, "AccessDenied")] },
    { is: "a key that may not delete", code: "store.credentials", on: ["POST", answer(403, "AccessDenied")] },
    { is: "no such bucket", code: "store.bucket", options: { url: "s3://nowhere" } },
    { is: "a bucket of another region", code: "store.region", on: ["GET", answer(301, "PermanentRedirect")] },
    { is: "a store without conditional writes", code: "store.unfit", on: ["PUT", answer(501, "NotImplemented")] },
    { is: "a directory bucket", code: "store.unfit", options: { url: "s3://name--eun1-az1--x-s3" } },
    { is: "a password in the URL", code: "store.url", options: { url: "s3://key:the-secret-itself@bucket" } },
    {
      is: "a password in the endpoint",
      code: "store.url",
      options: { endpoint: "http://key:the-secret-itself@127.0.0.1" },
    },
    { is: "an endpoint that is no URL", code: "store.url", options: { endpoint: "localhost:9000" } },
    { is: "a prefix of 61 bytes", code: "store.url", options: { url: `s3://bucket/${"x".repeat(61)}` } },
    { is: "a prefix with dots", code: "store.url", options: { url: "s3://bucket/a/../b" } },
    { is: "another scheme", code: "store.url", options: { url: "https://bucket" } },
    { is: "no time", code: "option.invalid", options: { timeoutMs: Number.NaN } },
    { is: "no connections", code: "option.invalid", options: { connectionsMax: 0 } },
    { is: "half a byte", code: "option.invalid", options: { objectBytesMax: 0.5 } },
    { is: "nobody there", code: "store.unavailable", kind: "unavailable", options: { endpoint: "http://127.0.0.1:1" } },
    { is: "a busy store", code: "store.unavailable", kind: "unavailable", on: ["GET", answer(503, "SlowDown")] },
    { is: "a busy store, later", code: "store.unavailable", kind: "unavailable", on: ["PUT", answer(503, "SlowDown")] },
  ];
  test.for(refusals.map((row) => [row.is, row.code, row] as const))(
    "opening with %s fails with %s",
    async ([, code, { kind = "invalid", options, on }]) => {
      if (on !== undefined) void proxy.next(...on);
      expect(await failure(open(options))).toMatchObject({ name: "DormouseError", kind, code });
    },
  );

  test.for([
    ["region", "store.region", { endpoint: "http://127.0.0.1:1", credentials }],
    ["credentials", "store.credentials", { endpoint: "http://127.0.0.1:1", region: "eu-north-1" }],
  ] as const)("opening where no %s is to be found fails with %s", async ([, code, options]) => {
    vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
    for (const name of ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"]) vi.stubEnv(name, "/dev/null");
    for (const name of ["AWS_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"]) vi.stubEnv(name, undefined);
    const opening = openS3Store({ url, clock, entropy: realEntropy, ...options });
    expect(await failure(opening)).toMatchObject({ kind: "invalid", code });
    vi.unstubAllEnvs();
  });

  test("opening a store that is silent ends in time", async () => {
    const error = await overdue(proxy.next("GET", silence), failure(open()));
    expect(error).toMatchObject({ kind: "unavailable", code: "store.unavailable" });
  });

  test("one who may only read opens without the check", async () => {
    const reader = await open({ checkWritable: false });
    expect(proxy.requests.map((request) => request.split(" ")[0])).toEqual(["GET"]);
    await reader.close();
  });

  test("opening leaves nothing behind", async () => {
    expect(await store.list("")).toEqual([]);
  });
});
