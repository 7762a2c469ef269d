/**
 * A host on a temporary folder as the programs use it: embedded, on the real drivers, with everything counted that the
 * runtime hands to its two durable ports.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, makeClient } from "@dormouse/client";
import { type AnyAgentDefinition, type Incarnation, type Settings, startIncarnation } from "@dormouse/core";
import { openHostFolder } from "@dormouse/local";
import { countedMailbox, countedStore, type Handed } from "./counted.ts";

export interface BenchHost {
  readonly client: Client;
  readonly incarnation: Incarnation;
  readonly toMailbox: Handed;
  readonly toStore: Handed;
  /** Drains it; the folder stays. */
  close(): Promise<void>;
}

/** Runs `measure` on a folder that goes afterwards. */
export async function inFolder<T>(measure: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "dormouse-bench-"));
  try {
    return await measure(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function openBenchHost(
  path: string,
  agents: readonly AnyAgentDefinition[],
  settings: Settings = {},
): Promise<BenchHost> {
  const folder = await openHostFolder(path);
  const toMailbox: Handed = { calls: 0, bytes: 0 };
  const toStore: Handed = { calls: 0, bytes: 0 };
  const mailbox = countedMailbox(folder.ports.mailbox, toMailbox);
  const ports = { ...folder.ports, mailbox, store: countedStore(folder.ports.store, toStore) };
  const incarnation = await startIncarnation({ agents, ports, settings });
  const client = makeClient({ app: incarnation.app, ports });
  const close = async (): Promise<void> => {
    await incarnation.drain();
    await client.close();
    await folder.close();
  };
  return { client, incarnation, toMailbox, toStore, close };
}

/** What a folder takes on disk, in bytes of allocated blocks. */
export function bytesOnDisk(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * 512, 0);
}

/** Does `work` for 0 to `total` - 1, so many at a time; how long each took, in milliseconds. */
export async function inFlight(total: number, width: number, work: (n: number) => Promise<unknown>): Promise<number[]> {
  const tookMs: number[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < total) {
      const n = next;
      next += 1;
      const begunMs = performance.now();
      await work(n);
      tookMs.push(performance.now() - begunMs);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return tookMs;
}
