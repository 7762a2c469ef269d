/** What is said of a host that is not there yet. */
import type { HostStatus } from "@dormouse/sdk";

export function starting(name: string): HostStatus {
  return {
    state: "starting",
    incarnation: "",
    name,
    isReady: false,
    reason: "the host is starting",
    partitions: { owned: 0, wanted: 0, total: 0 },
    agents: 0,
    effects: 0,
    quarantined: 0,
    shelved: 0,
  };
}
