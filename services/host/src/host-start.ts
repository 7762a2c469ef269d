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

/** How to be let in at NATS. */
export interface NatsStart {
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** What a .creds file holds. */
  readonly credentials?: string;
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
