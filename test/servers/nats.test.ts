/**
 * Goal: the NATS drivers keep what the ports promise on a real server.
 * Method: the conformance suites against nats-server; two connections, as two hosts would have.
 */
import { channelConformance, mailboxConformance, membershipConformance } from "@dormouse/testing";
import { connectNats, type NatsConnection } from "@dormouse/nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { missingServers, type Nats, startNats } from "@dormouse/testing/servers";
import { RawNats } from "./nats-raw.ts";

describe.skipIf(await missingServers(["nats"]))("against nats-server", () => {
  let server: Nats;
  let raw: RawNats;
  let prefixes = 0;
  beforeAll(async () => {
    server = await startNats();
    raw = await RawNats.connect([...server.urls]);
  });
  afterAll(async () => {
    await raw.close();
    await server.close();
  });

  /** Two connections to what nobody used before. */
  async function openTwo(): Promise<{ near: NatsConnection; far: NatsConnection; prefix: string }> {
    prefixes += 1;
    const options = { servers: server.urls, prefix: `t${prefixes}`, streamBytesMax: 8_388_608 };
    const [near, far] = await Promise.all([connectNats(options), connectNats(options)]);
    return { near, far, prefix: options.prefix };
  }

  async function close(near: NatsConnection, far: NatsConnection, prefix: string): Promise<void> {
    await Promise.all([near.close(), far.close()]);
    await raw.deleteStreams(prefix);
  }

  const mailboxes = mailboxConformance(async () => {
    const { near, far, prefix } = await openTwo();
    const stream = (partition: number): string => `${prefix}_app_${partition}`;
    return {
      mailbox: near.mailbox("app"),
      cutReaders: (partition) => raw.deleteConsumers(stream(partition)),
      fill: (partition) => raw.fill(stream(partition)),
      close: () => close(near, far, prefix),
    };
  });
  const withoutWay: Readonly<Record<string, string>> = {
    "M4: after a lost tail, a number that comes again has another timestamp":
      "a server loses its tail when its machine stops, which a test cannot make happen",
  };
  test.for(mailboxes.filter(({ name }) => !(name in withoutWay)).map((one) => [one.name, one] as const))(
    "mailbox: %s",
    async ([, one]) => {
      await expect(one.run()).resolves.toBeUndefined();
    },
  );

  const memberships = membershipConformance(async () => {
    const { near, far, prefix } = await openTwo();
    return {
      membership: near.membership("app"),
      other: far.membership("app"),
      close: () => close(near, far, prefix),
    };
  });
  test.for(memberships.map((one) => [one.name, one] as const))("membership: %s", async ([, one]) => {
    await expect(one.run()).resolves.toBeUndefined();
  });

  const channels = channelConformance(async () => {
    const { near, far, prefix } = await openTwo();
    return { near: near.channel, far: far.channel, close: () => close(near, far, prefix) };
  });
  test.for(channels.map((one) => [one.name, one] as const))("channel: %s", async ([, one]) => {
    await expect(one.run()).resolves.toBeUndefined();
  });
});
