/**
 * One host after the other on one folder.
 *
 * Owns: the host of the moment, the one that stands by (loading is what a start costs most), how each came to its end.
 * Leaves to others: when each dies (the test), what it had under way then (`victim.ts`).
 *
 * G1  What a host sets aside, because it died there twice, is taken back at once: the design's choice, and no message is
 *     lost by it.
 */
import type { Client } from "@dormouse/sdk";
import { account } from "./agents.ts";
import { type Gate, isHostGone } from "./load.ts";
import { type Aim, type Death, Victim } from "./victim.ts";

const readMsMax = 500;
const resumeMsMax = 60_000;

export class Hosts implements Gate {
  readonly deaths: Death[] = [];
  /** What went wrong beside what the hosts say themselves. */
  readonly faults: string[] = [];
  readonly #folder: string;
  readonly #cache: string;
  #client: Client | undefined;
  #standby: Victim;
  #current: Victim | undefined;
  /** Resolved while one is ready. */
  #up = Promise.withResolvers<void>();
  #reaching: Promise<void> | undefined;

  constructor(folder: string, cache: string) {
    this.#folder = folder;
    this.#cache = cache;
    this.#standby = this.#spawn();
  }

  /** By which client they are reached. */
  use(client: Client): void {
    this.#client = client;
  }

  /** Starts the next one; resolves when it is told to, long before it is ready. */
  async start(): Promise<Victim> {
    const victim = this.#standby;
    this.#current = victim;
    await victim.go();
    victim.ready.then(
      () => this.#up.resolve(),
      () => undefined,
    );
    this.#standby = this.#spawn();
    return victim;
  }

  /** Kills the one of the moment. */
  async kill(aim: Aim): Promise<void> {
    if (this.#current !== undefined) this.#died(await this.#current.killAt(aim));
  }

  /** Ends the one of the moment cleanly. */
  async drain(): Promise<void> {
    if (this.#current !== undefined) this.#died(await this.#current.drain());
  }

  /** Ends all, for the end of the test. */
  async end(): Promise<void> {
    await Promise.all([this.#current?.end(), this.#standby.end()]);
  }

  reachable(): Promise<void> {
    this.#reaching ??= this.#reach().finally(() => (this.#reaching = undefined));
    return this.#reaching;
  }

  async resume(address: string): Promise<void> {
    const [type = "", key = ""] = address.split("/");
    for (;;) {
      try {
        await this.#client?.agent(type, key).resume({ timeout: resumeMsMax });
        return;
      } catch (error) {
        if (!isHostGone(error)) throw error;
        await this.reachable();
      }
    }
  }

  #spawn(): Victim {
    const failed = (error: unknown): void => void this.faults.push(`not taken back: ${String(error)}`);
    return new Victim({
      store: this.#folder,
      cache: this.#cache,
      quarantined: (agent) => void this.resume(agent).catch(failed),
    });
  }

  #died(death: Death): void {
    this.deaths.push(death);
    // Who waits for one that was never ready waits for the next.
    if (death.wasReady) this.#up = Promise.withResolvers();
  }

  /** Asks do not wait for a host, so the lanes do: a read that succeeds shows that one is reached. */
  async #reach(): Promise<void> {
    for (;;) {
      await this.#up.promise;
      const read = this.#client?.agent(account, "0").read({ timeout: readMsMax });
      const isReached = await read?.then(
        () => true,
        () => false,
      );
      if (isReached === true) return;
      // One that has just died, as the test is about to learn.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
