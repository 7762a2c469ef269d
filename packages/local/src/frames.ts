/**
 * Frames between a folder's host and its clients: a length, a kind, an id, a text, bytes.
 *
 * | bytes | what |
 * |---|---|
 * | 4 | length of the rest, big-endian |
 * | 1 | kind |
 * | 4 | id: of the request, or of the subscription |
 * | 2 | length of the text |
 * | … | text, UTF-8 |
 * | … | bytes, to the end |
 */

/** A frame's kind. To the host: the first six. From the host: the last four. */
export const frameKinds = [
  "hello",
  "append",
  "publish",
  "subscribe",
  "unsubscribe",
  "request",
  "welcome",
  "answer",
  "error",
  "delivery",
] as const;

export type FrameKind = (typeof frameKinds)[number];

export interface Frame {
  readonly kind: FrameKind;
  readonly id: number;
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** The longest frame; longer ones are refused when written, and end the connection when read. */
export const frameBytesMax = 41_943_040;

/** The version of this format and of what the frames mean, as `hello` and `welcome` carry it. */
export const frameVersion = "1";

const lengthBytes = 4;
const headerBytes = 7;
const noBytes = new Uint8Array();

/** A frame's bytes, or `undefined` if it would be too long. */
export function encodeFrame(
  kind: FrameKind,
  id: number,
  text: string,
  bytes: Uint8Array = noBytes,
): Buffer | undefined {
  const textBytes = Buffer.byteLength(text);
  const length = headerBytes + textBytes + bytes.length;
  if (textBytes > 0xffff || length > frameBytesMax) return undefined;
  const frame = Buffer.allocUnsafe(lengthBytes + length);
  frame.writeUInt32BE(length, 0);
  frame.writeUInt8(frameKinds.indexOf(kind), 4);
  frame.writeUInt32BE(id, 5);
  frame.writeUInt16BE(textBytes, 9);
  frame.write(text, lengthBytes + headerBytes, "utf8");
  frame.set(bytes, lengthBytes + headerBytes + textBytes);
  return frame;
}

/** Cuts what arrives into frames. */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** The frames that `chunk` completes. `undefined`: this is not our format, the connection is of no use any more. */
  push(chunk: Buffer): readonly Frame[] | undefined {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const frames: Frame[] = [];
    for (;;) {
      const length = this.#peekLength();
      if (length === undefined) return frames;
      if (length < headerBytes || length > frameBytesMax) return undefined;
      if (this.#bytes < lengthBytes + length) return frames;
      const frame = decodeFrame(this.#take(lengthBytes + length));
      if (frame === undefined) return undefined;
      frames.push(frame);
    }
  }

  #peekLength(): number | undefined {
    if (this.#bytes < lengthBytes) return undefined;
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= lengthBytes) return first.readUInt32BE(0);
    return this.#join().readUInt32BE(0);
  }

  #take(length: number): Buffer {
    const first = this.#chunks[0];
    const bytes = first !== undefined && first.length >= length ? first : this.#join();
    const rest = bytes.subarray(length);
    if (rest.length > 0) this.#chunks[0] = rest;
    else this.#chunks.shift();
    this.#bytes -= length;
    return bytes.subarray(0, length);
  }

  #join(): Buffer {
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}

function decodeFrame(bytes: Buffer): Frame | undefined {
  const kind = frameKinds[bytes.readUInt8(4)];
  const textEnd = lengthBytes + headerBytes + bytes.readUInt16BE(9);
  if (kind === undefined || textEnd > bytes.length) return undefined;
  return {
    kind,
    id: bytes.readUInt32BE(5),
    text: bytes.toString("utf8", lengthBytes + headerBytes, textEnd),
    // A copy: the chunk it lies in would otherwise live as long as one small frame of it.
    bytes: Uint8Array.from(bytes.subarray(textEnd)),
  };
}
