/**
 * What a host is measured by, as Prometheus reads it: `docs/metrics.md` lists each.
 *
 * Owns: its registry, and what each observed event counts for.
 *
 * M1  Labels are bounded: agent types that this host runs (`other` stands for any more), outcomes; never a key.
 * M2  A series exists from the start, at 0, so that the first event already shows in a rate.
 */
import type { HostStatus, Observed } from "@dormouse/sdk";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";

export interface MetricsOptions {
  readonly types: readonly string[];
  readonly version: string;
  readonly app: string;
  readonly status: () => HostStatus;
}

const outcomes = ["ok", "failed"] as const;

export class Metrics {
  readonly registry: Registry = new Registry();
  readonly #types: ReadonlySet<string>;
  readonly #steps: Counter<"type" | "outcome">;
  readonly #refused: Counter<"type">;
  readonly #actionsFailed: Counter<"type">;
  readonly #effectsStarted: Counter<"type">;
  readonly #effectsEnded: Counter<"type" | "outcome">;
  readonly #quarantined: Counter<"type">;
  readonly #activations: Counter;
  readonly #passivations: Counter;
  readonly #records: Counter;
  readonly #entries: Counter;
  readonly #bytes: Counter;
  readonly #releases: Counter;
  readonly #settles: Counter;
  readonly #heads: Counter;
  readonly #claims: Counter;
  readonly #regressions: Counter;
  readonly #skipped: Counter;
  readonly #warnings: Counter;

  constructor({ types, version, app, status }: MetricsOptions) {
    this.#types = new Set(types);
    this.#steps = this.#ofTypesAndOutcomes("dormouse_steps_total", "Steps that are durable");
    this.#refused = this.#ofTypes("dormouse_messages_refused_total", "Messages that changed nothing");
    this.#actionsFailed = this.#ofTypes("dormouse_actions_failed_total", "Actions of machines that threw");
    this.#effectsStarted = this.#ofTypes("dormouse_effects_started_total", "Attempts at effects that began");
    this.#effectsEnded = this.#ofTypesAndOutcomes("dormouse_effects_ended_total", "Attempts at effects that ended");
    this.#quarantined = this.#ofTypes("dormouse_quarantines_total", "Agents that were set aside here");
    this.#activations = this.#counter("dormouse_activations_total", "Agents read into memory again");
    this.#passivations = this.#counter("dormouse_passivations_total", "Agents that left memory");
    this.#records = this.#counter("dormouse_records_total", "Journal records written");
    this.#entries = this.#counter("dormouse_record_entries_total", "Entries in them");
    this.#bytes = this.#counter("dormouse_record_bytes_total", "Bytes of them");
    this.#releases = this.#counter("dormouse_releases_total", "Steps whose ways out were released");
    this.#settles = this.#counter("dormouse_settles_total", "Times that a partition was settled");
    this.#heads = this.#counter("dormouse_settled_heads_total", "Agents whose head a settle wrote");
    this.#claims = this.#counter("dormouse_claims_total", "Partitions claimed");
    this.#regressions = this.#counter("dormouse_regressions_total", "Times that a mailbox went back");
    this.#skipped = this.#counter("dormouse_skips_total", "Messages, wake-ups and partitions that were skipped");
    this.#warnings = this.#counter("dormouse_warnings_total", "Warnings of the host");
    this.#gauge("dormouse_ready", "1 if the host is ready, else 0", () => (status().isReady ? 1 : 0));
    this.#gauge("dormouse_partitions_owned", "Partitions that this host owns", () => status().partitions.owned);
    this.#gauge("dormouse_partitions_wanted", "Partitions it should own", () => status().partitions.wanted);
    this.#gauge("dormouse_partitions", "Partitions of the app", () => status().partitions.total);
    this.#gauge("dormouse_agents", "Agents in memory", () => status().agents);
    this.#gauge("dormouse_effects_running", "Effects that run now", () => status().effects);
    this.#gauge("dormouse_agents_quarantined", "Agents set aside", () => status().quarantined);
    this.#gauge("dormouse_messages_shelved", "Messages kept for agents that cannot step", () => status().shelved);
    const labelNames = ["version", "app"];
    const info = new Gauge({ name: "dormouse_host_info", help: "1", labelNames, registers: [this.registry] });
    info.set({ version, app }, 1);
    // Of Node itself: memory, CPU, and how late the event loop is.
    collectDefaultMetrics({ register: this.registry });
  }

  /** What is measured, as Prometheus reads it. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  observe(event: Observed): void {
    switch (event.kind) {
      case "claimed":
        this.#claims.inc();
        break;
      case "regressed":
        this.#regressions.inc();
        break;
      case "activated":
        this.#activations.inc();
        break;
      case "passivated":
        this.#passivations.inc();
        break;
      case "stepped":
        this.#steps.inc({ type: this.#typeOf(event), outcome: event.error === undefined ? "ok" : "failed" });
        break;
      case "refused":
        this.#refused.inc({ type: this.#typeOf(event) });
        break;
      case "action-failed":
        this.#actionsFailed.inc({ type: this.#typeOf(event) });
        break;
      case "effect-started":
        this.#effectsStarted.inc({ type: this.#typeOf(event) });
        break;
      case "effect-ended":
        this.#effectsEnded.inc({ type: this.#typeOf(event), outcome: event.isOk ? "ok" : "failed" });
        break;
      case "committed":
        this.#records.inc();
        this.#entries.inc(event.entries);
        this.#bytes.inc(event.bytes);
        break;
      case "released":
        this.#releases.inc();
        break;
      case "settled":
        this.#settles.inc();
        this.#heads.inc(event.heads);
        break;
      case "skipped":
        this.#skipped.inc();
        break;
      case "quarantined":
        this.#quarantined.inc({ type: this.#typeOf(event) });
        break;
      case "warned":
        this.#warnings.inc();
        break;
      case "attempt-failed":
      case "caught-up":
      case "handed-over":
      case "logged":
      case "sealed":
      case "failed":
        break;
    }
  }

  #typeOf({ agent }: { readonly agent: string }): string {
    const type = agent.slice(0, agent.indexOf("/"));
    return this.#types.has(type) ? type : "other";
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.registry] });
  }

  #ofTypes(name: string, help: string): Counter<"type"> {
    const counter = new Counter({ name, help, labelNames: ["type"], registers: [this.registry] });
    for (const type of this.#types) counter.inc({ type }, 0);
    return counter;
  }

  #ofTypesAndOutcomes(name: string, help: string): Counter<"type" | "outcome"> {
    const counter = new Counter({ name, help, labelNames: ["type", "outcome"], registers: [this.registry] });
    for (const type of this.#types) for (const outcome of outcomes) counter.inc({ type, outcome }, 0);
    return counter;
  }

  #gauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({ name, help, registers: [this.registry], collect: () => gauge.set(read()) });
  }
}
