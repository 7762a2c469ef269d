/**
 * How far a partition has durably taken the messages of each outbox, as its owner is told: what is below goes there.
 *
 * Owns: how far each source is taken, and whom to tell at the end of this tick.
 * Leaves to others: what is taken (`PartitionState.sources`); a notice that is lost is told again at the next repeat.
 */
import type { Partition } from "../../agent/address.ts";
import type { App } from "../../format/app.ts";
import type { PartitionState } from "../../format/partition.ts";
import type { Channel, Clock } from "../../ports/index.ts";
import { publishTaken } from "./reply.ts";

export interface WatermarksOptions {
  readonly clock: Clock;
  readonly channel: Channel;
  readonly app: Pick<App, "name" | "birth">;
  readonly partition: Partition;
  /** As it is durable now. */
  readonly state: Pick<PartitionState, "sources">;
}

const outboxPrefix = "outbox:";

export class Watermarks {
  readonly #options: WatermarksOptions;
  /** By source key of outboxes. */
  readonly #taken = new Map<string, number>();
  readonly #untold = new Set<string>();

  constructor(options: WatermarksOptions) {
    this.#options = options;
    for (const [source, { low }] of options.state.sources) if (isOutbox(source)) this.#taken.set(source, low);
  }

  /** All numbers of a source up to this one are durably decided. */
  taken(source: string, upTo: number): void {
    if (!isOutbox(source)) return;
    this.#taken.set(source, upTo);
    this.tell(source);
  }

  /** Tells the owner of a source: once a tick, the newest. */
  tell(source: string): void {
    if (!isOutbox(source)) return;
    if (this.#untold.size === 0) this.#options.clock.turn(() => this.#tellAll());
    this.#untold.add(source);
  }

  #tellAll(): void {
    const { channel, app, partition: by } = this.#options;
    for (const source of this.#untold) {
      const outbox = source.slice(outboxPrefix.length);
      const where = outbox.startsWith(`${app.birth}/`) ? { by } : { app: app.name, by };
      publishTaken(channel, outbox, { ...where, upTo: this.#taken.get(source) ?? 0 });
    }
    this.#untold.clear();
  }
}

function isOutbox(source: string): boolean {
  return source.startsWith(outboxPrefix);
}
