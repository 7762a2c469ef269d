/** Runs a host in this process: on a folder, where it is the folder's one host. */
import { type AnyAgentDefinition, type Observe, type Settings, startIncarnation } from "@dormouse/core";
import { checkOptions, optionError } from "@dormouse/core/protocol";
import { type Client, makeClient } from "@dormouse/client";
import { openHostFolder } from "@dormouse/local";
import { folderOf } from "./drivers.ts";
import { sayProblem } from "./problems.ts";
import { drainOnSignals } from "./signals.ts";

export interface HostOptions {
  /** The agent types that this host runs. */
  readonly agents: readonly AnyAgentDefinition[];
  /** Default `"default"`. */
  readonly app?: string;
  /** Where agents live. Default `"file:./.dormouse"`, mailbox and store in one folder. */
  readonly store?: string;
  /** Ends the host as `drain` does. Default: SIGINT and SIGTERM do, and end the process after it. */
  readonly signal?: AbortSignal;
  /** Plain data; each has a default. `freezeContexts` is off by default where `NODE_ENV` is `production`. */
  readonly settings?: Settings;
  /** Told of everything that happens, synchronously. Default: problems that nobody else is told of go to standard error. */
  readonly observe?: Observe;
}

/** A running host. `await using` drains it at the end of its block. */
export interface Host extends AsyncDisposable {
  /** Sends, asks and reads within this process. */
  readonly client: Client;
  /** The name of this run; another run of the same folder has another. */
  readonly incarnation: string;
  /** Resolves when the host is over; rejects with what ended it, if it was not `drain`. */
  readonly ended: Promise<void>;
  /** Stops taking messages, commits and settles what was taken, gives the folder up. Loses nothing. */
  drain(): Promise<void>;
}

/**
 * Starts a host: its agents take their messages from now on, and go on where an earlier host stopped, however it ended.
 *
 * @returns When every agent's waiting messages have been picked up.
 * @throws DormouseError `conflict` (`folder.in-use`): another host runs on the folder, whose process it names;
 * `invalid` (an option, a definition, a setting, the store's URL, `store.not-writable`); `unavailable` (`store.full`,
 * `host.gave-up`); `corrupt`.
 * @example
 * ```ts
 * await using host = await startHost({ agents: [counter] });
 * await host.client.agent(counter, "acme").ask({ type: "add", by: 1 });
 * ```
 * @see DESIGN.md, section 15
 */
export async function startHost(options: HostOptions): Promise<Host> {
  checkHostOptions(options);
  options.signal?.throwIfAborted();
  const folder = await openHostFolder(folderOf(options.store));
  try {
    const { agents, app, observe } = options;
    const incarnation = await startIncarnation({
      agents,
      ports: folder.ports,
      settings: withEnvironment(options.settings),
      ...(app === undefined ? {} : { app }),
      observe: observe ?? sayProblem,
    });
    const client = makeClient({ app: incarnation.app, ports: folder.ports });
    const end = async (): Promise<void> => {
      const error = await incarnation.ended;
      await client.close();
      await folder.close();
      if (error !== undefined) throw error;
    };
    const ended = end();
    // Whoever does not ask how it ended need not handle it.
    ended.catch(() => undefined);
    const drain = async (): Promise<void> => {
      await incarnation.drain();
      await ended;
    };
    if (options.signal === undefined) {
      const stopListening = drainOnSignals(drain);
      ended.catch(() => undefined).finally(stopListening);
    }
    if (options.signal?.aborted === true) await drain();
    options.signal?.addEventListener("abort", () => void drain().catch(() => undefined), { once: true });
    return { client, incarnation: incarnation.id, ended, drain, [Symbol.asyncDispose]: drain };
  } catch (error) {
    await folder.close();
    throw error;
  }
}

const optionNames: readonly (keyof HostOptions)[] = ["agents", "app", "store", "signal", "settings", "observe"];

/** Plain JavaScript may give anything; the store, the settings and each definition are checked where they are read. */
function checkHostOptions(options: HostOptions): void {
  checkOptions("startHost", options, optionNames);
  const { agents, observe }: { readonly [name in keyof HostOptions]?: unknown } = options;
  if (!Array.isArray(agents)) throw optionError("agents is a list of definitions, made by agent(...)", agents);
  if (observe !== undefined && typeof observe !== "function") throw optionError("observe is a function", observe);
}

/** Freezing costs time for each change, and what it finds is found while one develops. */
function withEnvironment(settings: Settings = {}): Settings {
  // What is no settings at all is refused where they are read.
  if (typeof settings !== "object" || (settings as unknown) === null || settings.freezeContexts !== undefined)
    return settings;
  return { ...settings, freezeContexts: process.env["NODE_ENV"] !== "production" };
}
