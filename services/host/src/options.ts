/**
 * Every option of the host process: what it may be, its default and meaning.
 *
 * An option has one name and three spellings: `logLevel` in the configuration file, `DORMOUSE_LOG_LEVEL` in the
 * environment, `--log-level` on the command line. Settings of the host are options too, by their own names.
 */
import { type SettingFact, settingFacts, type Settings } from "@dormouse/sdk";

export type Value = string | number | boolean;

export interface Option {
  readonly name: string;
  readonly kind: Kind;
  /** For people; what the host does without it. */
  readonly default: string;
  readonly meaning: string;
  /** Never on the command line, where others see it; instead, or in the environment, its file may be named. */
  readonly isSecret: boolean;
}

export type Kind =
  | { readonly is: "text"; readonly wanted: string; readonly pattern: RegExp }
  | { readonly is: "number"; readonly least: number; readonly most: number }
  | { readonly is: "boolean" }
  | { readonly is: "choice"; readonly of: readonly string[] };

const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Core has the same bound, and refuses what is above it. */
const partitionsMax = 4_096;
const textCharactersMax = 4_096;

function text(wanted: string, pattern: RegExp = new RegExp(`^[^]{1,${textCharactersMax}}$`)): Kind {
  return { is: "text", wanted, pattern };
}

function option(name: string, kind: Kind, by: string, meaning: string): Option {
  return { name, kind, default: by, meaning, isSecret: false };
}

function secret(name: string, meaning: string): Option {
  return { name, kind: text("text"), default: "none", meaning, isSecret: true };
}

const path = text("the path of a file");

const own: readonly Option[] = [
  option("agents", path, "required", "the module that exports the agents to run"),
  option("app", text("a name"), "default", "the app whose agents they are"),
  option("store", text('a URL such as "s3://bucket/prefix"'), "file:./.dormouse", "where agents live"),
  option("mailbox", text('a URL such as "nats://server:4222"'), "the store's folder", "where messages wait"),
  option("name", text("a name"), "the machine's", "what this host is called in logs and to other hosts"),
  option(
    "partitions",
    { is: "number", least: 1, most: partitionsMax },
    "32; 8 in a folder",
    "partitions of an app that is new; fixed for its life",
  ),
  option("natsUser", text("a name"), "none", "the user at NATS"),
  secret("natsPassword", "that user's password"),
  secret("natsToken", "a token, instead of a user"),
  secret("natsNkeySeed", "the seed of an NKey, instead of a user"),
  option("natsCredsFile", path, "none", "a credentials file as nsc writes it, instead of a user"),
  option("natsCaFile", path, "none", "the PEM file of whoever vouches for the servers; makes TLS a must"),
  option("natsCertFile", path, "none", "the PEM file of this host's own certificate"),
  option("natsKeyFile", path, "none", "the PEM file of its key"),
  option(
    "natsPrefix",
    text("1 to 32 letters, digits, - and _", /^[A-Za-z0-9_-]{1,32}$/),
    "dormouse",
    "the first token of every subject, stream and bucket",
  ),
  option("natsReplicas", { is: "number", least: 1, most: 5 }, "3 in a cluster, else 1", "copies of each stream"),
  option(
    "natsStreamBytesMax",
    { is: "number", least: 4_194_304, most: 1_099_511_627_776 },
    "268435456",
    "what one partition's stream may hold, in bytes; more is refused",
  ),
  option(
    "s3Endpoint",
    text('a URL such as "https://s3.example.com"', /^https?:\/\/\S{1,4000}$/),
    "AWS",
    "where the store is, if it is not AWS",
  ),
  option("s3Region", text("the name of a region"), "the AWS SDK's", "the bucket's region"),
  option("s3AccessKeyId", text("an access key's id"), "the AWS SDK's", "the access key; its secret goes with it"),
  secret("s3SecretAccessKey", "that key's secret"),
  secret("s3SessionToken", "of credentials that are lent for a while"),
  option(
    "s3ForcePathStyle",
    { is: "boolean" },
    "the AWS SDK's",
    "whether the bucket is named in the path, as most stores beside AWS want it",
  ),
  option(
    "healthListen",
    text('an address and a port, such as "127.0.0.1:8080" or "[::]:8080"', /^(?:\[[\da-fA-F:.]+\]|[\w.-]+):\d{1,5}$/),
    "127.0.0.1:8080",
    "where /live, /ready and /metrics are served; port 0 is any that is free",
  ),
  option("logLevel", { is: "choice", of: logLevels }, "info", "the least level of a line in the log"),
];

const settingMeanings: { readonly [name in keyof Settings]-?: string } = {
  commitLingerMs: "how long a record waits for company, in milliseconds",
  effectsRunningMax: "effects that run at once",
  activationsMax: "agents kept in memory at most",
  settleBytes: "an owner settles when more bytes of records are not settled",
  settleMs: "or when something is not settled for so long, in milliseconds",
  settleRoundMs: "how often an owner looks for what to settle, passivate and wake, in milliseconds",
  stateBytesMax: "an agent's whole state, in bytes",
  outboxRepeatMs: "when messages to others that nobody confirmed go again, in milliseconds",
  drainMs: "how long a draining host waits for running effects, in milliseconds",
  freezeContexts: "finds machines that change their context in place, at some cost",
};

export const options: readonly Option[] = [...own, ...settingFacts.map(settingOption)];

function settingOption({ name, default: byDefault, range }: SettingFact): Option {
  if (range === undefined) {
    return option(name, { is: "boolean" }, "true, but where NODE_ENV is production", settingMeanings[name]);
  }
  const [least, most] = range;
  return option(name, { is: "number", least, most }, String(byDefault), settingMeanings[name]);
}

/** `logLevel`: `DORMOUSE_LOG_LEVEL`. */
export function variableOf(name: string): string {
  return `DORMOUSE_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** `logLevel`: `log-level`, without its dashes in front. */
export function flagOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** What a value of this kind may be, in words. */
export function wantedOf(kind: Kind): string {
  switch (kind.is) {
    case "text":
      return kind.wanted;
    case "number":
      return `a whole number from ${kind.least} to ${kind.most}`;
    case "boolean":
      return "true or false";
    case "choice":
      return `one of ${kind.of.join(", ")}`;
  }
}

/** A value as text or JSON gives it; `undefined` where it is none of this kind. */
export function readValue(kind: Kind, given: unknown): Value | undefined {
  switch (kind.is) {
    case "text":
      return typeof given === "string" && kind.pattern.test(given) ? given : undefined;
    case "number": {
      const number = typeof given === "string" && /^\d{1,15}$/.test(given) ? Number(given) : given;
      const isWithin = typeof number === "number" && Number.isInteger(number);
      return isWithin && number >= kind.least && number <= kind.most ? number : undefined;
    }
    case "boolean":
      if (given === true || given === "true") return true;
      return given === false || given === "false" ? false : undefined;
    case "choice":
      return typeof given === "string" && kind.of.includes(given) ? given : undefined;
  }
}
