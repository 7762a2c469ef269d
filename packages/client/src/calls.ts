/** Calls of one client that wait: each ends once, by its outcome, its caller's limits, or the client's end. */
import { DormouseError } from "@dormouse/core/protocol";
import type { Clock } from "@dormouse/core/ports";

export interface Limits {
  readonly signal: AbortSignal | undefined;
  /** From now, in milliseconds; `undefined`: as long as it takes. */
  readonly timeoutMs: number | undefined;
}

/** One call under way. */
export interface Call<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
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
  run<T>({ signal, timeoutMs }: Limits, begin: (call: Call<T>) => void): Promise<T> {
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
        onEnd: undefined,
      };
      const cancel =
        timeoutMs === undefined ? undefined : this.#clock.schedule(timeoutMs, () => fail(timeoutError(timeoutMs)));
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
  return new DormouseError("closed", "call.aborted", "the caller's signal ended the wait; the message may be there");
}

function timeoutError(timeoutMs: number): DormouseError {
  return new DormouseError(
    "timeout",
    "call.timeout",
    `no answer in time; the work may go on: call again with the same idempotency key: timeoutMs=${timeoutMs}`,
  );
}
