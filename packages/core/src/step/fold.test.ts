/** Goal: what a partition remembers of its senders is bounded, and so is the work to keep it so. Method: entries, counted. */
import { expect, test } from "vitest";
import { stintsMax, stintSilenceMsMax } from "../agent/limits.ts";
import { emptyPartitionState, type PartitionState, type SourceState } from "../format/partition.ts";
import type { Entry } from "../format/record.ts";
import { fold } from "./fold.ts";

const opening = (stint: string, place: number, at: number): Entry => ({ kind: "open", stint, place, at });

function message(stint: string, n: number, at: number): Entry {
  const origin = { source: `stint:${stint}`, n, closed: n - 1, at };
  return { kind: "pass", agent: "counter/a" as never, at, origin, why: "test", sends: [], answers: [] };
}

function open(state: PartitionState, count: number, at: (n: number) => number): void {
  for (let n = 0; n < count; n += 1) fold(state, opening(`s${n}`, n + 1, at(n)));
}

test("stints that were silent for an hour are forgotten, but for the thousand newest", () => {
  const state = emptyPartitionState();
  open(state, stintsMax + 500, (n) => n);
  // Heard of again: not among the silent ones.
  fold(state, message("s3", 1, stintSilenceMsMax));
  fold(state, opening("newest", 9_999, 2 * stintSilenceMsMax));
  expect(state.sources.size).toBe(stintsMax + 1);
  expect(state.sources.has("stint:s3")).toBe(true);
  expect(state.sources.has("stint:s500")).toBe(false);
  expect(state.sources.has("stint:s501")).toBe(true);
  expect(state.forgottenPlace).toBe(501);
});

test("however many stints there are, none that was heard of within the hour is forgotten", () => {
  const state = emptyPartitionState();
  open(state, 5 * stintsMax, (n) => n);
  fold(state, opening("newest", 9_999, stintSilenceMsMax - 1));
  expect(state.sources.size).toBe(5 * stintsMax + 1);
  expect(state.forgottenPlace).toBe(0);
});

test("the work of an opening does not grow with the stints that are remembered", () => {
  let visited = 0;
  class CountedMap extends Map<string, SourceState> {
    override *entries(): MapIterator<[string, SourceState]> {
      for (const entry of super.entries()) {
        visited += 1;
        yield entry;
      }
    }
    override [Symbol.iterator](): MapIterator<[string, SourceState]> {
      return this.entries();
    }
  }
  const state = { ...emptyPartitionState(), sources: new CountedMap() };
  const count = 10 * stintsMax;
  // At a steady rate: of the last half of them each finds one that was silent for an hour.
  open(state, count, (n) => (n * 2 * stintSilenceMsMax) / count);
  expect(state.sources.size).toBeLessThan(0.6 * count);
  expect(visited).toBeLessThan(10 * count);
});
