/** Bytes made smaller, for heads, chapters and large records: zstd. */
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { assert } from "../../agent/assert.ts";
import { DormouseError } from "../../agent/errors.ts";
import { storedBytesMax } from "../../agent/limits.ts";

/** The bytes as one zstd frame. More than can be read back are not written. */
export function compress(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  checkReadable(bytes);
  // A copy: what zlib gives is a view of 64 kB, which would stay in memory with it.
  return new Uint8Array(zstdCompressSync(bytes));
}

/**
 * The bytes of a zstd frame.
 *
 * @param bytesMax - What may come out: a frame of a few bytes can claim to hold gigabytes. Default: what is ever stored.
 * @throws DormouseError `corrupt` (`codec.unreadable`) if it is none, or holds more.
 */
export function decompress(bytes: Uint8Array, bytesMax: number = storedBytesMax): Uint8Array<ArrayBuffer> {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: bytesMax });
  } catch (cause) {
    const text = `these bytes are not a zstd frame of at most ${bytesMax} bytes: bytes=${bytes.length}`;
    throw new DormouseError("corrupt", "codec.unreadable", text, { cause });
  }
}

/** The bytes after a byte that tells whether they are compressed: if they are large. A frame costs some 25 µs. */
export function compressLarge(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  checkReadable(bytes);
  const isLarge = bytes.length >= largeBytes;
  const packed = isLarge ? zstdCompressSync(bytes) : bytes;
  const marked = new Uint8Array(1 + packed.length);
  marked[0] = isLarge ? compressed : plain;
  marked.set(packed, 1);
  return marked;
}

/** The bytes that `compressLarge` was given. @throws DormouseError `corrupt` (`codec.unreadable`), as `decompress` does. */
export function decompressLarge(bytes: Uint8Array, bytesMax: number = storedBytesMax): Uint8Array {
  const [packing] = bytes;
  if (packing === plain) return bytes.subarray(1);
  if (packing === compressed) return decompress(bytes.subarray(1), bytesMax);
  const text = `these bytes are in no known packing: bytes=${bytes.length}`;
  throw new DormouseError("corrupt", "codec.unreadable", text);
}

function checkReadable(bytes: Uint8Array): void {
  assert(bytes.length <= storedBytesMax, `what is stored can be read back: bytes=${bytes.length}`);
}

const largeBytes = 2_048;
const plain = 0;
const compressed = 1;
