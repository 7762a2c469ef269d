/**
 * An app of a cluster as its operator sees it: who runs, who owns what, and one host that is to leave.
 *
 * Leaves to others: what a host is and does when it is asked (core's `control.ts`), how a host is followed until it is gone
 * (`drain.ts`), how it is shown (cli).
 *
 * R1  Owners are read before hosts: one that came in between is known, and its partitions are not held for nobody's.
 */
import { hostname } from "node:os";
import { DormouseError, type HostStatus } from "@dormouse/core";
import {
  type App,
  checkName,
  checkOptions,
  decodeFacts,
  encodeError,
  type ErrorData,
  type Partition,
  readOwners,
  requestHost,
} from "@dormouse/core/protocol";
import type { Member, MemberState, ObjectStore, Ports } from "@dormouse/core/ports";
import { onAbort } from "./caller-signal.ts";
import type { ConnectOptions } from "./connect.ts";
import { askMs, drainHost, type DrainOptions } from "./drain.ts";
import { clusterOf, openClusterAsClient } from "./drivers.ts";
import { appOfCluster } from "./known-app.ts";
import { withStore } from "./store-world.ts";

/** A host that is believed alive, and what it says of itself. */
export interface HostView {
  readonly incarnation: string;
  /** For people: a machine's or container's name. */
  readonly name: string;
  /** The agent types it runs, each with its version: `type@version`. */
  readonly types: readonly string[];
  /** `undefined`: it did not answer, and `error` says how. */
  readonly status: HostStatus | undefined;
  readonly error: ErrorData | undefined;
}

/** A partition, by what its object on the store says. */
export type PartitionView =
  | { readonly partition: Partition; readonly state: "owned"; readonly owner: string }
  /** Nobody owns it: a host is about to, or there is none. */
  | { readonly partition: Partition; readonly state: "free" }
  /** Its owner is not among the living. */
  | {
      readonly partition: Partition;
      readonly state: "orphaned";
      readonly owner: string;
      readonly member: Exclude<MemberState, "alive">;
    }
  | { readonly partition: Partition; readonly state: "unreadable"; readonly error: ErrorData };

/** An app, now. */
export interface AppStatus {
  readonly app: App;
  /** By name, then by incarnation: the older first. */
  readonly hosts: readonly HostView[];
  /** `undefined` without a store. */
  readonly partitions: readonly PartitionView[] | undefined;
}

/** What `connectOperator` connects to. */
export interface Operator extends AsyncDisposable {
  readonly app: App;
  /**
   * How the app is now. Reads each partition's object once, where a store was named.
   *
   * @throws DormouseError `unavailable`: membership or the store does not answer.
   */
  status(): Promise<AppStatus>;
  /**
   * The one living host of this name or incarnation.
   *
   * @throws DormouseError `invalid` (`host.unknown`: there is none; `host.ambiguous`: several have the name).
   */
  find(host: string): Promise<Pick<HostView, "incarnation" | "name">>;
  /**
   * Asks a host to leave, and follows it: gives its status at first and whenever that changed, and ends when it is gone.
   * It loses nothing: other hosts take its partitions up.
   *
   * @throws DormouseError `unavailable` (`channel.nobody`: there is no such host; `host.lost`: it fell silent before it had
   * left); `timeout` (`host.draining`; `channel.timeout`: it did not answer at all).
   */
  drain(incarnation: string, options?: DrainOptions): AsyncIterable<HostStatus>;
  close(): Promise<void>;
}

/**
 * Connects to an app of a cluster as its operator. With a `store` it also knows who owns each partition.
 *
 * @throws DormouseError `invalid` (`option.invalid`: a folder is named; `app.mismatch`: no such app; `mailbox.url`,
 * `store.url`; what NATS and the store refuse); `unavailable` (`app.no-host`; what does not answer).
 * @example
 * ```ts
 * await using operator = await connectOperator({ mailbox: "nats://127.0.0.1:4222", store: "s3://bucket" });
 * for (const host of (await operator.status()).hosts) console.log(host.name, host.status?.isReady);
 * ```
 */
export async function connectOperator(options: ConnectOptions): Promise<Operator> {
  checkOptions("connectOperator", options, ["mailbox", "store", "nats", "s3", "app", "name", "signal"]);
  options.signal?.throwIfAborted();
  const { app: name = "default" } = options;
  checkName("app", name);
  const place = clusterOf(options, "an operator works");
  const cluster = await openClusterAsClient(place, options, options.name ?? hostname());
  try {
    const ports = cluster.clientPorts(name);
    const app = await appOfCluster(cluster, ports.membership, name);
    options.signal?.throwIfAborted();
    const letGo = onAbort(options.signal, () => cluster.close());
    const closed = async (): Promise<void> => {
      letGo();
      await cluster.close();
    };
    return makeOperator({ app, ports, store: cluster.store(name), closed });
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

export interface OperatorParts {
  readonly app: App;
  readonly ports: Pick<Ports, "membership" | "channel" | "clock">;
  readonly store: ObjectStore | undefined;
  readonly closed: () => Promise<void>;
}

/** An operator on ports that somebody else opened. */
export function makeOperator(parts: OperatorParts): Operator {
  const { app, ports, closed } = parts;
  return {
    app,
    status: () => statusOf(parts),
    find: async (host) => findHost(await ports.membership.alive(), host),
    drain: (incarnation, options) => drainHost(parts.ports, app, incarnation, options),
    close: closed,
    [Symbol.asyncDispose]: closed,
  };
}

async function statusOf({ app, ports, store }: OperatorParts): Promise<AppStatus> {
  const { membership } = ports;
  const owners = store === undefined ? undefined : await withStore(store, (world) => readOwners(world, app.partitions));
  const members = await membership.alive();
  const hosts = await Promise.all(members.map((member) => viewOf(app, ports, member)));
  const sorted = hosts.toSorted((a, b) => compare(a.name, b.name) || compare(a.incarnation, b.incarnation));
  if (owners === undefined) return { app, hosts: sorted, partitions: undefined };
  const partitions = owners.map(async ({ partition, owner, error }): Promise<PartitionView> => {
    if (error !== undefined) return { partition, state: "unreadable", error };
    if (owner === undefined) return { partition, state: "free" };
    const member = await membership.stateOf(owner);
    return member === "alive" ? { partition, state: "owned", owner } : { partition, state: "orphaned", owner, member };
  });
  return { app, hosts: sorted, partitions: await Promise.all(partitions) };
}

async function viewOf(app: App, { channel }: OperatorParts["ports"], member: Member): Promise<HostView> {
  const { incarnation } = member;
  const { name, types } = decodeFacts(member.facts);
  try {
    const status = await requestHost(channel, app, incarnation, { what: "status" }, askMs);
    return { incarnation, name, types, status, error: undefined };
  } catch (error) {
    // It has just ended, hangs, or is of another release: the others are still to be told of.
    return { incarnation, name, types, status: undefined, error: encodeError(error) };
  }
}

function findHost(members: readonly Member[], host: string): Pick<HostView, "incarnation" | "name"> {
  const known = members.map(({ incarnation, facts }) => ({ incarnation, name: decodeFacts(facts).name }));
  const [found, ...others] = known.filter(({ incarnation, name }) => incarnation === host || name === host);
  if (found === undefined) {
    const names = known.map(({ name }) => name).toSorted();
    throw new DormouseError(
      "invalid",
      "host.unknown",
      `no host of this name or incarnation lives; correct it: host=${host} living=${listOf(names)}`,
    );
  }
  if (others.length === 0) return found;
  const incarnations = [found, ...others].map(({ incarnation }) => incarnation).toSorted();
  throw new DormouseError(
    "invalid",
    "host.ambiguous",
    `several hosts have this name; say which by its incarnation: host=${host} incarnations=${listOf(incarnations)}`,
  );
}

const listedMax = 20;

function listOf(words: readonly string[]): string {
  if (words.length === 0) return "none";
  return `${words.slice(0, listedMax).join(",")}${words.length > listedMax ? ",…" : ""}`;
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
