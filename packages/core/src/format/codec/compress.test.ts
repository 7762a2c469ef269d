/** Goal: what was compressed comes back, and no frame makes more than is allowed. Method: properties, a bomb. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { DormouseError } from "../../agent/errors.ts";
import { compress, compressLarge, decompress, decompressLarge } from "./compress.ts";

test("compressed bytes come back as they were", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000 }), (bytes) => {
      expect(new Uint8Array(decompress(compress(bytes), bytes.length + 1))).toEqual(bytes);
    }),
  );
});

test("what may be compressed comes back as it was, and what is large and repeats itself is smaller", () => {
  for (const length of [0, 1, 2_047, 2_048, 50_000]) {
    const bytes = Uint8Array.from({ length }, (_, index) => index % 50);
    const packed = compressLarge(bytes);
    expect(new Uint8Array(decompressLarge(packed, 50_001))).toEqual(bytes);
    expect(packed.length).toBeLessThanOrEqual(length < 2_048 ? length + 1 : 200);
  }
});

test("bytes in no known packing are refused", () => {
  for (const bytes of [[], [2, 0], [1], [255]]) {
    expect(() => decompressLarge(Uint8Array.from(bytes), 1_000)).toThrow(
      expect.objectContaining({ kind: "corrupt", code: "codec.unreadable" }),
    );
  }
});

test("bytes that fill the bound exactly come back", () => {
  const bytes = new Uint8Array(70_000).fill(7);
  expect(decompress(compress(bytes), 70_000)).toHaveLength(70_000);
});

test("a small frame that holds more than is allowed is refused", () => {
  const bomb = compress(new Uint8Array(50_000_000));
  expect(bomb.length).toBeLessThan(10_000);
  expect(() => decompress(bomb, 1_000_000)).toThrow(
    expect.objectContaining({ kind: "corrupt", code: "codec.unreadable" }),
  );
});

test("a changed or cut frame is refused or gives bytes within the bound", () => {
  const bytes = compress(Uint8Array.from({ length: 3_000 }, (_, index) => index % 50));
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(bytes.length), (at, to, cut) => {
      const changed = bytes.slice(0, cut);
      if (at < cut) changed[at] = to;
      expect(["bytes", "codec.unreadable"]).toContain(outcomeOf(changed, 10_000));
    }),
    { numRuns: 500 },
  );
});

function outcomeOf(bytes: Uint8Array, bytesMax: number): string {
  try {
    return decompress(bytes, bytesMax).length <= bytesMax ? "bytes" : "too many bytes";
  } catch (error) {
    return error instanceof DormouseError && error.kind === "corrupt" ? error.code : String(error);
  }
}
