/**
 * Goal: a position never waits for what nobody will decide: mailbox and journal can always be trimmed.
 * Method: mailbox messages made by hand, as a network that keeps some back could bring them; then what is left after a settle.
 */
import { makeClient } from "@dormouse/client";
import { startIncarnation } from "@dormouse/core";
import type { Partition } from "@dormouse/core/ports";
import { encodeBatch } from "@dormouse/core/protocol";
import { MemoryWorld, realClock, realEntropy } from "@dormouse/local";
import { expect, test } from "vitest";
import { counter } from "./agents/counter.ts";

const zero = 0 as Partition;

test("a late copy of a given-up message is decided, also while the agent of the one that closed it is being loaded", async () => {
  const world = new MemoryWorld(realClock);
  const ports = world.open("host", { clock: realClock, entropy: realEntropy });
  const incarnation = await startIncarnation({ agents: [counter], ports, partitions: 1 });
  const client = makeClient({ app: incarnation.app, ports });
  const id = "01JD0000000000000000000000";
  const opening = encodeBatch({ source: { kind: "stint", id, place: 0, floor: 1 }, envelopes: [] }, 1);
  const { sequence: place } = await ports.mailbox.append(zero, opening);
  const send = (n: number, floor: number, to: string) => {
    const event = { type: "add", by: n };
    const envelope = { n, id: `message-${n}`, to: to as never, body: { kind: "event", event } as const, sentAt: 0 };
    return ports.mailbox.append(
      zero,
      encodeBatch({ source: { kind: "stint", id, place, floor }, envelopes: [envelope] }, 1),
    );
  };
  await Promise.all([send(6, 6, "counter/cold"), send(5, 5, "counter/cold")]);
  expect(await client.agent(counter, "cold").ask({ type: "add", by: 1 })).toBe(7);
  await incarnation.settle();
  expect(world.stream(0)?.messages.length, "all but the newest consumed message is trimmed").toBe(1);
  incarnation.kill();
});
