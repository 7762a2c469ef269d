/**
 * Goal: a wall clock that is set forwards holds up no wake-up for long.
 * Method: the owner's near timers on a clock that is moved, and set, by hand.
 */
import type { Clock } from "@dormouse/core/ports";
import type { Address } from "@dormouse/core/protocol";
import { expect, test } from "vitest";
import { Timers } from "../packages/core/src/runtime/release/timer.ts";
import { oneTurn, StandingClock } from "../packages/testing/src/standing-clock.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function failed(error: unknown): void {
  expect.unreachable(String(error));
}

test("what is due by a clock that was set forwards is woken within a minute, and what was armed since with it", async () => {
  const standing = new StandingClock(0);
  const life = standing.life();
  let aheadMs = 0;
  const clock: Clock = { ...life, now: () => standing.elapsedMs + aheadMs };
  const woken: string[] = [];
  const timers = new Timers({ clock, wake: (agent) => woken.push(agent), failed });
  timers.set("alarm/slow" as Address, hourMs);
  aheadMs = hourMs;
  timers.set("alarm/quick" as Address, clock.now() + 5_000);
  standing.moveTo(minuteMs);
  do await oneTurn();
  while (!standing.isStill);
  expect(woken).toEqual(["alarm/slow", "alarm/quick"]);
});
