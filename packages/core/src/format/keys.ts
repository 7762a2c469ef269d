/** The name of every stored object, below the app's prefix. DESIGN.md section 11. */
import { type Address, decodeToken, encodeToken, makeAddress, parseAddress, type Partition } from "../agent/address.ts";

/** Numbers are padded so that their order is that of the names. */
const digits = 12;

export const appKey = "app.json";

/** `journal/<incarnation>/<n>`: one record, or the seal. */
export function recordKey(incarnation: string, n: number): string {
  return `journal/${incarnation}/${String(n).padStart(digits, "0")}`;
}

export function journalPrefix(incarnation: string): string {
  return `journal/${incarnation}/`;
}

/** The number in a record's name, or `undefined` if it names no record. */
export function recordNumber(name: string): number | undefined {
  const last = name.slice(name.lastIndexOf("/") + 1);
  return /^\d{12}$/.test(last) ? Number(last) : undefined;
}

/** `journal/<incarnation>/trim`: sorts after every record. */
export function trimMarkKey(incarnation: string): string {
  return `journal/${incarnation}/trim`;
}

/** `bundles/<incarnation>/<first>-<last>`: copies of the records with these numbers. */
export function bundleKey(incarnation: string, { first, last }: BundleRange): string {
  return `${bundlesPrefix(incarnation)}${String(first).padStart(digits, "0")}-${String(last).padStart(digits, "0")}`;
}

export function bundlesPrefix(incarnation: string): string {
  return `bundles/${incarnation}/`;
}

/** The numbers of the records that a bundle holds. */
export interface BundleRange {
  readonly first: number;
  readonly last: number;
}

/** Of the bundle that has this name, or `undefined` if it is no bundle's. */
export function bundleRange(name: string): BundleRange | undefined {
  const [, first, last] = /\/(\d{12})-(\d{12})$/.exec(name) ?? [];
  return first === undefined ? undefined : { first: Number(first), last: Number(last) };
}

export function partitionKey(partition: Partition): string {
  return `partitions/${partition}`;
}

/** Far wake-ups of one bucket, `nearMs` of time: `partitions/<p>/timers/<bucket>/<incarnation>-<n>`. */
export function bucketKey(partition: Partition, bucket: number, incarnation: string, n: number): string {
  return `partitions/${partition}/timers/${bucket}/${incarnation}-${String(n).padStart(digits, "0")}`;
}

export function headKey(agent: Address): string {
  return `${agentPrefix(agent)}head`;
}

/** A base, piece or chapter: written if-absent under a number that its incarnation never uses twice. */
export function agentPartKey(agent: Address, incarnation: string, n: number): string {
  return `${agentPrefix(agent)}${incarnation}-${String(n).padStart(digits, "0")}`;
}

/** All objects of agents of one type, or of all. */
export function agentsPrefix(type?: string): string {
  return type === undefined ? "agents/" : `agents/${type}/`;
}

/** The agent whose head has this name, or `undefined` if it is no head's. */
export function agentOfHead(name: string): Address | undefined {
  const [folder, type, token, last, ...rest] = name.split("/");
  if (folder !== "agents" || type === undefined || token === undefined || last !== "head" || rest.length > 0) {
    return undefined;
  }
  try {
    return makeAddress(type, decodeToken(token));
  } catch {
    // A name that is none of ours.
    return undefined;
  }
}

function agentPrefix(agent: Address): string {
  const { type, key } = parseAddress(agent);
  return `agents/${type}/${encodeToken(key)}/`;
}
