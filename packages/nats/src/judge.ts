/**
 * What is believed of each incarnation, from what was seen of it. Pure: time and evidence come in, no timers, no network.
 *
 * Silence. A host beats by writing to the bucket every three seconds. Its silence is counted in *proven* time only: time in
 * which our own way to and from the bucket is known to have worked (`proved`), so an outage of NATS makes nobody silent,
 * and after any disturbance everybody's silence begins anew (J1, J2).
 *
 * Instant death. Each host answers a subject as long as its process runs. When a process dies its server drops the
 * subscription at once, and a ping is answered "no responders". But a server says so of a living host too, while that host
 * has no connection. So misses mean death only where the other reasons can be excluded:
 *
 * - Our own connection broke: our server may be new and know nothing yet. Disturbance, 20 s without judgement (J3).
 * - A server left or joined the cluster: its hosts are on their way to another, or its routes are not up yet. Its going
 *   shows in our server's list of addresses no later than its hosts' subscriptions go. Disturbance, likewise.
 * - The cluster is cut in two: a disturbance for both halves; and after it only a host that has answered again since can be
 *   found dead by misses (J4), so those of the other half are at most `suspected`. The half without a quorum proves
 *   nothing, and without a recent proof nobody is found dead (J5).
 * - The host's server ended that one connection (slow consumer, new credentials, lame duck), or its network reset it: the
 *   client dials again within milliseconds. Misses must come three in a row and last 350 ms without an answer.
 * - The host is just starting: it serves its subject before it announces itself.
 * - A host that never answered us, of a time before our own start: there is no answer to compare with, so its misses must last
 *   three seconds.
 *
 * What remains is a host that needs longer than 350 ms to dial again: it is called dead, and alive again with its next
 * beat. That costs a needless takeover, never safety (D5).
 *
 * J1  Silence grows by proven time alone, and any change of the entry ends it.
 * J2  A disturbance ends all silence.
 * J3  For 20 s after a disturbance nobody is found dead by misses.
 * J4  After a disturbance an incarnation can be found dead by misses once it has answered since, which ends older runs.
 * J5  Nor when the way to the bucket was not proven within the last 8 s.
 * J6  One that left is dead for good; one found dead by misses is alive again when its entry changes or it answers.
 */
import type { Member, MemberState } from "@dormouse/core/ports";

const silenceMsMax = 15_000;
/** Of what is silent or has left; the bucket has forgotten it by then. */
const forgetMs = 600_000;
const missesMin = 3;
/** Pings go out every tenth of a second: the fifth in a row decides, and one that comes a little early is not too early. */
const missedMsMin = 350;
const missedMsMinUnanswered = 3_000;
const quietMs = 20_000;
const proofMsMax = 8_000;

/** One entry of the bucket. */
export interface Entry extends Member {
  /** Rises with each write to the bucket. */
  readonly revision: number;
  readonly hasLeft: boolean;
}

interface Opinion {
  entry: Entry;
  silentMs: number;
  /** Since the last disturbance. */
  hasAnswered: boolean;
  misses: number;
  missedSinceMs: number;
  isFoundDead: boolean;
}

export class Judge {
  readonly #opinions = new Map<string, Opinion>();
  #disturbedAtMs: number | undefined;
  #provedAtMs: number | undefined;

  /** An entry as it is in the bucket now. Returns whether an answer may have changed, as do all of these. */
  seen(entry: Entry): boolean {
    const known = this.#opinions.get(entry.incarnation);
    if (known === undefined) {
      this.#opinions.set(entry.incarnation, {
        entry,
        silentMs: 0,
        hasAnswered: false,
        misses: 0,
        missedSinceMs: 0,
        isFoundDead: false,
      });
      return true;
    }
    // The bucket is read from its beginning after every interruption.
    if (known.entry.revision === entry.revision || known.entry.hasLeft) return false;
    const before = stateOf(known);
    const hasOtherFacts = Buffer.compare(known.entry.facts, entry.facts) !== 0;
    known.entry = entry;
    known.silentMs = 0;
    known.isFoundDead = false;
    known.misses = 0;
    return hasOtherFacts || before !== stateOf(known);
  }

  /** The way to the bucket has worked, for `elapsedMs` more (J1). */
  proved(nowMs: number, elapsedMs: number): boolean {
    this.#provedAtMs = nowMs;
    let isChanged = false;
    for (const [incarnation, opinion] of this.#opinions) {
      const before = stateOf(opinion);
      opinion.silentMs += elapsedMs;
      isChanged ||= before !== stateOf(opinion);
      if (opinion.silentMs > forgetMs) this.#opinions.delete(incarnation);
    }
    return isChanged;
  }

  /** The connection broke or stands again, or a server came or went (J2). */
  disturbed(nowMs: number): boolean {
    this.#disturbedAtMs = nowMs;
    let isChanged = false;
    for (const opinion of this.#opinions.values()) {
      const before = stateOf(opinion);
      opinion.silentMs = 0;
      opinion.hasAnswered = false;
      isChanged ||= before !== stateOf(opinion);
    }
    return isChanged;
  }

  answered(incarnation: string): boolean {
    const opinion = this.#opinions.get(incarnation);
    if (opinion === undefined) return false;
    const before = stateOf(opinion);
    opinion.hasAnswered = true;
    opinion.misses = 0;
    opinion.isFoundDead = false;
    return before !== stateOf(opinion);
  }

  /** A server said that nobody answers for it. */
  missed(incarnation: string, nowMs: number): boolean {
    const opinion = this.#opinions.get(incarnation);
    if (opinion === undefined || stateOf(opinion) === "dead") return false;
    if (opinion.misses === 0) opinion.missedSinceMs = nowMs;
    opinion.misses += 1;
    const isUnanswered = !opinion.hasAnswered;
    const missedMs = nowMs - opinion.missedSinceMs;
    if (isUnanswered && this.#disturbedAtMs !== undefined) return false;
    if (opinion.misses < missesMin || missedMs < (isUnanswered ? missedMsMinUnanswered : missedMsMin)) return false;
    if (this.#disturbedAtMs !== undefined && nowMs - this.#disturbedAtMs < quietMs) return false;
    if (this.#provedAtMs === undefined || nowMs - this.#provedAtMs > proofMsMax) return false;
    opinion.isFoundDead = true;
    return true;
  }

  stateOf(incarnation: string): MemberState {
    const opinion = this.#opinions.get(incarnation);
    return opinion === undefined ? "unknown" : stateOf(opinion);
  }

  alive(): readonly Member[] {
    return [...this.#opinions.values()]
      .filter((opinion) => stateOf(opinion) === "alive")
      .map(({ entry: { incarnation, facts } }) => ({ incarnation, facts }));
  }

  /** Whom to ping: those that have not left, also one found dead, since it may answer. */
  pingable(): readonly string[] {
    return [...this.#opinions.values()].flatMap(({ entry }) => (entry.hasLeft ? [] : [entry.incarnation]));
  }
}

function stateOf({ entry, silentMs, isFoundDead }: Opinion): MemberState {
  if (entry.hasLeft || isFoundDead) return "dead";
  return silentMs >= silenceMsMax ? "suspected" : "alive";
}
