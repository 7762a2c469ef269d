/** Hosts of this process that nobody else ends: drained when the process is told to end by SIGINT or SIGTERM. */

const signals = ["SIGINT", "SIGTERM"] as const;
const drains = new Set<() => Promise<void>>();

/** Until what this returns is called. */
export function drainOnSignals(drain: () => Promise<void>): () => void {
  if (drains.size === 0) for (const signal of signals) process.on(signal, drainAll);
  drains.add(drain);
  return () => {
    drains.delete(drain);
    if (drains.size === 0) stopListening();
  };
}

function drainAll(signal: NodeJS.Signals): void {
  void drainFor(signal);
}

async function drainFor(signal: NodeJS.Signals): Promise<void> {
  // Who is told a second time ends at once.
  stopListening();
  await Promise.allSettled([...drains].map((drain) => drain()));
  // As it would have ended without us, unless someone else sees to that.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function stopListening(): void {
  for (const signal of signals) process.off(signal, drainAll);
}
