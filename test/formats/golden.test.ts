/**
 * Goal: what was stored stays readable, byte for byte.
 *
 * Method: committed bytes of every format (`golden.ts` tells when they may change) are decoded to the value they were made
 * of, and the value is encoded to the same bytes. What zstd has compressed is compared after decompressing: the same data
 * has other frames in another version of zstd, and so of Node.
 */
import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { isSame } from "../../packages/core/src/format/codec/same.ts";
import { committed, folder, goldens } from "./golden.ts";

test("every golden file belongs to a format, and every format has one", () => {
  expect(readdirSync(folder).toSorted()).toEqual(goldens.map(({ name }) => `${name}.bin`).toSorted());
});

test.for(goldens)("$name: the committed bytes are decoded to the value", (golden) => {
  const decoded = golden.decode(committed(golden));
  expect(decoded).toEqual(golden.value);
  // Down to the order of keys, the types of arrays of bytes, and what an Error carries.
  expect(isSame(decoded, golden.value)).toBe(true);
});

test.for(goldens)("$name: the value is encoded to the committed bytes", (golden) => {
  expect(Buffer.from(golden.plain(golden.bytes)).toString("hex")).toBe(
    Buffer.from(golden.plain(committed(golden))).toString("hex"),
  );
});
