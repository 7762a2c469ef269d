/** What only a wrong use of the test kit, or a bug in it, can break. */

/** Throws if `condition` does not hold. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
