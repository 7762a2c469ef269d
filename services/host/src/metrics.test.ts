/** What observed events count for, what a status shows, and that `docs/metrics.md` lists exactly what there is. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { HostStatus, Observed, Partition } from "@dormouse/sdk";
import { expect, test } from "vitest";
import { Metrics } from "./metrics.ts";
import { starting } from "./starting.ts";

const partition = 0 as Partition;
const error = { name: "Error", message: "broken" };

const running: HostStatus = {
  ...starting("one"),
  isReady: true,
  partitions: { owned: 3, wanted: 4, total: 8 },
  agents: 5,
  effects: 6,
  quarantined: 7,
  shelved: 9,
};

function make(status: HostStatus = running): Metrics {
  return new Metrics({ types: ["order"], version: "1.2.3", app: "shop", status: () => status });
}

/** The lines of series, without comments and Node's own. */
async function seriesAfter(...events: readonly Observed[]): Promise<readonly string[]> {
  const metrics = make();
  for (const event of events) metrics.observe(event);
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
    { kind: "effect-ended", agent: "order/a" as never, address: "x", src: "x", isOk: false },
    'dormouse_effects_ended_total{type="order",outcome="failed"} 1',
  ],
  [{ kind: "quarantined", agent: "order/a" as never, error }, 'dormouse_quarantines_total{type="order"} 1'],
  [{ kind: "committed", n: 1, entries: 3, bytes: 120 }, "dormouse_record_bytes_total 120"],
  [{ kind: "committed", n: 1, entries: 3, bytes: 120 }, "dormouse_record_entries_total 3"],
  [{ kind: "settled", partition, cut: 1, heads: 4 }, "dormouse_settled_heads_total 4"],
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

test("what the host is now is shown", async () => {
  const lines = await seriesAfter();
  for (const line of ["ready 1", "partitions_owned 3", "partitions_wanted 4", "partitions 8", "agents 5"]) {
    expect(lines).toContain(`dormouse_${line}`);
  }
  for (const line of ["effects_running 6", "agents_quarantined 7", "messages_shelved 9"]) {
    expect(lines).toContain(`dormouse_${line}`);
  }
  const draining = make({ ...running, state: "draining", isReady: false, reason: "the host is draining" });
  expect(await draining.text()).toContain("\ndormouse_ready 0\n");
});

test("docs/metrics.md lists each metric with its type and labels, and no other", async () => {
  const page = readFileSync(resolve(import.meta.dirname, "../../../docs/metrics.md"), "utf8");
  const rows = [...page.matchAll(/^\| `(dormouse_\w+)` \| (\w+) \| ([^|]*) \|/gm)];
  const documented = rows.map(([, name, type, labels = ""]) => `${name} ${type} ${labels.trim()}`);
  const found = (await make().registry.getMetricsAsJSON())
    .filter(({ name }) => name.startsWith("dormouse_"))
    .map(({ name, type, values }) => {
      const labels = [...new Set(values.flatMap((value) => Object.keys(value.labels)))];
      return `${name} ${type} ${labels.map((label) => `\`${label}\``).join(", ")}`.trimEnd();
    });
  expect(documented.map((row) => row.trimEnd()).toSorted()).toEqual(found.toSorted());
});
