/**
 * Records of one journal as they are stored, one after the other in one object: whoever takes over reads it in the place of
 * each of them.
 */
import { unwrap, wrap } from "./codec/header.ts";
import { decodeValue, encodeValue } from "./codec/msgpack.ts";
import { decodeNamed, isBytes, isListOf, wrongShape } from "./shape.ts";

/** @param records - The bytes of record objects, in order. */
export function encodeBundle(records: readonly Uint8Array[], format: number): Uint8Array {
  return wrap("bundle", format, encodeValue(records));
}

/**
 * The bytes of the record objects, in order.
 *
 * @throws DormouseError `corrupt`, naming the object.
 */
export function decodeBundle(bytes: Uint8Array, name: string): readonly Uint8Array[] {
  const { payload } = unwrap(bytes, "bundle", name);
  const records = decodeNamed(name, () => decodeValue(payload));
  if (!isListOf(isBytes)(records)) throw wrongShape("bundle.shape", name);
  return records as readonly Uint8Array[];
}
