/** A case made smaller, as long as it still fails: fewer deeds, then a smaller machine. */
import type { Case } from "./engine.ts";

const attemptsMax = 1_500;

export async function smaller(failing: Case, fails: (candidate: Case) => Promise<boolean>): Promise<Case> {
  let best = failing;
  let attempts = 0;
  for (;;) {
    let found: Case | undefined;
    for (const candidate of candidates(best)) {
      attempts += 1;
      if (attempts > attemptsMax) return best;
      if (!(await fails(candidate))) continue;
      found = candidate;
      break;
    }
    if (found === undefined) return best;
    best = found;
  }
}

/** The shortest prefix first; then without one deed, without one part of the machine. */
function* candidates({ machine, deeds }: Case): Iterable<Case> {
  for (const length of [deeds.length >> 1, deeds.length - 1]) {
    if (length >= 0 && length < deeds.length) yield { machine, deeds: deeds.slice(0, length) };
  }
  for (let index = deeds.length - 2; index >= 0; index -= 1) yield { machine, deeds: deeds.toSpliced(index, 1) };
  for (const less of without(machine)) yield { machine: less as Case["machine"], deeds };
}

/** Lists that may lose one of what they hold. A state that is named somewhere stays: without it there is no machine. */
const shrinking: ReadonlySet<string> = new Set(["entry", "exit", "transitions", "invokes", "actions", "states"]);

/** The value once for each part that it can do without. */
function* without(value: unknown): Iterable<unknown> {
  if (Array.isArray(value)) {
    for (const [index, held] of value.entries()) for (const less of without(held)) yield value.with(index, less);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  for (const [name, held] of Object.entries(value)) {
    if (shrinking.has(name) && Array.isArray(held)) {
      if (held.length > 1) yield { ...value, [name]: [] };
      for (const index of held.keys()) yield { ...value, [name]: held.toSpliced(index, 1) };
    }
    if (name === "guard" && held !== undefined) yield { ...value, guard: undefined };
    if ((name === "onDone" || name === "onError") && held !== undefined) yield { ...value, [name]: undefined };
    for (const less of without(held)) yield { ...value, [name]: less };
  }
}
