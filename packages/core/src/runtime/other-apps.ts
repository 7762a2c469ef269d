/**
 * The other apps of the cluster, as far as this host sends there.
 *
 * Owns: what was found of each lately, also that there is none.
 * Leaves to others: which messages go there (`release/routes.ts`, `release/outbox.ts`).
 *
 * What was found counts for a while by the clock alone: an app may be made later, or anew under its name.
 */
import { DormouseError } from "../agent/errors.ts";
import type { Elsewhere, Mailbox } from "../ports/index.ts";
import { readApp } from "./app.ts";
import type { World } from "./insist.ts";

export interface OtherAppsOptions {
  readonly world: World;
  /** Missing where the world holds one app. */
  readonly elsewhere: ((app: string) => Elsewhere) | undefined;
}

interface Found {
  /** How many partitions it has, or why nothing can be sent there. */
  readonly partitions: number | DormouseError;
  /** Monotonic: until then it counts. */
  readonly until: number;
}

const foundMs = 60_000;
const missingMs = 2_000;
/** Apps that are remembered: senders may misspell as many as they like. */
const foundMax = 1_000;

export class OtherApps {
  readonly #options: OtherAppsOptions;
  /** Those that were looked for the longest ago first. */
  readonly #found = new Map<string, Found>();

  constructor(options: OtherAppsOptions) {
    this.#options = options;
  }

  /** How many partitions an app has, if that was found lately. */
  known(app: string): number | undefined {
    const found = this.#lately(app);
    return typeof found?.partitions === "number" ? found.partitions : undefined;
  }

  /**
   * How many partitions an app has, or why nothing can be sent there.
   *
   * @throws DormouseError `closed` (`host.closed`); `unavailable` (`host.gave-up`): ask again.
   */
  async find(app: string): Promise<number | DormouseError> {
    const lately = this.#lately(app);
    if (lately !== undefined) return lately.partitions;
    const partitions = await this.#look(app);
    const keptMs = typeof partitions === "number" ? foundMs : missingMs;
    this.#found.delete(app);
    this.#found.set(app, { partitions, until: this.#options.world.clock.monotonic() + keptMs });
    const [oldest] = this.#found.keys();
    if (this.#found.size > foundMax && oldest !== undefined) this.#found.delete(oldest);
    return partitions;
  }

  /** Where messages to an app go that was found once. */
  mailbox(app: string): Pick<Mailbox, "append"> {
    return this.#elsewhere(app).mailbox;
  }

  #lately(app: string): Found | undefined {
    const found = this.#found.get(app);
    return found !== undefined && found.until > this.#options.world.clock.monotonic() ? found : undefined;
  }

  async #look(app: string): Promise<number | DormouseError> {
    const { world } = this.#options;
    try {
      const { store } = this.#elsewhere(app);
      const found = await readApp({ ...world, store });
      if (found?.name === app) return found.partitions;
      const what =
        found === undefined ? "there is no app of this name here" : `its place holds the app "${found.name}"`;
      return new DormouseError(
        "invalid",
        "app.missing",
        `${what}; correct the name, or start its host first: app=${app}`,
      );
    } catch (error) {
      if (error instanceof DormouseError && (error.kind === "invalid" || error.kind === "corrupt")) return error;
      throw error;
    }
  }

  #elsewhere(app: string): Elsewhere {
    const { elsewhere } = this.#options;
    if (elsewhere !== undefined) return elsewhere(app);
    throw new DormouseError(
      "invalid",
      "app.alone",
      `this store holds one app, so its agents send to no other; run both on a cluster: app=${app}`,
    );
  }
}
