/** When a host has become ready: it says so itself only when it is asked. */
import type { HostStatus } from "@dormouse/sdk";

/** Other hosts hand over, and nobody tells when the last one has. */
const readyLookMs = 250;

/** Calls `ready` once, at once or when the host has become so; ends with what it gives. */
export function whenReady(status: () => Pick<HostStatus, "isReady">, ready: () => void): () => void {
  const look = (): void => {
    if (!status().isReady) return;
    clearInterval(timer);
    ready();
  };
  const timer = setInterval(look, readyLookMs);
  look();
  return () => clearInterval(timer);
}
