/** What `dev` tells the process that it starts, and what that process's end says. */
import type { Given } from "@dormouse/sdk/operate";

export interface HostTask {
  /** The absolute path. */
  readonly module: string;
  /** What the line says of where agents live; what the environment says, the process finds in its own. */
  readonly placeFlags: Given;
  readonly isJson: boolean;
}

/** The module cannot be run as it is: a change may mend it. */
export const exitModuleUnfit = 1;
/** The store cannot be used: no change of the module would help. */
export const exitStoreUnfit = 3;
