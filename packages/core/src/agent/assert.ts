/** Programmer errors: memory that is wrong is never repaired, so these end the host. */

/**
 * Throws if a condition that only a bug of ours can break does not hold.
 *
 * @throws Error, never a DormouseError: nothing that a caller could mend.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
