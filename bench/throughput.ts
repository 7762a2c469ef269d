/** Embedded asks per second, and how long one takes: so many in flight over 1,000 keys, and on one hot key. */
import { counter } from "./agents.ts";
import { type BenchHost, inFlight, inFolder, openBenchHost } from "./bench-host.ts";
import { atLeast, atMost, type Figure, print } from "./figure.ts";
import { cpuMicros, speed, type Speed } from "./speed.ts";

const keys = 1_000;
const seconds = 4;

interface Goals {
  readonly perSecondMin?: number;
  readonly p50MsMax?: number;
}

function measureAsks({ client }: BenchHost, width: number, keyOf: (n: number) => string): Promise<Speed<number>> {
  return speed({ client, width, keyOf, seconds, usage: cpuMicros });
}

function figuresOf(what: string, measured: Speed<number>, { perSecondMin, p50MsMax }: Goals = {}): Figure[] {
  const asks = { what: `${what}: asks`, value: measured.perSecond, unit: "per second" };
  const p50 = { what: `${what}: p50`, value: measured.p50Ms, unit: "ms" };
  return [
    perSecondMin === undefined ? asks : atLeast(perSecondMin, asks),
    p50MsMax === undefined ? p50 : atMost(p50MsMax, p50),
    { what: `${what}: p99`, value: measured.p99Ms, unit: "ms" },
    {
      what: `${what}: processor time of an ask`,
      value: (measured.after - measured.before) / measured.asks,
      unit: "µs",
    },
  ];
}

const goals: Readonly<Record<number, Goals>> = { 1: { p50MsMax: 2 }, 256: { perSecondMin: 20_000 } };

export async function measure(): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const host = await openBenchHost(folder, [counter]);
    await inFlight(keys, 64, (n) => host.client.agent(counter, `${n}`).ask({ type: "add" }));
    const figures: Figure[] = [];
    for (const width of [1, 16, 64, 256]) {
      const measured = await measureAsks(host, width, (n) => `${n % keys}`);
      figures.push(...figuresOf(`${width} in flight over 1,000 keys`, measured, goals[width]));
    }
    figures.push(...figuresOf("64 in flight on one key", await measureAsks(host, 64, () => "hot")));
    await host.close();
    const production = await openBenchHost(folder, [counter], { freezeContexts: false });
    const measured = await measureAsks(production, 256, (n) => `${n % keys}`);
    figures.push(...figuresOf("256 in flight over 1,000 keys, freezeContexts off", measured));
    await production.close();
    return figures;
  });
}

if (import.meta.main) print(await measure());
