/** Goal: each number of a source is taken once, and none is closed while it waits (D4). Method: short stories. */
import { expect, test } from "vitest";
import { decide, emptySource, InOrder, type NumberedSource, sourceKey } from "./dedup.ts";
import { emptyPartitionState, type PartitionState } from "../format/partition.ts";

const stint = (floor: number): NumberedSource => ({ kind: "stint", id: "s", floor, place: 1 });
const key = sourceKey(stint(1));

test("a number is taken once; again it is pending until it is decided, then a repeat", () => {
  const state = emptyPartitionState();
  const inOrder = new InOrder(state);
  expect(inOrder.admit(stint(1), 1)).toBe("take");
  expect(inOrder.admit(stint(1), 1)).toBe("pending");
  const source = emptySource(1, 0);
  decide(source, 1, inOrder.closed(key, 1));
  state.sources.set(key, source);
  inOrder.decided(key, 1);
  expect(inOrder.admit(stint(1), 1)).toBe("repeat");
});

test("a number above one that is still to come is early", () => {
  const inOrder = new InOrder(emptyPartitionState());
  expect(inOrder.admit(stint(1), 2)).toBe("early");
  expect(inOrder.admit(stint(1), 1)).toBe("take");
  expect(inOrder.admit(stint(1), 2)).toBe("take");
});

test("all is closed below the lowest number that still waits for its agent", () => {
  const inOrder = new InOrder(emptyPartitionState());
  for (const n of [1, 2, 3, 7]) expect(inOrder.admit(stint(n), n)).toBe("take");
  expect(inOrder.closed(key, 3)).toBe(0);
  inOrder.decided(key, 3);
  expect(inOrder.closed(key, 1)).toBe(1);
  inOrder.decided(key, 1);
  expect(inOrder.closed(key, 2)).toBe(6);
  inOrder.decided(key, 2);
  expect(inOrder.closed(key, 7)).toBe(7);
});

test("a late copy of what its sender gave up is closed, and a repeat once the state says so", () => {
  const state = emptyPartitionState();
  const inOrder = new InOrder(state);
  expect(inOrder.admit(stint(6), 6)).toBe("take");
  expect(inOrder.admit(stint(5), 5)).toBe("closed");
  expect(inOrder.admit(stint(5), 6)).toBe("pending");
  decideNow(state, inOrder, stint(6), 6);
  expect(inOrder.admit(stint(5), 5)).toBe("repeat");
});

test("what the floor of one message closed, the next that is decided closes for good, whatever its own floor", () => {
  const state = emptyPartitionState();
  const before = new InOrder(state);
  expect(before.admit(stint(3), 6)).toBe("early");
  expect(before.admit(stint(1), 3)).toBe("take");
  decideNow(state, before, stint(1), 3);
  const after = new InOrder(state);
  expect(after.admit(stint(1), 2)).toBe("repeat");
  expect(after.admit(stint(1), 4)).toBe("take");
});

/** As the partition does it: folded into the state, then told. */
function decideNow(state: PartitionState, inOrder: InOrder, source: NumberedSource, n: number): void {
  const known = state.sources.get(sourceKey(source)) ?? emptySource(1, 0);
  decide(known, n, inOrder.closed(sourceKey(source), n));
  state.sources.set(sourceKey(source), known);
  inOrder.decided(sourceKey(source), n);
}

test("of stints whose messages are all decided nothing is kept beside the state", () => {
  const state = emptyPartitionState();
  const inOrder = new InOrder(state);
  for (let count = 0; count < 100; count += 1) {
    for (const n of [1, 2, 3]) {
      const source: NumberedSource = { kind: "stint", id: `s${count}`, floor: n, place: 1 };
      expect(inOrder.admit(source, n)).toBe("take");
      decideNow(state, inOrder, source, n);
      expect(inOrder.admit(source, n)).toBe("repeat");
    }
  }
  expect(inOrder.size).toBe(0);
});

test("what a floor closed stays closed when all that waited is decided, though the watermark is still below it", () => {
  const state = emptyPartitionState();
  const inOrder = new InOrder(state);
  expect(inOrder.admit(stint(1), 1)).toBe("take");
  expect(inOrder.admit(stint(4), 4)).toBe("take");
  decideNow(state, inOrder, stint(4), 4);
  decideNow(state, inOrder, stint(1), 1);
  expect(inOrder.admit(stint(2), 2)).toBe("repeat");
  expect(inOrder.admit(stint(5), 5)).toBe("take");
  decideNow(state, inOrder, stint(5), 5);
  expect(inOrder.size).toBe(0);
});

test("a stint that was forgotten is late, one that began after it is not", () => {
  const state = emptyPartitionState();
  state.forgottenPlace = 5;
  const inOrder = new InOrder(state);
  expect(inOrder.admit(stint(1), 1)).toBe("late");
  expect(inOrder.admit({ kind: "stint", id: "t", floor: 1, place: 6 }, 1)).toBe("take");
});
