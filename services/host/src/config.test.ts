/** Where a value comes from, what is refused and how it is told, and that secrets are never told. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DormouseError } from "@dormouse/sdk";
import { variableOf, wantedOf } from "@dormouse/sdk/operate";
import { afterAll, expect, test } from "vitest";
import { type Config, readConfig, readLine } from "./config.ts";
import { helpText } from "./help.ts";
import { options } from "./options.ts";

const folder = mkdtempSync(join(tmpdir(), "dormouse-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

type Environment = Readonly<Record<string, string>>;

function fileOf(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** A configuration that has what it must, and more. */
function read(environment: Environment = {}, line: readonly string[] = []): Config {
  return readConfig({ line, environment: { DORMOUSE_AGENTS: "./agents.js", ...environment } });
}

function refusalOf(environment: Environment, line: readonly string[] = []): DormouseError {
  try {
    read(environment, line);
  } catch (error) {
    if (error instanceof DormouseError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

test("what is not given takes its default", () => {
  expect(read()).toEqual({
    agents: "./agents.js",
    healthListen: { address: "127.0.0.1", port: 8080 },
    logLevel: "info",
    start: { settings: {} },
    warnings: [],
  });
});

test("the line wins over the environment, and that over the file", () => {
  const config = fileOf("three.json", { app: "file", logLevel: "error", drainMs: 1, s3ForcePathStyle: false });
  const environment = { DORMOUSE_CONFIG: config, DORMOUSE_APP: "environment", DORMOUSE_LOG_LEVEL: "warn" };
  const { start, logLevel } = read(environment, ["--app", "line"]);
  expect(start).toEqual({ app: "line", settings: { drainMs: 1 }, s3: { forcePathStyle: false } });
  expect(logLevel).toBe("warn");
});

test("--config wins over DORMOUSE_CONFIG", () => {
  const [mine, other] = [fileOf("mine.json", { app: "mine" }), fileOf("other.json", { app: "other" })];
  expect(read({ DORMOUSE_CONFIG: other }, ["--config", mine]).start.app).toBe("mine");
});

test("a variable that is set to nothing is not given", () => {
  expect(read({ DORMOUSE_APP: "", DORMOUSE_DRAIN_MS: "" }).start).toEqual({ settings: {} });
});

test("every setting of a host can be given", () => {
  const environment = {
    DORMOUSE_COMMIT_LINGER_MS: "20",
    DORMOUSE_ACTIVATIONS_MAX: "5",
    DORMOUSE_FREEZE_CONTEXTS: "false",
  };
  expect(read(environment).start.settings).toEqual({ commitLingerMs: 20, activationsMax: 5, freezeContexts: false });
});

test("secrets come from files, without the end of their last line", () => {
  const environment = {
    DORMOUSE_S3_ACCESS_KEY_ID: "id",
    DORMOUSE_S3_SECRET_ACCESS_KEY_FILE: fileOf("key", "very secret\n"),
    DORMOUSE_NATS_TOKEN_FILE: fileOf("token", "token\n"),
  };
  expect(read(environment).start).toMatchObject({
    s3: { credentials: { accessKeyId: "id", secretAccessKey: "very secret" } },
    nats: { token: "token" },
  });
});

test("IPv6 addresses are listened on without their brackets", () => {
  expect(read({ DORMOUSE_HEALTH_LISTEN: "[::1]:0" }).healthListen).toEqual({ address: "::1", port: 0 });
});

test.for([
  ["DORMOUSE_LOG_LEVEL", "loud", /^DORMOUSE_LOG_LEVEL must be one of debug, .*: given=loud$/],
  ["DORMOUSE_DRAIN_MS", "1.5", /^DORMOUSE_DRAIN_MS must be a whole number from 0 to 86400000: given=1.5$/],
  ["DORMOUSE_COMMIT_LINGER_MS", "21", /^DORMOUSE_COMMIT_LINGER_MS must be a whole number from 0 to 20: given=21$/],
  ["DORMOUSE_S3_FORCE_PATH_STYLE", "yes", /must be true or false: given=yes$/],
  ["DORMOUSE_S3_ENDPOINT", "localhost", /^DORMOUSE_S3_ENDPOINT must be a URL/],
  ["DORMOUSE_HEALTH_LISTEN", "8080", /must be an address and a port/],
  ["DORMOUSE_HEALTH_LISTEN", "localhost:70000", /port from 0 to 65535: given=localhost:70000$/],
  ["DORMOUSE_S3_ACCESS_KEY_ID", "id", /s3SecretAccessKey go together/],
  ["DORMOUSE_NATS_REPLICAS", "7", /must be a whole number from 1 to 5: given=7$/],
] as const)("%s=%s is refused, and said what it may be", ([variable, value, says]) => {
  expect(refusalOf({ [variable]: value })).toMatchObject({
    kind: "invalid",
    code: "config.value",
    message: expect.stringMatching(says) as string,
  });
});

test.for([
  ["--nats-token", "hunter2"],
  ["--nats-token=hunter2", ""],
])("a secret on the line is refused, and where it goes is told: %s", (line) => {
  const { code, message } = refusalOf({}, line);
  expect(code).toBe("config.line");
  expect(message).toMatch(/--nats-token-file, or set DORMOUSE_NATS_TOKEN$/);
  expect(message).not.toContain("hunter2");
});

test("a host without agents is refused", () => {
  expect(refusalOf({ DORMOUSE_AGENTS: "" }).message).toMatch(/^--agents or DORMOUSE_AGENTS is missing/);
});

test("what NATS is told is put together", () => {
  const environment = { DORMOUSE_NATS_USER: "ada", DORMOUSE_NATS_CA_FILE: "/ca.pem", DORMOUSE_NATS_REPLICAS: "5" };
  expect(read(environment).start.nats).toEqual({ user: "ada", tls: { caFile: "/ca.pem" }, replicas: 5 });
});

test.for([
  ["is not there", () => join(folder, "gone"), /cannot be read \(ENOENT\)/],
  ["is not JSON", () => fileOf("bad.json", '{ "s3SessionToken": hunter2 }'), /is not JSON/],
  ["is a list", () => fileOf("list.json", []), /not a JSON object/],
  ["has what is no option", () => fileOf("odd.json", { lgoLevel: "info" }), /"lgoLevel" is no option/],
] as const)("a file that %s is refused, by its path and without its content", ([, path, says]) => {
  const { code, message } = refusalOf({}, ["--config", path()]);
  expect(code).toBe("config.file");
  expect(message).toMatch(says);
  expect(message).toContain(folder);
  expect(message).not.toContain("hunter2");
});

test("a value in a file is told by its name there", () => {
  const path = fileOf("value.json", { drainMs: "soon" });
  expect(refusalOf({ DORMOUSE_CONFIG: path }).message).toMatch(/^"drainMs" in .*value\.json must be a whole number/);
});

test("a secret is never told, and never taken from the line", () => {
  const long = "hunter2".repeat(10_000);
  const both = { DORMOUSE_NATS_TOKEN: "hunter2", DORMOUSE_NATS_TOKEN_FILE: fileOf("both", "hunter2") };
  const refusals = [
    refusalOf({ DORMOUSE_NATS_TOKEN: long }),
    refusalOf(both),
    refusalOf({ DORMOUSE_S3_ENDPOINT: "ftp://ada:hunter2@store" }),
    refusalOf({}, ["--nats-token=hunter2"]),
  ];
  for (const { message } of refusals) expect(message).not.toContain("hunter2");
  expect(refusals.at(-1)?.code).toBe("config.line");
});

test("an empty secret file is refused", () => {
  expect(refusalOf({ DORMOUSE_NATS_TOKEN_FILE: fileOf("empty", "\n") }).message).toContain("is empty");
});

test("unknown variables of ours are warned of, and stop nothing", () => {
  const { warnings } = read({ DORMOUSE_LOGLEVEL: "debug", OTHER: "1" });
  expect(warnings).toEqual([expect.stringMatching(/^DORMOUSE_LOGLEVEL is no option/)]);
});

test("an unknown flag is refused, and help and version are asked for", () => {
  expect(refusalOf({}, ["--lgo-level", "info"])).toMatchObject({
    code: "config.line",
    message: expect.stringMatching(/--lgo-level/) as string,
  });
  expect(readLine(["--help"])).toEqual({ asks: "help" });
  expect(readLine(["-h"])).toEqual({ asks: "help" });
  expect(readLine(["--version"])).toEqual({ asks: "version" });
});

test("the guide lists every option as it is, and no other; help names each", () => {
  const guide = readFileSync(resolve(import.meta.dirname, "../../../docs/guides/hosts.md"), "utf8");
  const rows = guide.split("\n").filter((line) => line.startsWith("| `DORMOUSE_"));
  const expected = options.map(({ name, kind, default: byDefault, meaning, isSecret }) => {
    const spelt = isSecret ? `\`${variableOf(name)}\` or \`…_FILE\`` : `\`${variableOf(name)}\``;
    return `| ${spelt} | ${meaning} | ${wantedOf(kind)} | ${byDefault} |`;
  });
  expect(rows).toEqual(expected);
  for (const { name } of options) expect(helpText()).toContain(variableOf(name));
});
