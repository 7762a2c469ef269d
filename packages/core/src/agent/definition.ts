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
import { type DurableLogic, durableOf } from "./durable.ts";
import { type Duration, parseDuration } from "./duration.ts";
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

/** A definition with every option resolved: what the runtime reads. */
export interface ResolvedAgent {
  readonly type: string;
  readonly logic: AgentLogic;
  readonly version: number;
  readonly onError: "skip" | "fail";
  readonly passivateAfterMs: number;
  readonly input: StandardSchemaV1 | undefined;
  readonly events: EventSchemas | undefined;
  readonly replies: EventSchemas | undefined;
}

/** What an agent can be made of. */
// oxlint-disable-next-line typescript/no-explicit-any -- any durable function: its types are invariant
export type AgentLogic = AnyStateMachine | DurableLogic<any, any>;

/** What an agent type is. `logic` can be another machine's actor: `setup({ actors: { worker: worker.logic } })`. */
export interface AgentDefinition<
  TType extends string = string,
  TLogic extends AgentLogic = AgentLogic,
> extends ResolvedAgent {
  readonly type: TType;
  readonly logic: TLogic;
}
// oxlint-disable-next-line typescript/no-explicit-any -- any machine: its types are invariant, `AnyStateMachine` would not do
export type AnyAgentDefinition = AgentDefinition<string, any>;

/** A machine or a durable function; one signature, because errors of overloads name the wrong one. */
export type LogicOption<TLogic extends AgentLogic> =
  | { readonly machine: TLogic & AnyStateMachine; readonly run?: never }
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  | { readonly run: TLogic & DurableLogic<any, any>; readonly machine?: never };

export interface AgentOptions<TLogic extends AgentLogic> {
  /** The version of the machine, a whole number from 1 on. Default 1. */
  readonly version?: number;
  /** Checks the machine's input, and may change it. Default: not checked. */
  readonly input?: StandardSchemaV1<unknown, InputFrom<TLogic>>;
  /** Check events by type, without `type`. Default: not checked. */
  readonly events?: EventSchemasFor<EventFromLogic<TLogic>>;
  /** Check replies by the type of the asked event. Default: not checked. */
  readonly replies?: ReplySchemasFor<EventFromLogic<TLogic>>;
  /**
   * Default `"skip"` for agents addressed by key: a step that throws is recorded, and the next message is taken. Of one that is
   * a durable function: `"fail"`.
   */
  readonly onError?: "skip" | "fail";
  /** How long the agent stays in memory without a message. Default 30 s. */
  readonly passivateAfter?: Duration;
}

/**
 * Defines an agent type: its name, its machine or durable function (`run`), and how it is run. Nothing starts; a host is
 * given the definition. An agent that is a durable function takes `{ type: name, value }` for each `receive(name)`, and
 * ends as the function does.
 *
 * @param type - The type's name: a letter, then at most 62 of `a-z`, `0-9`, `-`. Agents are addressed as `type/key`.
 * @returns The definition; its `logic` is the machine or function itself.
 * @throws DormouseError `invalid` (`type.invalid`, `agent.no-machine`, `agent.version`, `duration.invalid`).
 * @example
 * ```ts
 * export const counter = agent("counter", { machine: createMachine({ on: { ping: { actions: reply("pong") } } }) });
 * ```
 * @see DESIGN.md, section 15
 */
export function agent<const TType extends string, TLogic extends AgentLogic>(
  type: TType,
  options: LogicOption<TLogic> & AgentOptions<NoInfer<TLogic>>,
): AgentDefinition<TType, TLogic> {
  checkName("type", type);
  checkOptions("agent", options, optionNames);
  const logic = (options.machine ?? options.run) as TLogic;
  const fn = durableOf(logic);
  // A function's own machine takes one step after it: without that the agent would wait for ever.
  const onErrorDefault = fn === undefined ? "skip" : "fail";
  const { version = 1, onError = onErrorDefault, passivateAfter = defaultPassivateAfter } = options;
  if (fn === undefined && !isMachine(logic)) {
    throw new DormouseError(
      "invalid",
      "agent.no-machine",
      `an agent needs a machine, made by XState, or run, made by durable(): type=${type}`,
    );
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
    logic,
    version,
    onError,
    passivateAfterMs: parseDuration(passivateAfter),
    input: options.input ?? fn?.input,
    events: options.events as EventSchemas | undefined,
    replies: options.replies as EventSchemas | undefined,
  };
}

function isMachine(logic: unknown): boolean {
  return typeof logic === "object" && logic !== null && "__xstatenode" in logic;
}

const optionNames = ["machine", "run", "version", "input", "events", "replies", "onError", "passivateAfter"];
const defaultPassivateAfter: Duration = "30s";
// ----------------------------------------------------------------------------------------------- what a definition's type says

type IsAny<T> = 0 extends 1 & T ? true : false;

/** What an agent's type takes: a machine its events, a durable function `{ type: name, value }` for a `receive(name)`. */
export type EventOf<TDefinition extends AnyAgentDefinition> =
  IsAny<TDefinition["logic"]> extends true
    ? AnyEventObject
    : TDefinition["logic"] extends AnyStateMachine
      ? EventFromLogic<TDefinition["logic"]>
      : { type: string; value?: unknown };
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
    : TDefinition["logic"] extends AnyStateMachine
      ? string extends StateValueFrom<TDefinition["logic"]>
        ? never
        : StateValueFrom<TDefinition["logic"]>
      : never;
export type TagOf<TDefinition extends AnyAgentDefinition> = TDefinition["logic"] extends AnyStateMachine
  ? TagsFrom<TDefinition["logic"]>
  : never;
