/**
 * Who is alive in a world in memory.
 *
 * One whose party has ended is dead at once, as a killed process is known by its silent control subject; with
 * `heartbeats`, one that is silent for `suspectedMs` is suspected, until it is heard of again.
 */
import type { Clock, Member, Membership, MemberState } from "@dormouse/core/ports";
import { membershipNoAnswer } from "./errors.ts";
import type { Call, LostAnswer } from "./wire.ts";

/** How members show that they live. Default of a world: not at all, and nobody is suspected. */
export interface Heartbeats {
  readonly everyMs: number;
  /** Silent for so long is suspected, by the world's clock. */
  readonly suspectedMs: number;
}

/** A party as membership needs it. */
export interface MemberParty {
  readonly clock: Clock;
  call<T>(call: Omit<Call, "party">, lost: (cause: LostAnswer) => unknown, effect: () => T): Promise<T>;
  push(call: Omit<Call, "party">, deliver: () => void): void;
  onEnd(ending: () => void): () => void;
  hasEnded(): boolean;
}

interface Known {
  state: MemberState;
  facts: Uint8Array | undefined;
  party: MemberParty | undefined;
  heardAt: number;
}

export class Members {
  readonly #clock: Pick<Clock, "now">;
  readonly #heartbeats: Heartbeats | undefined;
  readonly #known = new Map<string, Known>();
  /** Those that have left, whether or not that was heard. */
  readonly #silent = new Set<string>();
  readonly #watchers = new Set<() => void>();

  constructor(clock: Pick<Clock, "now">, heartbeats: Heartbeats | undefined) {
    this.#clock = clock;
    this.#heartbeats = heartbeats;
  }

  open(party: MemberParty): Membership {
    const call = <T>(operation: string, about: string, effect: () => T): Promise<T> =>
      party.call({ port: "membership", operation, about }, membershipNoAnswer, effect);
    return {
      announce: ({ incarnation, facts }) => {
        const copy = Uint8Array.from(facts);
        return call("announce", incarnation, () => this.#announce(incarnation, copy, party));
      },
      leave: (incarnation) => {
        this.#silent.add(incarnation);
        return call("leave", incarnation, () => this.say(incarnation, "dead"));
      },
      stateOf: (incarnation) => call("stateOf", incarnation, () => this.#known.get(incarnation)?.state ?? "unknown"),
      alive: () => call("alive", "", () => this.#alive()),
      watch: (changed) => this.#watch(party, changed),
    };
  }

  say(incarnation: string, state: MemberState): void {
    const known = this.#known.get(incarnation);
    if (state === "unknown") this.#known.delete(incarnation);
    else if (known === undefined)
      this.#known.set(incarnation, { state, facts: undefined, party: undefined, heardAt: 0 });
    else known.state = state;
    this.#tell();
  }

  /** Its process is known to have ended. */
  ended(party: MemberParty): void {
    for (const [incarnation, known] of this.#known) {
      if (known.party === party && known.state !== "dead") this.say(incarnation, "dead");
    }
  }

  #announce(incarnation: string, facts: Uint8Array, party: MemberParty): void {
    const isNew = this.#known.get(incarnation)?.party === undefined;
    this.#known.set(incarnation, { state: "alive", facts, party, heardAt: this.#clock.now() });
    this.#tell();
    if (isNew) this.#beatLater(incarnation, party);
  }

  #beatLater(incarnation: string, party: MemberParty): void {
    if (this.#heartbeats === undefined || party.hasEnded()) return;
    party.clock.schedule(this.#heartbeats.everyMs, () => {
      if (party.hasEnded() || this.#silent.has(incarnation)) return;
      const beat = party.call({ port: "membership", operation: "beat", about: incarnation }, membershipNoAnswer, () =>
        this.#heard(incarnation),
      );
      // One that is lost is one missed.
      beat.catch(() => undefined);
      this.#beatLater(incarnation, party);
    });
  }

  #heard(incarnation: string): void {
    const known = this.#known.get(incarnation);
    if (known === undefined || known.state === "dead") return;
    known.heardAt = this.#clock.now();
    const suspected = [...this.#known.values()].filter((one) => one.state === "alive" && this.#isSilent(one));
    for (const one of suspected) one.state = "suspected";
    const isBack = known.state === "suspected";
    if (isBack) known.state = "alive";
    if (isBack || suspected.length > 0) this.#tell();
  }

  #isSilent({ heardAt }: Known): boolean {
    return this.#heartbeats !== undefined && this.#clock.now() - heardAt >= this.#heartbeats.suspectedMs;
  }

  #alive(): readonly Member[] {
    return [...this.#known].flatMap(([incarnation, { state, facts }]) =>
      state === "alive" && facts !== undefined ? [{ incarnation, facts: Uint8Array.from(facts) }] : [],
    );
  }

  #tell(): void {
    for (const changed of this.#watchers) changed();
  }

  #watch(party: MemberParty, changed: () => void): () => void {
    let isWatching = !party.hasEnded();
    const notice = (): void =>
      party.push({ port: "membership", operation: "changed", about: "" }, () => {
        if (isWatching) changed();
      });
    const stop = (): void => {
      isWatching = false;
      this.#watchers.delete(notice);
    };
    if (isWatching) this.#watchers.add(notice);
    const forget = party.onEnd(stop);
    return () => {
      forget();
      stop();
    };
  }
}
