/**
 * Messages to other apps, until it is known to which partitions they go.
 *
 * Owns: which apps are being looked for.
 * Leaves to others: what is found (`other-apps.ts`), the messages (`PartitionState.outbox`, changed by `step/fold.ts`), how
 * they are published (`outbox.ts`), what a sender makes of one that cannot be sent (`partition.ts`).
 * Called by entries: `laneFor`, `route`, `resume`.
 *
 * U1  What waits for an app keeps its order: nothing goes to a partition of it past what still waits (D1).
 * U2  A message leaves the wait by an entry: to its partition's lane, or for good with its sender's error (D4).
 */
import { type Address, type Partition, partitionOf } from "../../agent/address.ts";
import { DormouseError, encodeError, type ErrorData } from "../../agent/errors.ts";
import type { Unnumbered } from "../../format/message.ts";
import { type LaneKey, laneTo, parseLane, type PartitionState } from "../../format/partition.ts";
import type { Entry, NumberedSend } from "../../format/record.ts";
import { routed } from "../../step/fold.ts";
import { pause, type World } from "../insist.ts";
import type { OtherApps } from "../other-apps.ts";
import { supervise } from "../supervise.ts";

export interface RoutesOptions {
  readonly world: World;
  readonly apps: OtherApps;
  readonly state: PartitionState;
  /** Adds an entry; `release` is called when it is durable. */
  readonly add: (entry: Entry, bytes: number, release: () => void, isWithNext?: boolean) => void;
  readonly publish: (sends: readonly NumberedSend[]) => void;
  readonly undelivered: Undelivered;
  /** What no one can go on from: the host ends. */
  readonly failed: (error: unknown) => void;
}

/**
 * Sets a message down as failed: calls `drop` once, which takes it out of the outbox, in one record with the step that its
 * sender takes of it. Resolves when both are added, with `true`; with `false` if that cannot be done here and now.
 */
export type Undelivered = (lost: Lost, drop: (isWithNext: boolean) => void) => Promise<boolean>;

export interface Lost {
  readonly app: string;
  readonly envelope: Unnumbered;
  readonly error: ErrorData;
}

const retryMs = 5_000;

export class Routes {
  readonly #options: RoutesOptions;
  readonly #routing = new Set<string>();
  #isStopped = false;

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  /** Where a message to an agent of another app goes from here, now (U1). */
  laneFor(app: string, to: Address): LaneKey {
    const { apps, state } = this.#options;
    const partitions = state.outbox.has(app) ? undefined : apps.known(app);
    return partitions === undefined ? app : laneTo(app, partitionOf(to, partitions));
  }

  /** After a takeover: takes up all that waits. */
  resume(): void {
    for (const lane of this.#options.state.outbox.keys()) {
      const { app, partition } = parseLane(lane);
      if (app !== undefined && partition === undefined) this.route(app);
    }
  }

  /** Takes up what waits for an app. */
  route(app: string): void {
    if (this.#routing.has(app)) return;
    this.#routing.add(app);
    void supervise(() => this.#route(app), this.#options.failed);
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #route(app: string): Promise<void> {
    const { state } = this.#options;
    while (state.outbox.has(app) && !this.#isOver()) {
      const partitions = await this.#find(app);
      if (this.#isOver()) return;
      if (typeof partitions === "number") this.#send(app, partitions);
      else if (partitions !== undefined) await this.#giveUp(app, encodeError(partitions));
    }
    this.#routing.delete(app);
  }

  /** `undefined`: it could not be asked for; try again. */
  async #find(app: string): Promise<number | DormouseError | undefined> {
    const { world, apps } = this.#options;
    try {
      return await apps.find(app);
    } catch (error) {
      if (!(error instanceof DormouseError) || (error.kind !== "unavailable" && error.kind !== "closed")) throw error;
      await pause(world, retryMs);
      return undefined;
    }
  }

  #send(app: string, partitions: number): void {
    const { add, publish, state } = this.#options;
    const waiting = [...(state.outbox.get(app)?.entries.values() ?? [])];
    const to: Partition[] = waiting.map((envelope) => partitionOf(envelope.to, partitions));
    const sends = routed(state, app, to);
    add({ kind: "route", app, to }, 32 + 4 * to.length, () => publish(sends));
  }

  /** What waits now; what comes while it is told is looked for again. */
  async #giveUp(app: string, error: ErrorData): Promise<void> {
    const { add, state, undelivered, world } = this.#options;
    const lost = [...(state.outbox.get(app)?.entries ?? [])];
    for (const [n, envelope] of lost) {
      if (this.#isOver()) return;
      const isTold = await undelivered({ app, envelope, error }, (isWithNext) =>
        add({ kind: "sent", to: app, upTo: n }, 32, () => undefined, isWithNext),
      );
      if (isTold) continue;
      // What came after it waits with it, for another owner or for the app to be made.
      await pause(world, retryMs);
      return;
    }
  }

  #isOver(): boolean {
    return this.#isStopped || this.#options.world.signal.aborted;
  }
}
