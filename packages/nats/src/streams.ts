/**
 * The streams of an app's partitions: made, known by their birth, given room.
 *
 * Owns: which streams are which (name and birth), limits that were raised. Leaves to others: what is in them.
 * Called by mailbox.
 *
 * T1  A stream that is there is left as it is; what an operator has set stays set.
 * T2  An identity is remembered until the connection breaks or an acknowledgement shows that it may be another.
 */
import type { StreamInfo } from "@nats-io/jetstream";
import { DiscardPolicy, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { DormouseError } from "@dormouse/core/ports";
import { apiCode, apiCodes, streamError, streamOther } from "./errors.ts";
import type { Link } from "./link.ts";
import type { AppNames } from "./subjects.ts";

const creationsAtOnce = 8;
const roomStepBytes = 65_536;

export interface StreamSettings {
  readonly replicas: number;
  readonly streamBytesMax: number;
}

export class Streams {
  readonly #link: Link;
  readonly #names: AppNames;
  readonly #settings: StreamSettings;
  readonly #identities = new Map<number, string>();
  /** What each may hold, as it was told last. */
  readonly #bytesMax = new Map<number, number>();
  /** The limits that `makeRoom` found, by partition. */
  readonly #limits = new Map<number, number>();
  #creating: { readonly count: number; readonly done: Promise<void> } | undefined;

  constructor(link: Link, names: AppNames, settings: StreamSettings) {
    this.#link = link;
    this.#names = names;
    this.#settings = settings;
    link.onDown(() => this.#identities.clear());
  }

  /**
   * Makes the streams of partitions 0 to `count` - 1 that are not there. One question if all are; the same question for
   * all who ask at once, since the readers of all partitions do after an outage.
   */
  async create(count: number): Promise<void> {
    if (this.#creating !== undefined && this.#creating.count >= count) return this.#creating.done;
    const creating = { count, done: this.#create(count) };
    this.#creating = creating;
    try {
      await creating.done;
    } finally {
      if (this.#creating === creating) this.#creating = undefined;
    }
  }

  /** As it is remembered; `undefined` if it must be asked for. */
  known(partition: number): string | undefined {
    return this.#identities.get(partition);
  }

  /** What it holds at most, in bytes; `undefined` if it has no limit or was not asked for. */
  bytesMax(partition: number): number | undefined {
    const bytes = this.#limits.get(partition) ?? this.#bytesMax.get(partition);
    return bytes === undefined || bytes < 0 ? undefined : bytes;
  }

  forget(partition: number): void {
    this.#identities.delete(partition);
  }

  /** Name and birth of the stream that is there now. */
  async identity(partition: number): Promise<string> {
    const { config, created } = await this.#info(partition);
    const identity = `${config.name}@${created}`;
    this.#identities.set(partition, identity);
    this.#bytesMax.set(partition, config.max_bytes);
    return identity;
  }

  /** Raises a full stream's limit by a little. */
  async makeRoom(partition: number): Promise<void> {
    const { config, state } = await this.#info(partition);
    if (!this.#limits.has(partition)) this.#limits.set(partition, config.max_bytes);
    await this.#limit(config, Math.max(config.max_bytes, state.bytes) + roomStepBytes);
  }

  /** Puts back the limit that was raised, if one was; what is over it stays. */
  async putLimitBack(partition: number): Promise<void> {
    const limit = this.#limits.get(partition);
    if (limit === undefined) return;
    const { config } = await this.#info(partition);
    await this.#limit(config, limit);
    this.#limits.delete(partition);
  }

  async #create(count: number): Promise<void> {
    const found = await this.#found();
    const missing = Array.from({ length: count }, (_, partition) => partition).filter(
      (partition) => !found.has(this.#names.stream(partition)),
    );
    const make = async (): Promise<void> => {
      for (let next = missing.shift(); next !== undefined; next = missing.shift()) await this.#make(next);
    };
    await Promise.all(Array.from({ length: creationsAtOnce }, make));
  }

  async #found(): Promise<ReadonlySet<string>> {
    return this.#link.api("list streams", async (jetstream) => {
      const names = new Set<string>();
      const lister = jetstream.streams.names(this.#names.allBoxes());
      for (let page = await lister.next(); page.length > 0; page = await lister.next()) {
        for (const name of page) names.add(name);
      }
      return names;
    });
  }

  async #make(partition: number): Promise<void> {
    const name = this.#names.stream(partition);
    try {
      await this.#link.whileUp(() =>
        this.#link.jetstream.streams.add({
          name,
          subjects: this.#names.boxes(partition),
          storage: StorageType.File,
          retention: RetentionPolicy.Limits,
          discard: DiscardPolicy.New,
          max_bytes: this.#settings.streamBytesMax,
          num_replicas: this.#settings.replicas,
          // Messages are numbered by their senders: a filter by id would swallow just the repeats (FACTS.md 1.5).
          duplicate_window: 100_000_000,
        }),
      );
    } catch (cause) {
      if (cause instanceof DormouseError) throw cause;
      if (apiCode(cause) !== apiCodes.nameInUse) throw streamError(name, cause);
      // Another host made it meanwhile, maybe with other limits (T1).
      const { config } = await this.#info(partition);
      if (!config.subjects.includes(this.#names.box(partition))) throw streamOther(name, cause);
    }
  }

  #info(partition: number): Promise<StreamInfo> {
    const name = this.#names.stream(partition);
    return this.#link.api(`stream info ${name}`, (jetstream) => jetstream.streams.info(name));
  }

  async #limit(config: StreamInfo["config"], bytesMax: number): Promise<void> {
    await this.#link.api(`stream update ${config.name}`, (jetstream) =>
      jetstream.streams.update(config.name, { max_bytes: bytesMax }),
    );
  }
}
