/** What a message, or an effect's result, is to the step that takes it. */
import type { Address } from "../agent/address.ts";
import { DormouseError, encodeError } from "../agent/errors.ts";
import { valueBytesMax } from "../agent/limits.ts";
import { checkData } from "../format/codec/data.ts";
import { decodeValue, encodeValue } from "../format/codec/msgpack.ts";
import type { Body, Envelope } from "../format/message.ts";
import type { EffectResult } from "./state.ts";
import type { StepInput } from "./step.ts";

/** @param at - The mailbox's time of the message. */
export function inputOf(envelope: Envelope, at: number): StepInput {
  const { body } = envelope;
  switch (body.kind) {
    case "event":
      return { kind: "event", message: envelope, at, event: body.event, ...dueOf(body, at) };
    case "unsend":
      return { kind: "unsend", message: envelope, id: body.id };
    case "start":
      return { kind: "start", message: envelope, input: body.input, child: undefined, isImplied: false };
    case "start-child":
      return {
        kind: "start",
        message: envelope,
        input: body.input,
        child: { parent: body.parent, path: body.path },
        isImplied: false,
      };
    case "child":
      return { kind: "child", message: envelope, news: body };
    case "answer":
      return { kind: "answer", message: envelope, answer: body };
    case "respond":
      return { kind: "respond", message: envelope, at, secret: body.secret, value: body.value };
    case "stop":
      return { kind: "end", how: "stop", message: envelope };
    case "command":
      if (body.command === "cancel") return { kind: "cancel", message: envelope, at };
      return { kind: "end", how: "terminate", message: envelope };
  }
}

function dueOf({ delayMs, due }: Extract<Body, { kind: "event" }>, at: number): { readonly due?: number } {
  if (due !== undefined) return { due };
  return delayMs === undefined ? {} : { due: at + delayMs };
}

/** What a result that cannot be stored is refused with. */
export interface ResultCodes {
  readonly notData: string;
  readonly tooLarge: string;
}

const effectCodes: ResultCodes = { notData: "effect.not-data", tooLarge: "effect.too-large" };

/** A result as it comes back from the store: its maker may still hold, and change, what it gave. */
export function asDurable(agent: Address, result: EffectResult, codes: ResultCodes = effectCodes): EffectResult {
  if (!result.ok) return result;
  try {
    checkData(result.output, { what: "output", code: codes.notData, of: agent });
    const bytes = encodeValue(result.output);
    if (bytes.length <= valueBytesMax) return { ok: true, output: decodeValue(bytes) };
    throw new DormouseError(
      "invalid",
      codes.tooLarge,
      `the result of an effect or marked call must fit ${valueBytesMax} bytes encoded; keep what is large elsewhere and give its name: ` +
        `agent=${agent} bytes=${bytes.length}`,
    );
  } catch (error) {
    return { ok: false, error: encodeError(error) };
  }
}
