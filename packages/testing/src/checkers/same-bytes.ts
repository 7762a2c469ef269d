/** Whether two values would be stored in the same bytes, found without storing them: by their content and the order of keys. */

/** The first field in which two values are not the same bytes. */
export function firstDifference(recorded: object, found: object): string | undefined {
  const values: { readonly [field: string]: unknown } = { ...found };
  for (const [field, value] of Object.entries(recorded)) {
    const [was, is] = [textOf(value), textOf(values[field])];
    if (was !== is) return `${field} was ${clip(was, is)} and is ${clip(is, was)}`;
  }
  return undefined;
}

/** Text that two values share only if they would be stored in the same bytes. */
function textOf(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null)
    return typeof value === "string" ? JSON.stringify(value) : String(value);
  if (Array.isArray(value)) return `[${value.map(textOf).join()}]`;
  if (value instanceof Map) return `Map${textOf([...value])}`;
  if (value instanceof Set) return `Set${textOf([...value])}`;
  if (value instanceof Date) return `Date${value.getTime()}`;
  if (value instanceof Error) return `Error${textOf(errorData(value))}`;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex");
  return `{${Object.entries(value)
    .map(([key, held]) => `${JSON.stringify(key)}:${textOf(held)}`)
    .join()}}`;
}

/** What is stored of an error. */
export function errorData(error: unknown): object {
  const { name, message, kind, code, cause } = error as Error & { readonly kind?: string; readonly code?: string };
  return {
    name,
    message,
    ...(kind === undefined ? {} : { kind }),
    ...(code === undefined ? {} : { code }),
    ...(cause === undefined ? {} : { cause: errorData(cause) }),
  };
}

/** The stretch of a long text around where it parts from another. */
function clip(text: string, other: string): string {
  let at = 0;
  while (at < text.length && text[at] === other[at]) at += 1;
  const start = Math.max(0, at - 60);
  return `${start > 0 ? "…" : ""}${text.slice(start, at + 80)}${text.length > at + 80 ? "…" : ""}`;
}
