/** Goal: no host ever writes what one that lives cannot read (G1 to G3). Method: what it sees at each look, as tables. */
import { expect, test } from "vitest";
import { HostFormats, type OtherHost } from "./host-formats.ts";

const waitMs = 100;
let now = 0;

/** A host of release 3, which also writes what release 2 reads. */
function host(): HostFormats {
  return new HostFormats({ clock: { monotonic: () => now }, waitMs, oldest: 2, newest: 3 });
}

function other(reads: number, writes: number): OtherHost {
  return { incarnation: "other", facts: { name: "b", reads, writes } };
}

const [before, same] = [other(2, 2), other(3, 2)];

test("a host writes what the release before it reads while one of those lives, and tells so", () => {
  const formats = host();
  for (let looks = 0; looks < 3; looks += 1, now += waitMs) {
    expect(formats.look([before, same])).toBe(false);
    expect([formats.told, formats.writes]).toEqual([2, 2]);
  }
});

test.for([
  ["alone", []],
  ["beside others of its release", [same, other(3, 3)]],
  ["beside one of the next release", [other(4, 3)]],
] as const)("a host %s tells first, and writes its newest a round later", ([, others]) => {
  const formats = host();
  expect(formats.look(others)).toBe(true);
  expect([formats.told, formats.writes]).toEqual([3, 2]);
  // However long it takes until others can see it.
  now += waitMs;
  expect(formats.look(others)).toBe(false);
  formats.announced();
  now += waitMs - 1;
  expect(formats.look(others)).toBe(false);
  expect(formats.writes).toBe(2);
  now += 1;
  expect(formats.look(others)).toBe(false);
  expect(formats.writes).toBe(3);
});

test("what was told is taken back when a host of the release before comes in time", () => {
  const formats = host();
  formats.look([]);
  formats.announced();
  now += waitMs;
  expect(formats.look([before])).toBe(true);
  expect([formats.told, formats.writes]).toEqual([2, 2]);
  expect(formats.look([])).toBe(true);
  expect(formats.writes).toBe(2);
});

test("what is written is never lowered, whoever comes", () => {
  const formats = host();
  formats.look([]);
  formats.announced();
  now += waitMs;
  formats.look([]);
  expect(formats.look([before])).toBe(false);
  expect([formats.told, formats.writes]).toEqual([3, 3]);
});

test("beside a host that writes what it cannot read, a host neither begins nor lives", () => {
  const refused = expect.objectContaining({ kind: "invalid", code: "host.too-old" });
  expect(() => host().check([same, other(4, 4)])).toThrow(refused);
  expect(() => host().look([same, other(4, 4)])).toThrow(refused);
});

test("beside a host that cannot read what it writes, a host does not begin", () => {
  const refused = expect.objectContaining({ kind: "invalid", code: "host.too-new" });
  expect(() => host().check([same, other(1, 1)])).toThrow(refused);
});
