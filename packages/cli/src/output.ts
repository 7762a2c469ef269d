/**
 * What a command says, and how: results on standard output, notes and errors on standard error.
 *
 * For people: text, with colours on a terminal only. For programs (`--json`): one JSON value per result, and errors as
 * `{"error":{"kind","code","message"}}`; no notes.
 */
import { inspect, styleText } from "node:util";
import { DormouseError } from "@dormouse/sdk";
import { UsageError } from "./usage-error.ts";

type Colour = "red" | "green" | "yellow" | "cyan" | "dim" | "bold";

export interface Output {
  /** The command's result: what a person reads, and the data behind it. */
  result(text: string, data: unknown): void;
  /** Something a person should know beside the result. */
  note(text: string): void;
  error(thrown: unknown): void;
  /** `text` in a colour, where results are seen in colour. */
  readonly paint: (colour: Colour, text: string) => string;
  /** A value as a person reads it. */
  readonly show: (value: unknown) => string;
}

/** The parts of a stream that output needs. */
export interface Sink {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface OutputOptions {
  readonly isJson: boolean;
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Colours are wanted where there is a terminal. */
  readonly isColourWanted: boolean;
}

/** Unless the environment asks for none. @see https://no-color.org */
export function wantsColour({ NO_COLOR }: { readonly NO_COLOR?: string }): boolean {
  return NO_COLOR === undefined || NO_COLOR === "";
}

export function makeOutput({ isJson, stdout, stderr, isColourWanted }: OutputOptions): Output {
  const painter = ({ isTTY = false }: Sink) => {
    const isPainted = isTTY && isColourWanted && !isJson;
    return (colour: Colour, text: string): string =>
      isPainted ? styleText(colour, text, { validateStream: false }) : text;
  };
  const [paint, paintNote] = [painter(stdout), painter(stderr)];
  return {
    paint,
    result: (text, data) => void stdout.write(`${isJson ? JSON.stringify(toJson(data)) : text}\n`),
    note: (text) => {
      if (!isJson) stderr.write(`${paintNote("dim", text)}\n`);
    },
    error: (thrown) => {
      const error = describeError(thrown);
      const code = thrown instanceof DormouseError ? paintNote("dim", ` (${error.code})`) : "";
      const text = `${paintNote("red", "error:")} ${printable(error.message)}${code}`;
      stderr.write(`${isJson ? JSON.stringify({ error }) : text}\n`);
    },
    show: (value) =>
      typeof value === "string"
        ? printable(value)
        : inspect(value, {
            depth: null,
            colors: stdout.isTTY === true && isColourWanted,
            maxArrayLength: 100,
            breakLength: 100,
          }),
  };
}

/** What was thrown, as data for a program. */
export function describeError(thrown: unknown): {
  readonly kind: string;
  readonly code: string;
  readonly message: string;
} {
  if (thrown instanceof DormouseError) return { kind: thrown.kind, code: thrown.code, message: thrown.message };
  if (!(thrown instanceof Error)) return { kind: "failed", code: "Error", message: String(thrown) };
  if (thrown instanceof UsageError) return { kind: "invalid", code: "cli.usage", message: thrown.message };
  const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : thrown.name;
  return { kind: "failed", code, message: thrown.message };
}

/** Text that came from elsewhere, without what would steer a terminal. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what must not reach a terminal
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

/** The same on one line, for lists. */
export function oneLine(text: string): string {
  return printable(text).replaceAll(/[\n\t]/g, (character) => (character === "\n" ? "\\n" : "\\t"));
}

const briefCharactersMax = 120;

/** A value on one line, without what is long or deep in it. */
export function brief(value: unknown): string {
  const limits = { depth: 2, maxStringLength: 48, maxArrayLength: 4, compact: true, breakLength: Infinity };
  const text = oneLine(value instanceof Error ? String(value) : inspect(value, limits));
  return text.length <= briefCharactersMax ? text : `${text.slice(0, briefCharactersMax - 1).toWellFormed()}…`;
}

/**
 * Data as JSON holds it: dates as ISO text, bigints as decimal text, bytes in base64, sets as arrays, maps as arrays of
 * pairs, errors as `{ name, message }`, numbers that JSON has not as text.
 */
export function toJson(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value !== "object" || value === null) return value ?? null;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Map) return [...value].map(([key, inner]) => [toJson(key), toJson(inner)]);
  if (value instanceof Set) return [...value].map(toJson);
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (Array.isArray(value)) return value.map(toJson);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toJson(inner)]));
}
