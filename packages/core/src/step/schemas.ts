/** Standard Schemas, run once, on the host, synchronously: the machine sees their output. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { EventSchemas, ResolvedAgent } from "../agent/definition.ts";
import { decodeError, DormouseError, encodeError } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import { checkData } from "../format/codec/data.ts";
import { decodeValue, encodeValue } from "../format/codec/msgpack.ts";

/**
 * The event as the machine sees it.
 *
 * @throws DormouseError `invalid` (`event.schema`, `event.not-data`, `schema.async`); `failed` (`schema.threw`).
 */
export function validateEvent(definition: ResolvedAgent, event: EventData): EventData {
  const schema = schemaOf(definition.events, event.type);
  if (schema === undefined) return event;
  const { type, ...payload } = event;
  const output = validate(schema, payload, "event.schema", `type=${type}`);
  return { ...(output as object), type };
}

/** @throws DormouseError `invalid` (`input.schema`, `input.not-data`, `schema.async`); `failed` (`schema.threw`). */
export function validateInput(definition: ResolvedAgent, input: unknown): unknown {
  return definition.input === undefined ? input : validate(definition.input, input, "input.schema", "");
}

/** @throws DormouseError `invalid` (`reply.schema`, `reply.not-data`, `schema.async`); `failed` (`schema.threw`). */
export function validateReply(definition: ResolvedAgent, eventType: string, value: unknown): unknown {
  const schema = schemaOf(definition.replies, eventType);
  return schema === undefined ? value : validate(schema, value, "reply.schema", `type=${eventType}`);
}

/**
 * What a client checks before it sends an event: only whether it fits. What else its schema does, the host tells of, which
 * runs it for good. A copy is checked: what is sent is what the caller gave, whatever a schema changes in it.
 *
 * @throws DormouseError `invalid` (`event.schema`).
 */
export function checkEventSchema(schemas: EventSchemas | undefined, event: EventData): void {
  const schema = schemaOf(schemas, event.type);
  if (schema === undefined) return;
  const { type, ...payload } = decodeValue(encodeValue(event)) as EventData;
  const about = `type=${type}`;
  let verdict: Verdict;
  try {
    verdict = run(schema, payload, about);
  } catch {
    return;
  }
  if ("issues" in verdict) throw misfit("event.schema", verdict.issues, about);
}

/** Of a type that the schemas name themselves: `constructor` is none of theirs. */
function schemaOf(schemas: EventSchemas | undefined, type: string): StandardSchemaV1 | undefined {
  return schemas !== undefined && Object.hasOwn(schemas, type) ? schemas[type] : undefined;
}

function validate(schema: StandardSchemaV1, value: unknown, code: string, about: string): unknown {
  const verdict = run(schema, value, about);
  if ("issues" in verdict) throw misfit(code, verdict.issues, about);
  // What a schema makes of data need not be data.
  const what = code.slice(0, code.indexOf("."));
  checkData(verdict.value, { what, code: `${what}.not-data` });
  return verdict.value;
}

function misfit(code: string, issues: string, about: string): DormouseError {
  const what = code.slice(0, code.indexOf("."));
  return new DormouseError("invalid", code, `the ${what} does not fit its schema: ${issues} ${about}`.trim());
}

type Verdict = { readonly value: unknown } | { readonly issues: string };

/** Runs a schema, which is a user's code: it may throw anything, and give anything. */
function run(schema: StandardSchemaV1, value: unknown, about: string): Verdict {
  try {
    const result: unknown = schema["~standard"].validate(value);
    if (typeof result !== "object" || result === null) throw new TypeError("it gave no result");
    if (!("then" in result) || typeof result.then !== "function") {
      const { issues, value: output } = result as StandardSchemaV1.Result<unknown> & { readonly value?: unknown };
      return issues === undefined ? { value: output } : { issues: issuesText(issues) };
    }
    // Whatever it comes to, nobody waits for it.
    Promise.resolve(result).catch(() => undefined);
  } catch (thrown) {
    const text = `a schema threw instead of deciding: ${encodeError(thrown).message} ${about}`.trim();
    throw new DormouseError("failed", "schema.threw", text, { cause: decodeError(encodeError(thrown)) });
  }
  throw new DormouseError(
    "invalid",
    "schema.async",
    `a schema must decide at once, not by a promise; some libraries give one when a check or transform throws: ${about}`,
  );
}

/** What a schema found, at most eight things, each with the field it is about. */
function issuesText(issues: readonly StandardSchemaV1.Issue[]): string {
  const texts = issues.slice(0, 8).map(({ message, path }) => {
    const where = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
    return where === "" ? message : `${where}: ${message}`;
  });
  return texts.join("; ");
}
