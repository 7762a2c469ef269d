/**
 * Goal: every kind of credentials is taken, what is wrong is refused in words, and no secret is ever told.
 * Method: real servers of each configuration; keys and certificates made for the test.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { nkeys } from "@nats-io/transport-node";
import { DormouseError, type Partition } from "@dormouse/core/ports";
import { connectNats, type NatsOptions } from "@dormouse/nats";
import { missingServers, type Nats, startNats } from "@dormouse/testing/servers";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";

const password = "the-secret:itself/with@odd";
const haveOpenssl = (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, "openssl")));

describe.skipIf(await missingServers(["nats"]))("connecting", () => {
  let server: Nats | undefined;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "dormouse-keys-"));
  });
  afterAll(() => rm(folder, { recursive: true }));
  afterEach(async () => {
    await server?.close();
    server = undefined;
  });

  async function start(
    config: string,
  ): Promise<{ readonly url: string; readonly host: string; readonly port: string }> {
    server = await startNats({ config });
    const [url = ""] = server.urls;
    const { host, port } = new URL(url);
    return { url, host, port };
  }

  test("a user and password, apart or in the URL, and not the wrong ones", async () => {
    const { url, host } = await start(`authorization { user: "host", password: "${password}" }`);
    expect(await works({ servers: url, user: "host", password })).toBe(true);
    expect(await works({ servers: `nats://host:${encodeURIComponent(password)}@${host}` })).toBe(true);
    expect(await refusal({ servers: url })).toBe("nats.refused");
    expect(await refusal({ servers: url, user: "host", password: `${password}?` })).toBe("nats.refused");
    expect(await refusal({ servers: `nats://other:${encodeURIComponent(password)}@${host}` })).toBe("nats.refused");
  });

  test("a token, apart or in the URL", async () => {
    const token = "the-token-itself";
    const { url, host } = await start(`authorization { token: "${token}" }`);
    expect(await works({ servers: url, token })).toBe(true);
    expect(await works({ servers: `nats://${token}@${host}` })).toBe(true);
    expect(await refusal({ servers: url, token: "another-token" })).toBe("nats.refused");
  });

  test("an NKey", async () => {
    const user = nkeys.createUser();
    const { url } = await start(`authorization { users: [{ nkey: ${user.getPublicKey()} }] }`);
    expect(await works({ servers: url, nkeySeed: Buffer.from(user.getSeed()).toString() })).toBe(true);
    const other = Buffer.from(nkeys.createUser().getSeed()).toString();
    expect(await refusal({ servers: url, nkeySeed: other })).toBe("nats.refused");
  });

  test("a credentials file", async () => {
    const [operator, account, user] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createUser()];
    const unlimited = { subs: -1, data: -1, payload: -1 };
    const operatorJwt = sign(operator, operator, { type: "operator", version: 2 });
    const jetstream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
    const connections = { imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
    const limits = { ...unlimited, ...connections, ...jetstream };
    const accountJwt = sign(operator, account, { type: "account", version: 2, limits });
    const userJwt = sign(account, user, { type: "user", version: 2, ...unlimited });
    const credsFile = join(folder, "user.creds");
    const seed = Buffer.from(user.getSeed()).toString();
    await writeFile(
      credsFile,
      `-----BEGIN NATS USER JWT-----\n${userJwt}\n------END NATS USER JWT------\n\n` +
        `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
    );
    const system = nkeys.createAccount();
    const systemJwt = sign(operator, system, { type: "account", version: 2, limits: { ...unlimited, ...connections } });
    const accounts = `${account.getPublicKey()}: ${accountJwt}, ${system.getPublicKey()}: ${systemJwt}`;
    const resolver = `resolver: MEMORY\nresolver_preload: { ${accounts} }`;
    const { url } = await start(`operator: ${operatorJwt}\nsystem_account: ${system.getPublicKey()}\n${resolver}`);
    expect(await works({ servers: url, credsFile })).toBe(true);
    expect(await refusal({ servers: url })).toBe("nats.refused");
    expect(await refusal({ servers: url, credsFile: join(folder, "missing.creds") })).toBe("option.invalid");
  });

  test("a credentials file or a seed that is none is told by its option, and nothing of it", async () => {
    const { url } = await start("");
    const credsFile = join(folder, "broken.creds");
    const seed = Buffer.from(nkeys.createUser().getSeed()).toString();
    // Its last characters are its checksum.
    const broken = seed.slice(0, -4) + (seed.endsWith("AAAA") ? "BBBB" : "AAAA");
    expect(await refusal({ servers: url, nkeySeed: broken })).toBe("option.invalid");
    await writeFile(credsFile, `hello ${password}`);
    expect(await refusal({ servers: url, credsFile })).toBe("option.invalid");
    await writeFile(
      credsFile,
      `-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n` +
        `-----BEGIN USER NKEY SEED-----\n${broken}\n------END USER NKEY SEED------\n`,
    );
    await expect(connectNats({ servers: url, credsFile })).rejects.toMatchObject({
      kind: "invalid",
      code: "option.invalid",
      message: expect.stringContaining(credsFile) as string,
    });
  });

  test("a user who may not do what hosts must is refused by what it may not, and nothing is printed", async () => {
    const printed = vi.spyOn(console, "log").mockImplementation(() => undefined);
    const may = (permissions: string): string =>
      `authorization { users: [{ user: host, password: "${password}", permissions: { ${permissions} } }] }`;
    const noAnswers = await start(may(`publish: [">"], subscribe: ["other.>"]`));
    const denied = await failure({ servers: noAnswers.url, user: "host", password });
    expect(denied).toMatchObject({
      code: "nats.refused",
      message: expect.stringContaining("subscription subject=_INBOX") as string,
    });
    await server?.close();
    const noApi = await start(may(`publish: ["other.>"], subscribe: [">"]`));
    const refused = await failure({ servers: noApi.url, user: "host", password });
    expect(refused).toMatchObject({
      code: "nats.refused",
      message: expect.stringContaining("publish subject=$JS.API.INFO") as string,
    });
    await server?.close();
    const noStreams = await start(may(`publish: ["$JS.API.INFO"], subscribe: [">"]`));
    const nats = await connectNats({ servers: noStreams.url, user: "host", password });
    await expect(nats.mailbox("app").create(1)).rejects.toMatchObject({
      code: "nats.api",
      message: expect.stringContaining("publish subject=$JS.API.STREAM.NAMES") as string,
    });
    await nats.close();
    expect(printed).not.toHaveBeenCalled();
    printed.mockRestore();
  });

  test("a server that takes smaller messages than events may be is refused", async () => {
    const { url } = await start("max_payload: 64KB");
    expect(await refusal({ servers: url })).toBe("nats.max-payload");
  });

  test.skipIf(!haveOpenssl)("TLS, with a certificate of ours where the server asks for one", async () => {
    const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    openssl(folder, "req", "-x509", ...ec, "-subj", "/CN=test ca", "-keyout", "ca.key", "-out", "ca.pem");
    for (const name of ["server", "client"]) {
      const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost"];
      const issuer = ["-CA", "ca.pem", "-CAkey", "ca.key"];
      openssl(folder, "req", "-x509", ...ec, ...names, ...issuer, "-keyout", `${name}.key`, "-out", `${name}.pem`);
    }
    const files = `cert_file: "${join(folder, "server.pem")}", key_file: "${join(folder, "server.key")}", ca_file: "${join(folder, "ca.pem")}"`;
    const { port } = await start(`tls { ${files}, verify: true }`);
    const tls = {
      caFile: join(folder, "ca.pem"),
      certFile: join(folder, "client.pem"),
      keyFile: join(folder, "client.key"),
    };
    expect(await works({ servers: `tls://localhost:${port}`, tls })).toBe(true);
    expect(await refusal({ servers: `tls://localhost:${port}`, tls: { caFile: join(folder, "ca.pem") } })).toBe(
      "nats.unreachable",
    );
    expect(await refusal({ servers: `tls://localhost:${port}` })).toBe("nats.unreachable");
  });

  test("a server without TLS is refused where TLS was asked for, before it is told any secret", async () => {
    const { host } = await start(`authorization { user: "host", password: "${password}" }`);
    expect(await refusal({ servers: `tls://host:${encodeURIComponent(password)}@${host}` })).toBe("nats.unreachable");
  });

  test.for([
    ["a user and a token", { user: "a", password, token: "the-token" }],
    ["a URL's user and another", { servers: "nats://a:b@127.0.0.1:1", user: "a", password }],
    ["a password without a user", { password }],
    ["what is no seed", { nkeySeed: "SU-no-seed" }],
    ["a certificate without its key", { tls: { certFile: "a.pem" } }],
    ["another protocol", { servers: `http://a:${encodeURIComponent(password)}@127.0.0.1` }],
    ["a port that is none", { servers: "nats://127.0.0.1:99999" }],
    ["no server", { servers: " , " }],
    ["a prefix of several tokens", { prefix: "a.b" }],
    ["no copies", { replicas: 0 }],
    ["a stream of nothing", { streamBytesMax: 0 }],
  ] as const)("%s is refused before anything is dialled", async ([, options]) => {
    expect(await refusal({ servers: "nats://127.0.0.1:1", ...options })).toBe("option.invalid");
  });

  test("a server without JetStream is refused", async () => {
    const { url } = await start("jetstream: false");
    expect(await refusal({ servers: url })).toBe("nats.no-jetstream");
  });

  test("an address where nobody is, is said to be unreachable", async () => {
    const { url } = await start("");
    await server?.servers[0]?.kill();
    expect(await refusal({ servers: url.replace("nats://", `nats://a:${encodeURIComponent(password)}@`) })).toBe(
      "nats.unreachable",
    );
  });

  test("a server that is too old is refused by its version", async () => {
    const info = JSON.stringify({ server_id: "A", version: "2.8.4", headers: true, max_payload: 1_048_576 });
    const old = createServer((socket) => {
      socket.write(`INFO ${info}\r\n`);
      socket.on("error", () => socket.destroy());
      socket.on("data", (chunk) => chunk.includes("PING") && socket.write("PONG\r\n"));
    }).listen(0, "127.0.0.1");
    await once(old, "listening");
    const address = old.address();
    const port = typeof address === "object" ? address?.port : undefined;
    await expect(connectNats({ servers: `127.0.0.1:${port}` })).rejects.toMatchObject({
      code: "nats.version",
      message: expect.stringContaining("2.8.4") as string,
    });
    old.close();
  });

  test("after close everything says so, and closing again is no error", async () => {
    const { url } = await start("");
    const nats = await connectNats({ servers: url });
    const mailbox = nats.mailbox("app");
    await mailbox.create(1);
    const zero = 0 as Partition;
    const waiting = mailbox.read(zero, 1).next(1);
    const looking = nats.membership("other").alive();
    await Promise.all([
      expect(waiting).rejects.toThrow("interrupted"),
      expect(looking).rejects.toMatchObject({ kind: "closed" }),
      nats.close(),
    ]);
    await expect(mailbox.append(zero, Buffer.from("a"))).rejects.toMatchObject({ kind: "closed" });
    await expect(nats.channel.request("a", Buffer.from("a"), 1_000)).rejects.toMatchObject({ kind: "closed" });
    await expect(nats.membership("app").alive()).rejects.toMatchObject({ kind: "closed" });
    nats.channel.publish("a", Buffer.from("a"));
    await nats.close();
  });

  test("notices, requests and answers of many megabytes come whole, and in order with small ones", async () => {
    const { url } = await start("");
    const [near, far] = await Promise.all([connectNats({ servers: url }), connectNats({ servers: url })]);
    const large = new Uint8Array(60_000_000).map((_, index) => index % 251);
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: Uint8Array[] = [];
    far.channel.subscribe("large", (bytes) => {
      seen.push(bytes);
      if (seen.length === 2) resolve();
    });
    far.channel.serve("echo", (bytes) => Promise.resolve(bytes));
    // Asked of itself, so that what it has subscribed to is known to the server.
    await far.channel.request("echo", Buffer.from("?"), 10_000);
    near.channel.publish("large", large);
    near.channel.publish("large", Buffer.from("small"));
    await promise;
    expect(seen.map(({ length }) => length)).toEqual([60_000_000, 5]);
    expect(Buffer.compare(seen[0] ?? Buffer.of(), large)).toBe(0);
    expect(Buffer.compare(await near.channel.request("echo", large, 50_000), large)).toBe(0);
    await Promise.all([near.close(), far.close()]);
  });
});

/** That a stream is made and takes a message. */
async function works(options: NatsOptions): Promise<boolean> {
  const nats = await connectNats(options);
  const mailbox = nats.mailbox("app");
  await mailbox.create(1);
  const { sequence } = await mailbox.append(0 as Partition, Buffer.from("a"));
  await nats.close();
  return sequence > 0;
}

/** The code that connecting is refused with, in an error that gives no secret away. */
function failure(options: NatsOptions): Promise<unknown> {
  return connectNats(options).then(
    () => expect.unreachable("it was taken"),
    (reason: unknown) => reason,
  );
}

async function refusal(options: NatsOptions): Promise<unknown> {
  const error = await failure(options);
  const told = inspect(error, { depth: 20, showHidden: true });
  const secrets = [password, encodeURIComponent(password), options.token, options.nkeySeed];
  expect(secrets.filter((secret) => secret !== undefined && told.includes(secret))).toEqual([]);
  return error instanceof DormouseError ? error.code : error;
}

function openssl(folder: string, ...parts: string[]): void {
  execFileSync("openssl", parts, { cwd: folder, stdio: "ignore" });
}

function encodeJson(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** A JWT as nsc would write it. */
function sign(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, nats: Readonly<Record<string, unknown>>): string {
  const id = { jti: "TEST", iat: 1_700_000_000, iss: issuer.getPublicKey(), name: "test", sub: subject.getPublicKey() };
  const signed = `${encodeJson({ typ: "JWT", alg: "ed25519-nkey" })}.${encodeJson({ ...id, nats })}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString("base64url")}`;
}
