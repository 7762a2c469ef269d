/**
 * Goal: whatever happens to servers, streams and consumers, the mailbox loses nothing in silence and says what is known.
 * Method: real servers, killed; streams and consumers deleted by another connection; a reader as core has it, opened
 * again behind a barrier after each interruption.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  DormouseError,
  type Mailbox,
  type MailboxMessage,
  type MailboxReader,
  type Partition,
} from "@dormouse/core/ports";
import { makeAddress, partitionOf } from "@dormouse/core/protocol";
import { connectNats, type NatsConnection } from "@dormouse/nats";
import { missingServers, type Nats, type NatsServer, startNats } from "@dormouse/testing/servers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RawNats } from "./nats-raw.ts";

const missing = await missingServers(["nats"]);
const zero = 0 as Partition;
const barrierBytes = Buffer.from("barrier");

function isUnavailable(error: unknown): error is DormouseError {
  return error instanceof DormouseError && error.kind === "unavailable";
}

/** Repeats what is unavailable, as core does. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      await new Promise((resolve) => void setTimeout(resolve, 50));
    }
  }
}

/** Reads until `isDone`, behind a new barrier after each interruption; how often it was interrupted. */
async function readThrough(
  mailbox: Mailbox,
  take: (message: MailboxMessage) => void,
  isDone: () => boolean,
): Promise<number> {
  let next = 1;
  for (let interruptions = 0; ; interruptions += 1) {
    await insist(() => mailbox.barrier(zero, barrierBytes));
    const reader = mailbox.read(zero, next);
    try {
      while (!isDone()) {
        for (const message of await reader.next(100)) {
          expect(message.sequence).toBeGreaterThanOrEqual(next);
          next = message.sequence + 1;
          if (Buffer.compare(message.bytes, barrierBytes) !== 0) take(message);
        }
      }
      return interruptions;
    } catch (error) {
      if (!isUnavailable(error) || error.code !== "mailbox.interrupted") throw error;
    } finally {
      reader.close();
    }
  }
}

describe.skipIf(missing)("three servers", () => {
  let cluster: Nats;
  let raw: RawNats;
  let apps = 0;
  beforeAll(async () => {
    cluster = await startNats({ servers: 3, advertise: true });
    raw = await RawNats.connect([...cluster.urls]);
    const nats = await connectNats({ servers: cluster.urls });
    await insist(() => nats.mailbox("first").create(1));
    await nats.close();
  });
  afterAll(async () => {
    await raw.close();
    await cluster.close();
  });

  function named(name: string | undefined): NatsServer {
    const server = cluster.servers.find((one) => one.name === name);
    if (server === undefined) throw new Error(`no server is named ${name}`);
    return server;
  }

  test.for([
    { whose: "the stream's leader, to which all are connected", connectsToLeader: true },
    { whose: "the server of the reader's consumer, while connected to another", connectsToLeader: false },
  ])("kill -9 of $whose loses nothing and keeps the order", async ({ connectsToLeader }) => {
    apps += 1;
    const app = `kill${apps}`;
    const stream = `dormouse_${app}_0`;
    const first = await connectNats({ servers: cluster.urls });
    await insist(() => first.mailbox(app).create(1));
    const leader = (await raw.info(stream)).cluster?.leader;
    await first.close();
    const own = connectsToLeader ? named(leader) : cluster.servers.find(({ name }) => name !== leader);
    const nats = await connectNats({ servers: own?.url ?? "" });
    const mailbox = nats.mailbox(app);

    const texts: string[] = [];
    let sent = 0;
    const stop = new AbortController();
    const half = Promise.withResolvers<void>();
    const reading = readThrough(
      mailbox,
      (message) => {
        texts.push(Buffer.from(message.bytes).toString());
        if (texts.length === 500) half.resolve();
      },
      () => texts.at(-1) === "end",
    );
    const sending = (async (): Promise<void> => {
      for (; !stop.signal.aborted; sent += 1) {
        await insist(() => mailbox.append(zero, Buffer.from(String(sent))));
      }
      await insist(() => mailbox.append(zero, Buffer.from("end")));
    })();
    await half.promise;
    const consumerServer = (await raw.firstConsumer(stream)).cluster?.leader;
    const victim = named(connectsToLeader ? leader : consumerServer);
    await victim.kill();
    const after = sent;
    await expect.poll(() => sent, { timeout: 40_000 }).toBeGreaterThan(after + 100);
    stop.abort();
    await sending;
    const interruptions = await reading;

    // What was repeated because its answer was lost may be there twice, in a row.
    expect(texts.filter((text, index) => text !== texts[index - 1])).toEqual([
      ...Array.from({ length: sent }, (_, index) => String(index)),
      "end",
    ]);
    expect(interruptions).toBeGreaterThan(0);
    await nats.close();
    await victim.start();
    await raw.whenUp();
  });

  test("readers opened before it is known that a server died find consumers that answer", async () => {
    const partitions = Array.from({ length: 12 }, (_, index) => index as Partition);
    const lead = await raw.apiLeader();
    const nats = await connectNats({ servers: named(lead).url });
    const mailbox = nats.mailbox("deaf");
    await insist(() => mailbox.create(partitions.length));
    const leaders = await Promise.all(
      partitions.map(async (partition) => (await raw.info(`dormouse_deaf_${partition}`)).cluster?.leader),
    );
    const victim = cluster.servers.find(({ name }) => name !== lead);
    await Promise.all(partitions.map((partition) => insist(() => mailbox.append(partition, barrierBytes))));
    await victim?.kill();
    const readers = partitions
      .filter((partition) => leaders[partition] !== victim?.name)
      .map((partition) => mailbox.read(partition, 1));
    expect(readers.length).toBeGreaterThan(0);
    const read = await Promise.all(readers.map((reader) => reader.next(1)));
    for (const [message] of read) expect(message).toMatchObject({ sequence: 1, bytes: barrierBytes });
    await nats.close();
    await victim?.start();
    await raw.whenUp();
  });

  test("streams have three copies", async () => {
    expect((await raw.info("dormouse_first_0")).config.num_replicas).toBe(3);
  });
});

describe.skipIf(missing)("one server", () => {
  let server: Nats;
  let raw: RawNats;
  let nats: NatsConnection;
  let mailbox: Mailbox;
  let app: string;
  let stream: string;
  let apps = 0;
  const partitions = 32;
  beforeAll(async () => {
    const config = readFileSync(join(import.meta.dirname, "../../deploy/nats/mappings.conf"), "utf8");
    server = await startNats({ config });
    raw = await RawNats.connect([...server.urls]);
  });
  afterAll(async () => {
    await raw.close();
    await server.close();
  });
  beforeEach(async () => {
    apps += 1;
    app = `app${apps}`;
    stream = `dormouse_${app}_0`;
    nats = await connectNats({ servers: server.urls, streamBytesMax: 8_388_608 });
    mailbox = nats.mailbox(app);
    await mailbox.create(1);
  });
  afterEach(() => nats.close());

  async function interruptedBy(harm: () => Promise<void>): Promise<MailboxReader> {
    await mailbox.barrier(zero, barrierBytes);
    const reader = mailbox.read(zero, 1);
    await reader.next(1);
    const waiting = reader.next(1);
    await Promise.all([expect(waiting).rejects.toMatchObject({ code: "mailbox.interrupted" }), harm()]);
    return reader;
  }

  test("a reader whose consumer is deleted is interrupted", async () => {
    const reader = await interruptedBy(() => raw.deleteConsumers(stream));
    await expect(reader.next(1)).rejects.toMatchObject({ code: "mailbox.interrupted" });
  });

  test("a reader whose stream is deleted is interrupted, and the stream is made again", async () => {
    await interruptedBy(() => raw.deleteStream(stream));
    await expect(mailbox.append(zero, barrierBytes)).rejects.toMatchObject({ code: "mailbox.no-ack" });
    await mailbox.create(1);
    await expect(mailbox.append(zero, barrierBytes)).resolves.toMatchObject({ sequence: 1 });
  });

  test("a stream made anew by another shows at the next barrier, at a lower number, and to a reader of before", async () => {
    const before = await mailbox.barrier(zero, barrierBytes);
    await mailbox.barrier(zero, barrierBytes);
    await raw.remakeStream(stream);
    await expect(mailbox.read(zero, 2).next(1)).rejects.toMatchObject({ code: "mailbox.interrupted" });
    const appended = await mailbox.append(zero, barrierBytes);
    expect(appended.sequence).toBe(1);
    expect(appended.stream).not.toBe(before.stream);
    expect((await mailbox.barrier(zero, barrierBytes)).stream).toBe(appended.stream);
  });

  test("a server that is killed interrupts at once, and what was under way is not known", async () => {
    await mailbox.append(zero, barrierBytes);
    const reader = await interruptedBy(async () => server.servers[0]?.kill());
    await expect(mailbox.append(zero, barrierBytes)).rejects.toMatchObject({ code: "mailbox.no-ack" });
    await expect(reader.next(1)).rejects.toMatchObject({ code: "mailbox.interrupted" });
    await server.servers[0]?.start();
    await insist(() => mailbox.append(zero, barrierBytes));
    await raw.whenUp();
  });

  test("a full stream takes a barrier again and again, and has its limit back after the trim that makes room", async () => {
    const large = new Uint8Array(100_000);
    await mailbox.append(zero, large);
    await raw.fill(stream);
    const { max_bytes: limit } = (await raw.info(stream)).config;
    await expect(mailbox.append(zero, large)).rejects.toMatchObject({ code: "mailbox.full", kind: "unavailable" });
    await mailbox.barrier(zero, barrierBytes);
    const last = await mailbox.barrier(zero, new Uint8Array(60_000));
    expect((await raw.info(stream)).config.max_bytes).toBeGreaterThan(limit);
    await mailbox.trim(zero, last.sequence);
    expect((await raw.info(stream)).config.max_bytes).toBe(limit);
    expect((await raw.info(stream)).state.first_seq).toBe(last.sequence);
    await mailbox.append(zero, new Uint8Array(10_000));
  });

  test("a message larger than the server takes is refused before it is sent", async () => {
    await expect(mailbox.append(zero, new Uint8Array(1_048_577))).rejects.toMatchObject({
      kind: "invalid",
      code: "event.too-large",
    });
    await mailbox.append(zero, new Uint8Array(1_048_576));
  });

  test("messages that together are more than one fetch may bring are all handed out", async () => {
    for (let index = 0; index < 12; index += 1) await mailbox.append(zero, new Uint8Array(600_000).fill(index));
    const reader = mailbox.read(zero, 1);
    const seen: (number | undefined)[] = [];
    while (seen.length < 12) seen.push(...(await reader.next(1_000)).map(({ bytes }) => bytes[0]));
    expect(seen).toEqual(Array.from({ length: 12 }, (_, index) => index));
    reader.close();
  });

  test("streams that others have made are left as they are, and one that is not ours is named", async () => {
    await raw.addStream(`dormouse_${app}_1`, [`dormouse.box.${app}.1`, `dormouse.box.${app}.1.*.*`]);
    await mailbox.create(3);
    expect((await raw.info(`dormouse_${app}_1`)).config.max_bytes).toBe(-1);
    expect((await raw.info(`dormouse_${app}_2`)).config.max_bytes).toBe(8_388_608);
    await raw.addStream(`dormouse_${app}_3`, ["something.else"]);
    await expect(mailbox.create(4)).rejects.toMatchObject({ kind: "invalid", code: "nats.stream" });
    await raw.addStream("another", [`dormouse.box.${app}.4`]);
    await raw.deleteStream(`dormouse_${app}_3`);
    await expect(mailbox.create(5)).rejects.toMatchObject({ kind: "invalid", code: "nats.stream" });
    await raw.deleteStream("another");
    await mailbox.create(5);
  });

  test("streams for which the server has no room left to set aside are refused, with what to change", async () => {
    const greedy = await connectNats({ servers: server.urls, prefix: "greedy", streamBytesMax: 2 ** 40 });
    await expect(greedy.mailbox("app").create(1)).rejects.toMatchObject({
      kind: "unavailable",
      code: "nats.no-room",
      message: expect.stringContaining("streamBytesMax") as string,
    });
    await greedy.close();
  });

  test("a reader that closes leaves no consumer behind", async () => {
    await interruptedBy(() => raw.deleteConsumers(stream));
    const reader = mailbox.read(zero, 1);
    await reader.next(1);
    reader.close();
    await expect.poll(() => raw.consumers(stream)).toBe(0);
  });

  test("what a plain client publishes lands in the partition of its agent, with its type and key", async () => {
    const shop = nats.mailbox("default");
    await shop.create(partitions);
    const letters = ["a", "Z", "9", "-", "_", ".", " ", "*", ">", "~", "/", "é", "日", "😀"];
    const keys = Array.from({ length: 507 }, (_unused, index) =>
      Array.from(
        { length: 1 + (index % 40) },
        (_, place) => letters[(index * 7 + place * (index % 13)) % letters.length],
      ).join(""),
    ).map((key, index) => `k${index}${key}`);
    const expected = new Map<number, string[]>();
    for (const key of keys) {
      const token = encode(key);
      const partition = partitionOf(makeAddress("counter", key), partitions);
      raw.connection.publish(`dormouse.send.default.counter.${token}`, key);
      expected.set(partition, [...(expected.get(partition) ?? []), token]);
    }
    await raw.connection.flush();
    for (const [partition, tokens] of expected) {
      const reader = shop.read(partition as Partition, 1);
      const seen: (string | undefined)[] = [];
      while (seen.length < tokens.length) {
        seen.push(...(await reader.next(100)).map(({ sentTo }) => sentTo?.key));
      }
      expect(seen).toEqual(tokens);
      reader.close();
    }
    expect(expected.size).toBe(partitions);
  });
});

/** As DESIGN.md section 4 says it, for whoever publishes without Dormouse. */
function encode(key: string): string {
  return [...Buffer.from(key)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9_-]/.test(character) ? character : `~${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
}
