/** Real servers for tests, and proxies that do harm between a program and a server. */
export { findNats, findS3, type Found, type Missing } from "./find.ts";
export { startNats, type Nats, type NatsOptions, type NatsServer } from "./nats.ts";
