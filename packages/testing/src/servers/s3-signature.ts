/** AWS Signature Version 4 of one request to S3, by our own reading: to sign with, and to check the driver's by. */
import { createHash, createHmac } from "node:crypto";

export interface SignedRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Names of the signed headers, in order, `;` between. */
  readonly names: string;
  /** SHA-256 of the body, in hex. */
  readonly digest: string;
  /** `20260101/us-east-1/s3/aws4_request` */
  readonly scope: string;
}

export interface SignatureKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

export function signatureOf({ method, url, headers, names, digest, scope }: SignedRequest, secret: string): string {
  const [path = "", query = ""] = url.split("?");
  const pairs = query.split("&").map((pair) => pair.split("=").map(encoded).join("="));
  const signed = names.split(";").map((name) => `${name}:${String(headers[name])}\n`);
  const where = path.split("/").map(encoded).join("/");
  const canonical = [method, where, pairs.toSorted().join("&"), signed.join(""), names, digest].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, sha256(Buffer.from(canonical))].join("\n");
  const key = scope.split("/").reduce<Buffer>((last, part) => hmac(last, part), Buffer.from(`AWS4${secret}`));
  return hmac(key, toSign).toString("hex");
}

/** The headers that sign a request without a body. */
export function signingHeaders(
  method: string,
  url: URL,
  { accessKeyId, secretAccessKey, region }: SignatureKey,
): Record<string, string> {
  const now = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const digest = sha256(Buffer.alloc(0));
  const headers = { host: url.host, "x-amz-content-sha256": digest, "x-amz-date": now };
  const names = Object.keys(headers).join(";");
  const scope = `${now.slice(0, 8)}/${region}/s3/aws4_request`;
  const request = { method, url: url.pathname + url.search, headers, names, digest, scope };
  const credential = `Credential=${accessKeyId}/${scope}, SignedHeaders=${names}`;
  const authorization = `AWS4-HMAC-SHA256 ${credential}, Signature=${signatureOf(request, secretAccessKey)}`;
  return { ...headers, authorization };
}

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** As S3 reads and writes it again, whichever way it was sent: every byte but letters, digits and `-._~`. */
function encoded(part: string): string {
  const bytes = [...Buffer.from(decodeURIComponent(part))].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[\w.~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  });
  return bytes.join("");
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
