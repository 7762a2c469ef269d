/**
 * Objects in a bucket of S3 or of what speaks like it.
 *
 * Owns: what an answer to a conditional write means. Leaves to others: signing and sending (`client.ts`), lists and
 * deletes (`sdk.ts`), repeating (core's `insist`), whether the store's conditions hold at all (core's `probeStore`).
 *
 * S1  Nothing is tried twice here, so a 412 is never an answer to a repeat that the caller does not know of (O4).
 * S2  Only an answer that cannot be mistaken is `stored`, `refused` or `conflict`; all else is `unknown` (FACTS.md 2.2).
 * S3  An ETag is what the store says, to the letter.
 */
import {
  DormouseError,
  type Clock,
  type Entropy,
  type Etag,
  type ListOptions,
  type ObjectStore,
  type PutAnswer,
  type PutCondition,
  type StoredObject,
} from "@dormouse/core/ports";
import { SignedClient, type Answer } from "./client.ts";
import {
  callError,
  objectTooLarge,
  openError,
  optionInvalid,
  refusalOf,
  storeClosed,
  storeNotWritable,
  storeSaidNo,
  storeUnfit,
  type Refusal,
} from "./errors.ts";
import { SdkBucket } from "./sdk.ts";
import { parseEndpoint, parseS3Url, type BucketPlace } from "./url.ts";

/** An access key, as a store gives it out. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of credentials that are lent for a while. */
  readonly sessionToken?: string;
}

/** What a bucket is opened with. */
export interface S3Options {
  /** `s3://bucket` or `s3://bucket/prefix`; the prefix has at most 60 bytes. */
  readonly url: string;
  /** Where the store is, as `https://s3.example.com`. Default: the SDK's configuration, in the end AWS. */
  readonly endpoint?: string;
  /** Default: the SDK's configuration (`AWS_REGION`, profiles). */
  readonly region?: string;
  /** Default: the SDK's chain (environment, profiles, the machine's role), renewed as they run out. */
  readonly credentials?: S3Credentials;
  /** Whether the bucket is named in the path, not in the host. Default: the SDK's choice. */
  readonly forcePathStyle?: boolean;
  /** Whether to look, at opening, if one may write and delete here; it takes a PUT and a DELETE. Default: true. */
  readonly checkWritable?: boolean;
  /** How long one call may go without an answer; a body gets a second more per megabyte. Default: 10,000. */
  readonly timeoutMs?: number;
  /** How many connections the hot calls may hold. Default: 256. */
  readonly connectionsMax?: number;
  /** The largest object that is written or read. Default: 260 MB, which is more than Dormouse ever writes. */
  readonly objectBytesMax?: number;
  readonly clock: Pick<Clock, "now" | "schedule">;
  readonly entropy: Entropy;
}

/** A bucket's objects below a prefix. */
export interface S3Store extends ObjectStore {
  /** Waits for what is under way, then closes the connections. */
  close(): Promise<void>;
}

const timeoutMsDefault = 10_000;
const connectionsMaxDefault = 256;
const objectBytesMaxDefault = 272_629_760;
const keyBytesMax = 1_024;
const listLimitMax = 1_000;
const deleteKeysMax = 1_000;
/** What an answer in XML cannot hold. */
const unlistable = /[\p{Cc}\ufffe\uffff]/u;

/**
 * Opens a bucket's objects below a prefix, once the store has shown that it is there and lets us in.
 *
 * Every call is tried once: repeating is the caller's.
 *
 * @throws DormouseError `invalid` (`option.invalid`, `store.url`, `store.region`, `store.bucket`, `store.credentials`,
 * `store.not-writable`, `store.unfit`); `unavailable` (`store.unavailable`): no answer; open again.
 * @see DESIGN.md, section 5
 */
export async function openS3Store(options: S3Options): Promise<S3Store> {
  checkNumbers(options);
  const { endpoint, region, credentials, forcePathStyle, clock, timeoutMs = timeoutMsDefault } = options;
  const place = parseS3Url(options.url);
  const sdk = new SdkBucket({
    place,
    clock,
    timeoutMs,
    ...(endpoint === undefined ? {} : { endpoint: parseEndpoint(endpoint) }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
  });
  let client: SignedClient | undefined;
  try {
    const address = await twice(isSkewed, () => sdk.locate());
    if (address === undefined) throw storeUnfit(place.where, "it wants another signature than SigV4");
    const { connectionsMax = connectionsMaxDefault, objectBytesMax = objectBytesMaxDefault } = options;
    client = new SignedClient({ address, signing: sdk.signing, clock, timeoutMs, connectionsMax });
    const bucket = new Bucket(place, sdk, client, objectBytesMax);
    if (options.checkWritable !== false) await bucket.checkWritable(options.entropy);
    return bucket;
  } catch (cause) {
    sdk.close();
    await client?.close();
    throw openError(place.where, cause);
  }
}

/** Else no call would ever be answered, as if the store were down. */
function checkNumbers(options: S3Options): void {
  for (const name of ["timeoutMs", "connectionsMax", "objectBytesMax"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1)) {
      throw optionInvalid(name, "it is a whole number above 0");
    }
  }
}

/** The SDK learns the store's time from the answer that refuses ours. */
async function twice<T>(isWorth: (cause: unknown) => boolean, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (!isWorth(cause)) throw cause;
    return call();
  }
}

function isSkewed(cause: unknown): boolean {
  return refusalOf(cause)?.code === "RequestTimeTooSkewed";
}

class Bucket implements S3Store {
  readonly isRemote = true;
  readonly #place: BucketPlace;
  readonly #sdk: SdkBucket;
  readonly #client: SignedClient;
  readonly #objectBytesMax: number;
  readonly #calls = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(place: BucketPlace, sdk: SdkBucket, client: SignedClient, objectBytesMax: number) {
    this.#place = place;
    this.#sdk = sdk;
    this.#client = client;
    this.#objectBytesMax = objectBytesMax;
  }

  get(name: string): Promise<StoredObject | undefined> {
    return this.#call(async () => {
      const answer = await this.#client.get(this.#keyOf(name), this.#objectBytesMax);
      const { status, code, etag, bytes, tooMany } = answer;
      // Any other 404 may come from whoever stands before the store, and an agent that is there would begin anew.
      if (status === 404 && code === "NoSuchKey") return undefined;
      if (status !== 200) throw storeSaidNo(this.#place.where, refusalIn(answer));
      if (tooMany !== undefined) throw objectTooLarge(name, tooMany, this.#objectBytesMax);
      if (etag === undefined) throw storeUnfit(this.#place.where, "it gives objects no ETag");
      return { bytes, etag: etag as Etag };
    });
  }

  async put(name: string, bytes: Uint8Array, condition: PutCondition): Promise<PutAnswer> {
    try {
      // Signed and sent later, when the caller's bytes may have changed (O5).
      const copy = Uint8Array.from(bytes);
      const answer = await this.#call(() => this.#put(name, copy, condition));
      return meaningOf(answer, condition) ?? { outcome: "unknown", cause: this.#whyUnknown(answer) };
    } catch (cause) {
      return { outcome: "unknown", cause };
    }
  }

  list(prefix: string, options: ListOptions = {}): Promise<readonly string[]> {
    return this.#call(() => this.#list(prefix, options.after, Math.min(options.limit ?? listLimitMax, listLimitMax)));
  }

  delete(names: readonly string[]): Promise<void> {
    return this.#call(async () => {
      const keys = names.map((name) => this.#keyOf(name));
      for (let at = 0; at < keys.length; at += deleteKeysMax) {
        const [code] = await this.#sdk.delete(keys.slice(at, at + deleteKeysMax));
        if (code !== undefined) throw storeSaidNo(this.#place.where, { status: 200, code });
      }
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Creates an object of a name that nobody else has, and deletes it. */
  async checkWritable(entropy: Entropy): Promise<void> {
    const name = `probe/${Buffer.from(entropy.bytes(16)).toString("hex")}`;
    const create = (): Promise<Answer> => this.#put(name, entropy.bytes(16), { if: "absent" });
    let answer = await create();
    if (answer.code === "RequestTimeTooSkewed") answer = await create();
    const refusal = refusalIn(answer);
    if (answer.status === 401 || answer.status === 403) throw storeNotWritable(this.#place.where, refusal);
    if (answer.status === 501) throw storeUnfit(this.#place.where, "it knows no conditional writes");
    if (answer.status !== 200) throw storeSaidNo(this.#place.where, refusal);
    if (answer.etag === undefined) throw storeUnfit(this.#place.where, "it gives objects no ETag");
    const [code] = await this.#sdk.delete([this.#keyOf(name)]);
    if (code !== undefined) throw storeNotWritable(this.#place.where, { status: 200, code });
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#calls);
    this.#sdk.close();
    await this.#client.close();
  }

  async #put(name: string, bytes: Uint8Array, condition: PutCondition): Promise<Answer> {
    if (bytes.length > this.#objectBytesMax) throw objectTooLarge(name, bytes.length, this.#objectBytesMax);
    return this.#client.put(this.#keyOf(name), bytes, headersOf(condition));
  }

  async #list(prefix: string, after: string | undefined, limit: number): Promise<readonly string[]> {
    const { root, where } = this.#place;
    const names: string[] = [];
    let last = after === undefined ? undefined : Buffer.from(after);
    let next: string | undefined;
    while (names.length < limit) {
      const from = next === undefined ? { after: after === undefined ? "" : root + after } : { next };
      const page = await this.#sdk.listPage(root + prefix, { limit: limit - names.length, ...from });
      for (const key of page.keys) {
        const name = key.slice(root.length);
        const bytes = Buffer.from(name);
        if (last !== undefined && Buffer.compare(last, bytes) >= 0)
          throw storeUnfit(where, "it does not list in order");
        last = bytes;
        names.push(name);
      }
      if (page.next === undefined || page.next === next) break;
      next = page.next;
    }
    return names;
  }

  /** Keeps what is under way, so that `close` can wait for it. */
  async #call<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw storeClosed(this.#place.where);
    const calling = call();
    this.#calls.add(calling);
    try {
      return await calling;
    } catch (cause) {
      throw callError(this.#place.where, cause);
    } finally {
      this.#calls.delete(calling);
    }
  }

  #keyOf(name: string): string {
    const key = this.#place.root + name;
    const byteCount = Buffer.byteLength(key);
    const hasDots = name.split("/").some((part) => part === "." || part === "..");
    if (name !== "" && byteCount <= keyBytesMax && name.isWellFormed() && !unlistable.test(name) && !hasDots)
      return key;
    const message =
      `an object's name has, with the prefix, 1 to ${keyBytesMax} bytes of UTF-8, no control characters ` +
      `and no part that is "." or "..": bytes=${byteCount}`;
    throw new DormouseError("invalid", "store.name", message);
  }

  #whyUnknown(answer: Answer): DormouseError {
    if (answer.status === 200) return storeUnfit(this.#place.where, "it gives objects no ETag");
    return storeSaidNo(this.#place.where, refusalIn(answer));
  }
}

function headersOf(condition: PutCondition): Readonly<Record<string, string>> {
  switch (condition.if) {
    case "any":
      return {};
    case "absent":
      return { "if-none-match": "*" };
    case "match":
      return { "if-match": condition.etag };
  }
}

/** What an answer to a put tells for sure (S2). */
function meaningOf({ status, code, etag }: Answer, condition: PutCondition): PutAnswer | undefined {
  if (status === 200 && etag !== undefined) return { outcome: "stored", etag: etag as Etag };
  if (status === 409) return { outcome: "conflict" };
  if (status === 412 && condition.if !== "any") return { outcome: "refused" };
  // AWS's word for an ETag to match where no object is.
  if (status === 404 && code === "NoSuchKey" && condition.if === "match") return { outcome: "refused" };
  return undefined;
}

function refusalIn({ status, code }: Answer): Refusal {
  return code === undefined ? { status } : { status, code };
}
