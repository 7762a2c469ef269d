/** Cold activations: a host that holds no agent in memory is asked for each of many, once. */
import { counter } from "./agents.ts";
import { inFlight, inFolder, openBenchHost } from "./bench-host.ts";
import { type Figure, print, quantile } from "./figure.ts";

const agents = 20_000;

export async function measure(): Promise<Figure[]> {
  return inFolder(async (folder) => {
    const before = await openBenchHost(folder, [counter]);
    await inFlight(agents, 256, (n) => before.client.agent(counter, `${n}`).ask({ type: "add" }));
    await before.close();
    const figures: Figure[] = [];
    for (const width of [1, 64]) {
      const host = await openBenchHost(folder, [counter]);
      // What compiles on the way is not what is asked for.
      await inFlight(500, width, (n) => host.client.agent(counter, `new-${width}-${n}`).ask({ type: "add" }));
      const total = width === 1 ? 1_000 : agents;
      const begunMs = performance.now();
      const tookMs = await inFlight(total, width, (n) => host.client.agent(counter, `${n}`).ask({ type: "add" }));
      const perSecond = (total * 1_000) / (performance.now() - begunMs);
      figures.push(
        { what: `${width} in flight: cold activations, each with its ask`, value: perSecond, unit: "per second" },
        { what: `${width} in flight: p50`, value: quantile(tookMs, 0.5), unit: "ms" },
        { what: `${width} in flight: p99`, value: quantile(tookMs, 0.99), unit: "ms" },
      );
      await host.close();
    }
    return figures;
  });
}

if (import.meta.main) print(await measure());
