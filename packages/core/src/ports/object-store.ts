/**
 * Objects by name, with conditional writes: what every promise of Dormouse about ownership rests on (D5).
 *
 * Drivers: memory, local (LMDB), s3. `@dormouse/testing` holds the suite that each passes.
 *
 * O1  Read after write: what `put` stored is what the next `get` of anyone sees. A `list` may be of a moment ago: it is a hint
 *     of where to look, and what must be so is decided by `get` and `put`.
 * O2  Of any number of concurrent `absent` puts of one name, exactly one is stored. Likewise of `match` with one ETag.
 * O3  Two different contents of a name never share an ETag. Equal contents may.
 * O4  An outcome that is not known is said to be unknown, never guessed; drivers do not retry.
 * O5  A stored object is whole or not there; bytes handed out are not aliased with bytes handed in.
 */

export type Etag = string & { readonly __brand: "Etag" };

export interface StoredObject {
  readonly bytes: Uint8Array;
  readonly etag: Etag;
}

export type PutCondition =
  | { readonly if: "any" }
  /** Only if no object of that name is there. */
  | { readonly if: "absent" }
  /** Only if the object that is there has this ETag. */
  | { readonly if: "match"; readonly etag: Etag };

export type PutAnswer =
  | { readonly outcome: "stored"; readonly etag: Etag }
  /** The condition does not hold (412). It may be our own earlier attempt that made it so: read and compare. */
  | { readonly outcome: "refused" }
  /** Lost a race; nothing was stored by this call (409). Repeat as it was. */
  | { readonly outcome: "conflict" }
  /** No answer that tells: time-out, reset, 5xx. It may be stored now, later, or never. */
  | { readonly outcome: "unknown"; readonly cause: unknown };

export interface ListOptions {
  /** Only names that come after this one, in the order of their UTF-8 bytes. */
  readonly after?: string;
  /** Default 1,000, which is also the most. */
  readonly limit?: number;
}

export interface ObjectStore {
  /** Whether each call crosses a network: then what is read together is stored together too. Default: no. */
  readonly isRemote?: boolean;
  /**
   * The object, or `undefined` if there is none.
   *
   * @throws DormouseError `unavailable` (`store.unavailable`): no answer; repeat.
   */
  get(name: string): Promise<StoredObject | undefined>;
  /** Stores `bytes` under `name` if the condition holds. Never throws for what the store answers or fails to (O4). */
  put(name: string, bytes: Uint8Array, condition: PutCondition): Promise<PutAnswer>;
  /**
   * Names that begin with `prefix`, in the order of their UTF-8 bytes.
   *
   * @throws DormouseError `unavailable` (`store.unavailable`): no answer; repeat.
   */
  list(prefix: string, options?: ListOptions): Promise<readonly string[]>;
  /**
   * Deletes these; a name that is not there is no error.
   *
   * @throws DormouseError `unavailable` (`store.unavailable`): some or all may be deleted; repeat.
   */
  delete(names: readonly string[]): Promise<void>;
}
