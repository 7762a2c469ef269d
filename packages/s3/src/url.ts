/** `s3://bucket/prefix`, taken apart. */
import { DormouseError } from "@dormouse/core/ports";
import { storeUnfit } from "./errors.ts";

export interface BucketPlace {
  readonly bucket: string;
  /** What stands before every name: empty, or ending in a slash. */
  readonly root: string;
  /** The URL in its one spelling, for messages. */
  readonly where: string;
}

/** So that names stay within the store's 1,024 bytes. DESIGN.md, section 11. */
const prefixBytesMax = 60;
const pattern = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/((?:[\w.~-]+\/)*[\w.~-]+)?\/?)?$/;

/**
 * The bucket and prefix that a URL names.
 *
 * @throws DormouseError `invalid` (`store.url`; `store.unfit`: a directory bucket, which does not list in order).
 */
export function parseS3Url(url: unknown): BucketPlace {
  const [, bucket, prefix = ""] = (typeof url === "string" ? pattern.exec(url) : null) ?? [];
  const hasDots = prefix.split("/").some((part) => part === "." || part === "..");
  if (bucket === undefined || hasDots || prefix.length > prefixBytesMax) throw wrongUrl();
  const where = prefix === "" ? `s3://${bucket}` : `s3://${bucket}/${prefix}`;
  // S3 Express One Zone: FACTS.md 2.4.
  if (bucket.endsWith("--x-s3")) throw storeUnfit(where, "a directory bucket does not list names in their order");
  return { bucket, root: prefix === "" ? "" : `${prefix}/`, where };
}

/** Does not repeat the URL: one that is wrong may hold a password. */
function wrongUrl(): DormouseError {
  const message =
    'a bucket is named by a URL such as "s3://bucket" or "s3://bucket/prefix", the prefix of at most ' +
    `${prefixBytesMax} letters, digits, "-", "_", ".", "~" and "/"; credentials and endpoint are options beside it`;
  return new DormouseError("invalid", "store.url", message);
}

/** @throws DormouseError `invalid` (`store.url`). */
export function parseEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const isPlain = url !== undefined && url.username + url.password + url.search + url.hash === "";
  if (isPlain && (url.protocol === "https:" || url.protocol === "http:")) return endpoint;
  const message = 'an endpoint is a URL such as "https://s3.example.com", without a name, password or query in it';
  throw new DormouseError("invalid", "store.url", message);
}
