/**
 * Who is alive. What it says matters for speed, never for safety: sealing is the only fence (D5).
 *
 * Drivers: memory, local (one host), nats.
 *
 * N1  An incarnation that left by `leave` is `dead` for every watcher soon after.
 * N2  `dead` is said only of an incarnation whose process is known to have ended; a silent one is `suspected`.
 * N3  One that was never announced, or is long forgotten, is `unknown`.
 */

export type MemberState = "alive" | "suspected" | "dead" | "unknown";

export interface Member {
  readonly incarnation: string;
  /** What it tells other hosts and tools of itself; the port does not look into it. At most 64 kB. */
  readonly facts: Uint8Array;
}

export interface Membership {
  /** Makes this incarnation known; resolves when others can see it. Again: it has other facts to tell. */
  announce(member: Member): Promise<void>;
  /**
   * Says that this incarnation has ended. From the call on this process shows no sign of its life, so that it is suspected
   * in time even if the word is lost.
   */
  leave(incarnation: string): Promise<void>;
  /** What is believed now of one. */
  stateOf(incarnation: string): Promise<MemberState>;
  /** The incarnations believed alive, this one included, in any order. */
  alive(): Promise<readonly Member[]>;
  /** Calls `changed` when what `alive` or `stateOf` say may have changed. Returns how to stop that. */
  watch(changed: () => void): () => void;
}
