/** Mailbox, membership and channel on NATS. */
export { connectNats, type NatsConnection } from "./connect.ts";
export type { NatsOptions } from "./options.ts";
