/**
 * Where servers for tests are found: an environment variable, PATH, `.cache/bin`, a container engine, in this order.
 *
 * Leaves to others: starting what was found (`nats.ts`, `s3.ts`), and what a test does when nothing was (`require.ts`).
 */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { DormouseError } from "@dormouse/core";
import { whyNoEngine } from "./containers.ts";

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
  const install = `GOBIN="$PWD/.cache/bin" go install github.com/nats-io/nats-server/v2@v${natsVersion}`;
  const found = named("DORMOUSE_TEST_NATS", /^(nats|tls|wss?):\/\//) ?? (await newEnough()) ?? inCache("nats-server");
  return found ?? inContainer("NATS", "DORMOUSE_TEST_NATS", install, `nats:${natsVersion}-alpine`);
}

/**
 * Looks for an S3 server: `DORMOUSE_TEST_S3` (`http://key:secret@host:port/bucket?region=…`, or the path of a
 * `gofakes3`), `gofakes3` on PATH, in `.cache/bin` of this folder and those above it, then a container engine with the
 * optional peer `testcontainers`, which runs the gofakes3 image that `DORMOUSE_TEST_S3_IMAGE` names.
 *
 * @throws DormouseError `invalid` (`servers.variable`): the variable names neither a URL nor a program.
 * @example
 * ```ts
 * const found = await findS3();
 * console.log(found.by === "nothing" ? found.why : found.by);
 * ```
 */
export async function findS3(): Promise<Found | Missing> {
  const install = `GOBIN="$PWD/.cache/bin" go install github.com/johannesboyne/gofakes3/cmd/gofakes3@v${gofakes3Version}`;
  const found = named("DORMOUSE_TEST_S3", /^https?:\/\//) ?? onPath("gofakes3") ?? inCache("gofakes3");
  const image = process.env["DORMOUSE_TEST_S3_IMAGE"] ?? "johannesboyne/gofakes3";
  return found ?? inContainer("S3", "DORMOUSE_TEST_S3", install, image);
}

function named(variable: string, url: RegExp): Found | undefined {
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

function onPath(program: string): Found | undefined {
  return firstProgram((process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, program)));
}

/** What is on PATH belongs to somebody else, and can be of any age. */
async function newEnough(): Promise<Found | undefined> {
  const found = onPath("nats-server");
  if (found?.by !== "binary") return undefined;
  const { stdout } = await exec(found.path, ["--version"], { timeout: programMsMax }).catch(() => ({ stdout: "" }));
  const [version] = /\d+\.\d+\.\d+/.exec(stdout) ?? ["0.0.0"];
  return version.localeCompare(natsVersion, "en", { numeric: true }) < 0 ? undefined : found;
}

function inCache(program: string): Found | undefined {
  const folders: string[] = [];
  for (let folder = process.cwd(); !folders.includes(folder); folder = dirname(folder)) folders.push(folder);
  return firstProgram(folders.map((folder) => join(folder, ".cache/bin", program)));
}

async function inContainer(what: string, variable: string, install: string, image: string): Promise<Found | Missing> {
  const whyNot = await whyNoEngine();
  if (whyNot === undefined) return { by: "container", image };
  const why =
    `there is no ${what} server to test against. Install one (with Go): ${install}; or name a running one, or a ` +
    `program, in ${variable}; or use containers, which cannot be used now: ${whyNot}`;
  return { by: "nothing", why };
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
