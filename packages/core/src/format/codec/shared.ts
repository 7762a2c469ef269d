/**
 * What a value would grow to if each object were written out wherever it stands: a value that holds one object in many places is
 * small in memory and on the wire, but whoever walks it as a tree, as `diff` does, walks it all. `[v, v]` sixty deep never ends.
 */
import { valuesSharedMax } from "../../agent/limits.ts";

/** Whether a walk that does not know what it has met would meet more again than any value of a stranger may hold. */
export function isSharedTooOften(value: unknown): boolean {
  return metAgain(value) > valuesSharedMax;
}

function metAgain(value: unknown): number {
  const sizes = new Map<object, number>();
  let unique = 0;
  const sizeOf = (held: unknown): number => {
    if (typeof held !== "object" || held === null) return 1;
    const known = sizes.get(held);
    if (known !== undefined) return known;
    let size = 1;
    for (const child of childrenOf(held)) {
      if (typeof child !== "object" || child === null) unique += 1;
      size += sizeOf(child);
    }
    unique += 1;
    sizes.set(held, size);
    return size;
  };
  return sizeOf(value) - unique;
}

export function childrenOf(held: object): Iterable<unknown> {
  if (Array.isArray(held) || held instanceof Set) return held;
  if (held instanceof Map) return [...held.keys(), ...held.values()];
  return ArrayBuffer.isView(held) ? [] : Object.values(held);
}
