/** Agents from outside: send, ask, read. */
export { type Client, type ListOptions, makeClient } from "./client.ts";
export type { ClientPorts, ConnectionOptions } from "./connection.ts";
export type { AgentRef, AgentState, CallOptions, HistoryOptions, PlaceOf, SendAhead, SendOptions } from "./handle.ts";
export type {
  AgentView,
  CallView,
  DurableView,
  EffectView,
  OpenCallView,
  QuarantineView,
  Resumed,
  StepView,
  WaitView,
} from "@dormouse/core/protocol";
