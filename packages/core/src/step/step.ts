/**
 * What happens, decided purely: from an agent's state and one input to its next state and what it asks for (D2).
 *
 * `takeStep` is the whole story: it says what an input is to the agent as it is. What the input comes to is in
 * `take-message.ts` and `take-own.ts`, the machine's part in `transition.ts`, and what has come of it so far in `draft.ts`.
 * None of it waits or reads: time, randomness and ids are in the request.
 */
import { decodeError, DormouseError, encodeError } from "../agent/errors.ts";
import type { Body, Envelope, ParentLink } from "../format/message.ts";
import type { Cause } from "../format/record.ts";
import { checkResult } from "./check-result.ts";
import type { StepContext } from "./context.ts";
import { Draft, endedError, type StepRequest } from "./draft.ts";
import { tokenUnknown } from "./durable.ts";
import { encode, type EngineResult, init } from "./engine.ts";
import { failure } from "./failure.ts";
import type { InputOf, StepInput } from "./input.ts";
import { type Activated, answerTo, type Outcome, pass, refuse } from "./outcome.ts";
import { validateInput } from "./schemas.ts";
import { type Send, splitAnswers } from "./send.ts";
import type { AgentState } from "./state.ts";
import { cancel, takeEnd, takeEvent, takeRespond, unsend } from "./take-message.ts";
import {
  beginAttempt,
  countUndelivered,
  fire,
  settleAction,
  takeAnswer,
  takeCalls,
  takeNews,
  takeResult,
  takeUnstick,
} from "./take-own.ts";
import { describeMessage, finish } from "./transition.ts";

/** Takes one input through an agent. Never throws for what a user's code or message does: that is an outcome (D9). */
export function takeStep(request: StepRequest): Outcome {
  return withAnswersSent(decideStep(request));
}

/** Agents that asked are answered by a message: an answer is lost with its channel, and they ask once (D4). */
function withAnswersSent<T extends Outcome>(outcome: T): T {
  const { answers, sends } = splitAnswers(outcome.answers);
  return sends.length === 0 ? outcome : { ...outcome, answers, sends: [...outcome.sends, ...sends] };
}

function decideStep(request: StepRequest): Outcome {
  const { before, input } = request;
  if (input.kind === "start") return before === undefined ? begin(request, input) : alreadyStarted(before, input);
  if (before === undefined) return notStarted(input);
  const repeat = answerRepeat(before.state, input);
  if (repeat !== undefined) return repeat;
  const draft = new Draft(request, before);
  // Of one that has ended too: it would be owed for ever.
  if (input.kind === "action") return settleAction(draft, input);
  if (input.kind === "undelivered") return countUndelivered(draft, input);
  if (before.state.status !== "active") return ended(before.state, input);
  switch (input.kind) {
    case "event":
      return takeEvent(draft, input);
    case "child":
      return takeNews(draft, input.news);
    case "timer":
      return fire(draft, input.id, input.generation);
    case "effect":
      return takeResult(draft, input.address, input.attempt, input.result);
    case "attempt":
      return beginAttempt(draft, input.address);
    case "calls":
      return takeCalls(draft, input.address, input.attempt, input.calls);
    case "answer":
      return takeAnswer(draft, input.answer);
    case "respond":
      return takeRespond(draft, input);
    case "cancel":
      return cancel(draft, input);
    case "unsend":
      return unsend(draft, input.id, input.message);
    case "unstick":
      return takeUnstick(draft, input.id);
    case "end":
      return takeEnd(draft, input.how, input.message);
  }
}

// ------------------------------------------------------------------------------------------------ without a machine's step

type StartInput = InputOf<"start">;

function begin(request: StepRequest, start: StartInput): Outcome {
  const seq = request.seqBefore + 1;
  const { child } = start;
  const context: StepContext = {
    agent: request.agent,
    ...(child === undefined ? {} : { parent: { address: child.parent.address } }),
    seq,
    now: request.now,
    birth: request.birth,
    message: describeMessage(start.message),
  };
  let outcome: Outcome;
  try {
    const input = child === undefined ? validateInput(request.definition, start.input) : start.input;
    const result = init(request.machine, input, context);
    checkResult(request, undefined, result);
    const draft = new Draft(request, { state: unborn(request, start, result), live: result.next });
    const cause: Cause = { kind: "start", id: start.message.id, input: start.input, parent: child?.parent };
    outcome = finish(draft, result, cause);
  } catch (thrown) {
    const error = start.isImplied
      ? encodeError(notStartedError(request.agent, thrown))
      : failure("agent.start-failed", thrown, `agent=${request.agent}`);
    const told = tellParent(child?.parent, request, decodeError(error));
    return refuse("start-failed", start.message, request.seqBefore, error, told);
  }
  if (outcome.kind !== "stepped" || start.isImplied) return outcome;
  return { ...outcome, answers: [...outcome.answers, ...answerTo(start.message, { ok: true, seq, value: true })] };
}

/** The state that an agent's first step goes on from. */
function unborn(
  { birth, definition, seqBefore, now }: StepRequest,
  { child }: StartInput,
  begun: EngineResult,
): AgentState {
  return {
    birth,
    version: definition.version,
    seq: seqBefore,
    now,
    status: "active",
    machine: encode(begun.next),
    ...(child === undefined ? {} : { parent: child.parent }),
    ...nothingUnderWay,
    ...(child === undefined ? {} : { path: child.path }),
  };
}

/** Of all agents that begin, one each: a small agent is little more than these. Nothing ever changes a state in place. */
const nothingUnderWay: Pick<
  AgentState,
  "path" | "asks" | "timers" | "effects" | "children" | "owed" | "keys" | "errorCount"
> = { path: [], asks: [], timers: {}, effects: {}, children: {}, owed: [], keys: new Map(), errorCount: 0 };

function alreadyStarted(before: Activated, start: StartInput): Outcome {
  return pass("already-started", answerTo(start.message, { ok: true, seq: before.state.seq, value: false }), []);
}

function notStarted(input: Exclude<StepInput, StartInput>): Outcome {
  if (!("message" in input)) return pass("no-agent", [], []);
  if (input.kind === "respond") return refuseToken(input.message, 0, "there is no such agent");
  const error = encodeError(notStartedError(input.message.to));
  return refuse("not-started", input.message, 0, error);
}

function notStartedError(agent: string, cause?: unknown): DormouseError {
  const reason = cause instanceof Error ? ` (its machine, begun without input: ${cause.message})` : "";
  return new DormouseError(
    "conflict",
    "agent.not-started",
    `there is no such agent, and it does not begin by itself; begin it with start(input)${reason}: agent=${agent}`,
    { cause },
  );
}

/** A message under an idempotency key that was taken before: never a second run (D4). */
function answerRepeat(state: AgentState, input: StepInput): Outcome | undefined {
  if (input.kind !== "event") return undefined;
  const { message } = input;
  const keyed = message.key === undefined ? undefined : state.keys.get(message.key);
  if (keyed === undefined) return undefined;
  if (keyed.answer !== undefined) return pass("repeat", answerTo(message, keyed.answer), []);
  if (message.ask === undefined || !state.asks.some((ask) => ask.handledId === keyed.id)) return pass("repeat", [], []);
  return undefined;
}

function ended(state: AgentState, input: Exclude<StepInput, StartInput>): Outcome {
  if (!("message" in input)) return pass("ended", [], []);
  if (input.kind === "respond") {
    const { message, secret } = input;
    if (state.answered?.includes(secret) !== true) return refuseToken(message, state.seq, "the agent has ended");
    return pass("repeat", answerTo(message, { ok: true, seq: state.seq, value: undefined }), []);
  }
  return refuse("ended", input.message, state.seq, endedError(input.message.to, state.status));
}

/** A token dies with its wait, however that came to its end. */
function refuseToken(message: Envelope, seq: number, why: string): Outcome {
  return refuse("refused", message, seq, encodeError(tokenUnknown(message.to, why)));
}

function tellParent(parent: ParentLink | undefined, request: StepRequest, error: unknown): Send[] {
  if (parent === undefined) return [];
  const body: Body = { kind: "child", id: parent.id, child: request.agent, news: { kind: "error", error } };
  return [{ to: parent.address, body }];
}
