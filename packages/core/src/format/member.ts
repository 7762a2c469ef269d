/** What a host tells other hosts and tools of itself, by its membership. Not stored for long: every field may be missing. */
import { formatNewest, formatOldest } from "./codec/formats.ts";
import { decodeValue, encodeValue } from "./codec/msgpack.ts";
import { isBytes, isNumber, isObject, isText } from "./shape.ts";

export interface HostFacts {
  /** For people: a machine's or container's name. */
  readonly name: string;
  /** It hands its partitions over and takes no more. */
  readonly isLeaving: boolean;
  /** The newest format it reads. */
  readonly reads: number;
  /** The newest format it writes, or is about to: a host that cannot read that may not live beside it. */
  readonly writes: number;
  /** The agent types it runs, each with its version: `type@version`. */
  readonly types: readonly string[];
  /** `app.json`, for clients that cannot read the store; `undefined` from a host that does not tell. */
  readonly app: Uint8Array | undefined;
}

export function encodeFacts(facts: HostFacts): Uint8Array {
  return encodeValue(facts);
}

/** What cannot be read is left out: a host of another release may say more, or less. */
export function decodeFacts(bytes: Uint8Array): HostFacts {
  let facts: unknown;
  try {
    facts = decodeValue(bytes);
  } catch {
    facts = undefined;
  }
  const { name, isLeaving, reads, writes, types, app } = isObject(facts) ? facts : {};
  return {
    name: isText(name) ? name : "",
    isLeaving: isLeaving === true,
    reads: isNumber(reads) ? reads : 1,
    writes: isNumber(writes) ? writes : 1,
    types: Array.isArray(types) ? types.filter(isText) : [],
    app: isBytes(app) ? app : undefined,
  };
}

/** What a release writes. */
export interface Written {
  readonly oldest: number;
  readonly newest: number;
}

/**
 * The format that a client writes to these hosts: the newest that all of them write, since no host beside them, nor one
 * that starts, reads less. To nobody knows whom, the oldest. `undefined`: one of them reads nothing that is written here.
 */
export function formatFor(
  hosts: readonly Pick<HostFacts, "writes">[],
  { oldest, newest }: Written = { oldest: formatOldest, newest: formatNewest },
): number | undefined {
  if (hosts.length === 0) return oldest;
  const writtenByAll = Math.min(newest, ...hosts.map(({ writes }) => writes));
  return writtenByAll < oldest ? undefined : writtenByAll;
}
