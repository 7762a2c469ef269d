/** Randomness, as core asks for it: for names that must be unique or must not be guessed. A simulator seeds it. */

export interface Entropy {
  /** `byteCount` fresh bytes, unguessable from a real driver. */
  bytes(byteCount: number): Uint8Array;
}
