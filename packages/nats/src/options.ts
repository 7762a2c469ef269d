/** What a connection to NATS is made with, checked and resolved before anything is dialled. */
import { readFile } from "node:fs/promises";
import {
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
  type Authenticator,
  type TlsOptions,
} from "@nats-io/transport-node";
import { DormouseError } from "@dormouse/core/ports";
import { optionInvalid } from "./errors.ts";

/** What a connection to NATS is made with. */
export interface NatsOptions {
  /** `nats://host:4222` or `tls://…`, one or several (also by comma), of one cluster; may hold `user:password@`. */
  readonly servers: string | readonly string[];
  /** With `password`. Of the five kinds of credentials at most one may be given. */
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** The seed of an NKey, `SU…`. */
  readonly nkeySeed?: string;
  /** The path of a credentials file, as `nsc` writes it: a JWT and its seed. */
  readonly credsFile?: string;
  /** Paths of PEM files; naming any of them, or a `tls://` server, makes TLS a must. */
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string };
  /** The first token of every subject, stream and bucket: one for each cluster of Dormouse. Default: `dormouse`. */
  readonly prefix?: string;
  /** Copies of each stream, 1 to 5. Default: 3 where the server is of a cluster, else 1. */
  readonly replicas?: number;
  /**
   * The most bytes that one partition's stream may hold; a send beyond is refused. Default: 268,435,456 (256 MiB).
   * JetStream sets this much of max_file_store aside for each stream, on each server that has a copy: 8 GiB for 32.
   */
  readonly streamBytesMax?: number;
  /** Shown by `nats server report connections`. Default: `dormouse`. */
  readonly name?: string;
}

/** The same, with every default in place and every file read. */
export interface ResolvedOptions {
  readonly servers: readonly string[];
  readonly authenticator: Authenticator | undefined;
  readonly tls: TlsOptions | undefined;
  readonly prefix: string;
  readonly replicas: number | undefined;
  readonly streamBytesMax: number;
  readonly name: string;
}

const streamBytesMaxDefault = 268_435_456;
const streamBytesMaxMin = 4_194_304;
const utf8 = new TextEncoder();

export async function resolveOptions(options: NatsOptions): Promise<ResolvedOptions> {
  const { prefix = "dormouse", replicas, streamBytesMax = streamBytesMaxDefault, name = "dormouse" } = options;
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(prefix)) {
    throw optionInvalid("prefix", "it has 1 to 32 characters of A-Z, a-z, 0-9, `_` and `-`");
  }
  if (replicas !== undefined && !(Number.isInteger(replicas) && replicas >= 1 && replicas <= 5)) {
    throw optionInvalid("replicas", "it is a whole number from 1 to 5");
  }
  if (!Number.isSafeInteger(streamBytesMax) || streamBytesMax < streamBytesMaxMin) {
    throw optionInvalid("streamBytesMax", `it is a whole number of bytes, at least ${streamBytesMaxMin}`);
  }
  const urls = parseServers(options.servers);
  const isTls = options.tls !== undefined || urls.some(({ scheme }) => scheme === "tls");
  return {
    servers: urls.map(({ host }) => host),
    authenticator: await readCredentials(options, urls),
    tls: isTls ? await readTls(options.tls ?? {}) : undefined,
    prefix,
    replicas,
    streamBytesMax,
    name,
  };
}

interface ServerUrl {
  readonly scheme: "nats" | "tls";
  readonly host: string;
  readonly userinfo: string;
}

function parseServers(servers: string | readonly string[]): readonly ServerUrl[] {
  const texts = (typeof servers === "string" ? [servers] : servers).flatMap((text) => text.split(","));
  const urls = texts.map((text) => text.trim()).filter((text) => text !== "");
  if (urls.length === 0) throw optionInvalid("servers", "it names at least one server");
  return urls.map((text) => {
    const [, scheme = "nats", userinfo = "", host = ""] =
      /^(?:([a-z]+):\/\/)?(?:(.*)@)?([^@/?#\s]+)\/?$/.exec(text) ?? [];
    // What is wrong is not repeated here: it may hold a password.
    const isAddress = URL.canParse(`nats://${host}`);
    if (host === "" || !isAddress || (scheme !== "nats" && scheme !== "tls")) {
      throw optionInvalid("servers", "a server is nats://host:port or tls://host:port");
    }
    return { scheme, host, userinfo };
  });
}

async function readCredentials(options: NatsOptions, urls: readonly ServerUrl[]): Promise<Authenticator | undefined> {
  const { user, password, token, nkeySeed, credsFile } = options;
  const userinfos = [...new Set(urls.map(({ userinfo }) => userinfo).filter((userinfo) => userinfo !== ""))];
  if (userinfos.length > 1) throw optionInvalid("servers", "one user and password serve all servers");
  const found = [
    userinfos.length > 0 ? "servers" : undefined,
    user !== undefined || password !== undefined ? "user" : undefined,
    token === undefined ? undefined : "token",
    nkeySeed === undefined ? undefined : "nkeySeed",
    credsFile === undefined ? undefined : "credsFile",
  ].filter((kind) => kind !== undefined);
  if (found.length > 1) throw optionInvalid(found.join(", "), "give one kind of credentials, not several");
  if (password !== undefined && user === undefined) throw optionInvalid("user", "a password needs its user");
  const [userinfo] = userinfos;
  if (userinfo !== undefined) return userinfoAuthenticator(userinfo);
  if (user !== undefined) return usernamePasswordAuthenticator(user, password ?? "");
  if (token !== undefined) return tokenAuthenticator(token);
  if (nkeySeed !== undefined) {
    if (!/^SU[A-Z2-7]{56}$/.test(nkeySeed)) throw optionInvalid("nkeySeed", "it is the seed of a user's NKey, SU…");
    return signing(nkeyAuthenticator(utf8.encode(nkeySeed)), "nkeySeed", "it is a seed, whole, as nk or nsc wrote it");
  }
  if (credsFile !== undefined) {
    const rule = `it is a credentials file, whole, as nsc wrote it: path=${credsFile}`;
    return signing(credsAuthenticator(await readNamed("credsFile", credsFile)), "credsFile", rule);
  }
  return undefined;
}

/** Lets it sign once: it would find out what is wrong with its key while it connects, where that looks like the network's. */
function signing(authenticator: Authenticator, name: string, rule: string): Authenticator {
  try {
    authenticator("nonce");
  } catch {
    throw optionInvalid(name, rule);
  }
  return authenticator;
}

/** A name without a password is a token, as other NATS clients have it. */
function userinfoAuthenticator(userinfo: string): Authenticator {
  const colon = userinfo.indexOf(":");
  try {
    if (colon < 0) return tokenAuthenticator(decodeURIComponent(userinfo));
    const [user, password] = [userinfo.slice(0, colon), userinfo.slice(colon + 1)].map(decodeURIComponent);
    return usernamePasswordAuthenticator(user ?? "", password ?? "");
  } catch {
    throw optionInvalid("servers", "what stands before the @ is percent-encoded");
  }
}

async function readTls({ caFile, certFile, keyFile }: NonNullable<NatsOptions["tls"]>): Promise<TlsOptions> {
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw optionInvalid("tls", "a certificate and its key are given together");
  }
  const [ca, cert, key] = await Promise.all([
    readText("tls.caFile", caFile),
    readText("tls.certFile", certFile),
    readText("tls.keyFile", keyFile),
  ]);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

async function readText(name: string, path: string | undefined): Promise<string | undefined> {
  return path === undefined ? undefined : Buffer.from(await readNamed(name, path)).toString("utf8");
}

async function readNamed(name: string, path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    throw new DormouseError(
      "invalid",
      "option.invalid",
      `a file cannot be read: option=${name} path=${path} code=${code}`,
    );
  }
}
