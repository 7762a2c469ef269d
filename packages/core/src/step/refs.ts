/** Actor references become values: what a step leaves in context or sends away holds `AgentRef`s, never live actors. */
import { fullAddress } from "../agent/address.ts";
import { AgentRef } from "../agent/agent-ref.ts";
import { valueDepthMax } from "../agent/limits.ts";

/** The reference that stands for a live actor object; `undefined` for any other object. */
export type RefOf = (object: object) => AgentRef | undefined;

/**
 * `value` with its actors replaced, copied only along the paths that lead to one. What is the same object as in
 * `before`, at the same place, is not walked: it was cleaned when it was made.
 */
export function replaceRefs<T>(value: T, before: unknown, refOf: RefOf): T {
  if (typeof value !== "object" || value === null || value === before) return value;
  return new Replacing(refOf).replace(value, before, 0) as T;
}

/** The same for a value that goes to another app: references of this one name it, so that they mean the same there. */
export function qualifyRefs<T>(value: T, app: string): T {
  const qualify = (ref: AgentRef): AgentRef => {
    if (ref.sessionId.startsWith("/")) return ref;
    const full = fullAddress(app, ref.sessionId);
    return new AgentRef(full, ref.id === ref.sessionId ? full : ref.id);
  };
  return new Replacing(() => undefined, qualify).replace(value, undefined, 0) as T;
}

class Replacing {
  readonly #refOf: RefOf;
  readonly #ofRef: (ref: AgentRef) => AgentRef;
  /** What was met, and what it became: shared parts stay shared, and a cycle ends (the check of data refuses it later). */
  readonly #met = new Map<object, unknown>();

  /** @param ofRef - What becomes of a reference that is one already. */
  constructor(refOf: RefOf, ofRef: (ref: AgentRef) => AgentRef = (ref) => ref) {
    this.#refOf = refOf;
    this.#ofRef = ofRef;
  }

  replace(value: unknown, before: unknown, depth: number): unknown {
    if (typeof value !== "object" || value === null || value === before) return value;
    if (value instanceof AgentRef) return this.#ofRef(value);
    if (depth > valueDepthMax) return value;
    if (this.#met.has(value)) return this.#met.get(value);
    this.#met.set(value, value);
    const replaced = this.#replaceIn(value, before, depth + 1);
    if (replaced !== value) this.#met.set(value, replaced);
    return replaced;
  }

  #replaceIn(value: object, before: unknown, depth: number): unknown {
    if (Array.isArray(value)) return this.#inArray(value, before, depth);
    if (value instanceof Map) return this.#inMap(value, before, depth);
    if (value instanceof Set) return this.#inSet(value, depth);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return this.#inObject(value as Fields, before, depth);
    return this.#refOf(value) ?? value;
  }

  #inObject(value: Fields, before: unknown, depth: number): Fields {
    const beforeFields = (typeof before === "object" && before !== null ? before : {}) as Fields;
    let copy: Fields | undefined;
    for (const key of Object.keys(value)) {
      const held = value[key];
      if (typeof held !== "object" || held === null) continue;
      const replaced = this.replace(held, beforeFields[key], depth);
      if (replaced === held) continue;
      copy ??= { ...value };
      copy[key] = replaced;
    }
    return copy ?? value;
  }

  #inArray(value: readonly unknown[], before: unknown, depth: number): readonly unknown[] {
    const beforeItems: readonly unknown[] = Array.isArray(before) ? before : [];
    let known: Set<unknown> | undefined;
    let copy: unknown[] | undefined;
    for (let index = 0; index < value.length; index += 1) {
      const held = value[index];
      if (typeof held !== "object" || held === null || held === beforeItems[index]) continue;
      // A list that was shifted holds what it held, at other places.
      known ??= new Set(beforeItems);
      if (known.has(held)) continue;
      const replaced = this.replace(held, beforeItems[index], depth);
      if (replaced === held) continue;
      copy ??= [...value];
      copy[index] = replaced;
    }
    return copy ?? value;
  }

  #inMap(value: ReadonlyMap<unknown, unknown>, before: unknown, depth: number): ReadonlyMap<unknown, unknown> {
    const beforeEntries: ReadonlyMap<unknown, unknown> = before instanceof Map ? before : new Map();
    const entries = [...value].map(
      ([key, held]) =>
        [this.replace(key, undefined, depth), this.replace(held, beforeEntries.get(key), depth)] as const,
    );
    const isSame = entries.every(([key, held]) => value.has(key) && value.get(key) === held);
    return isSame ? value : new Map(entries);
  }

  #inSet(value: ReadonlySet<unknown>, depth: number): ReadonlySet<unknown> {
    const items = [...value].map((item) => this.replace(item, undefined, depth));
    return items.every((item) => value.has(item)) ? value : new Set(items);
  }
}

type Fields = { [key: string]: unknown };
