/**
 * A partition that cannot be read: none of its agents steps, its messages stay in the mailbox, and whoever reads or asks
 * is told why (D9).
 */
import type { Partition } from "../../agent/address.ts";
import { DormouseError, encodeError, type ErrorData } from "../../agent/errors.ts";
import { creditEntriesMax } from "../../agent/limits.ts";
import type { App } from "../../format/app.ts";
import { isNewer } from "../../format/codec/header.ts";
import { decodeBatch, type Envelope } from "../../format/message.ts";
import type { Channel, Mailbox } from "../../ports/index.ts";
import { insist, isPassing, type World } from "../insist.ts";
import { newBarrier } from "../reader.ts";
import { refuseReads } from "../reads.ts";
import { publishAnswer } from "../release/reply.ts";

export interface Stopped {
  readonly world: World;
  readonly mailbox: Mailbox;
  readonly channel: Channel;
  readonly app: App;
  readonly partition: Partition;
  /** Why it cannot be read. */
  readonly cause: DormouseError;
}

/** Answers reads and asks with the error until the host ends or what this returns is called. */
export function serveStopped(stopped: Stopped): () => void {
  const { channel, app, partition } = stopped;
  const error = stoppedError(stopped);
  const life = new AbortController();
  const stopReads = refuseReads(channel, app, partition, error);
  // Whoever is not told here runs into his time-out, as he would without.
  refuseAsks(stopped, encodeError(error), life.signal).catch(() => undefined);
  return () => {
    life.abort();
    stopReads();
  };
}

function stoppedError({ partition, cause }: Stopped): DormouseError {
  const until = isNewer(cause) ? "a host that reads it owns the partition" : "the store is mended or put back";
  const text =
    `the agent's partition cannot be read, so none of its agents takes anything; what is sent is kept, and is taken once ` +
    `${until}: partition=${partition}: ${cause.message}`;
  return new DormouseError("corrupt", "partition.stopped", text, { cause });
}

async function refuseAsks(stopped: Stopped, error: ErrorData, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await refuseNewAsks(stopped, error, signal);
    } catch (thrown) {
      if (!isPassing(thrown)) throw thrown;
    }
  }
}

/** From now on: whoever asked before asks again, since no answer came. Nothing is consumed. */
async function refuseNewAsks(
  { world, mailbox, channel, partition }: Stopped,
  error: ErrorData,
  signal: AbortSignal,
): Promise<void> {
  const barrier = newBarrier(world);
  const { sequence } = await insist(world, () => mailbox.barrier(partition, barrier));
  const reader = mailbox.read(partition, sequence);
  signal.addEventListener("abort", () => reader.close(), { once: true });
  for (;;) {
    for (const { bytes } of await reader.next(creditEntriesMax)) {
      for (const { id, ask } of envelopesOf(bytes)) {
        if (ask === undefined) continue;
        publishAnswer(channel, { id, replyTo: ask.replyTo, answer: { ok: false, seq: 0, error } });
      }
    }
  }
}

function envelopesOf(bytes: Uint8Array): readonly Envelope[] {
  try {
    return decodeBatch(bytes).envelopes;
  } catch {
    return [];
  }
}
