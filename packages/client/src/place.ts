/** Places to wait for: what one may be, and whether a state is there. */
import { type AnyAgentDefinition, DormouseError } from "@dormouse/core/protocol";
import type { AgentState, PlaceOf } from "./handle.ts";

/** What of a machine's states tells where an agent can come to. */
interface StateNode {
  readonly tags: readonly string[];
  readonly states: { readonly [name: string]: StateNode };
}

/**
 * Refuses a place that is none, and one that the machine does not have: who waits for it would wait for ever.
 *
 * @param definition - `undefined` if only the agent type's name is known, and any name may be a state.
 * @throws DormouseError `invalid` (`place.invalid`).
 */
export function checkPlace(definition: AnyAgentDefinition | undefined, place: unknown): void {
  if (typeof place === "function") return;
  const root = (definition?.logic as { readonly root?: StateNode } | undefined)?.root;
  if (!isTag(place)) checkStates(root, place, "");
  else if (typeof place.tag !== "string") throw placeError("a tag is a string", place.tag);
  else if (root !== undefined) checkKnown("tag", [...new Set(tagsOf(root))], place.tag, "");
}

/** Whether an agent in this state is at that place. */
export function isAt<TDefinition extends AnyAgentDefinition>(
  state: AgentState<TDefinition>,
  place: PlaceOf<TDefinition>,
): boolean {
  if (typeof place !== "function")
    return isTag(place) ? state.tags.has(String(place.tag)) : matches(place, state.value);
  const isThere: unknown = (place as (state: AgentState<TDefinition>) => boolean)(state);
  if (isThere instanceof Promise) throw placeError("a predicate answers at once, and not with a promise", isThere);
  return Boolean(isThere);
}

function isTag(place: unknown): place is { readonly tag: unknown } {
  return typeof place === "object" && place !== null && "tag" in place;
}

/** @param within - The state that they are states of, `outer.inner`; empty for the machine's own. */
function checkStates(node: StateNode | undefined, place: unknown, within: string): void {
  if (typeof place === "string") {
    if (node !== undefined) checkKnown("state", Object.keys(node.states), place, within);
    return;
  }
  if (typeof place !== "object" || place === null)
    throw placeError("a place is a state, { tag } or a predicate", place);
  for (const [name, inner] of Object.entries(place)) {
    checkStates(node, name, within);
    checkStates(node?.states[name], inner, `${within}${name}.`);
  }
}

function checkKnown(what: "state" | "tag", known: readonly string[], name: string, within: string): void {
  if (known.includes(name)) return;
  const there = known.length === 0 ? "has none" : `has ${known.join(", ")}`;
  const where = within === "" ? "the machine" : within.slice(0, -1);
  throw placeError(`there is no such ${what}, so no agent ever comes there; ${where} ${there}`, name);
}

function tagsOf(node: StateNode): readonly string[] {
  return [...node.tags, ...Object.values(node.states).flatMap(tagsOf)];
}

function placeError(what: string, place: unknown): DormouseError {
  const given = typeof place === "string" ? place : Object.prototype.toString.call(place);
  return new DormouseError("invalid", "place.invalid", `${what}: place=${given}`);
}

/** Whether a state value lies within another, as XState's `snapshot.matches` has it. */
function matches(place: unknown, value: unknown): boolean {
  if (typeof place === "string") {
    return value === place || (typeof value === "object" && value !== null && place in value);
  }
  if (typeof place !== "object" || place === null || typeof value !== "object" || value === null) return false;
  return Object.entries(place).every(([key, inner]) => matches(inner, (value as Record<string, unknown>)[key]));
}
