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
  const stop = new AbortController();
  const late = sleep(msMax, "late" as const, { signal: stop.signal });
  late.catch(() => undefined);
  const soon = (): Promise<"soon"> => sleep(betweenMs, "soon", { signal: stop.signal });
  try {
    for (;;) {
      const asked = await Promise.race([isReady().catch(() => false), late]);
      if (asked === true) return;
      const isLate = asked === "late" || (await Promise.race([soon(), late])) === "late";
      if (isLate || !runner.isRunning)
        throw notStarted(what, isLate ? `was not ready within ${msMax} ms` : "ended", runner);
    }
  } finally {
    stop.abort();
  }
}

function notStarted(what: string, why: string, { output }: Runner): DormouseError {
  const text = `${what} ${why}; what it printed last: ${output.trim()}`;
  return new DormouseError("unavailable", "servers.not-started", text);
}
