/**
 * An S3 server for tests, that can be killed and started again.
 *
 * Owns: how the server is begun, and when it counts as ready.
 * Leaves to others: where the program is (`find.ts`), how it runs (`guarded-process.ts`, `containers.ts`).
 *
 * gofakes3 keeps its objects in one bolt file: it evaluates conditions within the write transaction, so they are
 * atomic, and syncs each, so they outlast a kill. Its file system backend is unfit: names `a` and `a/b` exclude each
 * other there, and a kill leaves half an object. Its memory backend forgets.
 */
import { join } from "node:path";
import { DormouseError } from "@dormouse/core";
import { ContainerNetwork } from "./containers.ts";
import { findS3, type Found } from "./find.ts";
import { GuardedProcess } from "./guarded-process.ts";
import { freePorts } from "./ports.ts";
import { until } from "./ready.ts";
import type { Runner } from "./runner.ts";
import { signingHeaders } from "./s3-signature.ts";

export interface S3ServerOptions {
  /** What to start. Default: what `findS3` finds. */
  readonly found?: Found;
  /**
   * Where gofakes3 keeps objects; of other servers nothing is changed. In `"memory"` it forgets them when it is killed. From
   * a `"file"` a read may now and then give another object's bytes while others write: fit for tests that kill the
   * server, not for many clients at once. Default: `"file"`.
   */
  readonly storage?: "file" | "memory";
}

/** What `startS3` has started. */
export interface S3Server extends AsyncDisposable {
  /** `http://127.0.0.1:…`, the same after a restart. The bucket is in the path (`forcePathStyle`). */
  readonly endpoint: string;
  /** One that is there. */
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** `undefined` while it does not run, and for a server that ran before. */
  readonly pid: number | undefined;
  /**
   * Makes another bucket, empty; its name. Of a server that ran before, it stays.
   *
   * @throws DormouseError `unavailable` (`servers.no-bucket`): the server did not make it.
   */
  newBucket(): Promise<string>;
  /**
   * Ends the server; what it had stored is kept. Resolves when it has ended. Default: SIGKILL.
   *
   * @throws DormouseError `invalid` (`servers.not-ours`): it was not started here.
   */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /**
   * Starts it again; resolves when it answers.
   *
   * @throws DormouseError `unavailable` (`servers.not-started`); `invalid` (`servers.not-ours`).
   */
  start(): Promise<void>;
  /** Ends the server and removes what it stored. */
  close(): Promise<void>;
}

type Access = Pick<S3Server, "endpoint" | "region" | "accessKeyId" | "secretAccessKey">;

const readyMsMax = 30_000;
const requestMsMax = 10_000;
/** Those of a server that is only reached from this machine, for the length of a test. */
const key = { region: "us-east-1", accessKeyId: "dormouse", secretAccessKey: "dormouse-secret" };

/**
 * Starts an S3 server on this machine's loopback, with one bucket; resolves when it answers. Its conditional writes are
 * atomic. The server ends with this process at the latest, however it ends. gofakes3 checks no signature: `s3Proxy` does.
 *
 * @throws DormouseError `unavailable` (`servers.missing`): nothing to start was found, the message says how to get it;
 * (`servers.not-started`): it ended or was not ready within 30 s, the message has the last of what it printed;
 * (`servers.no-bucket`). `invalid` (`servers.variable`): the URL in `DORMOUSE_TEST_S3` has no bucket, key or secret.
 * @example
 * ```ts
 * await using s3 = await startS3();
 * const response = await fetch(`${s3.endpoint}/${s3.bucket}/greeting`, { method: "PUT", body: "hello" });
 * console.log(response.status);
 * ```
 */
export async function startS3(options: S3ServerOptions = {}): Promise<S3Server> {
  const found = options.found ?? (await findS3());
  switch (found.by) {
    case "url":
      return running(found.url);
    case "binary":
      return started(await asProcess(found.path, options.storage ?? "file"));
    case "container":
      return started(await asContainer(found.image));
    case "nothing":
      throw new DormouseError("unavailable", "servers.missing", found.why);
  }
}

/** One that somebody else started: used as it is. */
function running(url: string): S3Server {
  const { origin, pathname, searchParams, username, password } = new URL(url);
  const bucket = pathname.slice(1);
  if (bucket === "" || username === "" || password === "") {
    throw new DormouseError(
      "invalid",
      "servers.variable",
      "the URL of an S3 server has no bucket, key or secret; write it as http://key:secret@host:port/bucket?region=…: " +
        "variable=DORMOUSE_TEST_S3",
    );
  }
  const [accessKeyId, secretAccessKey] = [decodeURIComponent(username), decodeURIComponent(password)];
  const access = { endpoint: origin, region: searchParams.get("region") ?? key.region, accessKeyId, secretAccessKey };
  const rest = { newBucket: () => newBucket(access), kill: refuse, start: refuse };
  return { ...access, ...rest, bucket, pid: undefined, close: nothing, [Symbol.asyncDispose]: nothing };
}

function refuse(): Promise<never> {
  const text = "the S3 server was not started by the test, and cannot be killed or started; unset DORMOUSE_TEST_S3";
  return Promise.reject(new DormouseError("invalid", "servers.not-ours", text));
}

function nothing(): Promise<void> {
  return Promise.resolve();
}

interface Begun {
  readonly port: number;
  readonly runner: Runner;
  /** After the runner has ended. */
  readonly close: () => Promise<void>;
}

async function asProcess(program: string, storage: "file" | "memory"): Promise<Begun> {
  const [port = 0] = await freePorts(1);
  const runner = await GuardedProcess.prepare({
    program,
    args: (folder) => [
      "-quiet",
      "-host",
      `127.0.0.1:${port}`,
      // Its bolt backend hands out bytes of a page that the next write may reuse.
      ...(storage === "memory" ? ["-backend", "mem"] : ["-backend", "bolt", "-bolt.db", join(folder, "s3.db")]),
    ],
  });
  return { port, runner, close: nothing };
}

async function asContainer(image: string): Promise<Begun> {
  const [port = 0] = await freePorts(1);
  const network = await ContainerNetwork.open();
  const runner = network.container(image, {
    name: "s3",
    command: ["server", "/data"],
    environment: { MINIO_ROOT_USER: key.accessKeyId, MINIO_ROOT_PASSWORD: key.secretAccessKey },
    files: {},
    ports: new Map([[9000, port]]),
  });
  return { port, runner, close: () => network.close() };
}

async function started({ port, runner, close }: Begun): Promise<S3Server> {
  const access = { endpoint: `http://127.0.0.1:${port}`, ...key };
  const begin = async (): Promise<void> => {
    await runner.start();
    await until(() => isAnswering(access), { what: "the S3 server", runner, msMax: readyMsMax });
  };
  const end = async (): Promise<void> => {
    await runner.close();
    await close();
  };
  try {
    await begin();
    const bucket = await newBucket(access);
    return {
      ...access,
      bucket,
      get pid() {
        return runner.pid;
      },
      newBucket: () => newBucket(access),
      kill: (signal = "SIGKILL") => runner.kill(signal),
      start: begin,
      close: end,
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function isAnswering(access: Access): Promise<boolean> {
  return (await request("GET", "/", access)).ok;
}

async function newBucket(access: Access): Promise<string> {
  const name = `dormouse-${crypto.randomUUID()}`;
  const { ok, status } = await request("PUT", `/${name}`, access);
  if (ok) return name;
  throw new DormouseError(
    "unavailable",
    "servers.no-bucket",
    `the S3 server made no bucket; see whether the key may make some: endpoint=${access.endpoint} status=${status}`,
  );
}

async function request(method: string, path: string, access: Access): Promise<Response> {
  const url = new URL(path, access.endpoint);
  const signal = AbortSignal.timeout(requestMsMax);
  return fetch(url, { method, headers: signingHeaders(method, url, access), signal });
}
