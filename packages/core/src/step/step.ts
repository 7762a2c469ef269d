/**
 * What happens, decided purely: from an agent's state and one input to its next state and what it asks for (D2).
 *
 * `takeStep` is the whole story: it picks the machine's event, runs the engine, and folds the ways out into state.
 * It neither waits nor reads: time, randomness and ids are in the request.
 */
import type { Address } from "../agent/address.ts";
import type { ResolvedAgent } from "../agent/definition.ts";
import { cancelMsDefault, durableOf } from "../agent/durable.ts";
import { decodeError, DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import { idempotencyKeyMsMax, idempotencyKeyMsMin, idempotencyKeysMax } from "../agent/limits.ts";
import type { EventData, WayOut } from "../agent/way-out.ts";
import { freezeData } from "../format/codec/data.ts";
import type { AskedBy, Body, Envelope, ParentLink } from "../format/message.ts";
import type { CallNote, Cause, GivenAnswer } from "../format/record.ts";
import { checkResult } from "./check-result.ts";
import type { Message, StepContext } from "./context.ts";
import {
  describe,
  doneEvent,
  encode,
  type EngineResult,
  errorEvent,
  init,
  isReservedEvent,
  type PreparedMachine,
  snapshotEvent,
  step,
} from "./engine.ts";
import { failure } from "./failure.ts";
import type { InputOf, StepInput } from "./input.ts";
import { type Activated, answerTo, type InlineAction, type LogLine, type Outcome, pass, refuse } from "./outcome.ts";
import { validateEvent, validateInput, validateReply } from "./schemas.ts";
import { checkEventBytes, type Send, sendTo, splitAnswers } from "./send.ts";
import { checkStateBytes, keepSize, measure, type Measured } from "./size.ts";
import {
  beginDurable,
  cancelAll,
  cancelledError,
  cancelPlace,
  type CallNews,
  dropDurable,
  endSpawn,
  hasDurable,
  keepEvent,
  type Making,
  offeredUnder,
  offerEvent,
  respond,
  takeAnswer as takeCallAnswer,
  takeNews as takeCallNews,
  tokenUnknown,
  unstick,
  wakeCall,
} from "./durable.ts";
import type { AgentState, AgentStatus, Answer, Effect, EffectResult, OpenAsk, Timer } from "./state.ts";

export interface StepRequest {
  readonly agent: Address;
  readonly definition: ResolvedAgent;
  readonly machine: PreparedMachine;
  readonly before: Activated | undefined;
  readonly input: StepInput;
  /** Wall time of the host; the step's time never runs behind the agent's last. */
  readonly now: number;
  /** 16 fresh random bytes, used if the agent begins. */
  readonly birth: Uint8Array;
  /** What remains of an earlier life of the key: numbers count on from there. */
  readonly seqBefore: number;
  readonly freezeContexts: boolean;
  /** What the state may take when it is stored. */
  readonly stateBytesMax: number;
}

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
  const work = new Work(request, before);
  // Of one that has ended too: it would be owed for ever.
  if (input.kind === "action") return work.settleAction(input);
  if (input.kind === "undelivered") return work.countUndelivered(input);
  if (before.state.status !== "active") return ended(before.state, input);
  switch (input.kind) {
    case "event":
      return work.takeEvent(input);
    case "child":
      return work.takeNews(input.news);
    case "timer":
      return work.fire(input.id, input.generation);
    case "effect":
      return work.takeResult(input.address, input.attempt, input.result);
    case "attempt":
      return work.beginAttempt(input.address);
    case "calls":
      return work.takeCalls(input.address, input.attempt, input.calls);
    case "answer":
      return work.takeAnswer(input.answer);
    case "respond":
      return work.respond(input);
    case "cancel":
      return work.cancel(input);
    case "unsend":
      return work.unsend(input.id, input.message);
    case "unstick":
      return work.unstick(input.id);
    case "end":
      return work.end(input.how, input.message);
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
    const work = new Work(request, { state: unborn(request, start, result), live: result.next });
    const cause: Cause = { kind: "start", id: start.message.id, input: start.input, parent: child?.parent };
    outcome = work.finish(result, cause);
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
  if (input.kind === "respond") return refuseToken(input.message, state.seq, "the agent has ended");
  return refuse("ended", input.message, state.seq, endedError(input.message.to, state.status));
}

/** A token dies with its wait, however that came to its end. */
function refuseToken(message: Envelope, seq: number, why: string): Outcome {
  return refuse("refused", message, seq, encodeError(tokenUnknown(message.to, why)));
}

function endedError(agent: string, status: AgentStatus): ErrorData {
  return encodeError(
    new DormouseError(
      "failed",
      "agent.ended",
      `the agent has ended and takes no more events; read() or result() tell how: agent=${agent} status=${status}`,
    ),
  );
}

function tellParent(parent: ParentLink | undefined, request: StepRequest, error: unknown): Send[] {
  if (parent === undefined) return [];
  const body: Body = { kind: "child", id: parent.id, child: request.agent, news: { kind: "error", error } };
  return [{ to: parent.address, body }];
}

// ------------------------------------------------------------------------------------------------------ with a machine's step

/** One step under way: the state it builds, and what it gathers to be let out. */
class Work {
  readonly #request: StepRequest;
  readonly #before: Activated;
  readonly #now: number;
  readonly #seq: number;
  readonly #sends: Send[] = [];
  readonly #answers: GivenAnswer[] = [];
  readonly #emitted: EventData[] = [];
  readonly #logs: LogLine[] = [];
  readonly #actions: InlineAction[] = [];
  #state: AgentState;
  #measured: Measured | undefined;
  #thrown: unknown;
  /** How many events the machine has given to its functions. */
  #given = 0;

  constructor(request: StepRequest, before: Activated) {
    this.#request = request;
    this.#before = before;
    this.#now = Math.max(request.now, before.state.now);
    this.#seq = before.state.seq + 1;
    this.#state = { ...before.state, seq: this.#seq, now: this.#now, version: request.definition.version };
  }

  takeEvent(input: InputOf<"event">): Outcome {
    const { message } = input;
    const repeated = message.key === undefined ? undefined : this.#state.keys.get(message.key);
    if (repeated !== undefined) {
      // An ask under a key whose first ask is still open: a new asker for the same answer.
      this.#openAsk(message, input, repeated.id);
      return this.#finishUnchanged({ kind: "event", id: message.id, from: message.from, event: input.event });
    }
    let event = input.event;
    const refusal = this.#refuseEvent(event);
    if (refusal !== undefined) return refuse("refused", message, this.#before.state.seq, refusal);
    try {
      if (!isReservedEvent(event.type)) event = validateEvent(this.#request.definition, event);
    } catch (thrown) {
      return refuse("refused", message, this.#before.state.seq, encodeError(thrown));
    }
    if (message.key !== undefined) this.#rememberKey(message.key, message.id);
    if (message.ask !== undefined) this.#openAsk(message, input, message.id);
    if (input.due !== undefined && input.due > this.#now) return this.#sendAhead(message, event, input.due);
    const cause: Cause = { kind: "event", id: message.id, from: message.from, event };
    if (offerEvent(this.#making(), event, message.id)) return this.#taken(message, cause);
    return this.#run(event, cause, message);
  }

  takeNews(news: Extract<Body, { kind: "child" }>): Outcome {
    const call = endSpawn(this.#making(), news);
    if (call !== undefined) return this.#finishUnchanged({ kind: "call", ...call });
    const current = this.#before.state.machine.children[news.id];
    // An earlier child of that id: what it says is of a life that is over.
    if (current?.address !== news.child) return pass("stale-child", [], []);
    if (news.news.kind !== "snapshot") this.#dropChild(news.child);
    const event = newsEvent(news);
    return this.#run(event, { kind: "child", child: news.child, event }, undefined);
  }

  fire(id: string, generation: number): Outcome {
    const timer = this.#before.state.timers[id];
    if (timer === undefined || timer.generation !== generation || timer.due > this.#now) {
      return pass("stale-timer", [], []);
    }
    this.#setTimers(without(this.#state.timers, id));
    if (timer.call !== undefined) {
      const { effect: address, place } = timer.call;
      const attempt = this.#state.effects[address]?.attempt;
      if (place === cancelPlace && attempt !== undefined) {
        const error = encodeError(cancelledError(this.#request.agent));
        return this.takeResult(address, attempt, { ok: false, error });
      }
      wakeCall(this.#making(), timer.call);
      return this.#finishUnchanged({ kind: "call", address, place });
    }
    const cause: Cause = { kind: "timer", timer: id, event: timer.event };
    if (timer.isSent === true) return this.#takeSent(timer.event, cause, id);
    if (timer.to === undefined) return this.#run(timer.event, cause, undefined);
    if (timer.isToFunction === true && !this.#isFunction(timer.to)) return this.#finishUnchanged(cause);
    try {
      this.#send(timer.to, timer.event);
    } catch (thrown) {
      this.#state = { ...this.#state, errorCount: this.#state.errorCount + 1 };
      return this.#finishUnchanged(cause, encodeError(thrown));
    }
    return this.#finishUnchanged(cause);
  }

  /** Keeps an event until it is due. */
  #sendAhead(message: Envelope, event: EventData, due: number): Outcome {
    const timer: Timer = { generation: this.#seq, due, event, isSent: true };
    this.#setTimers({ ...this.#state.timers, [sentTimer(message.id)]: timer });
    const cause: Cause = { kind: "event", id: message.id, from: message.from, event, due };
    return this.#within(this.#finishUnchanged(cause), cause);
  }

  /** One that was sent ahead and is due. */
  #takeSent(event: EventData, cause: Cause, id: string): Outcome {
    if (offerEvent(this.#making(), event, id)) return this.#finishUnchanged(cause);
    const isTaken = describe(this.#before.live).accepts.some((type) => type === event.type || type === "*");
    if (isTaken || !hasDurable(this.#state)) return this.#run(event, cause, undefined);
    try {
      keepEvent(this.#making(), event, id);
      return this.#finishUnchanged(cause);
    } catch (thrown) {
      return this.#finishUnchanged(cause, encodeError(thrown));
    }
  }

  unsend(id: string, message: Envelope): Outcome {
    const isThere = this.#state.timers[sentTimer(id)]?.isSent === true;
    const answers = answerTo(message, { ok: true, seq: isThere ? this.#seq : this.#before.state.seq, value: isThere });
    if (!isThere) return pass("not-ahead", answers, []);
    this.#setTimers(without(this.#state.timers, sentTimer(id)));
    this.#answers.push(...answers);
    return this.#finishUnchanged({ kind: "unsent", id });
  }

  takeResult(address: string, attempt: number, result: EffectResult): Outcome {
    const effect = this.#before.state.effects[address];
    if (effect === undefined || effect.attempt !== attempt) return pass("stale-effect", [], []);
    dropDurable(this.#making(), address);
    const event = result.ok ? doneEvent(effect.id, result.output) : errorEvent(effect.id, decodeError(result.error));
    return this.#run(event, { kind: "effect", address, attempt, event }, undefined);
  }

  beginAttempt(address: string): Outcome {
    const effect = this.#before.state.effects[address];
    if (effect === undefined) return pass("stale-effect", [], []);
    const attempt = effect.attempt + 1;
    // Its code may have become a durable function since it began.
    const record = effect.durable === undefined ? this.#recordOf(effect.src, address) : {};
    const next = { ...effect, ...record, attempt };
    this.#state = { ...this.#state, effects: { ...this.#state.effects, [address]: next } };
    return this.#finishUnchanged({ kind: "attempt", address, attempt });
  }

  takeCalls(address: string, attempt: number, calls: readonly CallNews[]): Outcome {
    const effect = this.#before.state.effects[address];
    if (effect === undefined || effect.attempt !== attempt) return pass("stale-calls", [], []);
    takeCallNews(this.#making(), address, calls);
    const stuck = this.#newlyStuck(address);
    const told = this.#finishUnchanged({ kind: "calls", address, attempt, calls: calls.map(noteOf) }, stuck);
    return this.#within(told, { kind: "calls", address, attempt, calls: [] });
  }

  /** Why a function is stuck that was not before: who looks for what is wrong with the agent finds it. */
  #newlyStuck(address: string): ErrorData | undefined {
    const { rest, error } = this.#state.effects[address]?.durable ?? {};
    if (rest !== "stuck") return undefined;
    this.#state = { ...this.#state, errorCount: this.#state.errorCount + 1 };
    return error;
  }

  takeAnswer(body: Extract<Body, { kind: "answer" }>): Outcome {
    takeCallAnswer(this.#making(), body);
    if (this.#state.effects === this.#before.state.effects) return pass("stale-answer", [], []);
    const cause: Cause = { kind: "call", address: body.effect, place: body.place };
    return this.#within(this.#finishUnchanged(cause), cause);
  }

  respond(input: InputOf<"respond">): Outcome {
    const { message, at, secret, value } = input;
    const opened = { kind: "event", message, at, event: { type: "dormouse.respond" } } as const;
    // While another value for the wait is looked at: what comes of that one is the answer to both.
    const offered = offeredUnder(this.#state, secret);
    if (message.ask !== undefined) this.#openAsk(message, opened, offered ?? message.id);
    try {
      if (offered === undefined) respond(this.#making(), secret, value, message.id);
    } catch (thrown) {
      return refuse("refused", message, this.#before.state.seq, encodeError(thrown));
    }
    return this.#taken(message, { kind: "respond", id: message.id, from: message.from });
  }

  /** The machine hears of it as an event, what is under way by its signal; both may do what must be done first. */
  cancel({ message, at }: InputOf<"cancel">): Outcome {
    const event = { type: cancelEvent };
    const cause: Cause = { kind: "cancel", id: message.id };
    if (message.ask !== undefined) this.#openAsk(message, { kind: "event", message, at, event }, message.id);
    const { machine } = this.#request;
    const isAny = cancelAll(this.#making(), (src) => durableOf(machine.actor(src)?.logic)?.cancelMs ?? cancelMsDefault);
    // Without a transition for it, and with nothing under way, it would be as if nobody had asked.
    if (!isAny && !describe(this.#before.live).accepts.some((type) => type === cancelEvent || type === "*")) {
      return this.#notTaken(message, event);
    }
    this.#answer((ask) => ask.handledId === message.id, { ok: true, seq: this.#seq, value: undefined });
    return this.#run(event, cause, undefined);
  }

  unstick(id: string): Outcome {
    if (!unstick(this.#making())) return pass("not-stuck", [], []);
    return this.#finishUnchanged({ kind: "resumed", id });
  }

  settleAction({ name, seq, index, isOwed, error }: InputOf<"action">): Outcome {
    const owed = this.#state.owed.find((action) => action.seq === seq && action.index === index);
    if (owed === undefined && isOwed) return pass("stale-action", [], []);
    this.#state = {
      ...this.#state,
      owed: this.#state.owed.filter((action) => action !== owed),
      errorCount: this.#state.errorCount + (error === undefined ? 0 : 1),
    };
    return this.#finishUnchanged({ kind: "action", name, seq, index }, error);
  }

  countUndelivered({ id, to, error }: InputOf<"undelivered">): Outcome {
    this.#state = { ...this.#state, errorCount: this.#state.errorCount + 1 };
    return this.#finishUnchanged({ kind: "undelivered", id, to }, error);
  }

  end(how: "stop" | "terminate", message: Envelope): Outcome {
    const { body } = message;
    // A stop of an earlier parent, for an earlier child of this address.
    if (body.kind === "stop" && body.parent !== this.#state.parent?.address) return pass("stale-stop", [], []);
    this.#endWith("stopped");
    if (how === "terminate") {
      this.#tellParent({ kind: "error", error: decodeError(endedError(this.#request.agent, "stopped")) });
    }
    this.#answers.push(...answerTo(message, { ok: true, seq: this.#seq, value: undefined }));
    return this.#finishUnchanged({ kind: "end", how });
  }

  /** Folds what the engine gave into the state and into what is let out. */
  finish(result: EngineResult, cause: Cause): Outcome {
    this.#foldWaysOut(result.waysOut);
    this.#answerTaken();
    const machine = encode(result.next);
    this.#state = { ...this.#state, machine };
    if (machine.status !== "active") this.#endWith(machine.status);
    else if (this.#state.parent?.isSnapshotSynced === true) {
      const { status, value, context, output } = describe(result.next);
      this.#tellParent({ kind: "snapshot", snapshot: { status, value, context, output } });
    }
    this.#pruneAsks();
    checkStateBytes(this.#request, this.#measure());
    return this.#stepped({ state: this.#state, live: result.next }, cause, undefined);
  }

  #run(event: EventData, cause: Cause, message: Envelope | undefined): Outcome {
    const { machine } = this.#request;
    const { parent } = this.#state;
    const context: StepContext = {
      agent: this.#request.agent,
      ...(parent === undefined ? {} : { parent: { address: parent.address } }),
      seq: this.#seq,
      now: this.#now,
      birth: this.#state.birth,
      message:
        message === undefined ? describeCause(this.#request.agent, this.#seq, this.#now) : describeMessage(message),
    };
    // One that was just read is not frozen yet; one that is costs a look.
    if (this.#request.freezeContexts) freezeData(encode(this.#before.live).context);
    const asked = this.#state;
    const told = this.#answers.length;
    try {
      const result = step(machine, this.#before.live, event, context);
      checkResult(this.#request, this.#before.live, result);
      if (result.isTaken) return this.finish(result, cause);
    } catch (thrown) {
      this.#takeBack(asked, told);
      this.#thrown = thrown;
      const about = `agent=${this.#request.agent} event=${event.type}`;
      return this.#fail(failure("agent.step-failed", thrown, about), cause, message);
    }
    if (message !== undefined) return this.#notTaken(message, event);
    return this.#finishUnchanged(cause);
  }

  /** Forgets all that the machine asked for. @param told - Answers that were given before. */
  #takeBack(state: AgentState, told: number = 0): void {
    this.#state = state;
    for (const list of [this.#sends, this.#emitted, this.#logs, this.#actions]) list.length = 0;
    this.#answers.length = told;
  }

  #refuseEvent(event: EventData): ErrorData | undefined {
    if (!isReservedEvent(event.type)) return undefined;
    return encodeError(
      new DormouseError(
        "invalid",
        "event.reserved",
        `events that begin with "xstate." are the machine's own; send an event of another type: type=${event.type}`,
      ),
    );
  }

  #notTaken(message: Envelope, event: EventData): Outcome {
    // Who asks waits for a reply, and a function that receives the event later gives none.
    const isForReply = message.ask !== undefined && message.ask.until !== "taken";
    if (hasDurable(this.#state) && !isForReply) return this.#keep(message, event);
    const { value, accepts } = describe(this.#before.live);
    const isKnown = accepts.includes(event.type);
    const error = encodeError(
      new DormouseError(
        "conflict",
        "event.not-taken",
        `${isKnown ? "no guard of the agent's transitions let the event pass" : "the agent takes no such event"} in its ` +
          `present state: agent=${this.#request.agent} type=${event.type} state=${JSON.stringify(value)} ` +
          `accepts=${accepts.join(",") || "(none)"}`,
      ),
    );
    if (message.key === undefined) return refuse("not-taken", message, this.#before.state.seq, error);
    this.#answer((ask) => ask.handledId === message.id, { ok: false, seq: this.#seq, error });
    return this.#finishUnchanged({ kind: "event", id: message.id, from: message.from, event });
  }

  /** For a durable function, which may ask for it later. */
  #keep(message: Envelope, event: EventData): Outcome {
    try {
      keepEvent(this.#making(), event, message.id);
    } catch (thrown) {
      return refuse("refused", message, this.#before.state.seq, encodeError(thrown));
    }
    return this.#taken(message, { kind: "event", id: message.id, from: message.from, event });
  }

  /** For a function that waits, or will: refused, and nothing else suffers, where the agent's state has no room for it. */
  #taken(message: Envelope, cause: Cause): Outcome {
    try {
      checkStateBytes(this.#request, this.#measure());
      return this.#finishUnchanged(cause);
    } catch (thrown) {
      return refuse("refused", message, this.#before.state.seq, encodeError(thrown));
    }
  }

  /** What durable functions keep counts as all of the state does: beyond the bound they are stuck, and go no further (D9). */
  #within(outcome: Outcome, cause: Cause): Outcome {
    try {
      checkStateBytes(this.#request, this.#measure());
      return outcome;
    } catch (thrown) {
      this.#takeBack({ ...this.#before.state, seq: this.#seq, now: this.#now });
      const error = encodeError(thrown);
      for (const address of Object.keys(this.#state.effects)) {
        takeCallNews(this.#making(), address, [{ what: "stuck", error }]);
      }
      this.#state = { ...this.#state, errorCount: this.#state.errorCount + 1 };
      return this.#finishUnchanged(cause, error);
    }
  }

  #setState(state: AgentState): void {
    this.#state = state;
  }

  /** The step as durable functions change it. */
  #making(): Making {
    return Object.defineProperty(
      {
        agent: this.#request.agent,
        seq: this.#seq,
        now: this.#now,
        state: this.#state,
        send: (to: string, body: Body, ask?: AskedBy) => void this.#sends.push(sendTo(to, body, ask)),
        answer: (id: string, result: EffectResult) => {
          const { seq } = this.#state;
          const answer: Answer = result.ok ? { ok: true, seq, value: result.output } : { ...result, seq };
          this.#answer((ask) => ask.handledId === id, answer);
        },
        emit: (event: EventData) => void this.#emitted.push(event),
      },
      "state",
      { get: () => this.#state, set: this.#setState.bind(this) },
    );
  }

  /** The machine threw: its state stays as it was, and what it would have asked for is not (D9). */
  #fail(error: ErrorData, cause: Cause, message: Envelope | undefined): Outcome {
    this.#state = { ...this.#state, errorCount: this.#state.errorCount + 1 };
    if (message !== undefined) {
      this.#answer((ask) => ask.handledId === message.id, { ok: false, seq: this.#seq, error });
    }
    if (this.#request.definition.onError === "fail" || this.#state.parent !== undefined) {
      this.#state = { ...this.#state, machine: { ...this.#state.machine, status: "error", error: decodeError(error) } };
      this.#endWith("error");
    }
    return this.#stepped({ state: this.#state, live: this.#before.live }, cause, error);
  }

  #finishUnchanged(cause: Cause, error?: ErrorData): Outcome {
    return this.#stepped({ state: this.#state, live: this.#before.live }, cause, error);
  }

  #stepped(after: Activated, cause: Cause, error: ErrorData | undefined): Outcome {
    this.#pruneAsks();
    const measured = this.#measure();
    keepSize(measured);
    const { delta, deltaBytes } = measured;
    return {
      kind: "stepped",
      after: { state: this.#state, live: after.live },
      delta,
      deltaBytes,
      cause,
      sends: this.#sends,
      answers: this.#answers,
      emitted: this.#emitted,
      logs: this.#logs,
      actions: this.#actions,
      error,
      thrown: this.#thrown,
    };
  }

  /** What the step changed, and what the state now takes at most. */
  #measure(): Measured {
    if (this.#measured?.state !== this.#state) this.#measured = measure(this.#request.before?.state, this.#state);
    return this.#measured;
  }

  // ---------------------------------------------------------------------------------------------------------- ways out

  #foldWaysOut(waysOut: readonly WayOut[]): void {
    waysOut.forEach((way, index) => {
      switch (way.kind) {
        case "send":
          this.#send(way.to, way.event);
          return;
        case "timer": {
          const timer: Timer = {
            generation: this.#seq,
            due: this.#now + Math.max(0, Math.ceil(way.delayMs)),
            event: way.event,
            ...(way.to === undefined ? {} : { to: way.to }),
            ...(way.to !== undefined && this.#isFunction(way.to) ? { isToFunction: true } : {}),
          };
          this.#setTimers({ ...this.#state.timers, [way.id]: timer });
          return;
        }
        case "cancel-timer":
          this.#setTimers(without(this.#state.timers, way.id));
          return;
        case "start-effect": {
          const effect = {
            id: way.id,
            src: way.src,
            input: way.input,
            attempt: 1,
            ...this.#recordOf(way.src, way.address),
          };
          this.#state = { ...this.#state, effects: { ...this.#state.effects, [way.address]: effect } };
          return;
        }
        case "start-child":
          this.#startChild(way);
          return;
        case "stop":
          this.#stop(way.address);
          return;
        case "reply":
          this.#reply(way.value);
          return;
        case "reply-to":
          this.#replyTo(way.eventType, way.messageId, way.value);
          return;
        case "emit":
          this.#emitted.push(way.event);
          return;
        case "log":
          this.#logs.push({ label: way.label, value: way.value });
          return;
        case "action":
          this.#owe(way, index);
      }
    });
  }

  #send(to: string, event: EventData): void {
    // To one of the agent's own durable functions.
    if (this.#isFunction(to)) {
      this.#given += 1;
      const id = `${this.#request.agent}#${this.#seq}.${this.#given}`;
      if (!offerEvent(this.#making(), event, id, to)) keepEvent(this.#making(), event, id);
      return;
    }
    this.#sends.push(sendTo(to, { kind: "event", event }));
  }

  /** The record that an effect begins with, if it is a durable function. */
  #recordOf(src: string, address: string): Pick<Effect, "durable"> {
    if (durableOf(this.#request.machine.actor(src)?.logic) === undefined) return {};
    return { durable: beginDurable(this.#state.birth, address, this.#now) };
  }

  #isFunction(address: string): boolean {
    return this.#state.effects[address]?.durable !== undefined;
  }

  #startChild(way: Extract<WayOut, { kind: "start-child" }>): void {
    const { address, id, input, path, isSnapshotSynced } = way;
    const parent: ParentLink = { address: this.#request.agent, id, isSnapshotSynced };
    this.#sends.push({ to: address, body: { kind: "start-child", input, parent, path } });
    this.#state = { ...this.#state, children: { ...this.#state.children, [address]: { id } } };
  }

  #stop(address: Address): void {
    dropDurable(this.#making(), address);
    if (this.#state.children[address] === undefined) return;
    this.#dropChild(address);
    this.#sends.push({ to: address, body: { kind: "stop", parent: this.#request.agent } });
  }

  #dropChild(address: string): void {
    this.#state = { ...this.#state, children: without(this.#state.children, address) };
  }

  #owe(way: Extract<WayOut, { kind: "action" }>, index: number): void {
    const { name, params, event, run } = way;
    if (!way.isNamed) {
      this.#actions.push({ name, seq: this.#seq, index, isOwed: false, run });
      return;
    }
    this.#state = { ...this.#state, owed: [...this.#state.owed, { seq: this.#seq, index, name, params, event }] };
    this.#actions.push({ name, seq: this.#seq, index, isOwed: true, run });
  }

  #setTimers(timers: { readonly [id: string]: Timer }): void {
    if (timers !== this.#state.timers) this.#state = { ...this.#state, timers };
  }

  #tellParent(news: Extract<Body, { kind: "child" }>["news"]): void {
    const { parent } = this.#state;
    if (parent === undefined) return;
    const { agent } = this.#request;
    if (news.kind === "snapshot") checkEventBytes(agent, news, "snapshot");
    else checkEventBytes(agent, news, "output");
    this.#sends.push({ to: parent.address, body: { kind: "child", id: parent.id, child: agent, news } });
  }

  /** The agent takes no more events: nothing of it stays under way, and everyone who waits for it hears. */
  #endWith(status: AgentStatus): void {
    for (const address of Object.keys(this.#state.children)) this.#stop(address as Address);
    for (const address of Object.keys(this.#state.effects)) dropDurable(this.#making(), address);
    this.#state = { ...this.#state, status, timers: {}, effects: {} };
    const { machine } = this.#state;
    if (status === "done") this.#tellParent({ kind: "done", output: machine.output });
    if (status === "error") this.#tellParent({ kind: "error", error: machine.error });
    const error = endedError(this.#request.agent, status);
    this.#answer(() => true, { ok: false, seq: this.#seq, error });
  }

  // --------------------------------------------------------------------------------------------------------------- asks

  #openAsk(message: Envelope, input: InputOf<"event">, handledId: string): void {
    if (message.ask === undefined) return;
    const { replyTo, patienceMs, waiting } = message.ask;
    const ask: OpenAsk = {
      id: message.id,
      handledId,
      eventType: input.event.type,
      replyTo,
      until: input.at + patienceMs,
      ...(waiting === undefined ? {} : { waiting }),
    };
    this.#state = { ...this.#state, asks: [...this.#state.asks, ask] };
  }

  #reply(value: unknown): void {
    const { input } = this.#request;
    if (input.kind !== "event") return;
    const { message } = input;
    this.#answer((ask) => ask.handledId === message.id, this.#replyAnswer(input.event.type, value));
  }

  #replyTo(eventType: string, messageId: string | undefined, value: unknown): void {
    this.#answer(
      (ask) => ask.eventType === eventType && (messageId === undefined || ask.handledId === messageId),
      this.#replyAnswer(eventType, value),
    );
  }

  /** Who waits for no reply hears that the machine has taken the event, also where it ends by it. */
  #answerTaken(): void {
    const { input } = this.#request;
    if (input.kind !== "event" || input.message.ask?.until !== "taken") return;
    const { id } = input.message;
    this.#answer((ask) => ask.handledId === id, { ok: true, seq: this.#seq, value: undefined });
  }

  #replyAnswer(eventType: string, value: unknown): Answer {
    try {
      return { ok: true, seq: this.#seq, value: validateReply(this.#request.definition, eventType, value) };
    } catch (thrown) {
      return { ok: false, seq: this.#seq, error: encodeError(thrown) };
    }
  }

  /** Answers the open asks that `isMeant` picks, and keeps the answer with their idempotency keys. The first answer counts. */
  #answer(isMeant: (ask: OpenAsk) => boolean, answer: Answer): void {
    const meant = this.#state.asks.filter(isMeant);
    if (meant.length === 0) return;
    const handled = new Set(meant.map((ask) => ask.handledId));
    for (const { id, replyTo } of meant) this.#answers.push({ id, replyTo, answer });
    let keys = this.#state.keys;
    for (const [key, keyed] of keys) {
      if (handled.has(keyed.id)) keys = new Map(keys).set(key, { ...keyed, answer });
    }
    this.#state = { ...this.#state, keys, asks: this.#state.asks.filter((ask) => !meant.includes(ask)) };
  }

  #pruneAsks(): void {
    const { asks, keys } = this.#state;
    if (asks.length === 0) return;
    const keyed = new Set([...keys.values()].map((message) => message.id));
    const open = asks.filter((ask) => ask.until > this.#now || keyed.has(ask.handledId));
    if (open.length !== asks.length) this.#state = { ...this.#state, asks: open };
  }

  #rememberKey(key: string, id: string): void {
    const keys = new Map(this.#state.keys);
    for (const [old, keyed] of keys) {
      const age = this.#now - keyed.at;
      const isOver = age > idempotencyKeyMsMax || (keys.size >= idempotencyKeysMax && age > idempotencyKeyMsMin);
      if (!isOver) break;
      keys.delete(old);
    }
    keys.set(key, { id, at: this.#now });
    this.#state = { ...this.#state, keys };
  }
}

// ------------------------------------------------------------------------------------------------------------------ leaves

function sentTimer(messageId: string): string {
  return `dormouse sent ${messageId}`;
}

/** What a machine hears when someone cancels its agent. */
const cancelEvent = "dormouse.cancel";

/** A call's news without what is in the state, or in what is let out. */
function noteOf(news: CallNews): CallNote {
  const {
    result: _result,
    value: _value,
    event,
    fields: _fields,
    schema: _schema,
    ...note
  } = news as CallNote & {
    readonly [field in "result" | "value" | "fields" | "schema"]?: unknown;
  } & { readonly event?: EventData };
  return event === undefined ? note : { ...note, name: event.type };
}

function newsEvent({ id, news }: Extract<Body, { kind: "child" }>): EventData {
  switch (news.kind) {
    case "done":
      return doneEvent(id, news.output);
    case "error":
      return errorEvent(id, news.error);
    case "snapshot":
      return snapshotEvent(id, news.snapshot);
  }
}

function describeMessage(message: Envelope): Message {
  return {
    id: message.id as Message["id"],
    ...(message.from === undefined ? {} : { from: message.from }),
    sentAt: message.sentAt,
    isAsked: message.ask !== undefined,
  };
}

/** What `message()` tells in a step that no message caused: a timer's, an effect's. */
function describeCause(agent: Address, seq: number, now: number): Message {
  return { id: `${agent}#${seq}` as Message["id"], sentAt: now, isAsked: false };
}

function without<T>(object: { readonly [key: string]: T }, key: string): { readonly [key: string]: T } {
  if (!(key in object)) return object;
  const { [key]: _dropped, ...rest } = object;
  return rest;
}
