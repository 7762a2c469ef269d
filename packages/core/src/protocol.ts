/** What a process without partitions needs: addresses, messages, sends, answers, reads; and what operators ask and make. */
export {
  type Address,
  checkName,
  checkUserKey,
  makeAddress,
  parseAddress,
  parseTarget,
  type Partition,
  partitionOf,
} from "./agent/address.ts";
export type {
  AgentDefinition,
  AnyAgentDefinition,
  Asked,
  ContextOf,
  EventOf,
  EventOfType,
  InputOf,
  OutputOf,
  ReplyTo,
  StateOf,
  TagOf,
} from "./agent/definition.ts";
export { type Duration, parseDuration } from "./agent/duration.ts";
export { decodeError, DormouseError, encodeError, type ErrorData, type ErrorKind } from "./agent/errors.ts";
export { eventBytesMax, keyBytesMax } from "./agent/limits.ts";
export { checkEventSchema } from "./step/schemas.ts";
export { checkOptions, optionError } from "./agent/options.ts";
export { parseToken } from "./agent/token.ts";
export type { EventData } from "./agent/way-out.ts";
export { type App, decodeApp } from "./format/app.ts";
export { checkData } from "./format/codec/data.ts";
export { formatOldest, type Writing } from "./format/codec/formats.ts";
export { decodeFacts, formatFor, type HostFacts } from "./format/member.ts";
export { type Body, encodeBatch, envelopeBytes, type Unnumbered } from "./format/message.ts";
export { openApp, readApp } from "./runtime/app.ts";
export { makeIds } from "./runtime/ids.ts";
export { type HostRequest, type HostStatus, requestHost } from "./runtime/own/control.ts";
export { type PartitionOwner, readOwners } from "./runtime/own/owners.ts";
export { probeStore, type StoreCheck } from "./runtime/own/probe.ts";
export { insist, pause } from "./runtime/insist.ts";
export {
  type AgentPage,
  type AgentView,
  type QuarantineView,
  type ReadRequest,
  requestRead,
  type Resumed,
  type StateView,
  type WaitPage,
} from "./runtime/reads.ts";
export type { CallView, StepView } from "./runtime/step-view.ts";
export type { DurableView, EffectView, OpenCallView, WaitView } from "./runtime/waits.ts";
export { decodeAnswer, noticeSubject } from "./runtime/release/reply.ts";
export { Publisher } from "./runtime/send.ts";
export type { MessageId } from "./step/context.ts";
export type { Answer } from "./step/state.ts";
