/**
 * The errors of the S3 driver: what a store, the network and the SDK report, in Dormouse's words.
 *
 * Messages and causes name statuses and codes, never what the SDK wrote or sent: that may hold keys and tokens.
 */
import { DormouseError } from "@dormouse/core/ports";

/** What a store said no with. */
export interface Refusal {
  readonly status: number;
  /** S3's word for it, such as `SlowDown`, where the answer has one. */
  readonly code?: string;
}

/** Answers to wrong, missing or outdated credentials, and to right ones that may not do this. */
const credentialCodes: ReadonlySet<string | undefined> = new Set([
  "AccessDenied",
  "AllAccessDisabled",
  "AccountProblem",
  "CredentialsProviderError",
  "ExpiredToken",
  "InvalidAccessKeyId",
  "InvalidToken",
  "SignatureDoesNotMatch",
  "TokenRefreshRequired",
  "UnrecognizedClientException",
]);
const regionCodes: ReadonlySet<string | undefined> = new Set([
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
  "PermanentRedirect",
  "TemporaryRedirect",
]);
const bucketCodes: ReadonlySet<string | undefined> = new Set(["InvalidBucketName", "NoSuchBucket"]);

/** What a failure of the first call means, when waiting will not mend it; else `store.unavailable`. */
export function openError(where: string, cause: unknown): DormouseError {
  if (cause instanceof DormouseError) return cause;
  const { status, code } = refusalOf(cause) ?? { status: 0, code: nameOf(cause) };
  const detail = `store=${where}${tell({ status, ...(code === undefined ? {} : { code }) })}`;
  if (regionCodes.has(code) || status === 301) return storeRegion(`the bucket is in another region: ${detail}`);
  if (bucketCodes.has(code) || status === 404) {
    const message = `there is no such bucket; make it, or correct the URL or the endpoint: ${detail}`;
    return new DormouseError("invalid", "store.bucket", message);
  }
  if (credentialCodes.has(code) || status === 401 || status === 403) {
    const message =
      "the store takes no credentials that were found; give `credentials`, or set AWS_ACCESS_KEY_ID and " +
      `AWS_SECRET_ACCESS_KEY, of one who may list, read, write and delete here: ${detail}`;
    return new DormouseError("invalid", "store.credentials", message);
  }
  return callError(where, cause);
}

/** A call that has no answer, or one that does not tell; a DormouseError stays as it is. */
export function callError(where: string, cause: unknown): DormouseError {
  if (cause instanceof DormouseError) return cause;
  const refusal = refusalOf(cause);
  if (refusal !== undefined) return storeSaidNo(where, refusal);
  const message = `the store did not answer; try again, and look at it and the network if that does not help: store=${where}`;
  return new DormouseError("unavailable", "store.unavailable", message, { cause: plainCause(cause) });
}

export function storeSaidNo(where: string, refusal: Refusal): DormouseError {
  const message = `the store could not do it; try again, and look at the store if that does not help: store=${where}${tell(refusal)}`;
  return new DormouseError("unavailable", "store.unavailable", message);
}

export function storeRegion(what: string): DormouseError {
  const message = `name the bucket's region in \`region\` or AWS_REGION; a store without regions takes "us-east-1"; ${what}`;
  return new DormouseError("invalid", "store.region", message);
}

export function storeNotWritable(where: string, refusal: Refusal): DormouseError {
  const message = `the store lets nothing be written here; give credentials that may write and delete: store=${where}${tell(refusal)}`;
  return new DormouseError("invalid", "store.not-writable", message);
}

export function storeUnfit(where: string, what: string): DormouseError {
  const message = `this store does not keep what Dormouse rests on, so agents would not be safe on it; use another: ${what}: store=${where}`;
  return new DormouseError("invalid", "store.unfit", message);
}

export function storeClosed(where: string): DormouseError {
  return new DormouseError("closed", "store.closed", `the store was closed here: store=${where}`);
}

export function optionInvalid(name: string, rule: string): DormouseError {
  return new DormouseError("invalid", "option.invalid", `an option cannot be used: ${rule}: option=${name}`);
}

export function objectTooLarge(name: string, bytes: number, bytesMax: number): DormouseError {
  const message = `an object is larger than any of Dormouse's, so it is not read: name=${name} bytes=${bytes} bytesMax=${bytesMax}`;
  return new DormouseError("corrupt", "object.too-large", message);
}

/** What an error of the SDK says that the store said. */
export function refusalOf(cause: unknown): Refusal | undefined {
  if (!(cause instanceof Error) || !("$metadata" in cause)) return undefined;
  const { httpStatusCode } = cause.$metadata as { readonly httpStatusCode?: number };
  return httpStatusCode === undefined ? undefined : { status: httpStatusCode, code: cause.name };
}

function nameOf(cause: unknown): string | undefined {
  return cause instanceof Error ? cause.name : undefined;
}

/** Name and code of what happened: the SDK's errors also hold requests with their headers. */
function plainCause(cause: unknown): Error | undefined {
  if (!(cause instanceof Error)) return undefined;
  const code: unknown = "code" in cause ? cause.code : undefined;
  const plain = new Error(typeof code === "string" ? `${cause.name} ${code}` : cause.name);
  plain.name = cause.name;
  return plain;
}

function tell({ status, code }: Refusal): string {
  return `${status === 0 ? "" : ` status=${status}`}${code === undefined ? "" : ` code=${code}`}`;
}
