/** Goal: an object is opened as what it was written as, or refused by name. Method: every kind, every byte changed. */
import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import { formatNewest, type ObjectKind } from "./formats.ts";
import { headerBytes, unwrap, wrap } from "./header.ts";

const kinds = [
  "app",
  "record",
  "seal",
  "trim",
  "partition",
  "head",
  "base",
  "chapter",
  "bucket",
  "blob",
  "envelope",
] satisfies ObjectKind[];
const payload = Uint8Array.of(1, 2, 3, 4);

test.for(kinds)("a wrapped %s opens as what it is, and as nothing else", (kind) => {
  const bytes = wrap(kind, formatNewest, payload);
  expect(unwrap(bytes, kind, "a/b")).toEqual({ kind, version: 1, payload });
  expect(unwrap(bytes, kinds, "a/b").kind).toBe(kind);
  const others = kinds.filter((other) => other !== kind);
  expect(() => unwrap(bytes, others, "a/b")).toThrow(
    expect.objectContaining({
      kind: "corrupt",
      code: "object.unreadable",
      message: expect.stringContaining(`found=${kind}`),
    }),
  );
});

test("the bytes of version 1 are these, for ever", () => {
  expect(Buffer.from(wrap("record", 1, payload)).toString("hex")).toBe("44524d52015a9c053e01020304");
});

test("a view into a larger buffer is opened too", () => {
  const bytes = wrap("head", 1, payload);
  const padded = new Uint8Array(bytes.length + 20);
  padded.set(bytes, 7);
  expect(unwrap(padded.subarray(7, 7 + bytes.length), "head", "a/b").payload).toEqual(payload);
});

test("any changed bit and any cut is refused, and the object is named", () => {
  const bytes = wrap("head", 1, payload);
  for (let index = 0; index < bytes.length; index += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const changed = bytes.slice();
      changed[index] = (changed[index] ?? 0) ^ (1 << bit);
      expect(() => unwrap(changed, kinds, "agents/a/head")).toThrow(
        expect.objectContaining({
          kind: "corrupt",
          code: index < 3 ? "object.unreadable" : "object.checksum",
          message: expect.stringContaining("object=agents/a/head"),
        }),
      );
    }
    expect(() => unwrap(bytes.subarray(0, index), "head", "x")).toThrow(
      expect.objectContaining({ code: index < headerBytes ? "object.unreadable" : "object.checksum" }),
    );
  }
});

test("an object of a newer format is refused as such", () => {
  // "R", version 2, and the checksum that a later Dormouse would write.
  const newer = Uint8Array.from(Buffer.from("44524d52020000000001020304", "hex"));
  new DataView(newer.buffer).setUint32(5, crc32(newer.subarray(9), crc32(newer.subarray(3, 5))));
  expect(() => unwrap(newer, "record", "journal/1/2")).toThrow(
    expect.objectContaining({ kind: "corrupt", code: "object.version", message: expect.stringContaining("version=2") }),
  );
});

test.for([0, formatNewest + 1])("an object is not written in format %i, which is none of this release", (format) => {
  expect(() => wrap("head", format, payload)).toThrow(/format of this release/);
});
