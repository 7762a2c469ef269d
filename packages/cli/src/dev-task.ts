/** What `dev` tells the process that it starts, and what that process's end says. */

export interface HostTask {
  /** The absolute path. */
  readonly module: string;
  readonly store: string | undefined;
  readonly app: string | undefined;
  readonly isJson: boolean;
}

/** The module cannot be run as it is: a change may mend it. */
export const exitModuleUnfit = 1;
/** The store cannot be used: no change of the module would help. */
export const exitStoreUnfit = 3;
