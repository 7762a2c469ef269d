/**
 * A channel's message as frames that a server takes, and whole again.
 *
 * A frame is a byte that says what it is, then its bytes. A message above a frame goes as parts, each behind a head:
 * sender (8 bytes), message, index, total bytes (4 each, big-endian).
 *
 * P1  One connection's frames on a subject arrive in order and each at most once, and a sender gives the parts of one
 *     message to a subject without another in between. So one begun message a sender is all there is to remember, and a
 *     part that does not follow the one before ends it: the channel may lose.
 * P2  What is remembered is bounded: one message of at most `messageBytesMax` a sender, `begunBytesMax` of all, and with
 *     each frame what had no part for `begunMsMax` goes. Bytes are held as they came: a total that is only claimed costs nothing.
 */

/** The largest message of a channel, in bytes. */
export const messageBytesMax = 300_000_000;
const begunBytesMax = 600_000_000;
const begunMsMax = 30_000;
/** What of a server's `max_payload` a frame leaves alone. */
const frameRoomBytes = 16_384;
const headBytes = 20;

const whole = 0;
const part = 1;
const failure = 2;
const nobody = 3;

/** What a frame, or the last of several, brought. */
export type Arrival =
  | { readonly kind: "whole"; readonly bytes: Uint8Array }
  | { readonly kind: "failure" }
  | { readonly kind: "nobody" }
  /** A part of what is not whole yet, or nothing that can be read. */
  | { readonly kind: "nothing" };

const nothing: Arrival = { kind: "nothing" };

/** The frames of a message, in order; they share no bytes with it. */
export function* framesOf(
  bytes: Uint8Array,
  payloadBytesMax: number,
  sender: Uint8Array,
  message: number,
): Generator<Uint8Array> {
  const frameBytes = Math.max(payloadBytesMax - frameRoomBytes, 1_024);
  if (bytes.length <= frameBytes) {
    const frame = new Uint8Array(bytes.length + 1);
    frame[0] = whole;
    frame.set(bytes, 1);
    yield frame;
    return;
  }
  for (let start = 0, index = 0; start < bytes.length; start += frameBytes, index += 1) {
    const piece = bytes.subarray(start, start + frameBytes);
    const frame = new Uint8Array(1 + headBytes + piece.length);
    const view = new DataView(frame.buffer);
    frame[0] = part;
    frame.set(sender.subarray(0, 8), 1);
    view.setUint32(9, message % 2 ** 32);
    view.setUint32(13, index);
    view.setUint32(17, bytes.length);
    frame.set(piece, 1 + headBytes);
    yield frame;
  }
}

/** The answer of one who could not answer. */
export function failureFrame(): Uint8Array {
  return Uint8Array.of(failure);
}

/** The answer of one who serves the subject no more. */
export function nobodyFrame(): Uint8Array {
  return Uint8Array.of(nobody);
}

interface Begun {
  readonly message: number;
  readonly total: number;
  readonly pieces: Uint8Array[];
  bytes: number;
  lastMs: number;
}

/** Begun messages, of one subject. */
export class Assembly {
  readonly #begun = new Map<string, Begun>();
  readonly #nowMs: () => number;
  #bytes = 0;

  /** @param nowMs - Monotonic milliseconds. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Bytes that are held for messages that are not whole. */
  get bytes(): number {
    return this.#bytes;
  }

  push(frame: Uint8Array): Arrival {
    this.#forgetOld();
    if (frame[0] === whole) return { kind: "whole", bytes: frame.subarray(1) };
    if (frame[0] === failure) return { kind: "failure" };
    if (frame[0] === nobody) return { kind: "nobody" };
    return frame[0] === part && frame.length > 1 + headBytes ? this.#pushPart(frame) : nothing;
  }

  #pushPart(frame: Uint8Array): Arrival {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const sender = Buffer.from(frame.subarray(1, 9)).toString("latin1");
    const [message, index, total] = [view.getUint32(9), view.getUint32(13), view.getUint32(17)];
    const piece = frame.subarray(1 + headBytes);
    let begun = this.#begun.get(sender);
    if (index === 0) {
      this.#forget(sender);
      begun = { message, total, pieces: [], bytes: 0, lastMs: 0 };
      this.#begun.set(sender, begun);
    }
    if (begun === undefined) return nothing;
    const isNext = begun.message === message && begun.total === total && begun.pieces.length === index;
    const fits = total <= messageBytesMax && begun.bytes + piece.length <= total;
    if (!isNext || !fits || this.#bytes + piece.length > begunBytesMax) {
      this.#forget(sender);
      return nothing;
    }
    begun.pieces.push(piece);
    begun.bytes += piece.length;
    begun.lastMs = this.#nowMs();
    this.#bytes += piece.length;
    if (begun.bytes < total) return nothing;
    this.#forget(sender);
    return { kind: "whole", bytes: Buffer.concat(begun.pieces) };
  }

  #forget(sender: string): void {
    const begun = this.#begun.get(sender);
    if (begun === undefined) return;
    this.#bytes -= begun.bytes;
    this.#begun.delete(sender);
  }

  #forgetOld(): void {
    if (this.#begun.size === 0) return;
    const nowMs = this.#nowMs();
    for (const [sender, { lastMs }] of this.#begun) {
      if (nowMs - lastMs > begunMsMax) this.#forget(sender);
    }
  }
}
