/** Standard Schemas, run once, on the host, synchronously: the machine sees their output. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { ResolvedAgent } from "../agent/definition.ts";
import { DormouseError } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import { checkData } from "../format/codec/data.ts";

/**
 * The event as the machine sees it.
 *
 * @throws DormouseError `invalid` (`event.schema`, `event.not-data`, `schema.async`); `failed` (`schema.threw`).
 */
export function validateEvent(definition: ResolvedAgent, event: EventData): EventData {
  const schema = definition.events?.[event.type];
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
  const schema = definition.replies?.[eventType];
  return schema === undefined ? value : validate(schema, value, "reply.schema", `type=${eventType}`);
}

function validate(schema: StandardSchemaV1, value: unknown, code: string, about: string): unknown {
  const what = code.slice(0, code.indexOf("."));
  const result = run(schema, value, about);
  if (result instanceof Promise) {
    // Whatever it comes to, nobody waits for it.
    result.catch(() => undefined);
    throw new DormouseError(
      "invalid",
      "schema.async",
      `a schema must decide at once, not by a promise; some libraries give one when a check or transform throws: ${about}`,
    );
  }
  if (result.issues === undefined) {
    // What a schema makes of data need not be data.
    checkData(result.value, { what, code: `${what}.not-data` });
    return result.value;
  }
  throw new DormouseError(
    "invalid",
    code,
    `the ${what} does not fit its schema: ${issuesText(result.issues)} ${about}`.trim(),
  );
}

/** What a schema found, at most eight things, each with the field it is about. */
export function issuesText(issues: readonly StandardSchemaV1.Issue[]): string {
  const texts = issues.slice(0, 8).map(({ message, path }) => {
    const where = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
    return where === "" ? message : `${where}: ${message}`;
  });
  return texts.join("; ");
}

function run(
  schema: StandardSchemaV1,
  value: unknown,
  about: string,
): ReturnType<StandardSchemaV1["~standard"]["validate"]> {
  try {
    return schema["~standard"].validate(value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DormouseError("failed", "schema.threw", `a schema threw instead of deciding: ${reason} ${about}`.trim(), {
      cause,
    });
  }
}
