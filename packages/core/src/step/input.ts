/** What a step takes: an input of the agent, made of a message or of an effect's result. */
import type { Address } from "../agent/address.ts";
import { DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import { valueBytesMax } from "../agent/limits.ts";
import type { EventData } from "../agent/way-out.ts";
import { checkData } from "../format/codec/data.ts";
import { decodeValue, encodeValue } from "../format/codec/msgpack.ts";
import type { Body, Envelope, ParentLink } from "../format/message.ts";
import type { CallNews } from "./durable.ts";
import type { EffectResult } from "./state.ts";

export type StepInput =
  | {
      readonly kind: "start";
      readonly message: Envelope;
      readonly input: unknown;
      readonly child: ChildStart | undefined;
      /** Begun by a plain message, which is taken in a step of its own after this one. */
      readonly isImplied: boolean;
    }
  | {
      readonly kind: "event";
      readonly message: Envelope;
      readonly at: number;
      readonly event: EventData;
      /** Not before then. */
      readonly due?: number;
    }
  | { readonly kind: "unsend"; readonly message: Envelope; readonly id: string }
  | { readonly kind: "child"; readonly message: Envelope; readonly news: Extract<Body, { kind: "child" }> }
  | { readonly kind: "timer"; readonly id: string; readonly generation: number }
  | { readonly kind: "effect"; readonly address: string; readonly attempt: number; readonly result: EffectResult }
  | { readonly kind: "attempt"; readonly address: string }
  /** A run of a durable function tells of its calls. */
  | {
      readonly kind: "calls";
      readonly address: string;
      readonly attempt: number;
      readonly calls: readonly CallNews[];
    }
  | { readonly kind: "answer"; readonly message: Envelope; readonly answer: Extract<Body, { kind: "answer" }> }
  | {
      readonly kind: "respond";
      readonly message: Envelope;
      readonly at: number;
      readonly secret: string;
      readonly value: unknown;
    }
  | { readonly kind: "cancel"; readonly message: Envelope; readonly at: number }
  /** Stuck functions are run again. */
  | { readonly kind: "unstick"; readonly id: string }
  /** An owed action has run; or an inline one, of which nothing else is known, has failed. */
  | {
      readonly kind: "action";
      readonly name: string;
      readonly seq: number;
      readonly index: number;
      readonly isOwed: boolean;
      readonly error: ErrorData | undefined;
    }
  /** A message of the agent's could not be sent. */
  | { readonly kind: "undelivered"; readonly id: string; readonly to: string; readonly error: ErrorData }
  | { readonly kind: "end"; readonly how: "stop" | "terminate"; readonly message: Envelope };

/** A step's input of one kind. */
export type InputOf<K extends StepInput["kind"]> = Extract<StepInput, { kind: K }>;

export interface ChildStart {
  readonly parent: ParentLink;
  readonly path: readonly string[];
}

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
