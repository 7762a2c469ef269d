/** Define agents, run a host: the public entry of core. */
export * from "./agent/actions.ts";
export {
  agent,
  type AgentDefinition,
  type AgentOptions,
  type AnyAgentDefinition,
  type Ask,
  type Asked,
  type ContextOf,
  type EventOf,
  type EventOfType,
  type EventSchemas,
  type EventSchemasFor,
  type EventsOf,
  type InputOf,
  type OutputOf,
  type replied,
  type ReplyOf,
  type ReplySchemasFor,
  type ReplyTo,
  type StateOf,
  type TagOf,
} from "./agent/definition.ts";
export {
  checkpoint,
  type Checkpointed,
  type CheckpointOptions,
  currentCall,
  durable,
  type DurableContext,
  type DurableLogic,
  type DurableOutput,
  type DurableOptions,
  type Received,
  type ReceiveOptions,
  type RunCall,
  type RunOptions,
} from "./agent/durable.ts";
export type { Duration } from "./agent/duration.ts";
export { RetryAfter, type RetryPolicy, TerminalError } from "./agent/retry.ts";
export type { Message, MessageId } from "./agent/current-step.ts";
export { DormouseError, type ErrorData, type ErrorKind } from "./agent/errors.ts";
export type { Address, Partition } from "./agent/address.ts";
export {
  type Activity,
  type AwaitedEffect,
  type Incarnation,
  type IncarnationOptions,
  startIncarnation,
} from "./host.ts";
export type { Observe, Observed } from "./observe.ts";
export type { HostStatus } from "./runtime/own/control.ts";
export { type SettingFact, settingFacts, type Settings } from "./settings.ts";
export type { ActorOverrides } from "./step/registry.ts";
