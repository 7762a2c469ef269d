/**
 * The configuration of a host process: command line over environment over file, each value checked.
 *
 * Owns: the line, the configuration file, which source comes before which.
 * Leaves to others: what there is to configure (`options.ts`), secrets in files of their own and what is said of a value
 * that cannot be right (sdk's `option-values.ts`).
 */
import { parseArgs } from "node:util";
import { DormouseError, settingFacts, type HostOptions } from "@dormouse/sdk";
import {
  defined,
  environmentSource,
  flagOf,
  type Given,
  namesOf,
  optionFileError,
  optionValueError,
  placesOf,
  readOptionFile,
  readOptions,
  secretOnLine,
  type Source,
  type Values,
  variableOf,
} from "@dormouse/sdk/operate";
import { type LogLevel, options } from "./options.ts";

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

const fileBytesMax = 1_048_576;

/** Reads the command line. @throws DormouseError `invalid` (`config.line`). */
export function readLine(line: readonly string[]): Line {
  const values = parseLine(line);
  if (values["help"] === true) return { asks: "help" };
  if (values["version"] === true) return { asks: "version" };
  const { config, ...flags } = values;
  const named = namesOf(options, flagOf).map(([flag, name]) => [name, flags[flag]]);
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
  const path = configFile ?? (environment["DORMOUSE_CONFIG"] || undefined);
  const sources: readonly Source[] = [
    { given: flags, spell: (name) => `--${flagOf(name)}` },
    environmentSource(options, environment),
    { given: path === undefined ? {} : readFile(path), spell: (name) => `"${name}" in ${path ?? ""}` },
  ];
  return { ...toConfig(readOptions(options, sources)), warnings: unknownVariables(environment) };
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
    const secret = secretOnLine(options, flagsOf(line));
    if (secret !== undefined) throw new DormouseError("invalid", "config.line", secret);
    const text = /^(?:[^.]|\.(?!\s))*/.exec(error.message)?.[0] ?? "";
    throw new DormouseError("invalid", "config.line", `${text}; dormouse-host --help tells the options`);
  }
}

function flagsOf(line: readonly string[]): readonly string[] {
  return line.map((word) => word.replace(/=.*/s, ""));
}

/** Unknown ones do not stop a start: Kubernetes makes some for each service whose name begins with ours. */
function unknownVariables(environment: Sources["environment"]): readonly string[] {
  const known = new Set(["DORMOUSE_CONFIG", ...namesOf(options, variableOf).map(([variable]) => variable)]);
  return Object.keys(environment)
    .filter((name) => name.startsWith("DORMOUSE_") && !known.has(name))
    .map((name) => `${name} is no option of this host, and is not heeded; correct or remove it`);
}

function readFile(path: string): Given {
  const text = readOptionFile(path, "the configuration", fileBytesMax);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // What the parser says quotes the file, which may hold a secret.
    throw optionFileError("the configuration is not JSON; write an object of options", path);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw optionFileError("the configuration is not a JSON object of options", path);
  }
  const known = new Set(namesOf(options, (name) => name).map(([, name]) => name));
  const unknown = Object.keys(parsed).find((name) => !known.has(name));
  if (unknown === undefined) return parsed as Given;
  throw optionFileError(
    `"${unknown.slice(0, 100)}" is no option; \`dormouse-host --help\` tells those there are`,
    path,
  );
}

function toConfig(values: Values): Omit<Config, "warnings"> {
  const { agents, healthListen = "127.0.0.1:8080", logLevel = "info" } = values;
  if (agents === undefined) {
    throw optionValueError(
      '--agents or DORMOUSE_AGENTS is missing: the path of the module that exports the agents, such as "./agents.js"',
    );
  }
  const { name, partitions } = values;
  const given = { ...defined({ name, partitions }), ...placesOf(values) };
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

function listenOf(text: string): Listen {
  const at = text.lastIndexOf(":");
  const port = Number(text.slice(at + 1));
  if (port <= 65_535) return { address: text.slice(0, at).replaceAll(/[[\]]/g, ""), port };
  throw optionValueError(`healthListen must have a port from 0 to 65535: given=${text}`);
}
