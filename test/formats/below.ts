/**
 * The golden bytes below their checksum: taken out, and put back with a right one, as a bug of ours or a stranger at the
 * mailbox could make them.
 */
import { crc32 } from "node:zlib";
import { storedBytesMax } from "../../packages/core/src/agent/limits.ts";
import { compress, compressLarge, decompress, decompressLarge } from "../../packages/core/src/format/codec/compress.ts";
import { headerBytes } from "../../packages/core/src/format/codec/header.ts";
import { committed, type Golden } from "./golden.ts";

const isCompressed = ({ name }: Golden): boolean => name === "base";
/** Where a byte tells whether it is compressed. */
const isMarked = ({ name }: Golden): boolean => name.startsWith("record") || name === "piece";

/** What stands behind header and checksum, decompressed. */
export function payloadOf(golden: Golden): Uint8Array {
  const bytes = committed(golden);
  if (golden.name === "app") return bytes;
  const payload = bytes.subarray(headerBytes);
  if (isMarked(golden)) return decompressLarge(payload, storedBytesMax);
  return isCompressed(golden) ? decompress(payload, storedBytesMax) : payload;
}

/** An object with this payload and a right checksum. */
export function withPayload(golden: Golden, payload: Uint8Array): Uint8Array {
  if (golden.name === "app") return payload;
  return withStored(golden, packed(golden, payload));
}

/** The same with bytes as they are stored, compressed or not. */
export function withStored(golden: Golden, stored: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headerBytes + stored.length);
  bytes.set(golden.bytes.subarray(0, 5));
  bytes.set(stored, headerBytes);
  new DataView(bytes.buffer).setUint32(5, crc32(stored, crc32(bytes.subarray(3, 5))));
  return bytes;
}

function packed(golden: Golden, payload: Uint8Array): Uint8Array {
  if (isMarked(golden)) return compressLarge(payload);
  return isCompressed(golden) ? compress(payload) : payload;
}
