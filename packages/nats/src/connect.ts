/**
 * Opens the connection that a process has to NATS, and checks that the servers are fit.
 *
 * Owns: how often and how fast it is dialled. Leaves to others: options (`options.ts`), its life (`link.ts`), the ports.
 */
import { connect, type NatsConnection as Connection } from "@nats-io/transport-node";
import type { Channel, Mailbox, Membership } from "@dormouse/core/ports";
import { NatsChannel } from "./channel.ts";
import {
  apiCode,
  apiCodes,
  apiError,
  connectError,
  natsMaxPayload,
  natsNoJetStream,
  natsVersion,
  optionInvalid,
} from "./errors.ts";
import { Link } from "./link.ts";
import { NatsMailbox } from "./mailbox.ts";
import { NatsMembership } from "./membership.ts";
import { resolveOptions, type NatsOptions, type ResolvedOptions } from "./options.ts";
import { Publisher } from "./publisher.ts";
import { AppNames } from "./subjects.ts";

/** A connection to NATS, and the ports that it carries. */
export interface NatsConnection {
  /** The mailboxes of an app; the same each time. */
  mailbox(app: string): Mailbox;
  /** The hosts of an app; the same each time. */
  membership(app: string): Membership;
  readonly channel: Channel;
  /** Of the server that was reached first. */
  readonly serverVersion: string;
  /** Ends readers, watchers and the connection. Nothing of it keeps the process alive then. */
  close(): Promise<void>;
}

const versionMin = [2, 9] as const;
/** What a server takes by default: the largest event fits it. */
const payloadMin = 1_048_576;
const dialTimeoutMs = 3_000;
const redialMsMin = 20;
const redialMsMax = 2_000;
const pingIntervalMs = 3_000;
const pingsOutMax = 2;
const replicasInCluster = 3;
/** Of five seconds each: longer than an election takes (FACTS.md 1.9). */
const checksMax = 3;

/**
 * Connects to NATS; resolves when a server has answered that has JetStream and is new enough. A connection that breaks later
 * is made anew for as long as it takes, at first at once, then every two seconds or so.
 *
 * @param options - `servers` must be given; the rest has defaults.
 * @throws DormouseError `invalid` (`option.invalid`, `nats.refused`, `nats.version`, `nats.max-payload`, `nats.no-jetstream`); `unavailable`
 * (`nats.unreachable`): no server answered within three seconds each; (`nats.no-answer`, `nats.api`): its JetStream did
 * not within fifteen.
 * @example
 * ```ts
 * const nats = await connectNats({ servers: "nats://127.0.0.1:4222" });
 * await nats.mailbox("shop").create(32);
 * await nats.close();
 * ```
 * @see DESIGN.md, section 6
 */
export async function connectNats(options: NatsOptions): Promise<NatsConnection> {
  const resolved = await resolveOptions(options);
  const connection = await dial(resolved);
  try {
    const { version = "", cluster, max_payload: payloadMax = 0 } = connection.info ?? {};
    checkVersion(version);
    if (payloadMax < payloadMin) throw natsMaxPayload(payloadMax, payloadMin);
    const link = await Link.make(connection);
    await checkJetStream(link, resolved);
    const replicas = resolved.replicas ?? (cluster === undefined ? 1 : replicasInCluster);
    return new Ports(link, { ...resolved, replicas }, version);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

async function dial({ servers, authenticator, tls, name }: ResolvedOptions): Promise<Connection> {
  let brokeAt: number | undefined;
  try {
    const connection = await connect({
      servers: [...servers],
      name,
      ...(authenticator === undefined ? {} : { authenticator }),
      ...(tls === undefined ? {} : { tls }),
      timeout: dialTimeoutMs,
      pingInterval: pingIntervalMs,
      maxPingOut: pingsOutMax,
      maxReconnectAttempts: -1,
      // Wrong credentials after a restart may be right again when the server has read its configuration.
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
      // A quarter of the time that it has been broken: quick at first, and not all clients at the same moment.
      reconnectDelayHandler: () => {
        const brokenMs = brokeAt === undefined ? 0 : performance.now() - brokeAt;
        return Math.min(Math.max(brokenMs / 4, redialMsMin), redialMsMax) * (0.5 + Math.random() / 2);
      },
    });
    void (async () => {
      for await (const status of connection.status()) {
        if (status.type === "disconnect") brokeAt = performance.now();
      }
    })();
    return connection;
  } catch (cause) {
    throw connectError(servers.join(","), cause);
  }
}

function checkVersion(version: string): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > versionMin[0] || (major === versionMin[0] && minor >= versionMin[1])) return;
  throw natsVersion(version, versionMin.join("."));
}

/** A cluster that elects a leader answers nothing for some seconds; one that has none for longer is not waited for. */
async function checkJetStream(link: Link, { servers }: ResolvedOptions): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await link.whileUp(() => link.jetstream.getAccountInfo());
      return;
    } catch (cause) {
      const code = apiCode(cause);
      const isMissing = code === apiCodes.notEnabled || code === apiCodes.notEnabledForAccount;
      if (isMissing || (cause instanceof Error && cause.name === "JetStreamNotEnabled")) {
        throw natsNoJetStream(servers.join(","));
      }
      const isRefused = connectError("", cause).code === "nats.refused";
      if (isRefused) throw connectError(servers.join(","), cause);
      if (tries === checksMax) throw apiError("account info", cause);
    }
  }
}

class Ports implements NatsConnection {
  readonly channel: NatsChannel;
  readonly serverVersion: string;
  readonly #link: Link;
  readonly #publisher: Publisher;
  readonly #options: ResolvedOptions & { readonly replicas: number };
  readonly #mailboxes = new Map<string, NatsMailbox>();
  readonly #memberships = new Map<string, NatsMembership>();

  constructor(link: Link, options: ResolvedOptions & { readonly replicas: number }, serverVersion: string) {
    this.#link = link;
    this.#options = options;
    this.serverVersion = serverVersion;
    this.#publisher = new Publisher(link);
    this.channel = new NatsChannel(link, options.prefix);
  }

  mailbox(app: string): Mailbox {
    const names = this.#names(app);
    return made(this.#mailboxes, app, () => new NatsMailbox(this.#link, this.#publisher, names, this.#options));
  }

  membership(app: string): Membership {
    const names = this.#names(app);
    return made(this.#memberships, app, () => new NatsMembership(this.#link, names, this.#options.replicas));
  }

  async close(): Promise<void> {
    for (const membership of this.#memberships.values()) membership.close();
    await this.#link.close();
  }

  #names(app: string): AppNames {
    if (!/^[a-z][a-z0-9-]{0,62}$/.test(app)) {
      throw optionInvalid("app", "an app's name has at most 63 characters of a-z, 0-9 and `-`, a letter first");
    }
    return new AppNames(this.#options.prefix, app);
  }
}

function made<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key);
  if (known !== undefined) return known;
  const fresh = make();
  map.set(key, fresh);
  return fresh;
}
