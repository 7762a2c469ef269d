/** What a host tells other hosts and tools of itself, by its membership. Not stored for long: every field may be missing. */
import { decodeValue, encodeValue } from "./codec/msgpack.ts";
import { isBytes, isNumber, isObject, isText } from "./shape.ts";

/** The newest format of what is stored and sent that this release reads. */
export const formatNewest: number = 1;

export interface HostFacts {
  /** For people: a machine's or container's name. */
  readonly name: string;
  /** It hands its partitions over and takes no more. */
  readonly isLeaving: boolean;
  /** The newest format it reads; what is written is the oldest of all hosts'. */
  readonly format: number;
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
  const { name, isLeaving, format, types, app } = isObject(facts) ? facts : {};
  return {
    name: isText(name) ? name : "",
    isLeaving: isLeaving === true,
    format: isNumber(format) ? format : 1,
    types: Array.isArray(types) ? types.filter(isText) : [],
    app: isBytes(app) ? app : undefined,
  };
}
