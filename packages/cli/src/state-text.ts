/** An XState state value as a person writes it: the active states, inner ones after a dot. */

import { oneLine } from "./output.ts";

/** The active states, `outer.inner`, of parallel ones each; empty for a machine without states. */
export function stateText(value: unknown): string {
  return oneLine(leaves(value).join(", "));
}

/** Whether `path` is among the active states, or around one. */
export function isInState(value: unknown, path: string): boolean {
  return leaves(value).some((leaf) => leaf === path || leaf.startsWith(`${path}.`));
}

function leaves(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([state, within]) => {
    const inner = leaves(within);
    return inner.length === 0 ? [state] : inner.map((leaf) => `${state}.${leaf}`);
  });
}
