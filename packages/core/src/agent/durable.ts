/**
 * `durable(…)` and `checkpoint(…)`: ordinary asynchronous functions in which some calls are marked, and done once.
 *
 * Owns: their types, and which durable function the code that runs now belongs to.
 * Leaves to others: how one is run and recorded (`runtime/release/durable.ts`, `step/durable.ts`).
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { fromPromise, type PromiseActorLogic } from "xstate";
import type { AnyAgentDefinition, Asked, EventOf, EventOfType, InputOf, OutputOf, ReplyTo } from "./definition.ts";
import { type Duration, parseDuration } from "./duration.ts";
import { DormouseError } from "./errors.ts";
import { checkOptions, optionError } from "./options.ts";
import { type ResolvedRetry, resolveRetry, type RetryPolicy } from "./retry.ts";

/** What one attempt at a `run` is told. */
export interface RunCall {
  /** Aborted when the attempt takes too long, or nobody wants its result any more. */
  readonly signal: AbortSignal;
  /** From 1 on; attempts that a crash cut short are not counted. */
  readonly attempt: number;
  /** The same for every attempt at this call, and no other's: for services that take a request once. */
  readonly idempotencyKey: string;
}

export interface RunOptions<TResult = unknown> {
  /** Default: ten attempts, after 1 s, 2 s, 4 s and so on, 5 min at most. */
  readonly retry?: RetryPolicy;
  /** What the history shows as this call's input. Default: nothing. */
  readonly input?: unknown;
  /** What the call used, such as tokens and cost, as the history tells it. Default: the result's own field `usage`. */
  readonly usage?: (result: TResult) => unknown;
}

export interface ReceiveOptions<S extends StandardSchemaV1 = StandardSchemaV1> {
  /** Checks the value, and may change it; one that fails is refused, and the wait goes on. Default: any value. */
  readonly schema?: S;
  /** After so long the call rejects with an error of kind `timeout`. Default: it waits for ever. */
  readonly timeout?: Duration;
  /** What a person is asked, for those who list waits. At most 4,096 characters. */
  readonly question?: string;
}

/** The value to come; `token` names this one wait to whoever may answer it. */
export interface Received<T> extends Promise<T> {
  /** Stable and unguessable: for `client.respond(token, value)`. It dies with the wait. */
  readonly token: string;
}

/** What a durable function has beside its input. Each call that is awaited here is done once, whatever crashes. */
export interface DurableContext<TInput = undefined> {
  readonly input: TInput;
  /**
   * Does `fn` and records what it gives before going on; a call that was recorded is never done again (D7). An attempt that
   * throws is repeated by the policy; the last one's error is thrown here, as it was recorded: name, message, code, cause.
   *
   * @param name - Calls are known by name and order, not by what they are given: one word for what is done.
   * @throws DormouseError `invalid` (`checkpoint.not-data`, `checkpoint.too-large`); `timeout` (`effect.timeout`).
   */
  readonly run: <TResult>(
    name: string,
    fn: (call: RunCall) => TResult | PromiseLike<TResult>,
    options?: RunOptions<Awaited<TResult>>,
  ) => Promise<Awaited<TResult>>;
  /** Waits, for days if need be; a wait holds no process. @throws DormouseError `invalid` (`duration.invalid`). */
  readonly sleep: (duration: Duration) => Promise<void>;
  /** The same, until a date or so many milliseconds since 1970. */
  readonly sleepUntil: (date: Date | number) => Promise<void>;
  /**
   * The value of the next event `{ type: name, value }`. Events that come before are kept, 1,000 of them.
   *
   * @throws DormouseError `timeout` (`receive.timeout`).
   */
  readonly receive: {
    <S extends StandardSchemaV1>(
      name: string,
      options: ReceiveOptions<S> & { readonly schema: S },
    ): Received<StandardSchemaV1.InferOutput<S>>;
    (name: string, options?: ReceiveOptions): Received<unknown>;
  };
  /** Sends to another agent, once; resolves when it is durable that it will be. */
  readonly send: <TDefinition extends AnyAgentDefinition, TType extends EventOf<TDefinition>["type"]>(
    definition: TDefinition,
    key: string,
    event: { type: TType } & EventOfType<EventOf<TDefinition>, TType>,
  ) => Promise<void>;
  /**
   * Asks another agent, once; its answer is recorded.
   *
   * @param options - `timeout`: default 30 s.
   * @throws DormouseError `timeout` (`ask.timeout`), or the error that was the answer.
   */
  readonly ask: <TDefinition extends AnyAgentDefinition, TType extends Asked<EventOf<TDefinition>>["type"]>(
    definition: TDefinition,
    key: string,
    event: { type: TType } & EventOfType<EventOf<TDefinition>, TType>,
    options?: { readonly timeout?: Duration },
  ) => Promise<ReplyTo<EventOf<TDefinition>, TType>>;
  /**
   * Begins an agent of its own, a child of this one, and waits for its output; it is stopped when this function ends first.
   *
   * @throws What the child ended with.
   */
  readonly spawn: <TDefinition extends AnyAgentDefinition>(
    definition: TDefinition,
    ...args: undefined extends InputOf<TDefinition> ? [input?: InputOf<TDefinition>] : [input: InputOf<TDefinition>]
  ) => Promise<OutputOf<TDefinition>>;
  /** Ends this run of the function and begins another on `input`, with nothing recorded: for loops without end. */
  readonly restart: (input: TInput) => Promise<never>;
  /**
   * Aborted when the agent is cancelled, or nobody wants the function's result any more. When it is cancelled, what the function
   * waits for ends with an error of kind `closed` (`agent.cancelled`), or else the next wait that it begins, unless a call has
   * failed since or it has found this aborted; it may catch that, undo what must be undone, and has `cancelTimeout` for it.
   */
  readonly signal: AbortSignal;
  /** Of the function, from 1 on: each re-run over its checkpoints is one. */
  readonly attempt: number;
  /** Of the function: the same for every attempt. */
  readonly idempotencyKey: string;
  /** The time of the last recorded result, in milliseconds since 1970: the same in every re-run. */
  readonly now: () => number;
  /** From 0 to 1; the same in every re-run. */
  readonly random: () => number;
  /** Version 4; the same in every re-run. */
  readonly uuid: () => string;
  /** A line for whoever watches the agent, once. */
  readonly log: (message: string, fields?: { readonly [name: string]: unknown }) => void;
}

declare const kept: unique symbol;

/** An actor of a machine, or an agent of its own: `agent("triage", { run })`. */
export interface DurableLogic<TOutput, TInput> extends PromiseActorLogic<TOutput, TInput> {
  readonly [kept]: "DurableLogic";
}

/** What `durable` was given. */
export interface DurableFunction {
  readonly fn: (context: DurableContext<unknown>) => Promise<unknown>;
  readonly input: StandardSchemaV1 | undefined;
  readonly retry: ResolvedRetry;
  readonly cancelMs: number;
  readonly bound: { readonly of: object; readonly most: number } | undefined;
}

export const cancelMsDefault = 30_000;

export interface DurableOptions {
  /** Of the function itself, when it throws: it is run again over its checkpoints. Without `timeout`. Default: one attempt. */
  readonly retry?: RetryPolicy;
  /** How many of this function run at once on one host; those that wait do not count. Default: as many as effects may. */
  readonly concurrency?: number;
  /** How long it may go on once its agent is cancelled, to undo what must be undone. Default 30 s. */
  readonly cancelTimeout?: Duration;
}

/** Of a function that only ever begins anew, with `restart`: none. */
export type DurableOutput<TOutput> = [TOutput] extends [never] ? undefined : TOutput;

/**
 * A durable function: an actor of a machine (`invoke: { src: "research" }`), or an agent of its own. Its input's type is that of
 * the annotation (`DurableContext<{ topic: string }>`), or of the schema.
 *
 * After a crash or a long wait it is run again from the top, and each marked call that was recorded gives what it gave. Code
 * between marked calls runs again: it should only compute.
 *
 * @throws DormouseError `invalid` (`option.invalid`, `duration.invalid`).
 * @example
 * ```ts
 * import type { DurableContext } from "@dormouse/sdk";
 *
 * const research = durable(async ({ input, run, receive }: DurableContext<{ topic: string }>) => {
 *   const draft = await run("draft", () => write(input.topic));
 *   const ok = await receive("approval", { schema: z.boolean(), timeout: "7d" });
 *   return ok ? draft : undefined;
 * });
 * ```
 * @see DESIGN.md, section 10
 */
export function durable<S extends StandardSchemaV1, TOutput>(
  options: DurableOptions & { readonly input: S },
  fn: (context: DurableContext<StandardSchemaV1.InferOutput<S>>) => Promise<TOutput>,
): DurableLogic<DurableOutput<TOutput>, StandardSchemaV1.InferOutput<S>>;
export function durable<TOutput, TInput = undefined>(
  fn: (context: DurableContext<TInput>) => Promise<TOutput>,
  options?: DurableOptions,
): DurableLogic<DurableOutput<TOutput>, TInput>;
export function durable(first: unknown, second?: unknown): DurableLogic<unknown, unknown> {
  const isBare = typeof first === "function";
  const fn = isBare ? first : second;
  const options = ((isBare ? second : first) ?? {}) as DurableOptions & { readonly input?: StandardSchemaV1 };
  checkOptions("durable", options, ["retry", "concurrency", "cancelTimeout", ...(isBare ? [] : ["input"])]);
  if (typeof fn !== "function") throw optionError("durable takes an asynchronous function", fn);
  if (options.retry?.timeout !== undefined) {
    throw optionError(
      "a function's waits would count as its time, so it has no retry.timeout; a run in it has",
      options.retry,
    );
  }
  const { concurrency } = options;
  if (concurrency !== undefined && !(Number.isSafeInteger(concurrency) && concurrency >= 1)) {
    throw optionError("concurrency is a whole number from 1 on", concurrency);
  }
  const logic = fromPromise(() => Promise.reject(outsideError())) as unknown as DurableLogic<unknown, unknown>;
  functions.set(logic, {
    fn: fn as DurableFunction["fn"],
    input: options.input,
    retry: resolveRetry(options.retry, 1),
    bound: concurrency === undefined ? undefined : { of: logic, most: concurrency },
    cancelMs: options.cancelTimeout === undefined ? cancelMsDefault : parseDuration(options.cancelTimeout),
  });
  return logic;
}

const functions = new WeakMap<object, DurableFunction>();

/** The durable function behind an actor's logic; `undefined` if it is another actor. */
export function durableOf(logic: unknown): DurableFunction | undefined {
  return typeof logic === "object" && logic !== null ? functions.get(logic) : undefined;
}

function outsideError(): DormouseError {
  return new DormouseError(
    "invalid",
    "durable.no-host",
    "a durable function runs on a host; start one with startHost({ agents }), or testRuntime({ agents }) in a test",
  );
}

// --------------------------------------------------------------------------------------------------------- checkpoint

/** What the code under way runs in: a durable function, whose marked calls are recorded, or a call that is. */
export interface DurableScope {
  /** Records what `fn` gives. */
  readonly run: DurableContext["run"];
  /** The attempt under way, inside a call that is recorded. */
  readonly call?: RunCall;
}

const scopes = new AsyncLocalStorage<DurableScope | undefined>();

/** Runs `fn`; marked calls in it, however deep, are the scope's, or plain calls without one. */
export function inScope<T>(scope: DurableScope | undefined, fn: () => T): T {
  return scopes.run(scope, fn);
}

/** The durable function whose code calls this, unless from inside a call that is recorded. */
export function currentScope(): DurableScope | undefined {
  return scopes.getStore();
}

/**
 * What the attempt under way is told, as `run` tells it: for a function marked by `checkpoint`, which gets its own arguments alone.
 *
 * @returns Of the outermost marked call; `undefined` outside of durable functions, and between their calls.
 * @example
 * ```ts
 * const fetchPage = checkpoint("fetch-page", async (url: string) => {
 *   const response = await fetch(url, { signal: currentCall()?.signal ?? null });
 *   return response.text();
 * });
 * ```
 */
export function currentCall(): RunCall | undefined {
  return currentScope()?.call;
}

export interface CheckpointOptions {
  /** As of `run`. */
  readonly retry?: RetryPolicy;
}

/** A marked function: an asynchronous one keeps its type exactly, a synchronous one becomes asynchronous. */
export type Checkpointed<F extends (...args: never) => unknown> =
  ReturnType<F> extends PromiseLike<unknown> ? F : (...args: Parameters<F>) => Promise<Awaited<ReturnType<F>>>;

/**
 * Marks a function: called inside a durable function, however deep, its result is recorded and it is not done again; called
 * elsewhere, it runs plainly. Inside another marked call it runs plainly too: the outermost is the boundary.
 *
 * As a decorator of a method that returns a promise, the name defaults to the method's.
 *
 * @param name - Calls are known by name and order.
 * @throws DormouseError `invalid` (`option.invalid`, `duration.invalid`).
 * @example
 * ```ts
 * const fetchPage = checkpoint("fetch-page", async (url: string) => (await fetch(url)).text());
 * ```
 */
export function checkpoint<F extends (...args: never) => unknown>(
  name: string,
  fn: F,
  options?: CheckpointOptions,
): Checkpointed<F>;
export function checkpoint(
  name?: string,
  options?: CheckpointOptions,
): <TThis, TArgs extends readonly unknown[], TResult>(
  method: (this: TThis, ...args: TArgs) => Promise<TResult>,
  context: ClassMethodDecoratorContext<TThis>,
) => (this: TThis, ...args: TArgs) => Promise<TResult>;
export function checkpoint(name?: string, second?: unknown, third?: CheckpointOptions): unknown {
  if (typeof second === "function") return marked(checkCallName(name), second as Plain, third);
  const options = (second ?? {}) as CheckpointOptions;
  return (method: Plain, { name: own }: ClassMethodDecoratorContext) =>
    marked(checkCallName(name ?? String(own)), method, options);
}

type Plain = (this: unknown, ...args: unknown[]) => unknown;

function marked(name: string, fn: Plain, options: CheckpointOptions = {}): Plain {
  checkOptions("checkpoint", options, ["retry"]);
  resolveRetry(options.retry);
  return function checkpointed(this: unknown, ...args: unknown[]): unknown {
    const scope = currentScope();
    if (scope === undefined) return runPlainly(() => fn.apply(this, args));
    return scope.run(name, () => fn.apply(this, args), { ...options, input: args });
  };
}

async function runPlainly(fn: () => unknown): Promise<unknown> {
  return fn();
}

/** @throws DormouseError `invalid` (`option.invalid`). */
export function checkCallName(name: unknown): string {
  const isText = typeof name === "string" && name !== "" && name.length <= callNameCharactersMax;
  // Half a surrogate pair would come back from the store as another name.
  if (isText && name.isWellFormed()) return name;
  throw optionError(`a call's name is a text of 1 to ${callNameCharactersMax} characters of Unicode`, name);
}

const callNameCharactersMax = 256;
