/** What the host is now: plain data for whoever asks whether it is well. */
import type { Observed } from "@dormouse/sdk";

export interface HostStatus {
  readonly state: "starting" | "running" | "draining" | "ended";
  /** Empty until the host has one. */
  readonly incarnation: string;
  readonly isReady: boolean;
  /** Why it is not ready. */
  readonly reason?: string;
  readonly partitions: { readonly owned: number; readonly wanted: number; readonly total: number };
  /** In memory. */
  readonly agents: number;
  /** Running. */
  readonly effects: number;
  readonly quarantined: number;
  /** Messages kept for agents that are set aside. */
  readonly shelved: number;
}

/**
 * A status kept by what the host says, for a host that does not tell its own.
 *
 * S1  It is ready once it has started, until it is told to drain: a draining host must be seen as such first of all.
 */
export class WatchedStatus {
  #state: HostStatus["state"] = "starting";
  #incarnation = "";
  #owned = 0;
  #agents = 0;
  #effects = 0;
  #quarantined = 0;

  observe(event: Observed): void {
    switch (event.kind) {
      case "claimed":
        this.#owned += 1;
        break;
      case "activated":
        this.#agents += 1;
        break;
      case "passivated":
        this.#agents -= 1;
        break;
      case "effect-started":
        this.#effects += 1;
        break;
      case "effect-ended":
        this.#effects -= 1;
        break;
      case "quarantined":
        this.#quarantined += 1;
        break;
      case "sealed":
      case "failed":
        this.#state = "ended";
        break;
      case "caught-up":
      case "regressed":
      case "skipped":
      case "stepped":
      case "refused":
      case "logged":
      case "action-failed":
      case "committed":
      case "released":
      case "settled":
      case "warned":
        break;
    }
  }

  started(incarnation: string): void {
    this.#incarnation = incarnation;
    if (this.#state === "starting") this.#state = "running";
  }

  draining(): void {
    if (this.#state !== "ended") this.#state = "draining";
  }

  status(): HostStatus {
    const isReady = this.#state === "running";
    return {
      state: this.#state,
      incarnation: this.#incarnation,
      isReady,
      ...(isReady ? {} : { reason: `the host is ${this.#state}` }),
      partitions: { owned: this.#owned, wanted: this.#owned, total: this.#owned },
      agents: this.#agents,
      effects: this.#effects,
      quarantined: this.#quarantined,
      shelved: 0,
    };
  }
}
