/**
 * Goal: names on NATS are legal, reversible and never two things at once; what servers say in subjects is read exactly.
 * Method: properties over any text; subjects as servers write them, of both forms.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  AppNames,
  askSubject,
  decodeKey,
  encodeKey,
  encodeToken,
  noticeSubject,
  parseDelivery,
  sentToOf,
  timeOfText,
} from "./subjects.ts";

const names = new AppNames("dormouse", "shop");

test("an encoded text is one token of letters that NATS takes, and no two texts share one", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (one, other) => {
      const [first, second] = [encodeToken(one), encodeToken(other)];
      expect(first).toMatch(/^[A-Za-z0-9_~-]+$/);
      expect(first === second).toBe(one === other);
    }),
  );
});

test("a key of a bucket decodes to what was encoded", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(encodeKey(text)).toMatch(/^[A-Za-z0-9_=-]+$/);
      expect(decodeKey(encodeKey(text))).toBe(text);
    }),
  );
});

test("subjects of a channel that differ have different names, however long, and none is too long for a server", () => {
  const long = "x/".repeat(50_000);
  expect(noticeSubject("p", `${long}a`)).not.toBe(noticeSubject("p", `${long}b`));
  expect(noticeSubject("p", long).length).toBeLessThan(2_000);
  expect(noticeSubject("p", "a")).not.toBe(askSubject("p", "a"));
});

test("a plain client's subject tells type and key as they stand; ours tells none", () => {
  expect(sentToOf("dormouse.box.shop.7.counter.a~20b")).toEqual({ type: "counter", key: "a~20b" });
  expect(sentToOf(names.box(7))).toBeUndefined();
});

test.for([
  ["the short form", "$JS.ACK.dormouse_shop_7.c1.1.42.3.1764075000123456789.9"],
  ["the form with domain and account", "$JS.ACK._.AHASH.dormouse_shop_7.c1.1.42.3.1764075000123456789.9.r4nd0m"],
] as const)("a delivery is read from its reply subject: %s", ([, reply]) => {
  expect(parseDelivery(reply)).toEqual({ sequence: 42, delivered: 3, at: 1_764_075_000_123.456, pending: 9 });
});

test.for(["", "_INBOX.a.1", "$JS.ACK.s.c.1", "$JS.ACK.s.c.1.x.3.y.z"])("%j is no delivery", (reply) => {
  expect(parseDelivery(reply)).toBeUndefined();
});

test("a stream's time is the same number read from a delivery and from JetStream's text, to the microsecond", () => {
  const micros = fc.bigInt({ min: 1_600_000_000_000_000n, max: 4_000_000_000_000_000n });
  fc.assert(
    fc.property(micros, fc.integer({ min: 0, max: 999 }), (micro, rest) => {
      const seconds = new Date(Number(micro / 1_000_000n) * 1_000).toISOString().slice(0, 19);
      const fraction = `${String(micro % 1_000_000n).padStart(6, "0")}${String(rest).padStart(3, "0")}`;
      // Servers leave zeros at the end out.
      const text = `${seconds}.${fraction}`.replace(/\.?0+$/, "");
      const nanoseconds = `${micro}${String(rest).padStart(3, "0")}`;
      const delivery = parseDelivery(`$JS.ACK.s.c.1.1.1.${nanoseconds}.0`);
      expect(timeOfText(`${text.length < 19 ? seconds : text}Z`)).toBe(delivery?.at);
    }),
  );
});
