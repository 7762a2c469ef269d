/** A folder as its one host sees it: all ports, and the socket through which other processes take part. */
import type { Socket } from "node:net";
import type { Clock, Entropy, Membership, Ports } from "@dormouse/core/ports";
import { realClock, realEntropy } from "./clock.ts";
import { openFolder } from "./lmdb.ts";
import { lockFolder } from "./lock.ts";
import { MemoryWorld } from "./memory.ts";
import { serveClient } from "./socket.ts";

/** How a folder is opened for its host. */
export interface HostFolderOptions {
  /** Default: the real one. */
  readonly clock?: Clock;
  /** Default: the operating system's. */
  readonly entropy?: Entropy;
}

/** A folder that this process is the host of. */
export interface HostFolder {
  /** The absolute path. */
  readonly path: string;
  readonly ports: Ports;
  /** Ends connections and readers, waits for what is being written, and gives the folder up. */
  close(): Promise<void>;
}

/**
 * Opens a folder as its one host.
 *
 * @param folder - Made (mode 0700) if it is not there.
 * @throws DormouseError `conflict` (`folder.in-use`): another host runs on it; `unavailable`, `invalid`, `corrupt` as
 * `openFolder`.
 * @example
 * ```ts
 * const host = await openHostFolder("./.dormouse");
 * await host.ports.mailbox.create(8);
 * await host.close();
 * ```
 * @see DESIGN.md, section 5
 */
export async function openHostFolder(folder: string, options: HostFolderOptions = {}): Promise<HostFolder> {
  const clock = options.clock ?? realClock;
  const entropy = options.entropy ?? realEntropy;
  const data = await openFolder(folder, { clock, entropy });
  const lock = await lockFolder({ path: data.path, hostRecord: data.hostRecord, entropy }).catch(
    async (error: unknown) => {
      await data.close();
      throw error;
    },
  );
  const world = new MemoryWorld(clock);
  const own = world.open("host", { clock, entropy });
  const sockets = new Set<Socket>();
  let clients = 0;
  lock.onConnection((socket) => {
    clients += 1;
    const party = `client-${clients}`;
    const { channel } = world.open(party, { clock, entropy });
    sockets.add(socket);
    serveClient(socket, { mailbox: data.mailbox, channel }, () => {
      sockets.delete(socket);
      world.end(party);
    });
  });
  let closing: Promise<void> | undefined;
  return {
    path: data.path,
    ports: {
      mailbox: data.mailbox,
      store: data.store,
      channel: own.channel,
      membership: loneMembership(own.membership),
      clock,
      entropy,
    },
    close() {
      closing ??= close();
      return closing;
    },
  };

  async function close(): Promise<void> {
    const released = lock.release();
    for (const socket of sockets) socket.destroy();
    await released;
    await data.close();
    world.end("host");
  }
}

/** With one host a folder, any incarnation that is not ours has ended: the lock says so, for sure (N2). */
function loneMembership(membership: Membership): Membership {
  return {
    ...membership,
    stateOf: async (incarnation) => ((await membership.stateOf(incarnation)) === "alive" ? "alive" : "dead"),
  };
}
