/** An upper bound of what a value takes encoded, cheaper than encoding it: for bounds that need no exact number. */

const textBytesPerUnit = 3;
const itemBytes = 10;

/** At least `encodeValue(value).length`, about three times it for text; stops counting soon after `enough`. */
export function bytesAtMost(value: unknown, enough: number = Infinity): number {
  if (typeof value === "string") return itemBytes + textBytesPerUnit * value.length;
  if (typeof value === "bigint") return itemBytes + textBytesPerUnit * value.toString(16).length;
  if (typeof value !== "object" || value === null) return itemBytes;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return itemBytes + value.byteLength;
  let bytes = 2 * itemBytes;
  if (value instanceof Map || value instanceof Set || Array.isArray(value)) {
    for (const item of value as Iterable<unknown>) {
      bytes += bytesAtMost(item, enough - bytes);
      if (bytes > enough) return bytes;
    }
    return bytes;
  }
  if (value instanceof Error) return bytes + bytesAtMost([value.name, value.message, value.stack, value.cause]) + 1_024;
  for (const key in value) {
    bytes +=
      itemBytes + textBytesPerUnit * key.length + bytesAtMost((value as Record<string, unknown>)[key], enough - bytes);
    if (bytes > enough) return bytes;
  }
  return bytes;
}
