/** Waiting until a server that was begun answers, ends, or takes too long. */
import { setTimeout as sleep } from "node:timers/promises";
import { DormouseError } from "@dormouse/core";
import type { Runner } from "./runner.ts";

const betweenMs = 50;

export interface UntilOptions {
  /** For people: what is waited for. */
  readonly what: string;
  readonly runner: Runner;
  readonly msMax: number;
}

/** Asks again until the answer is true; one that throws counts as not yet. */
export async function until(isReady: () => Promise<boolean>, { what, runner, msMax }: UntilOptions): Promise<void> {
  const endMs = performance.now() + msMax;
  for (;;) {
    const asked = await Promise.race([isReady().catch(() => false), sleep(endMs - performance.now(), false)]);
    if (asked) return;
    const isLate = performance.now() >= endMs;
    if (isLate || !runner.isRunning) {
      throw new DormouseError(
        "unavailable",
        "servers.not-started",
        `${what} ${isLate ? `was not ready within ${msMax} ms` : "ended"}; what it printed last: ${runner.output.trim()}`,
      );
    }
    await sleep(betweenMs);
  }
}
