/** What one host is asked by name, over the channel: how it is, and to leave. For operators; loses nothing when lost. */
import { DormouseError, encodeError, type ErrorData } from "../../agent/errors.ts";
import type { App } from "../../format/app.ts";
import { decodeValue, encodeValue } from "../../format/codec/msgpack.ts";
import { hasFields, isText } from "../../format/shape.ts";
import type { Channel, Unsubscribe } from "../../ports/index.ts";
import { readAnswered } from "../release/reply.ts";

/** How a host is, now. */
export interface HostStatus {
  readonly state: "starting" | "running" | "draining" | "ended";
  readonly incarnation: string;
  /** For people: what the host was named, a machine's or container's name. */
  readonly name: string;
  /** Whether it has all that is placed on it, and its store and mailbox answer. */
  readonly isReady: boolean;
  /** Why it is not. */
  readonly reason: string | undefined;
  readonly partitions: { readonly owned: number; readonly wanted: number; readonly total: number };
  /** In memory. */
  readonly agents: number;
  /** Running, or waiting for their turn. */
  readonly effects: number;
  /** Agents that are set aside. */
  readonly quarantined: number;
  /** Messages kept for agents that cannot step here now: of a type this host does not run, or set aside. */
  readonly shelved: number;
}

/** What a host is asked. */
export type HostRequest = { readonly what: "status" } | { readonly what: "drain" };

type HostAnswer = { readonly ok: true; readonly value: HostStatus } | { readonly ok: false; readonly error: ErrorData };

/** Serves one incarnation; `drain` begins it and does not wait for its end. */
export function serveControl(
  channel: Channel,
  app: App,
  incarnation: string,
  host: { readonly status: () => HostStatus; readonly drain: () => void },
): Unsubscribe {
  return channel.serve(controlSubject(app, incarnation), async (bytes) => {
    let answer: HostAnswer;
    try {
      const request = decodeValue(bytes);
      if (!isRequest(request)) throw new DormouseError("invalid", "host.request", "a host knows no such request");
      if (request.what === "drain") host.drain();
      answer = { ok: true, value: host.status() };
    } catch (error) {
      answer = { ok: false, error: encodeError(error) };
    }
    return encodeValue(answer);
  });
}

/**
 * Asks one host.
 *
 * @throws DormouseError `unavailable` (`channel.nobody`): no such host runs; `timeout` (`channel.timeout`);
 * `internal` (`host.answer`): it answered what cannot be read.
 */
export async function requestHost(
  channel: Pick<Channel, "request">,
  app: App,
  incarnation: string,
  request: HostRequest,
  timeoutMs: number,
): Promise<HostStatus> {
  const bytes = await channel.request(controlSubject(app, incarnation), encodeValue(request), timeoutMs);
  return readAnswered(bytes) as HostStatus;
}

function isRequest(value: unknown): value is HostRequest {
  return hasFields(value, { what: (what) => isText(what) && ["status", "drain"].includes(what) });
}

function controlSubject(app: App, incarnation: string): string {
  return `${app.birth}/host/${incarnation}`;
}
