/**
 * What kills its host, a message or an effect: it is found out, its agent set aside, and everything else goes on (D9).
 *
 * Method: a step or an effect ends its host without a goodbye, again in every life, until a life survives.
 */
import { makeClient } from "@dormouse/client";
import { type Incarnation, startIncarnation } from "@dormouse/core";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { expect, test } from "vitest";
import { bomb, fuse, mine } from "./agents/bomb.ts";
import { counter } from "./agents/counter.ts";

const livesMax = 24;

interface Life {
  readonly incarnation: Promise<Incarnation>;
  /** Settles when the bomb went off, or was set aside. */
  readonly fate: Promise<"died" | "quarantined">;
}

/** The fate of the host that lives, from now on. */
let rekindle: () => Life["fate"] = () => Promise.reject(new Error("nobody lives"));

function live(world: MemoryWorld, party: string): Life {
  let fate = Promise.withResolvers<"died" | "quarantined">();
  rekindle = () => {
    fate = Promise.withResolvers();
    return fate.promise;
  };
  let started: Incarnation | undefined;
  fuse.burn = () => {
    started?.kill();
    world.end(party);
    fate.resolve("died");
  };
  const incarnation = startIncarnation({
    agents: [bomb, mine, counter],
    ports: world.open(party, { clock: realClock, entropy: realEntropy }),
    observe: ({ kind }) => {
      if (kind === "quarantined") fate.resolve("quarantined");
    },
  }).then((one) => (started = one));
  return { incarnation, fate: fate.promise };
}

test("a message that kills its host again and again sets its agent aside, and no other", async () => {
  const world = new MemoryWorld(realClock);
  let life = live(world, "host-1");
  const { app } = await life.incarnation;
  const client = makeClient({ app, ports: world.open("client", { clock: realClock, entropy: realEntropy }) });
  expect(await client.agent(counter, "other").ask({ type: "add", by: 1 })).toBe(1);
  expect(await client.agent(bomb, "one").ask({ type: "ping" })).toBe("pong");
  await client.agent(bomb, "one").send({ type: "explode" });
  let lives = 1;
  while ((await life.fate) === "died" && lives < livesMax) {
    lives += 1;
    life = live(world, `host-${lives}`);
  }

  expect(lives).toBeLessThan(livesMax);
  expect(await client.agent(counter, "other").ask({ type: "add", by: 1 })).toBe(2);
  expect(await client.agent(bomb, "two").ask({ type: "ping" })).toBe("pong");
  await expect(client.agent(bomb, "one").ask({ type: "ping" })).rejects.toMatchObject({ code: "agent.quarantined" });
  await client.agent(bomb, "one").resume({ skip: true });
  expect(await client.agent(bomb, "one").ask({ type: "ping" })).toBe("pong");
  expect((await client.agent(bomb, "one").read())?.context).toEqual({ pings: 2 });
  (await life.incarnation).kill();
});

test("an agent that is taken back unmended kills its host again, is set aside again, and can be gone on without", async () => {
  const world = new MemoryWorld(realClock);
  let life = live(world, "host-1");
  const { app } = await life.incarnation;
  const client = makeClient({ app, ports: world.open("client", { clock: realClock, entropy: realEntropy }) });
  expect(await client.agent(bomb, "one").ask({ type: "ping" })).toBe("pong");
  await client.agent(bomb, "one").send({ type: "explode" });
  let lives = 1;
  const liveOn = async (): Promise<void> => {
    for (; (await life.fate) === "died" && lives < livesMax; life = live(world, `host-${lives}`)) lives += 1;
    await life.incarnation;
  };
  await liveOn();
  expect((await client.quarantined()).map(({ agent }) => agent)).toEqual(["bomb/one"]);

  life = { ...life, fate: rekindle() };
  const resumed = client.agent(bomb, "one").resume({ timeout: 60_000 });
  await liveOn();
  expect(lives).toBeLessThan(livesMax);
  expect(await resumed).toEqual({ wasSetAside: true, isSkipped: false });
  expect(await client.quarantined()).toMatchObject([{ agent: "bomb/one", shelved: 1 }]);
  expect(await client.agent(counter, "other").ask({ type: "add", by: 1 })).toBe(1);
  expect(await client.agent(bomb, "one").resume({ skip: true })).toEqual({ wasSetAside: true, isSkipped: true });
  expect(await client.agent(bomb, "one").ask({ type: "ping" })).toBe("pong");
  (await life.incarnation).kill();
});

test("an effect that kills its host again and again is begun anew when its agent is resumed", async () => {
  const world = new MemoryWorld(realClock);
  let life = live(world, "host-1");
  const { app } = await life.incarnation;
  const client = makeClient({ app, ports: world.open("client", { clock: realClock, entropy: realEntropy }) });
  await client.agent(mine, "one").send({ type: "dig" });
  let lives = 1;
  while ((await life.fate) === "died" && lives < livesMax) {
    lives += 1;
    life = live(world, `host-${lives}`);
  }

  expect(lives).toBeLessThan(livesMax);
  expect((await client.quarantined()).map(({ agent }) => agent)).toEqual(["mine/one"]);
  fuse.burn = () => undefined;
  await client.agent(mine, "one").resume();
  await client.agent(mine, "one").waitFor("dug", { timeout: 20_000 });
  (await life.incarnation).kill();
});
