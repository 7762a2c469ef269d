/** What is done to bytes before a decoder gets them: damage of a disk or a wire, and what a stranger would write. */
import type { Random } from "@dormouse/testing";

/** One to four edits, or a splice with another file. */
export function mutate(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  let mutated = bytes;
  for (let edits = random.between(1, 4); edits > 0; edits -= 1) {
    mutated = random.pick(edit)(random, mutated, others);
  }
  return mutated;
}

type Edit = (random: Random, bytes: Uint8Array, others: readonly Uint8Array[]) => Uint8Array;

const edit: readonly Edit[] = [
  flipBit,
  flipBit,
  setByte,
  setByte,
  truncate,
  (random, bytes) => put(bytes, random.int(bytes.length + 1), 0, random.bytes(random.between(1, 8))),
  (random, bytes) => put(bytes, random.int(bytes.length + 1), random.between(1, 8), new Uint8Array(0)),
  blowUpLength,
  blowUpLength,
  repeatPart,
  splice,
  (random, bytes) => put(bytes, random.int(bytes.length + 1), random.between(0, 8), strangeValue(random)),
  (random, bytes) => put(bytes, random.int(bytes.length + 1), random.between(0, 8), strangeValue(random)),
];

/** The bytes with `dropped` of them from `at` on replaced. */
function put(bytes: Uint8Array, at: number, dropped: number, inserted: Uint8Array): Uint8Array {
  const kept = bytes.subarray(at + dropped);
  const result = new Uint8Array(at + inserted.length + kept.length);
  result.set(bytes.subarray(0, at));
  result.set(inserted, at);
  result.set(kept, at + inserted.length);
  return result;
}

function flipBit(random: Random, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return bytes;
  const flipped = bytes.slice();
  const at = random.int(bytes.length);
  flipped[at] = (bytes[at] ?? 0) ^ (1 << random.int(8));
  return flipped;
}

/** Bytes that mean something to a decoder: ends of ranges, and tokens of msgpack. */
const telling: readonly number[] = [
  [0, 1, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb],
  [0xcf, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff, 0x40, 0x72],
].flat();

function setByte(random: Random, bytes: Uint8Array): Uint8Array {
  const byte = random.chance(0.7) ? random.pick(telling) : random.int(256);
  return bytes.length === 0 ? bytes : put(bytes, random.int(bytes.length), 1, Uint8Array.of(byte));
}

function truncate(random: Random, bytes: Uint8Array): Uint8Array {
  return bytes.slice(0, random.int(bytes.length + 1));
}

/** A length of four, two or one byte that no memory, or not these bytes, can hold. */
function blowUpLength(random: Random, bytes: Uint8Array): Uint8Array {
  const huge = random.pick([
    [0xff, 0xff, 0xff, 0xff],
    [0x7f, 0xff, 0xff, 0xff],
    [0x02, 0, 0, 0],
    [0, 0x40, 0, 0],
    [0xff, 0xff],
    [0xff],
  ]);
  const token = random.chance(0.5) ? [random.pick([0xc6, 0xc9, 0xdb, 0xdd, 0xdf])] : [];
  const inserted = Uint8Array.from([...token, ...huge]);
  return put(bytes, random.int(bytes.length + 1), inserted.length, inserted);
}

function repeatPart(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.int(bytes.length + 1);
  const part = bytes.subarray(at, at + random.between(1, 64));
  const times = random.between(1, 40);
  return put(bytes, at, 0, Uint8Array.from(Array.from({ length: times }, () => [...part]).flat()));
}

function splice(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const other = random.pick(others);
  const start = bytes.subarray(0, random.int(bytes.length + 1));
  return put(start, start.length, 0, other.subarray(random.int(other.length + 1)));
}

// --- msgpack that nobody wrote ---------------------------------------------------------------------------------------

/** One value by msgpack's grammar, in ways that `encodeValue` never writes it. */
export function strangeValue(random: Random, depth: number = 0): Uint8Array {
  const leaf = depth >= 5 || random.chance(0.35);
  const part = (): number[] => [...strangeValue(random, depth + 1)];
  const parts = (countMax: number): number[][] => Array.from({ length: random.int(countMax + 1) }, part);
  const shapes: readonly (() => number[])[] = leaf
    ? leaves(random)
    : [
        () => listed(0x90, parts(4)),
        () => listed(0x80, evenly(parts(6))),
        // Records: defined, of one byte or two, and used.
        () => [0xd4, 0x72, 0x40 + random.int(64), ...listed(0x90, keys(random)), ...parts(4).flat()],
        () => [0xd5, 0x72, 0x40 + random.int(64), random.int(4), ...listed(0x90, keys(random)), ...parts(4).flat()],
        () => [0x40 + random.int(64), ...parts(3).flat()],
        // What is met twice: named, and named again.
        () => [0xd6, 0x69, 0, 0, 0, random.int(3), ...part()],
        () => listed(0x90, [[0xd6, 0x69, 0, 0, 0, 1, ...part()], [0xd6, 0x70, 0, 0, 0, 1], ...parts(2)]),
        // Every extension there is, around a value.
        () => [0xd4, random.pick(extensions), 0, ...part()],
        () => [0xc7, random.int(12), random.pick(extensions), ...part()],
        () => bundle(random, parts(3)),
        // As deep as a stack.
        () => [...Array.from({ length: random.skewed(1, 20_000) }, () => 0x91), ...part()],
      ];
  return Uint8Array.from(random.pick(shapes)());
}

const extensions: readonly number[] = [
  0, 0x42, 0x51, 0x52, 0x53, 0x54, 0x55, 0x62, 0x65, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78, 0xff, 0x33,
];

function leaves(random: Random): readonly (() => number[])[] {
  const raw = (count: number): number[] => [...random.bytes(count)];
  return [
    () => [random.int(0x80)],
    () => [0xc0 + random.int(4)],
    () => text(random.pick(["", "a", "type", "__proto__", "__keys__", "constructor", "length", "then", "toJSON"])),
    () => [0xca, ...raw(4)],
    () => [0xcb, ...raw(8)],
    () => [0xcf, ...raw(8)],
    () => [0xd6, 0xff, ...raw(4)],
    () => [0xc7, random.int(16), random.pick(extensions), ...raw(random.int(16))],
    () => [0xd6, 0x70, 0, 0, 0, random.int(3)],
    () => [random.pick([0xc6, 0xc9, 0xdb, 0xdd, 0xdf]), ...raw(4)],
    () => [0xc4, 4, ...raw(4)],
    () => text("\ufeffmark"),
    () => [0xa3, 0xed, 0xa0, 0x80],
    () => [0xe0 + random.int(32)],
  ];
}

function listed(token: number, parts: readonly number[][]): number[] {
  return [token + parts.length, ...parts.flat()];
}

function evenly(parts: number[][]): number[][] {
  return parts.slice(0, parts.length & ~1);
}

function evenText(words: readonly string[]): number[][] {
  return words.map(text);
}

function keys(random: Random): number[][] {
  return evenText(Array.from({ length: random.int(4) }, () => random.pick(["a", "b", "type", "__proto__", "0", ""])));
}

function text(value: string): number[] {
  const bytes = [...new TextEncoder().encode(value)];
  return [0xa0 + bytes.length, ...bytes];
}

/** msgpackr's texts that lie behind the value; several of them may be the same bytes. */
function bundle(random: Random, values: readonly number[][]): number[] {
  const body = listed(0x90, [...values, [0xc1, random.between(1, 6)], [0xc1, 0xe0 + random.int(32)]]);
  const size = body.length + 4;
  return [0xd6, 0x62, 0, 0, size >> 8, size & 0xff, ...body, ...text("first"), ...text("second")];
}
