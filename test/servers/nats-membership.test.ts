/**
 * Goal: a process that was killed is known to be dead at once, and nobody is called dead because NATS has trouble.
 * Method: members as processes of their own, killed; servers killed and started again while every opinion is written down.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Membership } from "@dormouse/core/ports";
import { connectNats, type NatsConnection } from "@dormouse/nats";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect as connectPlain } from "@nats-io/transport-node";
import { missingServers, type Nats, type NatsOptions, startNats } from "@dormouse/testing/servers";
import { afterEach, describe, expect, test } from "vitest";

describe.skipIf(await missingServers(["nats"]))("members", () => {
  let nats: Nats | undefined;
  const connections: NatsConnection[] = [];
  const members: ChildProcess[] = [];
  afterEach(async () => {
    for (const member of members.splice(0)) member.kill("SIGKILL");
    await Promise.all(connections.splice(0).map((connection) => connection.close()));
    await nats?.close();
  });

  async function start(options?: NatsOptions): Promise<readonly string[]> {
    nats = await startNats(options);
    return nats.urls;
  }

  async function open(url: string): Promise<Membership> {
    const connection = await connectNats({ servers: url });
    connections.push(connection);
    return connection.membership("app");
  }

  async function startMember(url: string, incarnation: string): Promise<ChildProcess> {
    const main = join(import.meta.dirname, "member/main.ts");
    const member = spawn(process.execPath, ["--conditions=@dormouse/source", main, url, incarnation], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    members.push(member);
    await once(member.stdout, "data");
    return member;
  }

  test("a process that is killed is dead for one who announced itself and for one who only looks", async () => {
    const [url = ""] = await start();
    const [host, tool] = await Promise.all([open(url), open(url)]);
    await host.announce({ incarnation: "host", facts: new Uint8Array() });
    const member = await startMember(url, "member");
    await startMember(url, "other");
    await becomes(host, async () => (await host.alive()).length === 3);
    await becomes(tool, async () => (await tool.alive()).length === 3);
    const dead = Promise.all(
      [host, tool].map((one) => becomes(one, async () => (await one.stateOf("member")) === "dead")),
    );
    member.kill("SIGKILL");
    await dead;
    expect((await host.alive()).map(({ incarnation }) => incarnation).toSorted()).toEqual(["host", "other"]);
  });

  test("who only looks leaves nothing behind, and sees who announces himself later", async () => {
    const [url = ""] = await start();
    const [tool, host] = await Promise.all([open(url), open(url)]);
    expect(await tool.alive()).toEqual([]);
    expect(await tool.stateOf("nobody")).toBe("unknown");
    const connection = await connectPlain({ servers: url });
    const streams = await (await jetstreamManager(connection)).streams.names().next();
    await connection.close();
    expect(streams).toEqual([]);
    await tellThrough(host, "host", tool, "later");
  });

  test("a server that is killed and started again makes nobody dead or suspected, and all are told of again", async () => {
    const [url = ""] = await start();
    const [near, far] = await Promise.all([open(url), open(url)]);
    await tellThrough(near, "near", far, "before");
    await tellThrough(far, "far", near, "before");
    const opinions = [watchOpinions(near, "far"), watchOpinions(far, "near")];
    await nats?.servers[0]?.kill();
    await nats?.servers[0]?.start();
    await tellThrough(near, "near", far, "after");
    await tellThrough(far, "far", near, "after");
    expect(opinions).toEqual([[], []]);
  });

  test("a server of three that is killed makes nobody dead, neither those it served nor those of the others", async () => {
    const urls = await start({ servers: 3, advertise: true });
    const [one, two, three] = await Promise.all(urls.map(open));
    if (one === undefined || two === undefined || three === undefined) throw new Error("three servers were asked for");
    await tellThrough(one, "one", two, "before");
    await tellThrough(two, "two", three, "before");
    await tellThrough(three, "three", one, "before");
    const opinions = [
      watchOpinions(one, "two"),
      watchOpinions(one, "three"),
      watchOpinions(three, "one"),
      watchOpinions(three, "two"),
      watchOpinions(two, "one"),
    ];
    await nats?.servers[1]?.kill();
    await tellThrough(two, "two", one, "after");
    await tellThrough(one, "one", three, "after");
    await tellThrough(three, "three", two, "after");
    expect(opinions).toEqual([[], [], [], [], []]);
  });

  test("an entry that another said has left is not revived by its own beats", async () => {
    const [url = ""] = await start();
    const [near, far] = await Promise.all([open(url), open(url)]);
    await near.announce({ incarnation: "near", facts: new Uint8Array() });
    await far.leave("near");
    await becomes(near, async () => (await near.stateOf("near")) === "dead");
    expect(await near.alive()).toEqual([]);
  });

  test("facts above 64 kB are refused", async () => {
    const [url = ""] = await start();
    const near = await open(url);
    await expect(near.announce({ incarnation: "near", facts: new Uint8Array(65_537) })).rejects.toMatchObject({
      kind: "invalid",
      code: "membership.facts",
    });
  });
});

/** Waits for notices until `condition` holds. */
async function becomes(membership: Membership, condition: () => Promise<boolean>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = (): void => void condition().then((holds) => (holds ? resolve() : undefined), reject);
  const stop = membership.watch(look);
  look();
  await promise;
  stop();
}

/** Every opinion on one that is not `alive`, as long as it is watched. */
function watchOpinions(membership: Membership, incarnation: string): string[] {
  const opinions: string[] = [];
  membership.watch(
    () => void membership.stateOf(incarnation).then((state) => state !== "alive" && opinions.push(state)),
  );
  return opinions;
}

/** Tells it again until the membership takes it; the other watches until it has heard. */
async function tellThrough(from: Membership, incarnation: string, to: Membership, text: string): Promise<void> {
  const facts = Buffer.from(text);
  for (let isTold = false; !isTold;) {
    isTold = await from.announce({ incarnation, facts }).then(
      () => true,
      () => false,
    );
    // It is refused at once while the connection is down; what brings it up needs the event loop.
    if (!isTold) await new Promise((resolve) => void setTimeout(resolve, 20));
  }
  await becomes(to, async () =>
    (await to.alive()).some(
      (member) => member.incarnation === incarnation && Buffer.compare(member.facts, facts) === 0,
    ),
  );
}
