/** The test kit and the simulator. */
export type { Book, Checker, ClientCall, ClientOutcome, HostEnd, Observation, Violation } from "./checkers/checker.ts";
export type { AgainOutcome, AgainRequest, StepAgain } from "./checkers/d2-again.ts";
export {
  callFaults,
  drawFaults,
  Faults,
  spellFaults,
  type CallFault,
  type FaultSettings,
  type PortName,
  type SpellFault,
} from "./faults.ts";
export { Random } from "./random.ts";
export {
  Scheduler,
  SimulationError,
  type PendingEvent,
  type RunEnd,
  type RunLimits,
  type SchedulerOptions,
  type SimulationErrorReason,
} from "./scheduler.ts";
export type { SimulatedClock } from "./simulated-clock.ts";
export { SimulatedWire, type EffectEvent, type SimulatedWireOptions } from "./simulated-wire.ts";
export {
  drawWorkloads,
  simulate,
  workloads,
  worldSpells,
  type Run,
  type Script,
  type Shape,
  type SimulationOptions,
  type Stage,
  type WorldSpell,
} from "./simulation.ts";
export type { Operation, Workload } from "./workloads/workload.ts";
export { channelConformance, type OpenedChannel } from "./conformance/channel.ts";
export { clockConformance, type OpenedClock } from "./conformance/clock.ts";
export type { ConformanceCase } from "./conformance/conformance-case.ts";
export { mailboxConformance, type OpenedMailbox } from "./conformance/mailbox.ts";
export { membershipConformance, type OpenedMembership } from "./conformance/membership.ts";
export { objectStoreConformance, type OpenedObjectStore } from "./conformance/object-store.ts";
export { testRuntime, type TestRuntime, type TestRuntimeOptions } from "./test-runtime.ts";
