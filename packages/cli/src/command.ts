/** What a command is, and how its line is read: arguments and options, wrong ones told with what would be right. */
import { parseArgs } from "node:util";
import type { AgentRef, CallOptions, SendOptions } from "@dormouse/client";
import { type AnyAgentDefinition, connect, type ConnectedClient, DormouseError } from "@dormouse/sdk";
import { type Given, placeOptions, secretOnLine } from "@dormouse/sdk/operate";
import {
  checkUserKey,
  type Duration,
  type EventData,
  makeAddress,
  parseAddress,
  parseDuration,
  parseTarget,
} from "@dormouse/core/protocol";
import type { Output } from "./output.ts";
import { type Environment, placeFlags, readPlaces } from "./places.ts";
import { UsageError } from "./usage-error.ts";

export interface Command {
  readonly name: string;
  /** The arguments, as the usage line shows them: optional ones, in brackets, last. */
  readonly arguments: readonly string[];
  /** Those of a place, which all commands take, beside these. */
  readonly options: readonly OptionName[];
  /** One line, for the list of commands. */
  readonly summary: string;
  /** What a person should know before the first use. */
  readonly help: string;
  /** Resolves when the command has done what it says. */
  run(call: Call): Promise<void>;
}

export type OptionName =
  | "timeout"
  | "idempotency-key"
  | "state"
  | "status"
  | "type"
  | "from"
  | "to"
  | "partitions"
  | "json";

/** A command line, read. */
export interface Call {
  readonly arguments: readonly string[];
  readonly options: { readonly [name in OptionName]?: string };
  /** What the line says of where agents live. */
  readonly placeFlags: Given;
  readonly environment: Environment;
  readonly output: Output;
}

/** A command that says itself how it ended: what went wrong is already told. */
export class Failed extends Error {
  override readonly name: string = "Failed";
}

export const optionHelp: { readonly [name in OptionName | "help"]: readonly [usage: string, meaning: string] } = {
  timeout: [
    "--timeout <duration>",
    "how long to wait, such as 500ms, 10s, 5m; the message stands (default for ask and start: 30s)",
  ],
  "idempotency-key": [
    "--idempotency-key <key>",
    "your own name for this event: another under the same key is not applied again",
  ],
  state: ["--state <name>", 'only agents in this state; an inner one is "outer.inner"'],
  status: ["--status <status>", "only agents of this status, as the list shows it (set-aside in one word)"],
  type: ["--type <type>", "only agents of this type, as the argument"],
  from: ["--from <number>", "the first step (default 1)"],
  to: ["--to <number>", "the last step (default: the newest)"],
  partitions: ["--partitions <number>", "partitions of an app that is new, fixed for its life (default 32)"],
  json: ["--json", "print JSON, for programs"],
  help: ["--help", "print this"],
};

/** Reads a command's line. @throws UsageError */
export function readLine(
  command: Command,
  line: readonly string[],
): Omit<Call, "output" | "environment"> & { readonly isHelp: boolean } {
  const options: { [name: string]: { type: "string" | "boolean"; short?: string } } = {
    help: { type: "boolean", short: "h" },
  };
  for (const name of command.options) options[name] = { type: name === "json" ? "boolean" : "string" };
  for (const [flag] of placeFlags) options[flag] = { type: "string" };
  const { values, positionals } = parse(line, options);
  const isHelp = values["help"] === true;
  const least = command.arguments.filter((name) => !name.startsWith("[")).length;
  if (!isHelp && positionals.length < least) {
    throw new UsageError(`${command.arguments[positionals.length] ?? ""} is missing`);
  }
  if (!isHelp && positionals.length > command.arguments.length) {
    throw new UsageError(
      `one argument too many: ${positionals[command.arguments.length] ?? ""} (JSON with spaces needs quotes around it)`,
    );
  }
  const own = command.options.filter((name) => values[name] !== undefined);
  return {
    arguments: positionals,
    options: Object.fromEntries(own.map((name) => [name, String(values[name])])),
    placeFlags: Object.fromEntries(placeFlags.map(([flag, name]) => [name, values[flag]])),
    isHelp,
  };
}

function parse(
  line: readonly string[],
  options: { readonly [name: string]: { type: "string" | "boolean"; short?: string } },
): { values: { readonly [name: string]: unknown }; positionals: string[] } {
  try {
    return parseArgs({ args: [...line], options, allowPositionals: true, strict: true });
  } catch (error) {
    const flags = line.map((word) => word.replace(/=.*/s, ""));
    const secret = secretOnLine(placeOptions, flags);
    if (secret !== undefined) throw new UsageError(secret);
    // Its errors begin with a sentence that says which option it is; advice on lines of other programs follows.
    if (error instanceof TypeError)
      throw new UsageError(/^(?:[^.]|\.(?!\s))*/.exec(error.message)?.[0] ?? error.message);
    throw error;
  }
}

/** The line's `--timeout`. @throws UsageError */
export function limitsOf({ options: { timeout } }: Call): CallOptions {
  if (timeout === undefined) return {};
  try {
    parseDuration(timeout as Duration);
  } catch {
    // What a program writes as a bare number has its unit on a line.
    throw new UsageError(`a duration is a number with its unit, such as "500ms", "10s" or "5m": given=${timeout}`);
  }
  return { timeout: timeout as Duration };
}

/** The line's `--timeout` and `--idempotency-key`. @throws UsageError */
export function sendOptionsOf(call: Call): SendOptions {
  const { "idempotency-key": idempotencyKey } = call.options;
  return { ...limitsOf(call), ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
}

/** A step's number of the line. @throws UsageError */
export function readStepNumber(call: Call, name: "from" | "to"): number | undefined {
  const text = call.options[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= 1) return number;
  throw new UsageError(`--${name} takes the number of a step, a whole number from 1 on; this is none: ${text}`);
}

/** An event of the line: an object with a type. @throws UsageError */
export function readEvent(json: string): EventData {
  const event = readJson("event", json);
  if (typeof event !== "object" || event === null || !("type" in event) || typeof event.type !== "string") {
    throw new UsageError(
      `an event is a JSON object with a "type", such as '{"type":"add","by":1}'; this is not: ${json}`,
    );
  }
  return event as EventData;
}

/** A JSON value of the line. @throws UsageError */
export function readJson(what: string, json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`the ${what} is not JSON; put it in single quotes, with double quotes inside: ${why}`);
  }
}

/** What a command does with one agent. */
export interface AgentCall {
  readonly ref: AgentRef<AnyAgentDefinition>;
  readonly client: ConnectedClient;
}

/** Connects to where the line's agents live, for as long as `use` takes, with a ref on the agent that its first argument names. */
export async function withAgent(call: Call, use: (agent: AgentCall) => Promise<void>): Promise<void> {
  const { type, key } = addressOf(call);
  await withClient(call, (client) => use({ ref: client.agent(type, key), client }));
}

/**
 * The same for what no child takes but from its parent: events, and a start. They would make an agent that nobody meant of
 * what names one of another app.
 */
export async function withUserAgent(call: Call, use: (agent: AgentCall) => Promise<void>): Promise<void> {
  const { type, key } = addressOf(call);
  asUsage(() => checkUserKey(key));
  const [text = ""] = call.arguments;
  if (key.includes("/") && !text.startsWith("/")) throw ambiguous(type, key, appOf(call));
  await withAgent(call, use);
}

/** Connects to where the line's agents live, for as long as `use` takes. */
export async function withClient(call: Call, use: (client: ConnectedClient) => Promise<void>): Promise<void> {
  await using client = await connect(readPlaces(call));
  await use(client);
}

/** The agent that the line's first argument names: `type/key`, or with the line's own app in full. @throws UsageError */
function addressOf(call: Call): { readonly type: string; readonly key: string } {
  const [text = ""] = call.arguments;
  const { app, address } = asUsage(() => parseTarget(text));
  const own = appOf(call);
  if (app === undefined || app === own) return parseAddress(address);
  throw new UsageError(
    `this is an agent of another app; name that by --app ${app}, and the agent as ${address}: app=${own}`,
  );
}

function ambiguous(type: string, key: string, app: string): UsageError {
  return new UsageError(
    `this may be an agent of another app: --app ${type} ${key} reaches that one; an agent of this app whose key holds a ` +
      `"/" is named in full here: /${app}/${type}/${key}`,
  );
}

function appOf(call: Call): string {
  return readPlaces(call).app ?? "default";
}

/** The agent type that the line's first argument names, if it has one. @throws UsageError */
export function readType(call: Call): string | undefined {
  const [type = call.options.type] = call.arguments;
  // An address of this type is right only if the type is.
  if (type !== undefined) asUsage(() => makeAddress(type, "any"));
  return type;
}

export function notStarted(address: string): DormouseError {
  return new DormouseError(
    "conflict",
    "agent.not-started",
    `there is no such agent; start it, or send it an event: agent=${address}`,
  );
}

/** An argument that cannot be right is the line's fault. */
function asUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DormouseError && error.kind === "invalid") throw new UsageError(error.message);
    throw error;
  }
}
