/** A call that ends in time. */
import type { Clock } from "@dormouse/core/ports";

export interface Deadline {
  /** Aborted when the time is over. */
  readonly signal: AbortSignal;
  /** Counts anew from now. */
  restart(ms: number): void;
}

/** Runs `call` until it ends or its time is over; does not wait for one that does not heed the signal. */
export async function within<T>(
  clock: Pick<Clock, "schedule">,
  ms: number,
  call: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { promise: passed, reject } = Promise.withResolvers<never>();
  const expire = (): void => {
    const error = new DOMException("no answer in time", "TimeoutError");
    controller.abort(error);
    reject(error);
  };
  let cancel = clock.schedule(ms, expire);
  const restart = (nextMs: number): void => {
    cancel();
    if (!controller.signal.aborted) cancel = clock.schedule(nextMs, expire);
  };
  try {
    return await Promise.race([call({ signal: controller.signal, restart }), passed]);
  } finally {
    cancel();
  }
}
