/**
 * One step in the making: the state it builds, and what it gathers to be let out.
 *
 * Owns: the state after the step, until `stepped` or `unchanged` gives the outcome.
 * Leaves to others: what the machine does (`transition.ts`), what an input comes to (`take-message.ts`, `take-own.ts`), the
 * records of durable functions (`durable.ts`, which knows it as `Making`).
 */
import type { Address } from "../agent/address.ts";
import type { ResolvedAgent } from "../agent/definition.ts";
import { durableOf } from "../agent/durable.ts";
import { DormouseError, encodeError, type ErrorData } from "../agent/errors.ts";
import type { EventData } from "../agent/way-out.ts";
import type { AskedBy, Body, Envelope } from "../format/message.ts";
import type { Cause, GivenAnswer } from "../format/record.ts";
import { answerAsks, openAsk, pruneAsks, rememberKey } from "./asks.ts";
import { beginDurable, dropDurable, keepEvent, type Making, offerEvent, takeNews } from "./durable.ts";
import type { StepInput } from "./input.ts";
import type { Live, PreparedMachine } from "./machine.ts";
import type { Activated, InlineAction, LogLine, Outcome } from "./outcome.ts";
import { checkEventBytes, type Send, sendTo } from "./send.ts";
import { checkStateBytes, keepSize, measure, type Measured } from "./size.ts";
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

export class Draft implements Making {
  readonly agent: Address;
  readonly seq: number;
  readonly now: number;
  readonly request: StepRequest;
  readonly before: Activated;
  state: AgentState;
  /** What the machine threw. */
  thrown: unknown;
  readonly sends: Send[] = [];
  readonly answers: GivenAnswer[] = [];
  readonly emitted: EventData[] = [];
  readonly logs: LogLine[] = [];
  readonly actions: InlineAction[] = [];
  #measured: Measured | undefined;
  /** How many events the machine has given to its functions. */
  #given = 0;

  constructor(request: StepRequest, before: Activated) {
    this.agent = request.agent;
    this.request = request;
    this.before = before;
    this.now = Math.max(request.now, before.state.now);
    this.seq = before.state.seq + 1;
    this.state = { ...before.state, seq: this.seq, now: this.now, version: request.definition.version };
  }

  // ------------------------------------------------------------------------------------------------------- the outcome

  /** The machine stays as it was. */
  unchanged(cause: Cause, error?: ErrorData): Outcome {
    return this.stepped(this.before.live, cause, error);
  }

  stepped(live: Live, cause: Cause, error: ErrorData | undefined): Outcome {
    this.state = pruneAsks(this.state);
    const measured = this.#measure();
    keepSize(measured);
    const { delta, deltaBytes } = measured;
    return {
      kind: "stepped",
      after: { state: this.state, live },
      delta,
      deltaBytes,
      cause,
      sends: this.sends,
      answers: this.answers,
      emitted: this.emitted,
      logs: this.logs,
      actions: this.actions,
      error,
      thrown: this.thrown,
    };
  }

  /** What durable functions keep counts as all of the state does: beyond the bound they are stuck, and go no further (D9). */
  within(outcome: Outcome, cause: Cause): Outcome {
    try {
      this.checkSize();
      return outcome;
    } catch (thrown) {
      this.takeBack({ ...this.before.state, seq: this.seq, now: this.now });
      const error = encodeError(thrown);
      for (const address of Object.keys(this.state.effects)) {
        takeNews(this, address, [{ what: "stuck", error }]);
      }
      this.countError();
      return this.unchanged(cause, error);
    }
  }

  /** Forgets all that the machine asked for. @param told - Answers that were given before. */
  takeBack(state: AgentState, told: number = 0): void {
    this.state = state;
    for (const list of [this.sends, this.emitted, this.logs, this.actions]) list.length = 0;
    this.answers.length = told;
  }

  #measure(): Measured {
    if (this.#measured?.state !== this.state) this.#measured = measure(this.request.before?.state, this.state);
    return this.#measured;
  }

  /** One more error of the agent's, for whoever looks. */
  countError(): void {
    this.state = { ...this.state, errorCount: this.state.errorCount + 1 };
  }

  /** @throws DormouseError `invalid` (`state.too-large`). */
  checkSize(): void {
    checkStateBytes(this.request, this.#measure());
  }

  // --------------------------------------------------------------------------------------------------------- to others

  send(to: string, body: Body, ask?: AskedBy): void {
    this.sends.push(sendTo(to, body, ask));
  }

  emit(event: EventData): void {
    this.emitted.push(event);
  }

  /** An event of the machine: to another agent, or to one of its own durable functions. */
  sendEvent(to: string, event: EventData): void {
    if (this.isFunction(to)) {
      this.#given += 1;
      const id = `${this.request.agent}#${this.seq}.${this.#given}`;
      if (!offerEvent(this, event, id, to)) keepEvent(this, event, id);
      return;
    }
    this.send(to, { kind: "event", event });
  }

  tellParent(news: Extract<Body, { kind: "child" }>["news"]): void {
    const { parent } = this.state;
    if (parent === undefined) return;
    const { agent } = this.request;
    if (news.kind === "snapshot") checkEventBytes(agent, news, "snapshot");
    else checkEventBytes(agent, news, "output");
    this.sends.push({ to: parent.address, body: { kind: "child", id: parent.id, child: agent, news } });
  }

  // --------------------------------------------------------------------------------------------------------- under way

  setTimers(timers: { readonly [id: string]: Timer }): void {
    if (timers !== this.state.timers) this.state = { ...this.state, timers };
  }

  isFunction(address: string): boolean {
    return this.state.effects[address]?.durable !== undefined;
  }

  /** The record that an effect begins with, if it is a durable function. */
  recordOf(src: string, address: string): Pick<Effect, "durable"> {
    if (durableOf(this.request.machine.actor(src)?.logic) === undefined) return {};
    return { durable: beginDurable(this.state.birth, address, this.now) };
  }

  stop(address: Address): void {
    dropDurable(this, address);
    if (this.state.children[address] === undefined) return;
    this.dropChild(address);
    this.sends.push({ to: address, body: { kind: "stop", parent: this.request.agent } });
  }

  dropChild(address: string): void {
    this.state = { ...this.state, children: without(this.state.children, address) };
  }

  /** The agent takes no more events: nothing of it stays under way, and everyone who waits for it hears. */
  endWith(status: AgentStatus): void {
    for (const address of Object.keys(this.state.children)) this.stop(address as Address);
    for (const address of Object.keys(this.state.effects)) dropDurable(this, address);
    this.state = { ...this.state, status, timers: {}, effects: {} };
    const { machine } = this.state;
    if (status === "done") this.tellParent({ kind: "done", output: machine.output });
    if (status === "error") this.tellParent({ kind: "error", error: machine.error });
    const error = endedError(this.request.agent, status);
    this.answerAsks(() => true, { ok: false, seq: this.seq, error });
  }

  // -------------------------------------------------------------------------------------------------------------- asks

  /** Answers the asks of one message. */
  answer(messageId: string, result: EffectResult): void {
    const { seq } = this.state;
    const answer: Answer = result.ok ? { ok: true, seq, value: result.output } : { ...result, seq };
    this.answerAsks((ask) => ask.handledId === messageId, answer);
  }

  openAsk(message: Envelope, eventType: string, at: number, handledId: string): void {
    this.state = openAsk(this.state, message, eventType, at, handledId);
  }

  rememberKey(key: string, id: string): void {
    this.state = rememberKey(this.state, key, id);
  }

  /** Answers the open asks that `isMeant` picks, and keeps the answer with their idempotency keys. The first answer counts. */
  answerAsks(isMeant: (ask: OpenAsk) => boolean, answer: Answer): void {
    const { state, given } = answerAsks(this.state, isMeant, answer);
    this.state = state;
    this.answers.push(...given);
  }
}

/** What who sends to an agent that has ended is told. */
export function endedError(agent: string, status: AgentStatus): ErrorData {
  return encodeError(
    new DormouseError(
      "failed",
      "agent.ended",
      `the agent has ended and takes no more events; read() or result() tell how: agent=${agent} status=${status}`,
    ),
  );
}

export function without<T>(object: { readonly [key: string]: T }, key: string): { readonly [key: string]: T } {
  if (!(key in object)) return object;
  const { [key]: _dropped, ...rest } = object;
  return rest;
}
