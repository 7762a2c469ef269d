/**
 * What user code gives to a durable function's calls: looked at, and made what may be recorded.
 *
 * Called by the function's run (`durable.ts`). Schemas, results and what tells their cost are anybody's code: what they throw is
 * a value's refusal, or is left out, and never the run's own end.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { RunOptions } from "../../agent/durable.ts";
import { DormouseError, encodeError } from "../../agent/errors.ts";
import { optionError } from "../../agent/options.ts";
import type { EventData } from "../../agent/way-out.ts";
import { checkData } from "../../format/codec/data.ts";
import { decodeValue, encodeValue } from "../../format/codec/msgpack.ts";
import { checkEventBytes } from "../../step/send.ts";
import type { EffectResult } from "../../step/state.ts";

/** What of an input the history keeps. */
const inputBytesMax = 16_384;

export function dateMsOf(date: unknown): number {
  if (typeof date === "number" || isDate(date)) return Number(date);
  throw optionError("a sleep ends at a date, or so many milliseconds since 1970", date);
}

function isDate(value: unknown): boolean {
  return Object.prototype.toString.call(value) === "[object Date]";
}

export function checkSchema(schema: StandardSchemaV1 | undefined): void {
  if (schema === undefined) return;
  const standard = (schema as Partial<StandardSchemaV1> | null)?.["~standard"];
  if (typeof standard?.validate !== "function") throw optionError("a schema is one of Standard Schema", schema);
}

/** Its own: whoever gets it may change it, and the record must not. */
export function copyOf(value: unknown): unknown {
  return typeof value === "object" && value !== null ? decodeValue(encodeValue(value)) : value;
}

export function checkEvent(to: string, event: EventData): void {
  if (typeof (event as EventData | null | undefined)?.type !== "string")
    throw optionError("an event has a type", event);
  checkData(event, { what: "event", code: "event.not-data", of: to });
  // It is the call's name, and must come back from the store as it was.
  if (!event.type.isWellFormed()) throw optionError("an event's type is well-formed Unicode", event.type);
  checkEventBytes(to, event, "event");
}

/** As far as it can be kept and is of use to a reader. */
export function inputOf(input: unknown): { readonly input?: unknown } {
  try {
    checkData(input, { what: "input", code: "input.not-data" });
    if (input === undefined || encodeValue(input).length > inputBytesMax) return {};
    return { input: copyOf(input) };
  } catch {
    return {};
  }
}

/** Tokens and cost, where the result tells them as model calls do. */
export function usageOf(
  result: EffectResult,
  tell: RunOptions<never>["usage"] = ownUsage,
): { readonly usage?: unknown } {
  if (!result.ok) return {};
  try {
    const usage = tell(copyOf(result.output) as never);
    if (typeof usage !== "object" || usage === null) return {};
    const { input: kept } = inputOf(usage);
    return kept === undefined ? {} : { usage: kept };
  } catch {
    // The call has ended as it has, whatever is told of it.
    return {};
  }
}

function ownUsage(output: unknown): unknown {
  return typeof output === "object" && output !== null ? (output as { readonly usage?: unknown }).usage : undefined;
}

export function jsonSchemaOf(schema: StandardSchemaV1 | undefined): { readonly schema?: unknown } {
  try {
    const standard = schema?.["~standard"] as
      | { readonly jsonSchema?: { readonly input?: (options: { readonly target: string }) => unknown } }
      | undefined;
    const told = standard?.jsonSchema?.input?.({ target: "draft-2020-12" });
    if (told === undefined) return {};
    const json: unknown = JSON.parse(JSON.stringify(told));
    return encodeValue(json).length <= inputBytesMax ? { schema: json } : {};
  } catch {
    // One that cannot be told as JSON Schema checks all the same.
    return {};
  }
}

/** What a schema makes of a value. Schemas are anybody's code: one that gives or throws anything else refuses it. */
export async function checkedBy(schema: StandardSchemaV1, name: string, value: unknown): Promise<unknown> {
  let issues: readonly string[];
  try {
    const result: unknown = await schema["~standard"].validate(value);
    if (typeof result !== "object" || result === null) throw new Error("its schema gives neither a value nor issues");
    const checked = result as { readonly value?: unknown; readonly issues?: readonly StandardSchemaV1.Issue[] };
    issues = (checked.issues ?? []).map(issueText);
    if (issues.length === 0) return checked.value;
  } catch (thrown) {
    issues = [encodeError(thrown).message];
  }
  throw valueRefused(name, issues);
}

function issueText({ message, path }: StandardSchemaV1.Issue): string {
  const at = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
  // From plain JavaScript it may be of any type.
  const text = textOf(message);
  return at === "" ? text : `${at}: ${text}`;
}

function textOf(value: unknown): string {
  return String(value);
}

function valueRefused(name: string, issues: readonly string[]): DormouseError {
  const why = issues.slice(0, 10).join("; ").slice(0, 1_000);
  return new DormouseError(
    "invalid",
    "receive.refused",
    `the value does not fit what is waited for: ${why}: name=${name}`,
  );
}
