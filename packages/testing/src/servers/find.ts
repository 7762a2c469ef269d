/**
 * Where servers for tests are found: an environment variable, PATH, `.cache/bin`, a container engine, in this order.
 *
 * Leaves to others: starting what was found (`nats.ts`, `s3.ts`), and what a test does when nothing was (`missing.ts`).
 */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { DormouseError } from "@dormouse/core";
import { whyNoContainers } from "./containers.ts";

/** A server for tests, and where it is. */
export type Found =
  /** One that runs already. It may ask for credentials, which the URL then holds: not for logs. */
  | { readonly by: "url"; readonly url: string }
  /** An executable file. */
  | { readonly by: "binary"; readonly path: string }
  /** An image, for a container engine that answers. */
  | { readonly by: "container"; readonly image: string };

/** No server for tests, and how to get one. */
export interface Missing {
  readonly by: "nothing";
  /** For people: where was looked, and what to do. */
  readonly why: string;
}

const exec = promisify(execFile);
const programMsMax = 10_000;

const natsVersion = "2.14.5";
const gofakes3Version = "1.2.0";

interface Server {
  /** For people. */
  readonly name: string;
  readonly variable: string;
  readonly program: string;
  readonly goModule: string;
  readonly image: () => string;
}

const nats: Server = {
  name: "NATS",
  variable: "DORMOUSE_TEST_NATS",
  program: "nats-server",
  goModule: `github.com/nats-io/nats-server/v2@v${natsVersion}`,
  image: () => `nats:${natsVersion}-alpine`,
};

const s3: Server = {
  name: "S3",
  variable: "DORMOUSE_TEST_S3",
  program: "gofakes3",
  goModule: `github.com/johannesboyne/gofakes3/cmd/gofakes3@v${gofakes3Version}`,
  image: () => process.env["DORMOUSE_TEST_S3_IMAGE"] ?? "minio/minio:RELEASE.2025-09-07T16-13-09Z",
};

/**
 * Looks for a NATS server: `DORMOUSE_TEST_NATS` (a URL, several with commas between, or the path of a `nats-server`),
 * `nats-server` on PATH, in `.cache/bin` of this folder and those above it, then a container engine with the optional
 * peer `testcontainers`. A `nats-server` older than 2.14.5 on PATH is passed over.
 *
 * @throws DormouseError `invalid` (`servers.variable`): the variable names neither a URL nor a program.
 * @example
 * ```ts
 * const found = await findNats();
 * console.log(found.by === "nothing" ? found.why : found.by);
 * ```
 */
export async function findNats(): Promise<Found | Missing> {
  return named(nats, /^(nats|tls|wss?):\/\//) ?? (await newEnough(nats)) ?? inCache(nats) ?? findContainer("nats");
}

/**
 * Looks for an S3 server: `DORMOUSE_TEST_S3` (`http://key:secret@host:port/bucket?region=…`, or the path of a
 * `gofakes3`), `gofakes3` on PATH, in `.cache/bin` of this folder and those above it, then a container engine with the
 * optional peer `testcontainers`, which runs MinIO, or the image that `DORMOUSE_TEST_S3_IMAGE` names and that is begun the same way.
 *
 * @throws DormouseError `invalid` (`servers.variable`): the variable names neither a URL nor a program.
 * @example
 * ```ts
 * const found = await findS3();
 * console.log(found.by === "nothing" ? found.why : found.by);
 * ```
 */
export async function findS3(): Promise<Found | Missing> {
  return named(s3, /^https?:\/\//) ?? onPath(s3) ?? inCache(s3) ?? findContainer("s3");
}

/**
 * Looks only for a container engine, and says which image it would run: the last that `findNats` and `findS3` do. To
 * be given to `startNats` or `startS3`.
 *
 * @example
 * ```ts
 * const found = await findContainer("nats");
 * if (found.by === "container") {
 *   await using nats = await startNats({ found });
 * }
 * ```
 */
export async function findContainer(server: "nats" | "s3"): Promise<Found | Missing> {
  const { name, variable, goModule, image } = server === "nats" ? nats : s3;
  const whyNot = await whyNoContainers();
  if (whyNot === undefined) return { by: "container", image: image() };
  const why =
    `there is no ${name} server to test against. Install one (with Go): ` +
    `GOBIN="$PWD/.cache/bin" go install ${goModule}; or name a running one, or a program, in ${variable}; ` +
    `or use containers, which cannot be used now: ${whyNot}`;
  return { by: "nothing", why };
}

function named({ variable }: Server, url: RegExp): Found | undefined {
  const value = process.env[variable];
  if (value === undefined || value === "") return undefined;
  if (url.test(value)) return { by: "url", url: value };
  if (isProgram(value)) return { by: "binary", path: value };
  // The value is not repeated: it may hold a password.
  throw new DormouseError(
    "invalid",
    "servers.variable",
    `a variable names neither a server's URL nor an executable file; correct or unset it: variable=${variable}`,
  );
}

function onPath({ program }: Server): Found | undefined {
  return firstProgram((process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, program)));
}

/** What is on PATH belongs to somebody else, and can be of any age. */
async function newEnough(server: Server): Promise<Found | undefined> {
  const found = onPath(server);
  if (found?.by !== "binary") return undefined;
  const { stdout } = await exec(found.path, ["--version"], { timeout: programMsMax }).catch(() => ({ stdout: "" }));
  const [version] = /\d+\.\d+\.\d+/.exec(stdout) ?? ["0.0.0"];
  return version.localeCompare(natsVersion, "en", { numeric: true }) < 0 ? undefined : found;
}

function inCache({ program }: Server): Found | undefined {
  const folders: string[] = [];
  for (let folder = process.cwd(); !folders.includes(folder); folder = dirname(folder)) folders.push(folder);
  return firstProgram(folders.map((folder) => join(folder, ".cache/bin", program)));
}

function firstProgram(paths: readonly string[]): Found | undefined {
  const path = paths.find(isProgram);
  return path === undefined ? undefined : { by: "binary", path };
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
