/**
 * The formats of releases: in which version of its format a release stores and sends each kind of object.
 *
 * A release reads every format up to its own, for ever, and writes two: its own and that of the release before it, so that
 * hosts of both can run side by side while a cluster is upgraded (`runtime/own/host-formats.ts` decides which).
 */

/** What an object is. */
export type ObjectKind =
  | "app"
  | "record"
  | "seal"
  | "bundle"
  | "trim"
  | "partition"
  | "head"
  | "base"
  | "chapter"
  | "bucket"
  | "blob"
  | "envelope";

/** The format of this release: the newest that it reads and writes. */
export const formatNewest: number = 1;

/** The oldest format that this release writes: that of the release before it. */
export const formatOldest: number = Math.max(1, formatNewest - 1);

/** Which format to write in; asked at each writing, since it rises while a host lives. */
export interface Writing {
  readonly writes: number;
}

/** From one version of a kind to the next. */
export interface Change {
  /** The format that brings the newer version. */
  readonly since: number;
  /** From a payload of the version before. */
  readonly upgrade: (payload: Uint8Array) => Uint8Array;
  /** To a payload of the version before; may lose nothing that the release before needs. */
  readonly downgrade: (payload: Uint8Array) => Uint8Array;
}

export interface KindFormat {
  /** The byte for the kind: legible in a dump. */
  readonly letter: string;
  /** The first from version 1 to 2, and so on. No upgrade is ever taken away, since objects live for ever. */
  readonly changes: readonly Change[];
}

export const kindFormats: Readonly<Record<ObjectKind, KindFormat>> = {
  app: { letter: "A", changes: [] },
  record: { letter: "R", changes: [] },
  seal: { letter: "S", changes: [] },
  bundle: { letter: "U", changes: [] },
  trim: { letter: "T", changes: [] },
  partition: { letter: "P", changes: [] },
  head: { letter: "H", changes: [] },
  base: { letter: "B", changes: [] },
  chapter: { letter: "C", changes: [] },
  bucket: { letter: "K", changes: [] },
  blob: { letter: "L", changes: [] },
  envelope: { letter: "E", changes: [] },
};

/** The version in which a format has objects of this kind. */
export function versionIn({ changes }: Pick<KindFormat, "changes">, format: number): number {
  return 1 + changes.filter(({ since }) => since <= format).length;
}

/** The payload in today's version, from an older one. */
export function upgraded({ changes }: Pick<KindFormat, "changes">, payload: Uint8Array, version: number): Uint8Array {
  return changes.slice(version - 1).reduce((older, { upgrade }) => upgrade(older), payload);
}

/** The payload in an older version, from today's. */
export function downgraded({ changes }: Pick<KindFormat, "changes">, payload: Uint8Array, version: number): Uint8Array {
  return changes.slice(version - 1).reduceRight((newer, { downgrade }) => downgrade(newer), payload);
}
