/**
 * What the client process says of each call, one line of JSON on its standard output: what it asked, what was
 * acknowledged, what was answered. All that the checker knows of the outside world is in these lines.
 */

/** What a call is for: a send or an ask of `note`, the same ask once more under its idempotency key, and so on. */
export type What = "start" | "send" | "note" | "again" | "transfer" | "ring" | "work";

export type Line =
  /** `n` is the number among those of `source` to this agent; `atMs`: milliseconds since 1970, as in all lines. */
  | {
      readonly is: "asked";
      readonly call: number;
      readonly atMs: number;
      readonly agent: string;
      readonly what: What;
      readonly source: string;
      readonly n: number;
    }
  /** `value`: of a send nothing; of an account how many messages it had taken; of others their results. */
  | { readonly is: "answered"; readonly call: number; readonly atMs: number; readonly value: number | string | null }
  | { readonly is: "failed"; readonly call: number; readonly atMs: number; readonly why: string }
  /** All agents are there, and the load begins. */
  | { readonly is: "ready" }
  /** Nothing is open any more. */
  | { readonly is: "stopped" };

/** What the client process is told, on its command line. */
export interface LoadPlan {
  readonly mailbox: string;
  readonly seed: string;
  readonly partitions: number;
  readonly witness: string;
  /** Lanes that note, in each partition; each does it every so many milliseconds. */
  readonly lanes: number;
  readonly everyMs: number;
  /** Lanes of each other kind: transfers, alarms, clerks. */
  readonly others: number;
}

/** In each partition. */
const accountsEach = 2;
export const balance = 1_000_000;

/** Keys of accounts, as many in each partition, in the order of the partitions. */
export function accountKeys(partitions: number, partitionOfKey: (key: string) => number): readonly string[] {
  const keys: string[][] = Array.from({ length: partitions }, () => []);
  for (let n = 0; keys.some((some) => some.length < accountsEach); n += 1) {
    const some = keys[partitionOfKey(`${n}`)];
    if (some !== undefined && some.length < accountsEach) some.push(`${n}`);
  }
  return keys.flat();
}
