/** The line cannot be right, whatever the agents are. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}
