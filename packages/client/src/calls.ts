/** Calls of one client that wait: each ends once, by its outcome, its caller's limits, or the client's end. */
import { DormouseError } from "@dormouse/core/protocol";
import type { Clock } from "@dormouse/core/ports";

export interface Limits {
  readonly signal: AbortSignal | undefined;
  /** From now, in milliseconds; `undefined`: as long as it takes. */
  readonly timeoutMs: number | undefined;
  /** What the caller gave, where `timeoutMs` is what is left of it. */
  readonly wholeMs?: number | undefined;
}

/** One call under way. */
export interface Call<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
  /** What it fails with when its time is over. */
  timedOut: (timeoutMs: number) => DormouseError;
  /** Called when it has ended, however it did. */
  onEnd: (() => void) | undefined;
}

export class Calls {
  readonly #clock: Clock;
  readonly #open = new Set<(error: DormouseError) => void>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends every call with `client.closed`. */
  close(): void {
    this.#isClosed = true;
    for (const end of this.#open) end(closedError());
  }

  /** Runs `begin`, and waits until it resolves or rejects its call, within the caller's limits. */
  run<T>({ signal, timeoutMs, wholeMs = timeoutMs }: Limits, begin: (call: Call<T>) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#isClosed || signal?.aborted === true) {
        reject(this.#isClosed ? closedError() : abortedError());
        return;
      }
      const end = (): boolean => {
        if (!this.#open.delete(fail)) return false;
        cancel?.();
        signal?.removeEventListener("abort", aborted);
        call.onEnd?.();
        return true;
      };
      const fail = (error: Error): void => {
        if (end()) reject(error);
      };
      const aborted = (): void => fail(abortedError());
      const call: Call<T> = {
        resolve: (value) => {
          if (end()) resolve(value);
        },
        reject: fail,
        timedOut: waitError,
        onEnd: undefined,
      };
      const expired = (): void => fail(call.timedOut(wholeMs ?? 0));
      const cancel = timeoutMs === undefined ? undefined : this.#clock.schedule(timeoutMs, expired);
      this.#open.add(fail);
      signal?.addEventListener("abort", aborted, { once: true });
      begin(call);
    });
  }

  /** Waits for a promise within limits. */
  within<T>(promise: Promise<T>, limits: Limits): Promise<T> {
    return this.run(limits, ({ resolve, reject }) => {
      promise.then(resolve, (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))));
    });
  }

  /** For a call of many waits: each gets what is left of its time. What its caller does between them takes none. */
  shared({ signal, timeoutMs }: Limits): <T>(wait: (limits: Limits) => Promise<T>) => Promise<T> {
    let leftMs = timeoutMs;
    return async (wait) => {
      const begunAt = this.#clock.monotonic();
      const value = await wait({ signal, timeoutMs: leftMs, wholeMs: timeoutMs });
      if (leftMs !== undefined) leftMs = Math.max(0, leftMs - (this.#clock.monotonic() - begunAt));
      return value;
    };
  }

  /** @param begun - Told how to end the pause sooner. */
  pause(delayMs: number, signal: AbortSignal | undefined, begun?: (end: () => void) => void): Promise<void> {
    return this.run({ signal, timeoutMs: undefined }, (call) => {
      call.onEnd = this.#clock.schedule(delayMs, () => call.resolve());
      begun?.(() => call.resolve());
    });
  }
}

function closedError(): DormouseError {
  return new DormouseError("closed", "client.closed", "this client was closed; connect again");
}

function abortedError(): DormouseError {
  return new DormouseError("closed", "call.aborted", "the caller's signal ended the wait; what was sent may be there");
}

/** Of a call that sends nothing. */
function waitError(timeoutMs: number): DormouseError {
  return timeoutError("the time to wait is over; nothing was sent, so wait again, or longer", timeoutMs, undefined);
}

/** @param last - What the last try came to, if it came to something. */
export function timeoutError(what: string, timeoutMs: number, last: DormouseError | undefined): DormouseError {
  const message = `${what}: timeoutMs=${timeoutMs}`;
  if (last === undefined) return new DormouseError("timeout", "call.timeout", message);
  const why = `${message}; the last try came to ${last.code}: ${last.message}`;
  return new DormouseError("timeout", "call.timeout", why, { cause: last });
}
