/** When two values of durable data count as the same: if they are stored as the same bytes, sharing aside. */
import { AgentRef } from "../../agent/agent-ref.ts";
import { encodeError } from "../../agent/errors.ts";
import { isPlain } from "./data.ts";

/** Whether two values are the same without a look inside. `-0` is stored as `0`, so `===` is right for it. */
export function isIdentical(left: unknown, right: unknown): boolean {
  // NaN is the one value that is not equal to itself.
  return left === right || (left !== left && right !== right);
}

/** Whether two values are equal to their leaves, the order of keys and entries included. Stops at the first difference. */
export function isSame(left: unknown, right: unknown): boolean {
  if (isIdentical(left, right)) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (Array.isArray(left)) return Array.isArray(right) && isSameList(left, right);
  if (Array.isArray(right)) return false;
  if (isPlain(left)) return isPlain(right) && isSameObject(left, right);
  if (left instanceof Map) return right instanceof Map && isSameMap(left, right);
  if (left instanceof Set) return right instanceof Set && left.size === right.size && isSameList([...left], [...right]);
  return isSameLeaf(left, right);
}

function isSameList(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((element, index) => isSame(element, right[index]));
}

function isSameObject(left: Record<string, unknown>, right: Record<string, unknown>): boolean {
  const keysOfRight = Object.keys(right);
  const keys = Object.keys(left);
  return (
    keys.length === keysOfRight.length &&
    keys.every((key, index) => key === keysOfRight[index] && isSame(left[key], right[key]))
  );
}

function isSameMap(left: ReadonlyMap<unknown, unknown>, right: ReadonlyMap<unknown, unknown>): boolean {
  if (left.size !== right.size) return false;
  const entries = right.entries();
  for (const [key, held] of left) {
    const entry = entries.next();
    if (entry.done === true || !isSame(key, entry.value[0]) || !isSame(held, entry.value[1])) return false;
  }
  return true;
}

/** Dates, bytes, errors and agent refs: compared by value. */
export function isSameLeaf(left: object, right: object): boolean {
  // An Error of any class comes back as an Error of its name.
  if (left instanceof Error) return right instanceof Error && isSame(encodeError(left), encodeError(right));
  const [bytesOfLeft, bytesOfRight] = [rawBytes(left), rawBytes(right)];
  if (bytesOfLeft !== undefined && bytesOfRight !== undefined) {
    return (
      Object.prototype.toString.call(left) === Object.prototype.toString.call(right) &&
      bytesOfLeft.length === bytesOfRight.length &&
      beginsWith(bytesOfLeft, bytesOfRight)
    );
  }
  if (left instanceof AgentRef) {
    return right instanceof AgentRef && left.sessionId === right.sessionId && left.id === right.id;
  }
  // oxlint-disable-next-line no-restricted-globals -- no time is taken: a Date is a value like any other.
  return left instanceof Date && right instanceof Date && isIdentical(left.getTime(), right.getTime());
}

/** Whether bytes begin with others, which are not longer. */
export function beginsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  for (let index = 0; index < start.length; index += 1) if (bytes[index] !== start[index]) return false;
  return true;
}

function rawBytes(value: object): Uint8Array | undefined {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : undefined;
}
