/** Real servers for tests, and proxies that do harm between a program and a server. */
export { findContainer, findNats, findS3, type Found, type Missing } from "./find.ts";
export { missingServers } from "./missing.ts";
export { startNats, type Nats, type NatsOptions, type NatsServer } from "./nats.ts";
export { startS3, type S3Server, type S3ServerOptions } from "./s3.ts";
export { s3Faults, type S3Answer, type S3Fault } from "./s3-faults.ts";
export { s3Proxy, type S3Proxy, type S3ProxyOptions, type S3Request } from "./s3-proxy.ts";
export { tcpProxy, type TcpDirection, type TcpProxy, type TcpProxyOptions } from "./tcp-proxy.ts";
