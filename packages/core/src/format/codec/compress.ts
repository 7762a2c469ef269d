/** Bytes made smaller, for heads, chapters and large records: zstd. */
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { DormouseError } from "../../agent/errors.ts";

/** The bytes as one zstd frame. */
export function compress(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return zstdCompressSync(bytes);
}

/**
 * The bytes of a zstd frame.
 *
 * @param bytesMax - What may come out: a frame of a few bytes can claim to hold gigabytes.
 * @throws DormouseError `corrupt` (`codec.unreadable`) if it is none, or holds more.
 */
export function decompress(bytes: Uint8Array, bytesMax: number): Uint8Array<ArrayBuffer> {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: bytesMax });
  } catch (cause) {
    const text = `these bytes are not a zstd frame of at most ${bytesMax} bytes: bytes=${bytes.length}`;
    throw new DormouseError("corrupt", "codec.unreadable", text, { cause });
  }
}
