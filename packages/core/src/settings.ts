/** Every setting of a host, its default, unit and meaning. Plain data; components (ports, observer) are not here. */
import { DormouseError } from "./agent/errors.ts";
import { nearMs, stateBytesMax } from "./agent/limits.ts";

export interface Settings {
  /** How long a record waits for company when another was just written, in milliseconds, 0 to 20. Default 0. */
  readonly commitLingerMs?: number;
  /** Effects that run at once on this host; one that its machine has left does not count, even if it never ends. Default 256. */
  readonly effectsRunningMax?: number;
  /**
   * How long a durable function that only waits stays in memory, in milliseconds; then it is run again over its checkpoints
   * when its wait ends. Default 10,000.
   */
  readonly parkMs?: number;
  /**
   * Agents kept in memory at most, over all partitions; the longest idle leave first, at each look (`settleRoundMs`).
   * Those that are at work stay all the same. Default 100,000.
   */
  readonly activationsMax?: number;
  /** An owner settles when more bytes of records than these are not settled. Default 16 MB. */
  readonly settleBytes?: number;
  /** … or when something is not settled, and the last settle so long ago, in milliseconds. Default 120,000. */
  readonly settleMs?: number;
  /**
   * So many small records in a row are stored once more in one object, 0 to 256, where the store is across a network: whoever
   * takes over reads that in the place of each. 0: none are. Default 64.
   */
  readonly bundleRecords?: number;
  /** How often a host looks for what to settle, to passivate and to wake, and who is alive, in milliseconds. Default 5,000. */
  readonly settleRoundMs?: number;
  /** An agent's whole state, in bytes as it is stored; a step that makes it larger is refused. Default 64 MB. */
  readonly stateBytesMax?: number;
  /**
   * When acknowledged messages to other agents that nobody confirmed go again, in milliseconds; each further time after
   * twice as long, up to a bound. Default 30,000.
   */
  readonly outboxRepeatMs?: number;
  /**
   * How long a draining host waits for running effects, in milliseconds; those that run on are aborted, and run again
   * under the next host. Default 10,000.
   */
  readonly drainMs?: number;
  /**
   * Freezes contexts deeply, so that a machine that changes one in place throws, and compares each new base with what its
   * steps lead to. Default: on; `startHost` has it off where `NODE_ENV` is `production`.
   */
  readonly freezeContexts?: boolean;
}

export type ResolvedSettings = Required<Settings>;

const defaults: ResolvedSettings = {
  commitLingerMs: 0,
  effectsRunningMax: 256,
  parkMs: 10_000,
  activationsMax: 100_000,
  settleBytes: 16_777_216,
  settleMs: 120_000,
  bundleRecords: 64,
  settleRoundMs: 5_000,
  stateBytesMax,
  outboxRepeatMs: 30_000,
  drainMs: 10_000,
  freezeContexts: true,
};

const ranges: { readonly [name: string]: readonly [number, number] } = {
  commitLingerMs: [0, 20],
  effectsRunningMax: [1, 65_536],
  parkMs: [0, 86_400_000],
  activationsMax: [1, 100_000_000],
  settleBytes: [1, 1_073_741_824],
  settleMs: [1, 86_400_000],
  bundleRecords: [0, 256],
  // A far wake-up must be taken in before it is due.
  settleRoundMs: [1, nearMs],
  stateBytesMax: [1_024, stateBytesMax],
  outboxRepeatMs: [1, 86_400_000],
  drainMs: [0, 86_400_000],
};

/** All settings, each with a value in range. @throws DormouseError `invalid` (`setting.invalid`). */
export function resolveSettings(settings: Settings = {}): ResolvedSettings {
  // Plain JavaScript may give anything.
  if (typeof settings !== "object" || (settings as unknown) === null) {
    throw new DormouseError("invalid", "setting.invalid", `settings are an object: type=${typeof settings}`);
  }
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined) continue;
    const range = ranges[name];
    if (name === "freezeContexts" ? typeof value === "boolean" : range !== undefined && isWithin(value, range))
      continue;
    const wanted = range === undefined ? "true or false" : `a whole number from ${range[0]} to ${range[1]}`;
    const what = name in defaults ? `must be ${wanted}` : "is not a setting";
    throw new DormouseError("invalid", "setting.invalid", `${name} ${what}: value=${String(value)}`);
  }
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  return { ...defaults, ...given };
}

function isWithin(value: unknown, [least, most]: readonly [number, number]): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}

/** What one setting may be, for those who take settings as text. */
export interface SettingFact {
  readonly name: keyof Settings;
  readonly default: number | boolean;
  /** Whole numbers from one to the other; `undefined` where it is true or false. */
  readonly range: readonly [least: number, most: number] | undefined;
}

/** Of every setting. */
export const settingFacts: readonly SettingFact[] = (Object.keys(defaults) as (keyof Settings)[]).map((name) => ({
  name,
  default: defaults[name],
  range: ranges[name],
}));
