/** `agent(...)`: what an agent type is, and the types that its machine gives to whoever sends to it. */
import type {
  AnyEventObject,
  AnyStateMachine,
  ContextFrom,
  EventFromLogic,
  EventObject,
  InputFrom,
  OutputFrom,
  StateValue,
  StateValueFrom,
  TagsFrom,
} from "xstate";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { checkName } from "./address.ts";
import { DormouseError } from "./errors.ts";
import { checkOptions, optionError } from "./options.ts";

// ---------------------------------------------------------------------------------------------------------------- events

/** Never present at run time: carries the type of an event's reply. Exported, or users could not emit declarations. */
export declare const replied: unique symbol;

/** An event that is answered: `Ask<{ type: "add"; by: number }, number>`. */
export type Ask<TEvent extends EventObject, TReply> = TEvent & { readonly [replied]?: { readonly reply: TReply } };

/** The type of the reply of an event; `never` if it has none, `unknown` if the machine's events are not typed. */
export type ReplyOf<TEvent extends EventObject> = TEvent extends unknown
  ? string extends TEvent["type"]
    ? unknown
    : typeof replied extends keyof TEvent
      ? TEvent[typeof replied] extends infer R
        ? Exclude<R, undefined> extends { readonly reply: infer TReply }
          ? TReply
          : never
        : never
      : never
  : never;

/** The reply of the event of one type, out of a union. */
export type ReplyTo<TEvent extends EventObject, TType extends string> = TEvent extends { type: TType }
  ? ReplyOf<TEvent>
  : string extends TEvent["type"]
    ? unknown
    : never;

/** The events of a union that are answered. */
export type Asked<TEvent extends EventObject> = TEvent extends unknown
  ? [ReplyOf<TEvent>] extends [never]
    ? never
    : TEvent
  : never;

/** An event as its sender writes it, without `type`: its own fields, nothing that only types need. */
export type EventOfType<TEvent extends EventObject, TType extends string> = TEvent extends { type: TType }
  ? Omit<TEvent, "type" | typeof replied>
  : string extends TEvent["type"]
    ? { readonly [key: string]: unknown }
    : never;

// --------------------------------------------------------------------------------------------------------------- schemas

/** The payloads of events by type: the event without `type`. */
export type EventSchemas = { readonly [type: string]: StandardSchemaV1 };

/** The union of events that schemas describe, for `types: {} as { events: EventsOf<typeof events, typeof replies> }`. */
// oxlint-disable-next-line typescript/no-empty-object-type -- no keys, so no event is answered
export type EventsOf<TEvents extends EventSchemas, TReplies extends EventSchemas = {}> = {
  [T in keyof TEvents & string]: T extends keyof TReplies
    ? Ask<{ type: T } & FieldsOf<TEvents[T]>, StandardSchemaV1.InferOutput<TReplies[T]>>
    : { type: T } & FieldsOf<TEvents[T]>;
}[keyof TEvents & string];

/** What a schema gives; libraries have "no fields" as a type that no field fits, not even `type`. */
type FieldsOf<TSchema extends StandardSchemaV1> =
  StandardSchemaV1.InferOutput<TSchema> extends Readonly<Record<string, never>>
    ? unknown
    : StandardSchemaV1.InferOutput<TSchema>;

/** Schemas that fit a machine: each gives what the machine takes. */
export type EventSchemasFor<TEvent extends EventObject> = {
  readonly [T in TEvent["type"]]?: StandardSchemaV1<unknown, EventOfType<TEvent, T>>;
};
/** Schemas that fit a machine: each gives what the machine promised. */
export type ReplySchemasFor<TEvent extends EventObject> = {
  readonly [T in Asked<TEvent>["type"]]?: StandardSchemaV1<unknown, ReplyTo<TEvent, T>>;
};

// ---------------------------------------------------------------------------------------------------------------- agents

/** A length of time; a number is milliseconds. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/** A definition with every option resolved: what the runtime reads. */
export interface ResolvedAgent {
  readonly type: string;
  readonly logic: AnyStateMachine;
  readonly version: number;
  readonly onError: "skip" | "fail";
  readonly passivateAfterMs: number;
  readonly input: StandardSchemaV1 | undefined;
  readonly events: EventSchemas | undefined;
  readonly replies: EventSchemas | undefined;
}

/** What an agent type is. `logic` can be another machine's actor: `setup({ actors: { worker: worker.logic } })`. */
export interface AgentDefinition<
  TType extends string = string,
  TLogic extends AnyStateMachine = AnyStateMachine,
> extends ResolvedAgent {
  readonly type: TType;
  readonly logic: TLogic;
}
// oxlint-disable-next-line typescript/no-explicit-any -- any machine: its types are invariant, `AnyStateMachine` would not do
export type AnyAgentDefinition = AgentDefinition<string, any>;

export interface AgentOptions<TLogic extends AnyStateMachine> {
  /** The version of the machine, a whole number from 1 on. Default 1. */
  readonly version?: number;
  /** Checks the machine's input, and may change it. Default: not checked. */
  readonly input?: StandardSchemaV1<unknown, InputFrom<TLogic>>;
  /** Check events by type, without `type`. Default: not checked. */
  readonly events?: EventSchemasFor<EventFromLogic<TLogic>>;
  /** Check replies by the type of the asked event. Default: not checked. */
  readonly replies?: ReplySchemasFor<EventFromLogic<TLogic>>;
  /** Default `"skip"` for agents addressed by key: a step that throws is recorded, and the next message is taken. */
  readonly onError?: "skip" | "fail";
  /** How long the agent stays in memory without a message. Default 30 s. */
  readonly passivateAfter?: Duration;
}

/**
 * Defines an agent type: its name, its machine, and how it is run. Nothing starts; a host is given the definition.
 *
 * @param type - The type's name: a letter, then at most 62 of `a-z`, `0-9`, `-`. Agents are addressed as `type/key`.
 * @returns The definition; its `logic` is the machine itself.
 * @throws DormouseError `invalid` (`type.invalid`, `agent.no-machine`, `agent.version`, `duration.invalid`).
 * @example
 * ```ts
 * export const counter = agent("counter", { machine: createMachine({ on: { ping: { actions: reply("pong") } } }) });
 * ```
 * @see DESIGN.md, section 15
 */
export function agent<const TType extends string, TLogic extends AnyStateMachine>(
  type: TType,
  options: { readonly machine: TLogic & AnyStateMachine } & AgentOptions<NoInfer<TLogic>>,
): AgentDefinition<TType, TLogic> {
  checkName("type", type);
  checkOptions("agent", options, optionNames);
  const { machine, version = 1, onError = "skip", passivateAfter = defaultPassivateAfter } = options;
  const given: unknown = machine;
  if (typeof given !== "object" || given === null || !("__xstatenode" in given)) {
    throw new DormouseError("invalid", "agent.no-machine", `an agent needs a machine, made by XState: type=${type}`);
  }
  if (!["skip", "fail"].includes(onError)) throw optionError('onError is "skip" or "fail"', onError);
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new DormouseError(
      "invalid",
      "agent.version",
      `a version is a whole number from 1 on: type=${type} version=${version}`,
    );
  }
  return {
    type,
    logic: machine,
    version,
    onError,
    passivateAfterMs: parseDuration(passivateAfter),
    input: options.input,
    events: options.events as EventSchemas | undefined,
    replies: options.replies as EventSchemas | undefined,
  };
}

const optionNames = ["machine", "version", "input", "events", "replies", "onError", "passivateAfter"];
const defaultPassivateAfter: Duration = "30s";
const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const durationPattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/**
 * A duration in milliseconds.
 *
 * @throws DormouseError `invalid` (`duration.invalid`).
 */
export function parseDuration(duration: Duration): number {
  if (typeof duration === "number") {
    if (Number.isFinite(duration) && duration >= 0) return duration;
  } else {
    const [, amount, unit] = durationPattern.exec(duration) ?? [];
    if (amount !== undefined && unit !== undefined) return Number(amount) * unitMs[unit as keyof typeof unitMs];
  }
  throw new DormouseError(
    "invalid",
    "duration.invalid",
    `a duration is a number of milliseconds, 0 or more, or such as "500ms", "10s", "5m", "2h", "7d": duration=${duration}`,
  );
}

// ----------------------------------------------------------------------------------------------- what a definition's type says

type IsAny<T> = 0 extends 1 & T ? true : false;

/** What an agent's type takes. */
export type EventOf<TDefinition extends AnyAgentDefinition> =
  IsAny<TDefinition["logic"]> extends true ? AnyEventObject : EventFromLogic<TDefinition["logic"]>;
export type InputOf<TDefinition extends AnyAgentDefinition> = InputFrom<TDefinition["logic"]>;
export type OutputOf<TDefinition extends AnyAgentDefinition> =
  IsAny<TDefinition["logic"]> extends true ? unknown : OutputFrom<TDefinition["logic"]>;
export type ContextOf<TDefinition extends AnyAgentDefinition> =
  // oxlint-disable-next-line typescript/no-explicit-any -- nothing is known of it, as of an agent addressed by its type's name
  IsAny<TDefinition["logic"]> extends true ? any : ContextFrom<TDefinition["logic"]>;

/** A state value as XState's `matches` takes it: `"approved"`, `{ work: "drafting" }`; never for a machine without states. */
export type StateOf<TDefinition extends AnyAgentDefinition> =
  IsAny<TDefinition["logic"]> extends true
    ? StateValue
    : string extends StateValueFrom<TDefinition["logic"]>
      ? never
      : StateValueFrom<TDefinition["logic"]>;
export type TagOf<TDefinition extends AnyAgentDefinition> = TDefinition["logic"] extends AnyStateMachine
  ? TagsFrom<TDefinition["logic"]>
  : never;
