/** One agent from outside, typed by its definition. */
import {
  type Address,
  type AnyAgentDefinition,
  type Asked,
  type Body,
  checkData,
  checkEventSchema,
  checkOptions,
  checkUserKey,
  type ContextOf,
  decodeError,
  DormouseError,
  type Duration,
  type EffectView,
  type ErrorData,
  type EventData,
  type EventOf,
  type EventOfType,
  type InputOf,
  type MessageId,
  optionError,
  type OutputOf,
  parseAddress,
  parseDuration,
  type ReplyTo,
  type Resumed,
  type StateOf,
  type StateView,
  type StepView,
  type TagOf,
  type WaitView,
} from "@dormouse/core/protocol";
import type { AskLimits, Connection } from "./connection.ts";
import type { Limits } from "./calls.ts";
import { checkPlace, isAt } from "./place.ts";

/** Bounds of one call: they end the wait, never the message. */
export interface CallOptions {
  /**
   * How long to wait for all that the call waits for. Default: 30 s, but none for what goes on as long as an agent does or as
   * there is to read (`result`, `waitFor`, `history`, and lists).
   */
  readonly timeout?: Duration;
  /** Ends the wait with `closed` (`call.aborted`). */
  readonly signal?: AbortSignal;
}

/** Bounds of a call that sends an event, and its name. */
export interface SendOptions extends CallOptions {
  /**
   * The caller's own name for this event, remembered by the agent for 24 h (at most 1,000 of them): another send or ask
   * under the same key is not applied again, and an ask gets the first one's answer.
   */
  readonly idempotencyKey?: string;
}

/** When an event that is sent is to be taken; default: as soon as it comes. One of the two. */
export interface SendAhead {
  /** So long after its mailbox has it. */
  readonly delay?: Duration;
  /** A date, or milliseconds since 1970, by the host's clock. */
  readonly at?: Date | number;
}

/** Bounds of a history's reading: `timeout` is for all of it, but for what its reader does with it meanwhile. */
export interface HistoryOptions extends CallOptions {
  /** The first step's number. Default 1. */
  readonly from?: number;
  /** The last step's number. Default: the newest. */
  readonly to?: number;
}

/** A committed state. */
export interface AgentState<TDefinition extends AnyAgentDefinition> {
  readonly status: "active" | "done" | "error" | "stopped";
  /** The number of the step that led to it. */
  readonly seq: number;
  readonly value: unknown;
  readonly context: ContextOf<TDefinition>;
  readonly tags: ReadonlySet<string>;
  readonly output: OutputOf<TDefinition> | undefined;
  readonly error: unknown;
  /** How many of its steps failed; the history tells of each. */
  readonly errorCount: number;
  /** What it has under way: each effect, and of a durable function what it has done and waits for. */
  readonly effects: readonly EffectView[];
  /** What it waits for, of whoever may answer; as `client.waits()` tells it. */
  readonly waits: readonly WaitView[];
}

type SentEvent<TDefinition extends AnyAgentDefinition, TType extends string> = { type: TType } & EventOfType<
  EventOf<TDefinition>,
  TType
>;

/** A place to wait for: a state as XState's `matches` takes it, a tag, or a predicate. */
export type PlaceOf<TDefinition extends AnyAgentDefinition> =
  | StateOf<TDefinition>
  | { readonly tag: TagOf<TDefinition> }
  | ((state: AgentState<TDefinition>) => boolean);

export interface AgentRef<TDefinition extends AnyAgentDefinition> {
  /** `type/key`. */
  readonly address: string;
  /**
   * Makes the agent with its machine's input, if there is none; resolves when that is committed. To be called again
   * without a thought: what is there stays as it is.
   *
   * @returns `created: false` if it was there; its state and input are left as they are.
   * @throws DormouseError `invalid` (`input.schema`, `input.not-data`, `key.reserved`, `agent.unknown-type`), `failed`
   * (`agent.start-failed`, `agent.quarantined`), `timeout` (`call.timeout`), `unavailable` (`host.not-running`).
   */
  start(
    ...args: undefined extends InputOf<TDefinition>
      ? [input?: InputOf<TDefinition>, options?: CallOptions]
      : [input: InputOf<TDefinition>, options?: CallOptions]
  ): Promise<{ readonly created: boolean }>;
  /**
   * Sends one event to the agent; resolves when the agent's mailbox holds it: accepted, not yet taken.
   *
   * @param event - An event of the machine, plain data of at most 1 MB encoded.
   * @param options - With `delay` or `at` the agent keeps it as a timer until it is due.
   * @returns The message's id: for logs, and for `unsend`.
   * @throws DormouseError `invalid` (`event.too-large`, `event.not-data`, `event.reserved`, `key.reserved`); `timeout`
   * (`call.timeout`): send again with the same idempotency key, it is applied once.
   * @example
   * ```ts
   * await client.agent(counter, "acme").send({ type: "add", by: 1 });
   * ```
   */
  send<const TType extends EventOf<TDefinition>["type"]>(
    event: SentEvent<TDefinition, TType>,
    options?: SendOptions & SendAhead,
  ): Promise<MessageId>;
  /**
   * Takes back an event that was sent ahead, until it is due; resolves when that is committed.
   *
   * @param id - What `send` gave.
   * @returns Whether it was there: `false` if it was taken, or taken back, or came with another id.
   * @throws DormouseError `conflict` (`agent.not-started`); `failed` (`agent.ended`, `agent.quarantined`); `timeout`
   * (`call.timeout`); `unavailable` (`host.not-running`).
   * @example
   * ```ts
   * const later = await acme.send({ type: "reset" }, { delay: "2d" });
   * await acme.unsend(later);
   * ```
   */
  unsend(id: MessageId, options?: CallOptions): Promise<boolean>;
  /**
   * Sends one event and resolves with the machine's reply, after the commit; it may come many steps later.
   *
   * @throws DormouseError what the agent's step threw (`failed`), `conflict` (`event.not-taken`, `agent.not-started`),
   * `failed` (`agent.ended`), `timeout` (`call.timeout`): the message stands; `unavailable` (`host.not-running`).
   */
  ask<const TType extends Asked<EventOf<TDefinition>>["type"]>(
    event: SentEvent<TDefinition, TType>,
    options?: SendOptions,
  ): Promise<ReplyTo<EventOf<TDefinition>, TType>>;
  /**
   * Answers a wait by its name: sends `{ type: name, value }`, and resolves when that is committed as received, or kept for
   * a `receive` to come. A machine without durable functions takes the event as any other; for no reply is waited. It answers
   * something: an agent that is not there does not begin with it, as it does with an event.
   *
   * @param value - What is received; plain data of at most 1 MB encoded.
   * @throws DormouseError `invalid` (`receive.refused`): the value does not fit, and the wait goes on; `conflict`
   * (`receive.full`): too many are kept; (`event.not-taken`): a machine that takes no such event; (`agent.not-started`):
   * nobody has started the agent; `timeout` (`receive.timeout`): the wait was over first; (`call.timeout`); and what `ask` throws.
   * @example
   * ```ts
   * await client.agent(order, "o1").respond("approval", true);
   * ```
   */
  respond(name: string, value?: unknown, options?: SendOptions): Promise<void>;
  /**
   * The newest committed state, which includes all that this client was told of the agent before; nothing is changed by it.
   *
   * @returns `undefined` if there is no such agent.
   * @throws DormouseError `corrupt` or `failed` (`machine.state-removed`): its state cannot be read; `invalid`
   * (`agent.unknown-type`); `unavailable` (`host.not-running`); `timeout` (`call.timeout`).
   */
  read(options?: CallOptions): Promise<AgentState<TDefinition> | undefined>;
  /**
   * Resolves with the first committed state it sees that is at `place`; one that was passed through quickly may be missed.
   *
   * An agent that is not there yet is waited for.
   *
   * @throws DormouseError `failed` (`agent.ended`): it ended elsewhere and will not come there; `invalid`
   * (`place.invalid`): its machine has no such state or tag, so nobody ever comes there; `timeout` (`call.timeout`);
   * and what `read` throws.
   */
  waitFor(place: PlaceOf<TDefinition>, options?: CallOptions): Promise<AgentState<TDefinition>>;
  /**
   * The output, when it is done; an agent that is not there yet is waited for.
   *
   * @throws What the agent ended with, if it ended with an error; DormouseError `failed` (`agent.ended`): it was terminated;
   * `timeout` (`call.timeout`); and what `read` throws.
   */
  result(options?: CallOptions): Promise<OutputOf<TDefinition>>;
  /**
   * Its committed steps, in order: what each took, the state before and after, what it began and sent.
   *
   * @param options - `from` and `to` are step numbers; default all; they are read as they are asked for.
   * @returns No step if there is no such agent.
   * @throws DormouseError `corrupt`: an object of its history cannot be read; and what `read` throws.
   */
  history(options?: HistoryOptions): AsyncIterable<StepView>;
  /**
   * Its committed steps from `from` on (default 1): first those of its history, then each as it is committed, without a
   * gap. Ends when the agent has ended and all was told, when it is removed, or with the signal.
   */
  watch(options?: { readonly from?: number; readonly signal?: AbortSignal }): AsyncIterable<StepView>;
  /**
   * Takes an agent that was set aside back; resolves when that is committed. Its kept messages are taken in order from
   * then on, but for the one it stumbled over, with `skip`, if that is kept; if it stumbles again, it is set aside again.
   * For one that was not set aside, what is kept for it is tried again, and durable functions that are stuck are run again.
   *
   * @returns `wasSetAside: false` if it was not set aside; `isSkipped`: whether a message was dropped.
   * @throws DormouseError `conflict` (`agent.not-started`): there is no such agent; `timeout` (`call.timeout`),
   * `unavailable` (`host.not-running`).
   */
  resume(options?: CallOptions & { readonly skip?: boolean }): Promise<Resumed>;
  /**
   * Asks the agent to end by itself; resolves when that is committed. A machine hears `dormouse.cancel`; effects under way have
   * their signals aborted, and a durable function may undo things, before each is ended after its `cancelTimeout`, 30 s.
   *
   * @throws DormouseError `conflict` (`event.not-taken`): nothing is under way, and the machine takes no such event;
   * (`agent.not-started`); `failed` (`agent.ended`, `agent.quarantined`); `timeout` (`call.timeout`); `unavailable`
   * (`host.not-running`).
   */
  cancel(options?: CallOptions): Promise<void>;
  /**
   * Ends the agent without asking its machine; resolves when that is committed. Its timers, effects and children are gone
   * then, its open asks are told `agent.ended`, and its status is `stopped`; state and history stay.
   *
   * @throws DormouseError `failed` (`agent.ended`): it had ended already; `conflict` (`agent.not-started`); `failed`
   * (`agent.quarantined`); `invalid` (`agent.unknown-type`); `timeout` (`call.timeout`); `unavailable` (`host.not-running`).
   */
  terminate(options?: CallOptions): Promise<void>;
  /**
   * Ends the agent as `terminate` does, and forgets its state; resolves when that is committed. There is no such agent
   * then, and its key may begin anew. Nothing is done where there was none.
   *
   * @throws DormouseError `corrupt`: its state cannot be read, and it stays; `timeout` (`call.timeout`); `unavailable`
   * (`host.not-running`).
   */
  remove(options?: CallOptions): Promise<void>;
}

const callMsDefault = 30_000;
export const callOptionNames: readonly (keyof CallOptions)[] = ["timeout", "signal"];
const sendOptionNames: readonly (keyof SendOptions)[] = [...callOptionNames, "idempotencyKey"];
const historyOptionNames: readonly (keyof HistoryOptions)[] = [...callOptionNames, "from", "to"];
const recheckMs = 5_000;

export function makeRef<TDefinition extends AnyAgentDefinition>(
  connection: Connection,
  address: Address,
  definition: TDefinition | undefined,
): AgentRef<TDefinition> {
  const ask = (body: Body, options: SendOptions, until?: "taken"): Promise<unknown> =>
    connection.ask(address, body, callLimitsOf(options, until), options.idempotencyKey);
  const read = async (limits: Limits): Promise<AgentState<TDefinition> | undefined> => {
    const state = await connection.readState(address, limits);
    return state === undefined ? undefined : stateOf(state);
  };
  const waitUntil = (isThere: (state: AgentState<TDefinition>) => boolean, options: CallOptions) =>
    waitForState(connection, address, read, isThere, options);
  return {
    address,
    start: async (...[input, options = {}]) => {
      checkOptions("start", options, callOptionNames);
      checkUserKey(parseAddress(address).key);
      checkData(input, { what: "input", code: "input.not-data", of: address });
      return { created: (await ask({ kind: "start", input }, options)) === true };
    },
    send: async (event, options = {}) => {
      checkOptions("send", options, [...sendOptionNames, "delay", "at"]);
      const body = { ...eventBody(definition, address, event), ...aheadOf(options) };
      return connection.send(address, body, callLimitsOf(options), options.idempotencyKey);
    },
    unsend: async (id, options = {}) => {
      checkOptions("unsend", options, callOptionNames);
      if (typeof id !== "string") throw optionError("what send gave is taken back by", id);
      return (await ask({ kind: "unsend", id }, options)) === true;
    },
    ask: async (event, options = {}) => {
      checkOptions("ask", options, sendOptionNames);
      return (await ask(eventBody(definition, address, event), options)) as never;
    },
    respond: async (name, value, options = {}) => {
      checkOptions("respond", options, sendOptionNames);
      const event = value === undefined ? { type: name } : { type: name, value };
      await ask(eventBody(definition, address, event), options, "taken");
    },
    read: async (options = {}) => {
      checkOptions("read", options, callOptionNames);
      return read(callLimitsOf(options));
    },
    waitFor: async (place, options = {}) => {
      checkOptions("waitFor", options, callOptionNames);
      checkPlace(definition, place);
      return waitUntil((state) => isAt(state, place), options);
    },
    result: async (options = {}) => {
      checkOptions("result", options, callOptionNames);
      const state = await waitUntil((one) => one.status !== "active", options);
      if (state.status === "done") return state.output as OutputOf<TDefinition>;
      throw endError(address, state);
    },
    history: (options = {}) => readHistory(connection, address, options),
    watch: (options = {}) => watch(connection, address, options),
    resume: async (options = {}) => {
      checkOptions("resume", options, [...callOptionNames, "skip"]);
      const skip: unknown = options.skip ?? false;
      if (typeof skip !== "boolean") throw optionError("skip is true or false", skip);
      return (await ask({ kind: "command", command: skip ? "skip" : "resume" }, options)) as Resumed;
    },
    cancel: async (options = {}) => {
      checkOptions("cancel", options, callOptionNames);
      await ask({ kind: "command", command: "cancel" }, options);
    },
    terminate: async (options = {}) => {
      checkOptions("terminate", options, callOptionNames);
      await ask({ kind: "command", command: "terminate" }, options);
    },
    remove: async (options = {}) => {
      checkOptions("remove", options, callOptionNames);
      await ask({ kind: "command", command: "remove" }, options);
    },
  };
}

async function* readHistory(
  connection: Connection,
  address: Address,
  options: HistoryOptions,
): AsyncGenerator<StepView> {
  checkOptions("history", options, historyOptionNames);
  const { from = 1, to = Infinity } = options;
  checkStepNumber("from", from);
  checkStepNumber("to", to);
  const within = connection.shared(limitsOf(options));
  for (let next = from; next <= to;) {
    const request = { what: "history", agent: address, from: next, to } as const;
    const steps = (await within((limits) => connection.read(address, request, limits))) as readonly StepView[];
    yield* steps;
    const newest = steps.at(-1);
    if (newest === undefined) return;
    next = newest.seq + 1;
  }
}

async function* watch(
  connection: Connection,
  address: Address,
  options: { readonly from?: number; readonly signal?: AbortSignal },
): AsyncGenerator<StepView> {
  checkOptions("watch", options, ["from", "signal"]);
  const { from = 1, signal } = options;
  const steps = new Steps(connection, address);
  let isKnown = false;
  let wasReached = false;
  try {
    for (let next = from; ;) {
      // Listened for before it is read: a step between the two is not missed.
      steps.listen();
      try {
        for await (const step of readHistory(connection, address, {
          from: next,
          ...(signal === undefined ? {} : { signal }),
        })) {
          next = step.seq + 1;
          yield step;
        }
        const state = await connection.readState(address, { signal, timeoutMs: undefined });
        wasReached = true;
        if (state !== undefined && state.status !== "active" && state.seq < next) return;
        isKnown ||= state !== undefined || next > from;
        // Of one that was not there yet, the first step is waited for.
        if (state === undefined && isKnown) return;
      } catch (error) {
        if (!wasReached || !isHostGone(error)) throw error;
      }
      await steps.next(signal);
    }
  } finally {
    steps.close();
  }
}

/** Hears of an agent's steps. */
class Steps {
  readonly #connection: Connection;
  readonly close: () => void;
  #isHeard = false;
  #wake: (() => void) | undefined;

  constructor(connection: Connection, address: Address) {
    this.#connection = connection;
    this.close = connection.onStep(address, () => {
      this.#isHeard = true;
      this.#wake?.();
    });
  }

  /** What was heard before does not count: it is about to be read. */
  listen(): void {
    this.#isHeard = false;
  }

  /** Resolves when a step was heard of since `listen`, or after a while: notices may be lost. */
  async next(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#isHeard) await this.#connection.pause(recheckMs, signal, (end) => (this.#wake = end));
  }
}

/** One that answered before: who waits for an agent waits over the time until another host takes it up. */
function isHostGone(error: unknown): boolean {
  return error instanceof DormouseError && error.code === "host.not-running";
}

function checkStepNumber(name: string, value: unknown): void {
  if (typeof value !== "number" || Number.isNaN(value)) throw optionError(`"${name}" is the number of a step`, value);
}

async function waitForState<TDefinition extends AnyAgentDefinition>(
  connection: Connection,
  address: Address,
  read: (limits: Limits) => Promise<AgentState<TDefinition> | undefined>,
  isThere: (state: AgentState<TDefinition>) => boolean,
  options: CallOptions,
): Promise<AgentState<TDefinition>> {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  options.signal?.addEventListener("abort", abort, { once: true });
  const steps = new Steps(connection, address);
  const wait = async (): Promise<AgentState<TDefinition>> => {
    for (let wasReached = false; ;) {
      steps.listen();
      const state = await read({ signal: controller.signal, timeoutMs: undefined }).catch((error: unknown) => {
        if (!wasReached || !isHostGone(error)) throw error;
        return undefined;
      });
      wasReached = true;
      if (state !== undefined && isThere(state)) return state;
      if (state !== undefined && state.status !== "active") throw endError(address, state);
      await steps.next(controller.signal);
    }
  };
  try {
    return await connection.within(wait(), limitsOf(options));
  } finally {
    steps.close();
    options.signal?.removeEventListener("abort", abort);
    controller.abort();
  }
}

export function limitsOf(options: CallOptions): Limits {
  return {
    signal: options.signal,
    timeoutMs: options.timeout === undefined ? undefined : parseDuration(options.timeout),
  };
}

/** Of a call that is over soon, if the servers are there. */
export function callLimitsOf({ signal, timeout }: CallOptions, until?: "taken"): AskLimits {
  const timeoutMs = timeout === undefined ? callMsDefault : parseDuration(timeout);
  return { signal, timeoutMs, ...(until === undefined ? {} : { until }) };
}

function aheadOf({ delay, at }: SendAhead): { readonly delayMs?: number; readonly due?: number } {
  if (delay !== undefined && at !== undefined) throw optionError("send takes delay or at, not both", at);
  if (delay !== undefined) return { delayMs: checkDate(parseDuration(delay), delay) };
  return at === undefined ? {} : { due: checkDate(Number(at), at) };
}

/** The last date there is: ECMA-262, section "Time Values and Time Range"; a length of time ends before it too. */
const dateMsMax = 8_640_000_000_000_000;

function checkDate(ms: number, given: unknown): number {
  if (ms >= 0 && ms <= dateMsMax / 2) return Math.ceil(ms);
  throw optionError("what is sent ahead is due at a date of the calendar", given);
}

/** Checked here too, so that a wrong event fails before it is sent; the host checks again and applies the schema. */
function eventBody(definition: AnyAgentDefinition | undefined, address: Address, event: EventData): Body {
  checkUserKey(parseAddress(address).key);
  const given: unknown = event;
  const type = typeof given === "object" && given !== null && "type" in given ? given.type : undefined;
  if (typeof type !== "string" || type === "") {
    throw new DormouseError("invalid", "event.type", `an event needs a type, a non-empty string: agent=${address}`);
  }
  if (event.type.startsWith("xstate.") && event.type !== "xstate.route") {
    throw new DormouseError(
      "invalid",
      "event.reserved",
      `events that begin with "xstate." are the machine's own; send one of another type: type=${event.type}`,
    );
  }
  checkData(event, { what: "event", code: "event.not-data", of: address });
  checkEventSchema(definition?.events, event);
  return { kind: "event", event };
}

function stateOf<TDefinition extends AnyAgentDefinition>(view: StateView): AgentState<TDefinition> {
  return { ...view, tags: new Set(view.tags) } as AgentState<TDefinition>;
}

function endError(address: Address, state: Pick<AgentState<AnyAgentDefinition>, "status" | "error">): Error {
  if (state.status === "error") {
    const data = state.error;
    if (data instanceof Error) return data;
    if (typeof data === "object" && data !== null && "message" in data) return decodeError(data as ErrorData);
  }
  return new DormouseError(
    "failed",
    "agent.ended",
    `the agent has ended and will not come there: agent=${address} status=${state.status}`,
  );
}
