/** How fast a client is answered, with so many asks in flight. */
import type { Client } from "@dormouse/client";
import { counter } from "./agents.ts";
import { inFlight } from "./bench-host.ts";
import { quantile } from "./figure.ts";

export interface Speed<Usage> {
  readonly asks: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** What had been used when the measured asks began, and when they were answered. */
  readonly before: Usage;
  readonly after: Usage;
}

export interface SpeedOptions<Usage> {
  readonly client: Pick<Client, "agent">;
  /** Asks in flight. */
  readonly width: number;
  readonly keyOf: (n: number) => string;
  /** About how long is measured; a third more goes before it. */
  readonly seconds: number;
  readonly usage: () => Usage | Promise<Usage>;
}

/** Asks for some seconds; a quarter as many before them warm up and are not counted. */
export async function speed<Usage>(options: SpeedOptions<Usage>): Promise<Speed<Usage>> {
  const { client, width, keyOf, seconds, usage } = options;
  const ask = (n: number): Promise<number> => client.agent(counter, keyOf(n)).ask({ type: "add" });
  const probe = performance.now();
  await inFlight(width * 4, width, ask);
  const estimated = (width * 4 * 1_000) / (performance.now() - probe);
  await inFlight(Math.ceil((estimated * seconds) / 4), width, ask);
  const asks = Math.ceil(estimated * seconds);
  const before = await usage();
  const begunMs = performance.now();
  const tookMs = await inFlight(asks, width, ask);
  const perSecond = (asks * 1_000) / (performance.now() - begunMs);
  return { asks, perSecond, p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99), before, after: await usage() };
}

/** Processor time of all threads of this process, in microseconds. */
export function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
