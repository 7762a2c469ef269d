/**
 * One host that is to leave, asked and followed until it is gone.
 *
 * Q1  A host is gone when it serves nothing any more and its process is known to have ended, never for silence alone.
 */
import { DormouseError, type HostStatus } from "@dormouse/core";
import { type App, type Duration, parseDuration, requestHost } from "@dormouse/core/protocol";
import type { MemberState, Ports } from "@dormouse/core/ports";

export interface DrainOptions {
  /** How long to wait for its end; it drains on when that is over. Default `"5m"`. */
  readonly timeout?: Duration;
}

type DrainPorts = Pick<Ports, "membership" | "channel" | "clock">;

/** How long one host may take to answer, in milliseconds. */
export const askMs = 5_000;
/** How often it is asked, besides at each news of membership. */
const drainPollMs = 500;

/** What `Operator.drain` does. */
export async function* drainHost(
  ports: DrainPorts,
  app: App,
  incarnation: string,
  { timeout = "5m" }: DrainOptions = {},
): AsyncGenerator<HostStatus> {
  const { channel, membership, clock } = ports;
  const endMs = clock.monotonic() + parseDuration(timeout);
  const changes = new Changes(ports);
  try {
    let told = await requestHost(channel, app, incarnation, { what: "drain" }, askMs);
    yield told;
    for (;;) {
      await changes.next(Math.max(0, Math.min(drainPollMs, endMs - clock.monotonic())));
      const status = await statusNow(ports, app, incarnation);
      if (status === undefined) {
        const state = await membership.stateOf(incarnation);
        if (state === "dead") return;
        if (state !== "alive") throw lost(incarnation, state);
      } else if (JSON.stringify(status) !== JSON.stringify(told)) {
        told = status;
        yield status;
      }
      if (clock.monotonic() >= endMs) throw stillDraining(incarnation, timeout);
    }
  } finally {
    changes.close();
  }
}

/** `undefined` while it does not answer. */
async function statusNow({ channel }: DrainPorts, app: App, incarnation: string): Promise<HostStatus | undefined> {
  try {
    return await requestHost(channel, app, incarnation, { what: "status" }, askMs);
  } catch (error) {
    if (error instanceof DormouseError && (error.kind === "unavailable" || error.kind === "timeout")) return undefined;
    throw error;
  }
}

/** Wakes whoever waits when membership has news, or it is time to look all the same. */
class Changes {
  readonly #clock: DrainPorts["clock"];
  readonly #stop: () => void;
  #wake: () => void = () => undefined;

  constructor({ membership, clock }: DrainPorts) {
    this.#clock = clock;
    // Without a watcher nobody pings, and a death is noticed late.
    this.#stop = membership.watch(() => this.#wake());
  }

  next(atMostMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.schedule(atMostMs, resolve);
    this.#wake = resolve;
    return promise.finally(cancel);
  }

  close(): void {
    this.#stop();
  }
}

function lost(incarnation: string, state: MemberState): DormouseError {
  return new DormouseError(
    "unavailable",
    "host.lost",
    `the host fell silent before it had left; nothing that was acknowledged is lost, and other hosts take over what it ` +
      `still owned: incarnation=${incarnation} state=${state}`,
  );
}

function stillDraining(incarnation: string, timeout: Duration): DormouseError {
  return new DormouseError(
    "timeout",
    "host.draining",
    `the host still drains, and goes on; look again, or allow more time: incarnation=${incarnation} timeout=${timeout}`,
  );
}
