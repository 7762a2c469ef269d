/** What a driver implements: the ports, and the errors it speaks in. Five of DESIGN.md section 5, and randomness. */
import type { Channel } from "./channel.ts";
import type { Clock } from "./clock.ts";
import type { Entropy } from "./entropy.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Membership } from "./membership.ts";
import type { ObjectStore } from "./object-store.ts";

export type { Partition } from "../agent/address.ts";
export { DormouseError, type ErrorKind } from "../agent/errors.ts";
export type { Channel, Unsubscribe } from "./channel.ts";
export type { Cancel, Clock } from "./clock.ts";
export type { Entropy } from "./entropy.ts";
export type { Acceptance, Barrier, Mailbox, MailboxMessage, MailboxReader, Place, SentTo } from "./mailbox.ts";
export type { Member, Membership, MemberState } from "./membership.ts";
export type { Etag, ListOptions, ObjectStore, PutAnswer, PutCondition, StoredObject } from "./object-store.ts";

/** What a host reaches of another app of its cluster, by names below that app's prefix. */
export interface Elsewhere {
  readonly store: Pick<ObjectStore, "get">;
  readonly mailbox: Pick<Mailbox, "append">;
}

/** All that a host or client asks of the world. */
export interface Ports {
  readonly mailbox: Mailbox;
  readonly store: ObjectStore;
  readonly membership: Membership;
  readonly channel: Channel;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /**
   * Another app by its name, whether it is there or not; nothing is asked of the world yet. Its hosts share the channel.
   * Missing where the world holds one app only.
   */
  readonly elsewhere?: (app: string) => Elsewhere;
}
