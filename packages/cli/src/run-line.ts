/**
 * One line of the command, from reading it to its exit code.
 *
 * Exit codes: 0 done; 1 failed, as standard error says; 2 the line cannot be right.
 */
import { readFileSync } from "node:fs";
import { DormouseError } from "@dormouse/sdk";
import { appCreate } from "./app-create.ts";
import { appDrain } from "./app-drain.ts";
import { appStatus } from "./app-status.ts";
import { ask } from "./ask.ts";
import { type Command, Failed, optionHelp, readLine } from "./command.ts";
import { dev } from "./dev.ts";
import { errors } from "./errors.ts";
import { history } from "./history.ts";
import { list } from "./list.ts";
import { makeOutput, type Sink } from "./output.ts";
import { clusterHelp, type Environment, placeHelp } from "./places.ts";
import { read } from "./read.ts";
import { respond } from "./respond.ts";
import { resume, skip } from "./resume.ts";
import { send } from "./send.ts";
import { start } from "./start.ts";
import { storeProbe } from "./store-probe.ts";
import { UsageError } from "./usage-error.ts";
import { waits } from "./waits.ts";

const commands: readonly Command[] = [
  dev,
  start,
  send,
  ask,
  respond,
  read,
  list,
  waits,
  history,
  errors,
  resume,
  skip,
  appCreate,
  appStatus,
  appDrain,
  storeProbe,
];

/** Errors of the line that only show once the call is made. */
const usageCodes = new Set([
  "app.invalid",
  "config.value",
  "mailbox.url",
  "option.invalid",
  "store.url",
  "token.invalid",
]);
/** Of what the line names: it cannot be right, however the line is spelt. */
const wrongCodes = new Set(["app.mismatch", "config.file"]);

export interface Streams {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly isColourWanted: boolean;
  readonly environment: Environment;
}

/** Does what a line says; resolves with the exit code. */
export async function runLine(line: readonly string[], streams: Streams): Promise<number> {
  const { stdout, stderr, environment } = streams;
  const output = makeOutput({ ...streams, isJson: line.includes("--json") });
  const words = line[0] === "help" ? [...line.slice(1), "--help"] : line;
  const [name] = words;
  const command = commandOf(words);
  try {
    if (name === "--version") {
      output.result(version(), { version: version() });
      return 0;
    }
    if (name === undefined || name === "--help" || name === "-h") {
      const isAsked = name !== undefined;
      (isAsked ? stdout : stderr).write(overview());
      return isAsked ? 0 : 2;
    }
    if (words.join(" ") === "cluster --help") {
      stdout.write(clusterHelp());
      return 0;
    }
    if (command === undefined) throw noCommand(words);
    const { isHelp, ...call } = readLine(command, words.slice(command.name.split(" ").length));
    if (isHelp) stdout.write(helpOf(command));
    else await command.run({ ...call, environment, output });
    return 0;
  } catch (error) {
    if (error instanceof Failed) return 1;
    output.error(error);
    const code = error instanceof DormouseError ? error.code : "";
    const isUsage = error instanceof UsageError || usageCodes.has(code);
    if (isUsage) output.note(command === undefined ? "usage: dormouse --help" : `usage: ${usageOf(command)}`);
    return isUsage || wrongCodes.has(code) ? 2 : 1;
  }
}

/** The command whose name, of one word or two, begins the line. */
function commandOf(words: readonly string[]): Command | undefined {
  return commands.find(({ name }) => name === words.slice(0, name.split(" ").length).join(" "));
}

function noCommand([first = ""]: readonly string[]): UsageError {
  const within = commands.flatMap(({ name }) => (name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : []));
  return new UsageError(
    within.length === 0 ? `there is no command "${first}"` : `${first} is followed by ${within.join(", ")}`,
  );
}

function overview(): string {
  const heads = commands.map((command) => [command.name, ...command.arguments].join(" "));
  const width = Math.max(...heads.map((head) => head.length));
  return [
    "dormouse: agents that survive their process",
    "",
    ...commands.map(({ summary }, index) => `  ${(heads[index] ?? "").padEnd(width)}  ${summary}`),
    "",
    "dormouse <command> --help tells more of one; dormouse help cluster how NATS and a store are named.",
    "",
  ].join("\n");
}

function helpOf(command: Command): string {
  const own = [...command.options, "help" as const].map((name) => optionHelp[name]);
  const options = [...placeHelp, ...own].map(([usage, meaning]) => `  ${usage.padEnd(28)}${meaning}`);
  const more = "Of a cluster, dormouse help cluster tells more options, and the variables of all.";
  return [`usage: ${usageOf(command)}`, "", command.help, "", ...options, "", more, ""].join("\n");
}

function usageOf(command: Command): string {
  return ["dormouse", command.name, ...command.arguments, "[options]"].join(" ");
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}
