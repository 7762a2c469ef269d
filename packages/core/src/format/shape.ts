/**
 * What decoded bytes must look like before anything relies on them. Bytes with a valid checksum and another shape were
 * made by other code than ours; unchecked, they would show as a TypeError far from the object that holds them (D9).
 */
import { DormouseError } from "../agent/errors.ts";

export function wrongShape(code: string, name: string): DormouseError {
  return new DormouseError(
    "corrupt",
    code,
    `an object's bytes are sound, but do not hold what they must: object=${name}`,
  );
}

/**
 * What `decode` gives. Of bytes that it cannot read it names the object, which the codec does not know.
 *
 * @throws DormouseError as `decode`.
 */
export function decodeNamed<T>(name: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof DormouseError) || error.code !== "codec.unreadable") throw error;
    throw new DormouseError("corrupt", "codec.unreadable", `${error.message} object=${name}`, { cause: error });
  }
}

/** Whether a value is an object with these fields, each of its kind. Fields that are not named are not looked at. */
export function hasFields(
  value: unknown,
  fields: { readonly [name: string]: (field: unknown) => boolean },
): value is Readonly<Record<string, unknown>> {
  return isObject(value) && Object.entries(fields).every(([name, isOfKind]) => isOfKind(value[name]));
}

/** One that is neither an array nor one of the classes that data may hold. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

export function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

export function isText(value: unknown): value is string {
  return typeof value === "string";
}

export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}

export function isMap(value: unknown): value is ReadonlyMap<unknown, unknown> {
  return value instanceof Map;
}

export function isSet(value: unknown): value is ReadonlySet<unknown> {
  return value instanceof Set;
}

export function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

export function isListOf(isElement: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => isList(value) && value.every(isElement);
}

/** Of an object that stands for a map: each of its values. */
export function isObjectOf(isHeld: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => isObject(value) && Object.values(value).every(isHeld);
}

export function isMissingOr(isOfKind: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => value === undefined || isOfKind(value);
}
