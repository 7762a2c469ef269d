/**
 * Messages of a partition's agents to agents of any partition, here or in another app, until the receivers have committed
 * them.
 *
 * Owns: one publisher per receiving partition, and when what is not confirmed is published again.
 * Leaves to others: which messages there are (`PartitionState.outbox`, changed by `step/fold.ts`), those of which is not
 * known yet where they go (`routes.ts`).
 * Called by entries: `publish` when an entry is durable, `resume` after a takeover. Calls `runtime/send.ts`.
 *
 * X1  A message is published only after the commit that holds it (D3), and kept until its receiver's committed watermark
 *     has passed it: an acknowledged one may be lost with the mailbox's tail (D4).
 * X2  The floor of every message is the lowest number still kept, so a receiver never waits for one that will not come.
 */
import { assert } from "../../agent/assert.ts";
import { formatOldest } from "../../format/codec/formats.ts";
import type { Envelope, Source } from "../../format/message.ts";
import { type LaneKey, parseLane, type PartitionState } from "../../format/partition.ts";
import type { NumberedSend } from "../../format/record.ts";
import type { Cancel, Mailbox } from "../../ports/index.ts";
import type { World } from "../insist.ts";
import type { OtherApps } from "../other-apps.ts";
import { Publisher } from "../send.ts";

export interface OutboxOptions {
  readonly world: World;
  readonly mailbox: Mailbox;
  readonly apps: OtherApps;
  /** `<birth ULID of the app>/<partition>`: the source's name at every receiver. */
  readonly id: string;
  readonly state: PartitionState;
  /** When what was acknowledged and not confirmed goes again, at first, in milliseconds; the pause doubles. */
  readonly repeatMs: number;
}

interface Lane {
  readonly to: LaneKey;
  publisher: Publisher;
  /** The highest number handed to the publisher. */
  pushed: number;
  cancelRepeat: Cancel | undefined;
  repeats: number;
}

const repeatsMax = 10;

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #lanes = new Map<LaneKey, Lane>();
  /** By receiving partition, the highest number that is durable: what is above it is in the open record (X1). */
  readonly #durable = new Map<LaneKey, number>();
  #isStopped = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    for (const [to, { next }] of options.state.outbox) this.#durable.set(to, next - 1);
  }

  publish(sends: readonly NumberedSend[]): void {
    for (const { to, n, envelope } of sends) {
      this.#durable.set(to, n);
      this.#push(this.#lane(to), { ...envelope, n });
    }
  }

  /** Publishes all that is kept, as a new owner does (X1). */
  resume(): void {
    for (const [to, { entries }] of this.#options.state.outbox) {
      if (entries.size > 0 && parseLane(to).partition !== undefined) this.#publishAgain(this.#lane(to));
    }
  }

  /** Publishes nothing again: the next owner does. */
  stop(): void {
    this.#isStopped = true;
    for (const lane of this.#lanes.values()) lane.cancelRepeat?.();
  }

  #lane(to: LaneKey): Lane {
    let lane = this.#lanes.get(to);
    if (lane === undefined) {
      lane = { to, publisher: this.#publisher(to), pushed: 0, cancelRepeat: undefined, repeats: 0 };
      this.#lanes.set(to, lane);
    }
    return lane;
  }

  #publisher(to: LaneKey): Publisher {
    const { world, apps, id, state } = this.#options;
    const { app, partition } = parseLane(to);
    assert(partition !== undefined, "what is published goes to a partition");
    const mailbox = app === undefined ? this.#options.mailbox : apps.mailbox(app);
    const source = (lowest: number): Source => {
      const kept = state.outbox.get(to)?.entries.keys().next().value;
      return { kind: "outbox", id, floor: Math.min(lowest, kept ?? lowest) };
    };
    // Nobody here knows what the hosts of another app read.
    const formats = app === undefined ? world.formats : { writes: formatOldest };
    return new Publisher({ ...world, mailbox, partition, source, formats });
  }

  #push(lane: Lane, envelope: Envelope): void {
    if (envelope.n <= lane.pushed) return;
    lane.pushed = envelope.n;
    lane.publisher.push(envelope, () => this.#watch(lane));
  }

  /** What is acknowledged is confirmed soon by the receiver; if not, its notice or the message itself was lost. */
  #watch(lane: Lane): void {
    // An acknowledgement may come when its partition is another's.
    if (this.#isStopped || lane.cancelRepeat !== undefined || lane.publisher.size > 0) return;
    const delayMs = this.#options.repeatMs * 2 ** Math.min(lane.repeats, repeatsMax);
    lane.cancelRepeat = this.#options.world.clock.schedule(delayMs, () => {
      lane.cancelRepeat = undefined;
      const kept = this.#options.state.outbox.get(lane.to)?.entries.size ?? 0;
      lane.repeats = kept === 0 ? 0 : lane.repeats + 1;
      if (kept > 0 && lane.publisher.size === 0) this.#publishAgain(lane);
      else if (kept > 0) this.#watch(lane);
    });
  }

  #publishAgain(lane: Lane): void {
    const kept = this.#options.state.outbox.get(lane.to)?.entries ?? new Map<number, never>();
    const durableUpTo = this.#durable.get(lane.to) ?? 0;
    lane.publisher = this.#publisher(lane.to);
    lane.pushed = 0;
    for (const [n, envelope] of kept) if (n <= durableUpTo) this.#push(lane, { ...envelope, n });
  }
}
