/** How often, and when, work that failed is tried again: the policy, and the errors that overrule it. */
import { type Duration, parseDuration } from "./duration.ts";
import { DormouseError } from "./errors.ts";
import { checkOptions, optionError } from "./options.ts";

/** How work that fails is repeated. Attempts and the waits between them are durable. */
export interface RetryPolicy {
  /** Attempts in all, the first included; `Infinity` is allowed. Default 10. */
  readonly maxAttempts?: number;
  /** The wait after the first attempt. Default 1 s. */
  readonly initialInterval?: Duration;
  /** Each wait is so many times as long as the one before. Default 2. */
  readonly backoff?: number;
  /** A wait at most. Default 5 min, or `initialInterval` where that is longer. */
  readonly maxInterval?: Duration;
  /** What part of a wait is drawn at random, 0 to 1: many that failed at once do not come back at once. Default 0.2. */
  readonly jitter?: number;
  /** How long one attempt may take; then its signal is aborted, and it has failed. Default: as long as it takes. */
  readonly timeout?: Duration;
}

export interface ResolvedRetry {
  readonly maxAttempts: number;
  readonly initialMs: number;
  readonly backoff: number;
  readonly maxMs: number;
  readonly jitter: number;
  readonly timeoutMs: number | undefined;
}

const maxMsDefault = 300_000;
const names = ["maxAttempts", "initialInterval", "backoff", "maxInterval", "jitter", "timeout"];

/** @throws DormouseError `invalid` (`option.invalid`, `duration.invalid`) for a policy that makes no sense. */
export function resolveRetry(policy: RetryPolicy = {}, maxAttemptsDefault: number = 10): ResolvedRetry {
  checkOptions("retry", policy, names);
  const { maxAttempts = maxAttemptsDefault, backoff = 2, jitter = 0.2 } = policy;
  const { initialInterval = "1s", timeout } = policy;
  if (maxAttempts !== Infinity && !(Number.isSafeInteger(maxAttempts) && maxAttempts >= 1)) {
    throw optionError("retry.maxAttempts is a whole number from 1 on, or Infinity", maxAttempts);
  }
  if (!(Number.isFinite(backoff) && backoff >= 1)) throw optionError("retry.backoff is a number from 1 on", backoff);
  if (!(jitter >= 0 && jitter <= 1)) throw optionError("retry.jitter is a number from 0 to 1", jitter);
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout);
  if (timeoutMs === 0) throw optionError("retry.timeout is longer than nothing", timeout);
  const initialMs = parseDuration(initialInterval);
  const maxMs =
    policy.maxInterval === undefined ? Math.max(initialMs, maxMsDefault) : parseDuration(policy.maxInterval);
  if (maxMs < initialMs) throw optionError("retry.maxInterval is no shorter than retry.initialInterval", maxMs);
  return { maxAttempts, initialMs, backoff, maxMs, jitter, timeoutMs };
}

/**
 * How long to wait after an attempt that failed, in milliseconds; `undefined` if it was the last.
 *
 * @param attempt - The one that failed, from 1 on.
 * @param random - From 0 to 1.
 */
export function retryDelay(retry: ResolvedRetry, attempt: number, error: unknown, random: number): number | undefined {
  if (isTerminal(error) || attempt >= retry.maxAttempts) return undefined;
  if (error instanceof RetryAfter) return error.delayMs;
  const wholeMs = Math.min(retry.maxMs, retry.initialMs * retry.backoff ** Math.min(attempt - 1, 1_000));
  return Math.ceil(wholeMs * (1 - retry.jitter * random));
}

/** One that a call has failed with comes back from the record, or from another agent, as a plain error of that name. */
function isTerminal(error: unknown): boolean {
  return error instanceof TerminalError || (error instanceof Error && error.name === "TerminalError");
}

/**
 * Thrown inside an effect or `run`: no further attempt, whatever the policy.
 *
 * @example
 * ```ts
 * if (response.status === 404) throw new TerminalError(`no such page: ${url}`);
 * ```
 */
export class TerminalError extends Error {
  override readonly name: string = "TerminalError";
}

/**
 * Thrown inside an effect or `run`: the next attempt is made after so long, instead of after the policy's wait. It counts as
 * an attempt.
 *
 * @example
 * ```ts
 * if (response.status === 429) throw new RetryAfter(Number(response.headers.get("retry-after")) * 1_000);
 * ```
 */
export class RetryAfter extends Error {
  override readonly name: string = "RetryAfter";
  readonly delayMs: number;

  /** @throws DormouseError `invalid` (`duration.invalid`). */
  constructor(delay: Duration, options?: { readonly cause?: unknown }) {
    const delayMs = parseDuration(delay);
    super(`try again after ${delayMs} ms`, options);
    this.delayMs = delayMs;
  }
}

/** What an attempt that took too long fails with. */
export function attemptTimeout(name: string, timeoutMs: number): DormouseError {
  return new DormouseError(
    "timeout",
    "effect.timeout",
    `an attempt took longer than its policy lets it; its signal was aborted: name=${name} timeoutMs=${timeoutMs}`,
  );
}
