/**
 * One line of the command, from reading it to its exit code.
 *
 * Exit codes: 0 done; 1 failed, as standard error says; 2 the line cannot be right.
 */
import { readFileSync } from "node:fs";
import { DormouseError } from "@dormouse/sdk";
import { ask } from "./ask.ts";
import { type Command, Failed, optionHelp, readLine } from "./command.ts";
import { dev } from "./dev.ts";
import { errors } from "./errors.ts";
import { history } from "./history.ts";
import { list } from "./list.ts";
import { makeOutput, type Sink } from "./output.ts";
import { read } from "./read.ts";
import { resume, skip } from "./resume.ts";
import { send } from "./send.ts";
import { start } from "./start.ts";
import { UsageError } from "./usage-error.ts";

const commands: readonly Command[] = [dev, start, send, ask, read, list, history, errors, resume, skip];

/** Errors of the call that only show once it is made. */
const usageCodes = new Set(["store.url", "app.invalid", "app.mismatch"]);

export interface Streams {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly isColourWanted: boolean;
}

/** Does what a line says; resolves with the exit code. */
export async function runLine(line: readonly string[], streams: Streams): Promise<number> {
  const { stdout, stderr } = streams;
  const output = makeOutput({ ...streams, isJson: line.includes("--json") });
  const [name, ...rest] = line[0] === "help" ? [...line.slice(1), "--help"] : line;
  const command = commands.find((one) => one.name === name);
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
    if (command === undefined) throw new UsageError(`there is no command "${name}"`);
    const { isHelp, ...call } = readLine(command, rest);
    if (isHelp) stdout.write(helpOf(command));
    else await command.run({ ...call, output });
    return 0;
  } catch (error) {
    if (error instanceof Failed) return 1;
    output.error(error);
    const isUsage = error instanceof UsageError || (error instanceof DormouseError && usageCodes.has(error.code));
    if (isUsage) output.note(command === undefined ? "usage: dormouse --help" : `usage: ${usageOf(command)}`);
    return isUsage ? 2 : 1;
  }
}

function overview(): string {
  return [
    "dormouse: agents that survive their process",
    "",
    ...commands.map((command) => `  ${[command.name, ...command.arguments].join(" ").padEnd(36)}${command.summary}`),
    "",
    "dormouse <command> --help tells more of one.",
    "",
  ].join("\n");
}

function helpOf(command: Command): string {
  const options = [...command.options, "help" as const].map((name) => {
    const [usage, meaning] = optionHelp[name];
    return `  ${usage.padEnd(28)}${meaning}`;
  });
  return [`usage: ${usageOf(command)}`, "", command.help, "", ...options, ""].join("\n");
}

function usageOf(command: Command): string {
  return ["dormouse", command.name, ...command.arguments, "[options]"].join(" ");
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}
