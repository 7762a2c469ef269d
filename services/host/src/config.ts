/**
 * The configuration of a host process: command line over environment over file, each value checked.
 *
 * Owns: which source wins, secrets in files of their own, what is said of a value that cannot be right.
 * Leaves to others: what there is to configure (`options.ts`).
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { DormouseError, settingFacts, type HostOptions } from "@dormouse/sdk";
import { flagOf, type LogLevel, type Option, options, readValue, type Value, variableOf, wantedOf } from "./options.ts";

export interface Config {
  /** The path of the module. */
  readonly agents: string;
  readonly healthListen: Listen;
  readonly logLevel: LogLevel;
  /** What the host is started with, beside its agents. */
  readonly start: Omit<HostOptions, "agents" | "observe" | "signal">;
  /** What a person should know and that stops nothing. */
  readonly warnings: readonly string[];
}

export interface Listen {
  readonly address: string;
  readonly port: number;
}

export interface Sources {
  readonly line: readonly string[];
  readonly environment: { readonly [name: string]: string | undefined };
}

/** What a line asks for. */
export type Line =
  | { readonly asks: "help" | "version" }
  | { readonly asks: "run"; readonly flags: Given; readonly configFile: string | undefined };

type Given = { readonly [name: string]: unknown };

const fileBytesMax = 1_048_576;
const secretCharactersMax = 65_536;

/** Reads the command line. @throws DormouseError `invalid` (`config.line`). */
export function readLine(line: readonly string[]): Line {
  const values = parseLine(line);
  if (values["help"] === true) return { asks: "help" };
  if (values["version"] === true) return { asks: "version" };
  const { config, ...flags } = values;
  const named = keysOf(flagOf).map(([flag, name]) => [name, flags[flag]]);
  return { asks: "run", flags: Object.fromEntries(named) as Given, configFile: config as string | undefined };
}

/**
 * The whole configuration.
 *
 * @throws DormouseError `invalid` (`config.line`; `config.value`: a value that cannot be right, or one that is missing;
 * `config.file`: a file that cannot be read, or has an unknown name).
 */
export function readConfig({ line, environment }: Sources): Config {
  const read = readLine(line);
  const { flags, configFile } = read.asks === "run" ? read : { flags: {}, configFile: undefined };
  const path = configFile ?? nonEmpty(environment["DORMOUSE_CONFIG"]);
  const sources: readonly Source[] = [
    { given: flags, spell: (name) => `--${flagOf(name)}` },
    { given: ofEnvironment(environment), spell: variableOf },
    { given: path === undefined ? {} : readFile(path), spell: (name) => `"${name}" in ${path ?? ""}` },
  ];
  const values: { [name: string]: Value | undefined } = {};
  for (const option of options) values[option.name] = valueOf(option, sources);
  return { ...toConfig(values), warnings: unknownVariables(environment) };
}

interface Source {
  readonly given: Given;
  /** How this source spells an option's name. */
  readonly spell: (name: string) => string;
}

/** Every name that can be given, with its option; a secret's file has one of its own. */
function keysOf(spell: (name: string) => string): readonly (readonly [spelt: string, name: string])[] {
  const names = options.flatMap(({ name, isSecret }) => (isSecret ? [name, `${name}File`] : [name]));
  return names.map((name) => [spell(name), name]);
}

function parseLine(line: readonly string[]): { [name: string]: unknown } {
  const known: { [flag: string]: { type: "string" | "boolean"; short?: string } } = {
    config: { type: "string" },
    help: { type: "boolean", short: "h" },
    version: { type: "boolean" },
  };
  for (const { name, isSecret } of options) known[flagOf(isSecret ? `${name}File` : name)] = { type: "string" };
  try {
    return { ...parseArgs({ args: [...line], options: known, allowPositionals: false, strict: true }).values };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // The first sentence says which; advice on lines of other programs follows. What is given may be a secret.
    const text = /^(?:[^.]|\.(?!\s))*/.exec(error.message)?.[0] ?? "";
    throw new DormouseError("invalid", "config.line", `${text}; dormouse-host --help tells the options`);
  }
}

function ofEnvironment(environment: Sources["environment"]): Given {
  return Object.fromEntries(keysOf(variableOf).map(([variable, name]) => [name, nonEmpty(environment[variable])]));
}

/** Compose files and the like set a variable to nothing where it is not given. */
function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/** Unknown ones do not stop a start: Kubernetes makes some for each service whose name begins with ours. */
function unknownVariables(environment: Sources["environment"]): readonly string[] {
  const known = new Set(["DORMOUSE_CONFIG", ...keysOf(variableOf).map(([variable]) => variable)]);
  return Object.keys(environment)
    .filter((name) => name.startsWith("DORMOUSE_") && !known.has(name))
    .map((name) => `${name} is no option of this host, and is not heeded; correct or remove it`);
}

function readFile(path: string): Given {
  const text = readText(path, "the configuration", fileBytesMax);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // What the parser says quotes the file, which may hold a secret.
    throw fileError("the configuration is not JSON; write an object of options", path);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw fileError("the configuration is not a JSON object of options", path);
  }
  const known = new Set(keysOf((name) => name).map(([, name]) => name));
  const unknown = Object.keys(parsed).find((name) => !known.has(name));
  if (unknown === undefined) return parsed as Given;
  throw fileError(`"${unknown.slice(0, 100)}" is no option; \`dormouse-host --help\` tells those there are`, path);
}

function valueOf(option: Option, sources: readonly Source[]): Value | undefined {
  const { name, kind, isSecret } = option;
  for (const { given, spell } of sources) {
    const [direct, file] = [given[name], given[`${name}File`]];
    if (direct !== undefined && file !== undefined) {
      throw valueError(`${spell(name)} and ${spell(`${name}File`)} are both given; keep one`);
    }
    if (file !== undefined) return readSecret(file, spell(`${name}File`));
    if (direct === undefined) continue;
    const value = readValue(kind, direct);
    if (value !== undefined) return value;
    const shown = isSecret || looksSecret(direct) ? "(not shown)" : show(direct);
    throw valueError(`${spell(name)} must be ${wantedOf(kind)}: given=${shown}`);
  }
  return undefined;
}

/** URLs may have a password in them. */
function looksSecret(given: unknown): boolean {
  return typeof given === "string" && given.includes("@");
}

function show(given: unknown): string {
  return (typeof given === "string" ? given : JSON.stringify(given)).slice(0, 100);
}

function readSecret(path: unknown, spelt: string): string {
  if (typeof path !== "string") throw valueError(`${spelt} must be the path of a file: given=${show(path)}`);
  // Files end with a line's end, secrets do not.
  const secret = readText(path, spelt, secretCharactersMax).trimEnd();
  if (secret !== "") return secret;
  throw fileError(`the file that ${spelt} names is empty`, path);
}

function readText(path: string, what: string, charactersMax: number): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
    throw fileError(`${what} names a file that cannot be read (${code}); correct its path or its mode`, path);
  }
  if (text.length <= charactersMax) return text;
  throw fileError(`${what} names a file that is too large for it, above ${charactersMax} characters`, path);
}

function fileError(what: string, path: string): DormouseError {
  return new DormouseError("invalid", "config.file", `${what}: file=${path.slice(0, 500)}`);
}

function valueError(what: string): DormouseError {
  return new DormouseError("invalid", "config.value", what);
}

type Values = { readonly [name: string]: Value | undefined };

function toConfig(values: Values): Omit<Config, "warnings"> {
  const { agents, healthListen = "127.0.0.1:8080", logLevel = "info" } = values;
  if (agents === undefined) {
    throw valueError(
      '--agents or DORMOUSE_AGENTS is missing: the path of the module that exports the agents, such as "./agents.js"',
    );
  }
  const { name, app, partitions, mailbox, store } = values;
  const given = defined({ name, app, partitions, mailbox, store, nats: natsOf(values), s3: s3Of(values) });
  return {
    agents: String(agents),
    healthListen: listenOf(String(healthListen)),
    logLevel: logLevel as LogLevel,
    start: { ...given, settings: defined(ofSettings(values)) },
  };
}

function ofSettings(values: Values): Values {
  return Object.fromEntries(settingFacts.map(({ name }) => [name, values[name]]));
}

function natsOf(values: Values): HostOptions["nats"] | undefined {
  const { natsUser, natsPassword, natsToken, natsNkeySeed, natsCredsFile, natsPrefix, natsReplicas } = values;
  const tls = defined({
    caFile: values["natsCaFile"],
    certFile: values["natsCertFile"],
    keyFile: values["natsKeyFile"],
  });
  const given = defined({
    user: natsUser,
    password: natsPassword,
    token: natsToken,
    nkeySeed: natsNkeySeed,
    credsFile: natsCredsFile,
    tls: isEmpty(tls) ? undefined : tls,
    prefix: natsPrefix,
    replicas: natsReplicas,
    streamBytesMax: values["natsStreamBytesMax"],
  });
  return isEmpty(given) ? undefined : given;
}

function s3Of(values: Values): HostOptions["s3"] | undefined {
  const { s3Endpoint, s3Region, s3ForcePathStyle, s3AccessKeyId, s3SecretAccessKey, s3SessionToken } = values;
  if ((s3AccessKeyId === undefined) !== (s3SecretAccessKey === undefined)) {
    throw valueError("s3AccessKeyId and s3SecretAccessKey go together, and one of them is missing");
  }
  if (s3SessionToken !== undefined && s3AccessKeyId === undefined) {
    throw valueError("s3SessionToken goes with s3AccessKeyId and s3SecretAccessKey, which are missing");
  }
  const key = { accessKeyId: s3AccessKeyId, secretAccessKey: s3SecretAccessKey, sessionToken: s3SessionToken };
  const credentials = s3AccessKeyId === undefined ? undefined : defined(key);
  const given = defined({ endpoint: s3Endpoint, region: s3Region, forcePathStyle: s3ForcePathStyle, credentials });
  return isEmpty(given) ? undefined : given;
}

function listenOf(text: string): Listen {
  const at = text.lastIndexOf(":");
  const port = Number(text.slice(at + 1));
  if (port <= 65_535) return { address: text.slice(0, at).replaceAll(/[[\]]/g, ""), port };
  throw valueError(`healthListen must have a port from 0 to 65535: given=${text}`);
}

/** Without what is `undefined`: an option that is not given takes its default. */
function defined(values: { readonly [name: string]: unknown }): { readonly [name: string]: unknown } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function isEmpty(values: object): boolean {
  return Object.keys(values).length === 0;
}
