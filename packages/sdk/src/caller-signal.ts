/** A caller's signal, for as long as what it ends is there. */

/** Calls `end` when the signal is aborted, at once if it is; returns how to let go of the signal. */
export function onAbort(signal: AbortSignal | undefined, end: () => Promise<void>): () => void {
  const aborted = (): void => void end().catch(() => undefined);
  if (signal?.aborted === true) aborted();
  else signal?.addEventListener("abort", aborted, { once: true });
  return () => signal?.removeEventListener("abort", aborted);
}
