/** From URLs to what drives them: a folder, or NATS and an S3 store, each loaded when its URL is used. */
import { fileURLToPath } from "node:url";
import { DormouseError } from "@dormouse/core";
import { optionError } from "@dormouse/core/protocol";
import type { Elsewhere, ObjectStore, Ports } from "@dormouse/core/ports";
import { openFolder, realClock, realEntropy } from "@dormouse/local";
import type { NatsConnection, NatsOptions } from "@dormouse/nats";
import type { S3Options } from "@dormouse/s3";
import { scoped } from "./scoped.ts";

/** What a `nats://` URL does not say: credentials, TLS, prefix, copies of each stream. */
export type NatsSettings = Omit<NatsOptions, "servers" | "name">;

/** What an `s3://` URL does not say: endpoint, region, credentials. */
export type S3Settings = Omit<S3Options, "url" | "clock" | "entropy">;

/** Where a host's agents live, or a client's. */
export interface Places {
  /** `"nats://server:4222"`, several by comma; with it `store` is a bucket. Default: the mailbox is in the folder. */
  readonly mailbox?: string;
  /** `"file:./folder"`, or with a `mailbox` `"s3://bucket/prefix"`. Default `"file:./.dormouse"`. */
  readonly store?: string;
  readonly nats?: NatsSettings;
  readonly s3?: S3Settings;
}

/** Where agents live, told apart. */
export type Place =
  | { readonly kind: "folder"; readonly path: string }
  | { readonly kind: "cluster"; readonly mailbox: string; readonly bucket: string | undefined };

const folderDefault = "file:./.dormouse";

/** @throws DormouseError `invalid` (`store.url`, `mailbox.url`): no URL of these kinds, or two that do not go together. */
export function placeOf({ mailbox, store, nats, s3 }: Places): Place {
  const isBucket = typeof store === "string" && store.startsWith("s3://");
  if (mailbox === undefined) {
    if (isBucket) throw mailboxUrl("a bucket goes with a mailbox on NATS; name it too", "none");
    if (nats !== undefined || s3 !== undefined) throw optionError("nats and s3 go with a mailbox on NATS", nats ?? s3);
    return { kind: "folder", path: folderOf(store) };
  }
  const isNats = typeof mailbox === "string" && mailbox.split(",").every((one) => /^(nats|tls):\/\/./.test(one.trim()));
  if (!isNats) throw mailboxUrl('a mailbox is named by a URL such as "nats://server:4222", several by comma', mailbox);
  if (store !== undefined && !isBucket) {
    throw storeUrl('with a mailbox on NATS a store is a bucket, such as "s3://bucket/prefix"', store);
  }
  return { kind: "cluster", mailbox, bucket: store };
}

/**
 * The cluster that options name; `what` is for the refusal.
 *
 * @throws DormouseError `invalid` (`option.invalid`: they name a folder; `store.url`, `mailbox.url`).
 */
export function clusterOf(options: Places, what: string): Extract<Place, { kind: "cluster" }> {
  const place = placeOf(options);
  if (place.kind === "cluster") return place;
  throw optionError(
    `${what} on a cluster, and a folder needs none; name a mailbox, such as nats://server:4222`,
    undefined,
  );
}

/** The folder that a store's URL names. @throws DormouseError `invalid` (`store.url`). */
function folderOf(url: string = folderDefault): string {
  const path = pathOf(url);
  if (path !== undefined) return path;
  throw storeUrl(
    'a store is named by a URL such as "file:./.dormouse", or "s3://bucket/prefix" with a mailbox on NATS',
    url,
  );
}

/** `undefined` for whatever else plain JavaScript may give. */
function pathOf(url: unknown): string | undefined {
  if (typeof url !== "string" || !url.startsWith("file:") || url === "file:" || url === "file://") return undefined;
  if (!url.startsWith("file://")) return url.slice("file:".length);
  try {
    return fileURLToPath(url);
  } catch {
    // Of another machine, or with a slash inside a name.
    return undefined;
  }
}

function storeUrl(what: string, url: unknown): DormouseError {
  return new DormouseError("invalid", "store.url", `${what}: store=${withoutSecrets(url)}`);
}

function mailboxUrl(what: string, url: unknown): DormouseError {
  return new DormouseError("invalid", "mailbox.url", `${what}: mailbox=${withoutSecrets(url)}`);
}

/** A URL may hold a name and password. */
function withoutSecrets(url: unknown): string {
  return String(url).replaceAll(/[^/,]*@/g, "…@");
}

/** A NATS and a bucket, with many apps in them. */
export class Cluster {
  readonly #nats: NatsConnection;
  readonly #store: OpenStore | undefined;
  /** Why a store that was named is missing, of a process that can do without it. */
  readonly storeProblem: DormouseError | undefined;

  constructor(nats: NatsConnection, store: OpenStore | DormouseError | undefined) {
    this.#nats = nats;
    this.#store = store instanceof DormouseError ? undefined : store;
    this.storeProblem = store instanceof DormouseError ? store : undefined;
  }

  /** Those of a process without partitions: all but the store. */
  clientPorts(app: string): Omit<Ports, "store"> {
    return {
      mailbox: this.#nats.mailbox(app),
      membership: this.#nats.membership(app),
      channel: this.#nats.channel,
      clock: realClock,
      entropy: realEntropy,
    };
  }

  /** @throws DormouseError `invalid` (`option.invalid`): no store was named. */
  ports(app: string): Ports {
    const store = this.store(app);
    if (store === undefined) throw optionError("name a store too, such as s3://bucket/prefix", undefined);
    const nats = this.#nats;
    const elsewhere = (other: string): Elsewhere => ({
      store: this.store(other) ?? store,
      // Only of an app that was found: names that agents misspell would gather in the connection.
      get mailbox() {
        return nats.mailbox(other);
      },
    });
    return { ...this.clientPorts(app), store, elsewhere };
  }

  /** An app's objects; `undefined` without a bucket. */
  store(app: string): ObjectStore | undefined {
    return this.#store === undefined ? undefined : scoped(this.#store.store, `${app}/`);
  }

  /** Nothing of it keeps the process alive then. */
  async close(): Promise<void> {
    await Promise.all([this.#nats.close(), this.#store?.close()]);
  }
}

/**
 * Connects to a cluster.
 *
 * @throws DormouseError as `connectNats` and `openS3Store` do.
 */
export async function openCluster(
  place: Extract<Place, { kind: "cluster" }>,
  { nats, s3 }: Places,
  name: string,
  open: (url: string, s3: S3Settings | undefined) => Promise<OpenStore | DormouseError> = openBucket,
): Promise<Cluster> {
  const { connectNats } = await import("@dormouse/nats");
  const connection = await connectNats({ ...nats, servers: place.mailbox, name });
  try {
    return new Cluster(connection, place.bucket === undefined ? undefined : await open(place.bucket, s3));
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * Connects to a cluster as one that can do without its store: hosts tell of the app too.
 *
 * @throws DormouseError as `openCluster` does, but for a store that does not answer.
 */
export async function openClusterAsClient(
  place: Extract<Place, { kind: "cluster" }>,
  places: Places,
  name: string,
): Promise<Cluster> {
  return openCluster(place, places, name, openBucketIfItAnswers);
}

async function openBucketIfItAnswers(url: string, s3: S3Settings | undefined): Promise<OpenStore | DormouseError> {
  try {
    return await openBucket(url, s3);
  } catch (error) {
    if (error instanceof DormouseError && error.kind === "unavailable") return error;
    throw error;
  }
}

/** A store that somebody has to close. */
export interface OpenStore {
  readonly store: ObjectStore;
  close(): Promise<void>;
}

/**
 * Opens an app's store alone, a folder that is there or a bucket.
 *
 * @throws DormouseError `invalid` (`store.url`); `unavailable` (`folder.missing`); as `openS3Store` does.
 */
export async function openStore({ store: url, s3 }: Pick<Places, "store" | "s3">, app: string): Promise<OpenStore> {
  if (typeof url !== "string" || !url.startsWith("s3://")) {
    return openFolder(folderOf(url), { clock: realClock, entropy: realEntropy, create: false });
  }
  const bucket = await openBucket(url, s3);
  return { store: scoped(bucket.store, `${app}/`), close: () => bucket.close() };
}

async function openBucket(url: string, s3: S3Settings | undefined): Promise<OpenStore> {
  const { openS3Store } = await import("@dormouse/s3");
  const store = await openS3Store({ ...s3, url, clock: realClock, entropy: realEntropy });
  return { store, close: () => store.close() };
}
