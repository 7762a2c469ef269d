/** Goal: a value that is small only since it shares its parts is no way to keep a host busy. Method: doublings, and honest sharing. */
import { expect, test } from "vitest";
import { checkData } from "./data.ts";
import { decodeBatch, encodeBatch } from "../message.ts";
import { makeAddress } from "../../agent/address.ts";

function doubled(times: number): unknown {
  let value: unknown = [];
  for (let time = 0; time < times; time += 1) value = [value, value];
  return value;
}

const check = { what: "event", code: "event.not-data" };

function sent(held: unknown): Uint8Array {
  const event = { type: "take", held };
  const to = makeAddress("counter", "k1");
  const envelope = { n: 1, id: "01J0", to, sentAt: 0, body: { kind: "event", event } } as const;
  return encodeBatch({ source: { kind: "outbox", id: "one", floor: 1 }, envelopes: [envelope] }, 1);
}

test("a value of a stranger that doubles itself again and again is refused, sent or received", () => {
  expect(() => checkData({ type: "take", held: doubled(40) }, check)).toThrow("holds the same objects too often");
  expect(() => decodeBatch(sent(doubled(40)))).toThrow(
    expect.objectContaining({ kind: "corrupt", code: "codec.unreadable" }),
  );
});

test("a value that stands in many places is kept", () => {
  const address = { street: "Mousehole Lane", number: 7 };
  const held = Array.from({ length: 10_000 }, () => address);
  expect(() => checkData({ type: "take", held }, check)).not.toThrow();
  expect(decodeBatch(sent(held)).envelopes[0]?.body).toMatchObject({ event: { held } });
});
