/**
 * `@aws-sdk/client-s3`: configuration, credentials, and all calls that are not hot.
 *
 * Its own retries are off, and so are checksums that not every store knows; repeating is the caller's (O4).
 */
import { DeleteObjectsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import type { Clock } from "@dormouse/core/ports";
import { within } from "./deadline.ts";
import { storeRegion } from "./errors.ts";
import type { BucketPlace } from "./url.ts";

export interface SdkOptions {
  readonly place: BucketPlace;
  readonly clock: Pick<Clock, "schedule">;
  readonly timeoutMs: number;
  readonly endpoint?: string;
  readonly region?: string;
  readonly credentials?: Readonly<Record<"accessKeyId" | "secretAccessKey", string>> & {
    readonly sessionToken?: string;
  };
  readonly forcePathStyle?: boolean;
}

/** Where the SDK, by all its configuration, finds the bucket, and how it signs for it. */
export interface BucketAddress {
  /** `https://host:port`. */
  readonly origin: string;
  /** What stands before a key: `/`, or `/bucket/` in path style. */
  readonly path: string;
  readonly region: string;
}

export interface ListPage {
  readonly keys: readonly string[];
  readonly next: string | undefined;
}

/** How the SDK signed: `AWS4-HMAC-SHA256 Credential=<key>/<day>/<region>/s3/aws4_request, …`. */
const scopePattern = /^AWS4-HMAC-SHA256 Credential=.*\/\d{8}\/([^/]+)\/s3\/aws4_request,/;

export class SdkBucket {
  readonly #options: SdkOptions;
  readonly #client: S3Client;
  #address: BucketAddress | undefined;

  constructor(options: SdkOptions) {
    const { endpoint, region, credentials, forcePathStyle, timeoutMs } = options;
    this.#options = options;
    this.#client = new S3Client({
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      ...(credentials === undefined ? {} : { credentials }),
      ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
      maxAttempts: 1,
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: { connectionTimeout: timeoutMs },
    });
    this.#client.middlewareStack.add(
      (next) => (args) => {
        this.#address = addressOf(args.request);
        return next(args);
      },
      { step: "deserialize", name: "dormouseAddress" },
    );
  }

  /** Credentials and hash of the SDK, for requests that are signed elsewhere. */
  get signing(): Pick<S3Client["config"], "credentials" | "sha256"> {
    return this.#client.config;
  }

  /** Lists a little, as a check, and tells where that went. */
  async locate(): Promise<BucketAddress | undefined> {
    await this.#client.config.region().catch(() => {
      throw storeRegion("none was found");
    });
    await this.listPage(this.#options.place.root, { limit: 1 });
    return this.#address;
  }

  listPage(
    prefix: string,
    {
      after = "",
      limit,
      next,
    }: { readonly after?: string; readonly limit: number; readonly next?: string | undefined },
  ): Promise<ListPage> {
    const command = new ListObjectsV2Command({
      Bucket: this.#options.place.bucket,
      MaxKeys: limit,
      ...(prefix === "" ? {} : { Prefix: prefix }),
      ...(after === "" ? {} : { StartAfter: after }),
      ...(next === undefined ? {} : { ContinuationToken: next }),
    });
    return this.#inTime(async (abortSignal) => {
      const page = await this.#client.send(command, { abortSignal });
      const keys = (page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key]));
      return { keys, next: page.IsTruncated === true ? page.NextContinuationToken : undefined };
    });
  }

  /** At most 1,000 keys; the codes of those that could not be deleted. */
  delete(keys: readonly string[]): Promise<readonly string[]> {
    const Delete = { Objects: keys.map((Key) => ({ Key })), Quiet: true };
    const command = new DeleteObjectsCommand({ Bucket: this.#options.place.bucket, Delete });
    return this.#inTime(async (abortSignal) => {
      const { Errors = [] } = await this.#client.send(command, { abortSignal });
      return Errors.map(({ Code = "InternalError" }) => Code);
    });
  }

  close(): void {
    this.#client.destroy();
  }

  #inTime<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return within(this.#options.clock, this.#options.timeoutMs, ({ signal }) => call(signal));
  }
}

/** `undefined` for a signature that is not plain SigV4, as of an access point over several regions. */
function addressOf(request: unknown): BucketAddress | undefined {
  const { protocol, hostname, port, path, headers } = request as {
    readonly protocol: string;
    readonly hostname: string;
    readonly port?: number;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
  };
  const [, region] = scopePattern.exec(headers["authorization"] ?? "") ?? [];
  if (region === undefined) return undefined;
  const origin = `${protocol}//${hostname}${port === undefined ? "" : `:${port}`}`;
  return { origin, path: path.endsWith("/") ? path : `${path}/`, region };
}
