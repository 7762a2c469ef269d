/**
 * Goal: a process that is not the folder's host sends, asks and hears as if it were, and is told clearly when no host runs.
 * Method: the conformance suites over a real socket; then hosts that come, go and come again, and bytes that are no frames.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate as oneTurn } from "node:timers/promises";
import type { Partition } from "@dormouse/core/ports";
import { channelConformance, membershipConformance } from "@dormouse/testing";
import * as fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { realClock } from "./clock.ts";
import { connectFolder, type FolderClient } from "./folder-client.ts";
import { encodeFrame, frameBytesMax, FrameDecoder, frameKinds, type Frame } from "./frames.ts";
import { openHostFolder, type HostFolder } from "./host-folder.ts";
import { readLockFile } from "./lock.ts";

const zero = 0 as Partition;
const root = mkdtempSync(join(tmpdir(), "dormouse-socket-"));
let folders = 0;
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What the driver cannot do, by the case's name. */
const skipped: Readonly<Record<string, string>> = {
  "N3: one that was never announced is unknown": "with one host a folder, any other incarnation has ended",
};

const cases = [
  ...channelConformance(async () => {
    const host = await openHostFolder(newPath());
    const client = await connectFolder(host.path);
    return {
      near: client.channel,
      far: host.ports.channel,
      async close() {
        await client.close();
        await host.close();
      },
    };
  }),
  ...membershipConformance(async () => {
    const host = await openHostFolder(newPath());
    return { membership: host.ports.membership, close: () => host.close() };
  }),
];

test.for(cases.filter(({ name }) => !(name in skipped)).map((one) => [one.name, one] as const))(
  "%s",
  async ([, one]) => {
    await expect(one.run()).resolves.toBeUndefined();
  },
);

test("the skipped cases are cases", () => {
  expect(cases.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(skipped)));
});

test("messages of a client reach the host's mailbox, in the order they were sent", async () => {
  const host = await startHost(newPath());
  const client = await connectFolder(host.path);
  expect(client.isHostRunning).toBe(true);
  const places = await Promise.all([1, 2, 3, 4, 5].map((value) => client.mailbox.append(zero, bytes(value))));
  expect(places.map((place) => place.sequence)).toEqual([1, 2, 3, 4, 5]);
  expect(await host.ports.mailbox.read(zero, 1).next(10)).toMatchObject(
    [1, 2, 3, 4, 5].map((value) => ({ bytes: bytes(value) })),
  );
  await client.close();
  await host.close();
});

test("an error of the host's mailbox arrives with its kind and code", async () => {
  const host = await startHost(newPath());
  const client = await connectFolder(host.path);
  const error = { kind: "unavailable", code: "mailbox.no-ack" };
  await expect(client.mailbox.append(77 as Partition, bytes(1))).rejects.toMatchObject(error);
  await expect(client.mailbox.append(-1 as Partition, bytes(1))).rejects.toMatchObject({ code: "partition.invalid" });
  await client.close();
  await host.close();
});

test("with no host running a message is kept for the next one, and a request is refused in words", async () => {
  const path = newPath();
  await (await startHost(path)).close();

  const client = await connectFolder(path);
  expect(client.isHostRunning).toBe(false);
  await client.mailbox.append(zero, bytes(1));
  await client.mailbox.append(zero, bytes(2));
  const asking = client.channel.request("subject", bytes(1), 1_000);
  await expect(asking).rejects.toMatchObject({ kind: "unavailable", code: "host.not-running" });
  await expect(client.channel.request("subject", bytes(1), 1_000)).rejects.toThrow(
    `startHost({ store: "file:${path}" })`,
  );

  const host = await startHost(path);
  expect(await host.ports.mailbox.read(zero, 1).next(10)).toMatchObject([{ bytes: bytes(1) }, { bytes: bytes(2) }]);
  await client.mailbox.append(zero, bytes(3));
  expect(client.isHostRunning).toBe(true);
  await client.close();
  await host.close();
});

test("a folder that nobody made yet is missing, until a host makes it", async () => {
  const path = newPath();
  const client = await connectFolder(path);
  await expect(client.mailbox.append(zero, bytes(1))).rejects.toMatchObject({ code: "folder.missing" });
  const host = await startHost(path);
  await expect(client.mailbox.append(zero, bytes(1))).resolves.toMatchObject({ sequence: 1 });
  await client.close();
  await host.close();
});

test("subscriptions and requests follow the folder's host from one run to the next", async () => {
  const path = newPath();
  const first = await startHost(path);
  const client = await connectFolder(path);
  const heard = hear(client.channel, "notices");
  await heard.from(first);
  await first.close();

  const second = await startHost(path);
  second.ports.channel.serve("echo", async (request) => request);
  await heard.from(second);
  expect(await client.channel.request("echo", bytes(5), 5_000)).toEqual(bytes(5));
  await client.close();
  await second.close();
});

test("what waits for an answer when the host ends is unavailable, and may be repeated", async () => {
  const path = newPath();
  const host = await startHost(path);
  const asked = Promise.withResolvers<void>();
  host.ports.channel.serve("silent", () => {
    asked.resolve();
    return new Promise<Uint8Array>(() => undefined);
  });
  const client = await connectFolder(path);
  const asking = client.channel.request("silent", bytes(1), 30_000);
  await asked.promise;
  const [outcome] = await Promise.allSettled([asking, host.close()]);
  expect(outcome).toMatchObject({ reason: { kind: "unavailable", code: "channel.failed" } });
  await client.close();
});

test("a client that closes is forgotten by the host, and its calls are closed", async () => {
  const host = await startHost(newPath());
  const client = await connectFolder(host.path);
  await client.close();
  await client.close();
  await expect(client.mailbox.append(zero, bytes(1))).rejects.toMatchObject({ kind: "closed" });
  await expect(client.channel.request("subject", bytes(1), 100)).rejects.toMatchObject({ kind: "closed" });
  await host.close();
});

test("hundreds of large messages at once all arrive", async () => {
  const host = await startHost(newPath());
  const client = await connectFolder(host.path);
  const appends = Array.from({ length: 100 }, () => client.mailbox.append(zero, new Uint8Array(500_000)));
  const places = await Promise.all(appends);
  expect(new Set(places.map((place) => place.sequence)).size).toBe(100);
  await client.close();
  await host.close();
});

test("a message too large for a frame is refused before it is sent", async () => {
  const host = await startHost(newPath());
  const client = await connectFolder(host.path);
  const error = { kind: "invalid", code: "host.too-large" };
  await expect(client.mailbox.append(zero, new Uint8Array(frameBytesMax))).rejects.toMatchObject(error);
  await expect(client.mailbox.append(zero, bytes(1))).resolves.toMatchObject({ sequence: 1 });
  await client.close();
  await host.close();
});

test.for([
  { what: "another protocol", sent: Buffer.from("GET / HTTP/1.1\r\n\r\n") },
  { what: "a frame that claims too much", sent: Buffer.from([0xff, 0xff, 0xff, 0xff, 0]) },
  { what: "a frame of an unknown kind", sent: Buffer.from([0, 0, 0, 7, 99, 0, 0, 0, 0, 0, 0]) },
  { what: "a frame before the greeting", sent: encodeFrame("append", 1, "0", bytes(1)) ?? Buffer.alloc(0) },
  { what: "a greeting of another version", sent: encodeFrame("hello", 0, "999") ?? Buffer.alloc(0) },
])("a connection with $what is ended, and the host goes on", async ({ sent }) => {
  const host = await startHost(newPath());
  const socket = connect(readLockFile(host.path)?.socket ?? "");
  socket.resume();
  socket.write(sent);
  await closed(socket);
  const client = await connectFolder(host.path);
  await expect(client.mailbox.append(zero, bytes(1))).resolves.toMatchObject({ sequence: 1 });
  await client.close();
  await host.close();
});

test("frames survive any way of being cut into chunks", () => {
  const frame = fc.record({
    kind: fc.constantFrom(...frameKinds),
    id: fc.nat(0xffff_ffff),
    text: fc.string({ unit: "grapheme", maxLength: 40 }),
    bytes: fc.uint8Array({ maxLength: 200 }),
  });
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
      (frames, cuts) => {
        const stream = Buffer.concat(
          frames.map(({ kind, id, text, bytes: body }) => encodeFrame(kind, id, text, body) ?? Buffer.alloc(0)),
        );
        const decoder = new FrameDecoder();
        const decoded: Frame[] = [];
        for (let start = 0, cut = 0; start < stream.length; cut += 1) {
          const end = start + (cuts[cut % cuts.length] ?? 1);
          decoded.push(...(decoder.push(stream.subarray(start, end)) ?? []));
          start = end;
        }
        expect(decoded).toEqual(frames);
      },
    ),
  );
});

function newPath(): string {
  folders += 1;
  return join(root, `folder-${folders}`);
}

test("a host that is there and says nothing is told from one that is not there", async () => {
  const path = newPath();
  await (await startHost(path)).close();
  const socket = join(path, "silent.sock");
  // As one that was stopped: the kernel takes the connection for it.
  const server = createServer(() => undefined).listen(socket);
  await once(server, "listening");
  writeFileSync(join(path, "host.json"), JSON.stringify({ pid: 4_711, socket, boot: "" }));
  const clock = { ...realClock, schedule: (ms: number, call: () => void) => realClock.schedule(ms / 1_000, call) };
  const error = { kind: "unavailable", code: "host.busy", message: expect.stringContaining("pid=4711") };
  await expect(connectFolder(path, { clock })).rejects.toMatchObject(error);
  server.close();
});

test("a process that waits for what a host will say lives on when that host ends", async () => {
  const path = newPath();
  const first = await startHost(path);
  const program = `
    import { connectFolder } from ${JSON.stringify(new URL("folder-client.ts", import.meta.url).href)};
    const client = await connectFolder(${JSON.stringify(path)});
    const heard = new Promise((resolve) => client.channel.subscribe("news", resolve));
    console.log("waits");
    await heard;
    console.log("heard");
    await client.close();`;
  const child = spawn(process.execPath, ["--conditions=@dormouse/source", "--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await said.next()).value).toBe("waits");
  await first.close();
  const second = await startHost(path);
  const publishing = setInterval(() => second.ports.channel.publish("news", bytes(1)), 20);
  expect(await exited).toEqual([0, null]);
  clearInterval(publishing);
  expect((await said.next()).value).toBe("heard");
  await second.close();
});

async function startHost(path: string): Promise<HostFolder> {
  const host = await openHostFolder(path);
  await host.ports.mailbox.create(1);
  return host;
}

/** Waits until what a host publishes is heard, publishing at each turn of the event loop until it is. */
function hear(channel: FolderClient["channel"], subject: string): { from(host: HostFolder): Promise<void> } {
  const heard = new Set<number>();
  let published = 0;
  channel.subscribe(subject, ([value = 0]) => void heard.add(value));
  return {
    async from(host) {
      published += 1;
      while (!heard.has(published)) {
        host.ports.channel.publish(subject, bytes(published));
        await oneTurn();
      }
    },
  };
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on("error", () => undefined);
    socket.once("close", () => resolve());
  });
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}
