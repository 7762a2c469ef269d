/** A client in another process than the host's. */
import { type Client, makeClient } from "@dormouse/client";
import { DormouseError } from "@dormouse/core";
import { checkOptions, readApp } from "@dormouse/core/protocol";
import { connectFolder, hostNotRunning, openFolder, realClock, realEntropy } from "@dormouse/local";
import { folderOf } from "./drivers.ts";

export interface ConnectOptions {
  /** The folder of the host. Default `"file:./.dormouse"`. */
  readonly store?: string;
  /** Default `"default"`. */
  readonly app?: string;
  /** Closes the client. */
  readonly signal?: AbortSignal;
}

/** A client, and whether a host runs that could answer. */
export interface ConnectedClient extends Client {
  /** Now; without a host, sends are kept in the mailbox until one starts, and asks are refused. */
  readonly isHostRunning: boolean;
}

/**
 * Connects to a folder's agents from another process, whether a host runs on it now or not; stays connected over the
 * host's restarts.
 *
 * @throws DormouseError `unavailable` (`folder.missing`): no host ever ran there; `invalid` (`app.mismatch`,
 * `store.url`, `option.invalid`).
 * @example
 * ```ts
 * await using client = await connect({ store: "file:./.dormouse" });
 * await client.agent("counter", "acme").send({ type: "add", by: 1 });
 * ```
 * @see DESIGN.md, section 15
 */
export async function connect(options: ConnectOptions = {}): Promise<ConnectedClient> {
  checkOptions("connect", options, ["store", "app", "signal"]);
  options.signal?.throwIfAborted();
  const path = folderOf(options.store);
  const app = await appOf(path, options.app ?? "default");
  const folder = await connectFolder(path);
  const client = makeClient({
    app,
    ports: { mailbox: folder.mailbox, channel: folder.channel, clock: realClock, entropy: realEntropy },
    checkHost: () => {
      if (!folder.isHostRunning) throw hostNotRunning(folder.path);
    },
    closed: () => folder.close(),
  });
  options.signal?.addEventListener("abort", () => void client.close(), { once: true });
  return Object.defineProperty(client, "isHostRunning", { get: () => folder.isHostRunning }) as ConnectedClient;
}

/** How long a folder may fail to answer, in milliseconds. */
const patienceMs = 10_000;

async function appOf(path: string, name: string): Promise<NonNullable<Awaited<ReturnType<typeof readApp>>>> {
  const folder = await openFolder(path, { clock: realClock, entropy: realEntropy, create: false });
  try {
    const app = await readApp({
      store: folder.store,
      clock: realClock,
      entropy: realEntropy,
      signal: new AbortController().signal,
      patience: { ms: patienceMs },
    });
    if (app?.name === name) return app;
    throw new DormouseError(
      "invalid",
      "app.mismatch",
      app === undefined
        ? `no host ever ran on this folder; start one first: folder=${path}`
        : `this folder holds another app; name that one: wanted=${name} found=${app.name} folder=${path}`,
    );
  } finally {
    await folder.close();
  }
}
