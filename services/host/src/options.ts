/** Every option of the host process: those of a place, its own, and the settings of the host by their own names. */
import { type SettingFact, settingFacts, type Settings } from "@dormouse/sdk";
import { makeOption, type Option, partitionsOption, placeOptions, textKind } from "@dormouse/sdk/operate";

const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

const own: readonly Option[] = [
  makeOption("agents", textKind("the path of a file"), "required", "the module that exports the agents to run"),
  makeOption("name", textKind("a name"), "the machine's", "what this host is called in logs and to other hosts"),
  partitionsOption,
  ...placeOptions,
  makeOption(
    "healthListen",
    textKind(
      'an address and a port, such as "127.0.0.1:8080" or "[::]:8080"',
      /^(?:\[[\da-fA-F:.]+\]|[\w.-]+):\d{1,5}$/,
    ),
    "127.0.0.1:8080",
    "where /live, /ready and /metrics are served; port 0 is any that is free",
  ),
  makeOption("logLevel", { is: "choice", of: logLevels }, "info", "the least level of a line in the log"),
];

const settingMeanings: { readonly [name in keyof Settings]-?: string } = {
  commitLingerMs: "how long a record waits for company, in milliseconds",
  effectsRunningMax: "effects that run at once",
  parkMs: "how long a durable function that only waits stays in memory, in milliseconds",
  activationsMax: "agents kept in memory at most",
  settleBytes: "an owner settles when more bytes of records are not settled",
  settleMs: "or when something is not settled for so long, in milliseconds",
  bundleRecords: "so many small records are stored once more in one object, for whoever takes over; 0: none are",
  settleRoundMs: "how often an owner looks for what to settle, passivate and wake, in milliseconds",
  stateBytesMax: "an agent's whole state, in bytes",
  outboxRepeatMs: "when messages to others that nobody confirmed go again, in milliseconds",
  drainMs: "how long a draining host waits for running effects, in milliseconds",
  freezeContexts: "finds machines that change their context in place, at some cost",
};

export const options: readonly Option[] = [...own, ...settingFacts.map(settingOption)];

function settingOption({ name, default: byDefault, range }: SettingFact): Option {
  if (range === undefined) {
    return makeOption(name, { is: "boolean" }, "true, but where NODE_ENV is production", settingMeanings[name]);
  }
  const [least, most] = range;
  return makeOption(name, { is: "number", least, most }, String(byDefault), settingMeanings[name]);
}
