/**
 * Asks the processes of others, again and again, whether they are there.
 *
 * Owns: the pings and what answers they get. Leaves to others: what a miss means (`judge.ts`).
 * Called by membership: `start` while somebody watches, `forget` when what is under way tells nothing any more.
 *
 * I1  A round goes out every tenth of a second without waiting for the last: a dying process swallows pings for a moment.
 * I2  A round asks at most `pingsMax` of the others, in turn, so that many hosts do not spend their time on each other.
 * I3  The addresses that our server tells its clients are looked at before an answer counts: a server that has gone shows
 *     there no later than its hosts are missed.
 */
import { isNobody, type Inbox, type Link } from "./link.ts";

const pingMs = 100;
const pingsMax = 32;

export interface PingSubjects {
  readonly subjectOf: (incarnation: string) => string;
  /** Whom to ask. */
  readonly others: () => readonly string[];
  readonly answered: (incarnation: string) => void;
  /** The server says that nobody answers. */
  readonly missed: (incarnation: string) => void;
  /** A server of the cluster has come or gone. */
  readonly disturbed: () => void;
}

export class Pings {
  readonly #link: Link;
  readonly #subjects: PingSubjects;
  readonly #inboxes = new Map<string, Inbox>();
  #timer: NodeJS.Timeout | undefined;
  #addresses: string | undefined;
  #from = 0;

  constructor(link: Link, subjects: PingSubjects) {
    this.#link = link;
    this.#subjects = subjects;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#ask(), pingMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.forget();
  }

  /** Answers that are still on their way count no more. */
  forget(): void {
    for (const inbox of this.#inboxes.values()) inbox.stop();
    this.#inboxes.clear();
  }

  #ask(): void {
    if (!this.#link.isUp) return;
    this.#lookAtAddresses();
    const others = this.#subjects.others();
    this.#forgetAllBut(new Set(others));
    const count = Math.min(others.length, pingsMax);
    for (let index = 0; index < count; index += 1) {
      const incarnation = others[(this.#from + index) % others.length];
      if (incarnation === undefined) continue;
      const reply = this.#inbox(incarnation).subject;
      this.#link.connection.publish(this.#subjects.subjectOf(incarnation), undefined, { reply });
    }
    this.#from = others.length === 0 ? 0 : (this.#from + count) % others.length;
  }

  #inbox(incarnation: string): Inbox {
    const known = this.#inboxes.get(incarnation);
    if (known !== undefined) return known;
    const inbox = this.#link.inbox((message) => {
      this.#lookAtAddresses();
      if (this.#inboxes.get(incarnation) !== inbox) return;
      if (isNobody(message)) this.#subjects.missed(incarnation);
      else this.#subjects.answered(incarnation);
    });
    this.#inboxes.set(incarnation, inbox);
    return inbox;
  }

  #forgetAllBut(kept: ReadonlySet<string>): void {
    for (const [incarnation, inbox] of this.#inboxes) {
      if (kept.has(incarnation)) continue;
      inbox.stop();
      this.#inboxes.delete(incarnation);
    }
  }

  #lookAtAddresses(): void {
    const addresses = (this.#link.connection.info?.connect_urls ?? []).toSorted().join(" ");
    const isOther = this.#addresses !== undefined && this.#addresses !== addresses;
    this.#addresses = addresses;
    if (isOther) this.#subjects.disturbed();
  }
}
