/** What runs one server and can end it and begin it again with what it had stored: a child process, or a container. */
export interface Runner {
  /** `undefined` while it does not run. */
  readonly pid: number | undefined;
  readonly isRunning: boolean;
  /** The last of what it printed, for errors. */
  readonly output: string;
  /** Resolves when it was begun, ready or not. Nothing happens when it runs. */
  start(): Promise<void>;
  /** Resolves when it has ended. Nothing happens when it does not run. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Ends it, and removes what it had stored. */
  close(): Promise<void>;
}
