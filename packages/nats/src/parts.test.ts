/**
 * Goal: a channel's message of any size comes whole or not at all, and what is begun is bounded whatever is sent.
 * Method: frames made and pushed by hand: lost, mixed, hostile; time by hand.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Assembly, failureFrame, framesOf, nobodyFrame } from "./parts.ts";

const payloadBytesMax = 16_384 + 1_024;
const near = Buffer.from("near....");
const far = Buffer.from("far.....");

function framesFor(bytes: Uint8Array, sender: Uint8Array, message: number): Uint8Array[] {
  return [...framesOf(bytes, payloadBytesMax, sender, message)];
}

function numbered(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => index % 251);
}

/** What of the frames came whole. */
function pushAll(assembly: Assembly, frames: readonly Uint8Array[]): Uint8Array[] {
  return frames.flatMap((frame) => {
    const arrival = assembly.push(frame);
    return arrival.kind === "whole" ? [arrival.bytes] : [];
  });
}

test("a message of any size comes whole, once, and nothing of it is kept", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000 }), (size) => {
      const assembly = new Assembly(() => 0);
      const bytes = numbered(size);
      const whole = pushAll(assembly, framesFor(bytes, near, 1));
      expect(whole).toHaveLength(1);
      expect(Buffer.compare(whole[0] ?? Buffer.of(1), bytes)).toBe(0);
      expect(assembly.bytes).toBe(0);
    }),
  );
});

test("a message of which any part is lost does not come, and the next one does", () => {
  const frames = framesFor(numbered(5_000), near, 1);
  for (let lost = 0; lost < frames.length; lost += 1) {
    const assembly = new Assembly(() => 0);
    expect(pushAll(assembly, frames.toSpliced(lost, 1))).toEqual([]);
    expect(pushAll(assembly, framesFor(numbered(3_000), near, 2))).toHaveLength(1);
    expect(assembly.bytes).toBe(0);
  }
});

test("parts of two senders that come in turns are kept apart", () => {
  const assembly = new Assembly(() => 0);
  const [one, other] = [framesFor(numbered(5_000), near, 1), framesFor(numbered(5_000).fill(7), far, 1)];
  const mixed = one.flatMap((frame, index) => [frame, other[index] ?? frame]);
  const [first, second] = pushAll(assembly, mixed);
  expect(Buffer.compare(first ?? Buffer.of(), numbered(5_000))).toBe(0);
  expect(second?.every((byte) => byte === 7)).toBe(true);
});

test("a sender has one begun message at most, and one that is not ended in time is forgotten", () => {
  let nowMs = 0;
  const assembly = new Assembly(() => nowMs);
  const [begin = Buffer.of()] = framesFor(numbered(5_000), near, 1);
  for (let message = 0; message < 1_000; message += 1) {
    assembly.push(framesFor(numbered(5_000), near, message)[0] ?? begin);
  }
  expect(assembly.bytes).toBeLessThan(2_000);
  nowMs = 31_000;
  assembly.push(framesFor(numbered(5_000), far, 1)[0] ?? begin);
  expect(assembly.bytes).toBeLessThan(2_000);
  nowMs = 62_000;
  expect(pushAll(assembly, framesFor(numbered(1), near, 1))).toHaveLength(1);
  expect(assembly.bytes).toBe(0);
});

test("a claimed total is not believed: above the bound nothing is kept, and nothing beyond the total", () => {
  const assembly = new Assembly(() => 0);
  const [frame = Buffer.of()] = framesFor(numbered(5_000), near, 1);
  const claimed = (total: number): Uint8Array => {
    const copy = frame.slice();
    new DataView(copy.buffer).setUint32(17, total);
    return copy;
  };
  expect(pushAll(assembly, [claimed(300_000_001), claimed(10)])).toEqual([]);
  expect(assembly.bytes).toBe(0);
});

test("bytes that are no frame are nothing", () => {
  const assembly = new Assembly(() => 0);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const { kind } = assembly.push(bytes);
      expect(kind).toBe(
        new Map([
          [0, "whole"],
          [2, "failure"],
          [3, "nobody"],
        ]).get(bytes[0] ?? 9) ?? "nothing",
      );
    }),
    { examples: [[new Uint8Array()], [failureFrame()], [nobodyFrame()]] },
  );
});

test("bytes altered after they were cut do not alter the frames", () => {
  const bytes = numbered(3_000);
  const frames = framesFor(bytes, near, 1);
  bytes.fill(0);
  const [whole = Buffer.of()] = pushAll(new Assembly(() => 0), frames);
  expect(Buffer.compare(whole, numbered(3_000))).toBe(0);
});
