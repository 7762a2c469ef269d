/** Steps that go on from what is stored, for tests: what only memory holds would show. */
import { decodeValue, encodeValue } from "../format/codec/msgpack.ts";
import { decode } from "./engine.ts";
import { foldStep } from "./fold.ts";
import type { AgentState } from "./state.ts";
import type { Stepped } from "./outcome.ts";

/** Puts in the place of a step's state the one that its delta makes of the stored state before: all else is lost. */
export function restorer(before: AgentState | undefined): (outcome: Stepped) => Stepped {
  const stored = before === undefined ? undefined : encodeValue(before);
  return (outcome) => {
    const { live } = outcome.after;
    const after = foldStep(stored === undefined ? undefined : (decodeValue(stored) as AgentState), outcome);
    const state = decodeValue(encodeValue(after)) as AgentState;
    return { ...outcome, after: { state, live: decode(live.machine, state.machine) } };
  };
}
