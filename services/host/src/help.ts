/** What `dormouse-host --help` prints. */
import { flagOf, type Option, variableOf, wantedOf } from "@dormouse/sdk/operate";
import { options } from "./options.ts";

export function helpText(): string {
  return [
    "usage: dormouse-host --agents <module> [options]",
    "",
    "Runs the agents that a module exports, until SIGTERM or SIGINT; then drains. Command line over environment over file.",
    "Exit codes: 0 drained; 1 failed; 2 what it was given cannot be right; 128 and its number: a second signal.",
    "",
    "  --config <path>  DORMOUSE_CONFIG",
    '      a JSON object of options by their names, such as { "agents": "./agents.js", "logLevel": "warn" }',
    "  --help, --version",
    "",
    ...options.flatMap(describe),
    "",
  ].join("\n");
}

function describe({ name, kind, default: byDefault, meaning, isSecret }: Option): readonly string[] {
  const spelt = isSecret
    ? `--${flagOf(`${name}File`)}  ${variableOf(`${name}File`)}, or itself in ${variableOf(name)}`
    : `--${flagOf(name)}  ${variableOf(name)}`;
  return [`  ${spelt}`, `      ${meaning}; ${wantedOf(kind)} (default: ${byDefault})`];
}
