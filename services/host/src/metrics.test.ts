/** What observed events count for, what a status shows, and that `docs/metrics.md` lists exactly what there is. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Observed, Partition } from "@dormouse/sdk";
import { expect, test } from "vitest";
import { Metrics } from "./metrics.ts";
import { WatchedStatus } from "./status.ts";

const partition = 0 as Partition;
const error = { name: "Error", message: "broken" };

function make(): { metrics: Metrics; status: WatchedStatus } {
  const status = new WatchedStatus();
  const metrics = new Metrics({ types: ["order"], version: "1.2.3", app: "shop", status: () => status.status() });
  return { metrics, status };
}

/** The lines of series, without comments and Node's own. */
async function seriesAfter(...events: readonly Observed[]): Promise<readonly string[]> {
  const { metrics, status } = make();
  for (const event of events) {
    metrics.observe(event);
    status.observe(event);
  }
  return (await metrics.text()).split("\n").filter((line) => line.startsWith("dormouse_"));
}

test("series of the host's types are there before anything happens", async () => {
  const lines = await seriesAfter();
  expect(lines).toContain('dormouse_steps_total{type="order",outcome="ok"} 0');
  expect(lines).toContain('dormouse_steps_total{type="order",outcome="failed"} 0');
  expect(lines).toContain('dormouse_host_info{version="1.2.3",app="shop"} 1');
});

test.for([
  [
    { kind: "stepped", agent: "order/a" as never, seq: 1, error: undefined },
    'dormouse_steps_total{type="order",outcome="ok"} 1',
  ],
  [
    { kind: "stepped", agent: "order/a" as never, seq: 1, error },
    'dormouse_steps_total{type="order",outcome="failed"} 1',
  ],
  [
    { kind: "refused", agent: "order/a" as never, id: "1", isAsked: true, error },
    'dormouse_messages_refused_total{type="order"} 1',
  ],
  [
    { kind: "effect-ended", agent: "order/a" as never, address: "x", isOk: false },
    'dormouse_effects_ended_total{type="order",outcome="failed"} 1',
  ],
  [{ kind: "quarantined", agent: "order/a" as never, error }, 'dormouse_quarantines_total{type="order"} 1'],
  [{ kind: "committed", n: 1, entries: 3, bytes: 120 }, "dormouse_record_bytes_total 120"],
  [{ kind: "committed", n: 1, entries: 3, bytes: 120 }, "dormouse_record_entries_total 3"],
  [{ kind: "settled", partition, cut: 1, heads: 4 }, "dormouse_settled_heads_total 4"],
  [{ kind: "claimed", partition, epoch: 1, records: 0 }, "dormouse_partitions_owned 1"],
  [{ kind: "warned", about: "store", text: "slow" }, "dormouse_warnings_total 1"],
] as const satisfies readonly (readonly [Observed, string])[])("%o shows as %s", async ([event, line]) => {
  expect(await seriesAfter(event)).toContain(line);
});

test("agents never become labels: keys are left out, and types that the host does not run are one", async () => {
  const agents = ["order/ada", "order/eve", "ghost/1", "phantom/2"] as unknown as readonly never[];
  const lines = await seriesAfter(
    ...agents.map((agent): Observed => ({ kind: "refused", agent, id: "1", isAsked: false, error })),
  );
  expect(lines.filter((line) => line.startsWith("dormouse_messages_refused_total"))).toEqual([
    'dormouse_messages_refused_total{type="order"} 2',
    'dormouse_messages_refused_total{type="other"} 2',
  ]);
});

test("a host is ready from its start until it is told to drain", async () => {
  const { metrics, status } = make();
  const isReady = async (): Promise<boolean> => (await metrics.text()).includes("\ndormouse_ready 1\n");
  expect(await isReady()).toBe(false);
  expect(status.status()).toMatchObject({ state: "starting", reason: "the host is starting" });
  status.started("01");
  expect(await isReady()).toBe(true);
  status.draining();
  expect(await isReady()).toBe(false);
  expect(status.status()).toMatchObject({ state: "draining", incarnation: "01" });
});

test("a host that was told to drain while it started is never ready", () => {
  const { status } = make();
  status.draining();
  status.started("01");
  expect(status.status().isReady).toBe(false);
});

test("docs/metrics.md lists each metric with its type and labels, and no other", async () => {
  const page = readFileSync(resolve(import.meta.dirname, "../../../docs/metrics.md"), "utf8");
  const rows = [...page.matchAll(/^\| `(dormouse_\w+)` \| (\w+) \| ([^|]*) \|/gm)];
  const documented = rows.map(([, name, type, labels = ""]) => `${name} ${type} ${labels.trim()}`);
  const found = (await make().metrics.registry.getMetricsAsJSON())
    .filter(({ name }) => name.startsWith("dormouse_"))
    .map(({ name, type, values }) => {
      const labels = [...new Set(values.flatMap((value) => Object.keys(value.labels)))];
      return `${name} ${type} ${labels.map((label) => `\`${label}\``).join(", ")}`.trimEnd();
    });
  expect(documented.map((row) => row.trimEnd()).toSorted()).toEqual(found.toSorted());
});
