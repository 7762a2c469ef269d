/** What this process starts a host with: the sdk's options, and those of hosts on several machines. */
import type { HostOptions } from "@dormouse/sdk";

export interface HostStart extends HostOptions {
  /** What this host is called. */
  readonly name?: string;
  /** Partitions of an app that is new. */
  readonly partitions?: number;
  /** Where messages wait, such as `nats://server:4222`. */
  readonly mailbox?: string;
  readonly nats?: NatsStart;
  readonly s3?: S3Start;
}

/** What a `nats://` URL does not say. */
export interface NatsStart {
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  readonly nkeySeed?: string;
  readonly credsFile?: string;
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string };
  readonly prefix?: string;
  readonly replicas?: number;
  readonly streamBytesMax?: number;
}

/** What an `s3://` URL does not say. */
export interface S3Start {
  readonly endpoint?: string;
  readonly region?: string;
  readonly forcePathStyle?: boolean;
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
}
