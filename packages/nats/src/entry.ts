/** An incarnation's entry in the bucket, as bytes: version, whether it has left, facts. */

const formatVersion = 1;

export function encodeEntry(hasLeft: boolean, facts: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + facts.length);
  bytes.set([formatVersion, hasLeft ? 1 : 0]);
  bytes.set(facts, 2);
  return bytes;
}

/** What cannot be read, or was deleted by hand, stands for one that has left. */
export function decodeEntry(bytes: Uint8Array): { readonly hasLeft: boolean; readonly facts: Uint8Array } {
  if (bytes[0] !== formatVersion) return { hasLeft: true, facts: new Uint8Array() };
  return { hasLeft: bytes[1] === 1, facts: bytes.slice(2) };
}
