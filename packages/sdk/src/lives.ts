/**
 * A host over its incarnations: one that is sealed by another host begins anew under another name.
 *
 * V1  Only what a new incarnation can mend is answered by one: a seal, and after it a store or mailbox that does not
 *     answer for a while. Whatever else ends the host.
 * V2  One that is sealed again and again waits longer each time: two that seal each other would get nothing done.
 * V3  Twice in a row by strangers, hosts that nobody here has heard of, is not gone on from: two clusters share one store.
 */
import type { HostStatus, Incarnation } from "@dormouse/core";
import { DormouseError } from "@dormouse/core";

export interface Lives {
  /** The incarnation that lives, or lived last. */
  readonly incarnation: Incarnation;
  /** Resolves when the host is over; rejects with what ended it, if it was not `drain`. */
  readonly ended: Promise<void>;
  status(): HostStatus;
  drain(): Promise<void>;
}

/** Seals within this time count together. */
const sealedTogetherMs = 60_000;
const pauseMsMin = 100;
const pauseMsMax = 30_000;
const strangersMax = 2;

export interface LivesOptions {
  readonly begin: () => Promise<Incarnation>;
  /** Whether membership has never heard of an incarnation. */
  readonly isStranger: (incarnation: string) => Promise<boolean>;
}

/** Begins the first incarnation; what keeps it from starting is thrown. */
export async function runLives(options: LivesOptions): Promise<Lives> {
  const host = new HostLives(options, await options.begin());
  void host.run();
  return host;
}

class HostLives implements Lives {
  incarnation: Incarnation;
  readonly ended: Promise<void>;
  readonly #options: LivesOptions;
  readonly #end: { readonly resolve: () => void; readonly reject: (error: unknown) => void };
  readonly #draining = new AbortController();
  #sealedAt: readonly number[] = [];
  #sealsByStrangers = 0;
  #reason = "";

  constructor(options: LivesOptions, first: Incarnation) {
    this.#options = options;
    this.incarnation = first;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ended = promise;
    // Whoever does not ask how it ended need not handle it.
    this.ended.catch(() => undefined);
    this.#end = { resolve, reject };
  }

  status(): HostStatus {
    const status = this.incarnation.status();
    // Between two incarnations.
    if (this.#reason === "") return status;
    return { ...status, state: "starting", isReady: false, reason: this.#reason };
  }

  async drain(): Promise<void> {
    this.#draining.abort();
    await this.incarnation.drain();
    await this.ended;
  }

  async run(): Promise<void> {
    for (;;) {
      const error = await this.incarnation.ended;
      // Whoever took over what a draining host still had has done the rest.
      const isAsked = error?.kind === "sealed" && this.incarnation.isDraining;
      if (isAsked || error === undefined) return this.#over(undefined);
      if (error.kind !== "sealed") return this.#over(error);
      if (await this.#isContested()) return this.#over(contested(this.incarnation.sealedBy));
      this.#reason = "another host took its partitions over; it begins anew";
      if (!(await this.#beginAnew())) return;
      this.#reason = "";
    }
  }

  async #isContested(): Promise<boolean> {
    const { sealedBy } = this.incarnation;
    const isStranger = sealedBy !== undefined && (await this.#options.isStranger(sealedBy).catch(() => false));
    this.#sealsByStrangers = isStranger ? this.#sealsByStrangers + 1 : 0;
    return this.#sealsByStrangers >= strangersMax;
  }

  /** Whether it has; if not, the host is over. */
  async #beginAnew(): Promise<boolean> {
    const now = performance.now();
    this.#sealedAt = [...this.#sealedAt.filter((at) => now - at < sealedTogetherMs), now];
    for (let tries = this.#sealedAt.length; ; tries += 1) {
      await pause(Math.min(pauseMsMax, pauseMsMin * 4 ** (tries - 1)), this.#draining.signal);
      if (this.#draining.signal.aborted) {
        this.#over(undefined);
        return false;
      }
      try {
        this.incarnation = await this.#options.begin();
        this.#drainIfTold();
        return true;
      } catch (error) {
        const isPassing = error instanceof DormouseError && (error.kind === "unavailable" || error.kind === "sealed");
        if (isPassing) continue;
        this.#over(error);
        return false;
      }
    }
  }

  /** It may have been told while the incarnation began: the one that was asked had ended. */
  #drainIfTold(): void {
    if (this.#draining.signal.aborted) void this.incarnation.drain();
  }

  #over(error: unknown): void {
    if (error === undefined) this.#end.resolve();
    else this.#end.reject(error);
  }
}

function contested(by: string | undefined): DormouseError {
  return new DormouseError(
    "conflict",
    "store.contested",
    "hosts that this host's NATS does not know take its agents over, again and again: two clusters use one bucket prefix; " +
      `give each its own: by=${by}`,
  );
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, delayMs);
    signal.addEventListener("abort", done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    if (signal.aborted) done();
  });
}
