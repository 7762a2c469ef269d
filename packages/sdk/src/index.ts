/** What most people install: define agents, run a host, talk to it. */
export type {
  AgentRef,
  AgentState,
  CallOptions,
  Client,
  HistoryOptions,
  PlaceOf,
  QuarantineView,
  Resumed,
  StepView,
} from "@dormouse/client";
export * from "@dormouse/core";
export { connect, type ConnectedClient, type ConnectOptions } from "./connect.ts";
export { type Host, type HostOptions, startHost } from "./start.ts";
