/** What an agent's state takes when it is stored: counted up by what each step changes, and measured only where that may be too much. */
import type { Address } from "../agent/address.ts";
import { DormouseError } from "../agent/errors.ts";
import { type Delta, measuredDiff } from "../format/codec/delta.ts";
import { encodeValue } from "../format/codec/msgpack.ts";
import type { AgentState } from "./state.ts";

/** A state beside the one that it was made of. */
export interface Measured {
  readonly state: AgentState;
  readonly delta: Delta | undefined;
  readonly deltaBytes: number;
  /** Of the state, at most. */
  stateBytes: number;
}

/** What changed from one state to the next, and what that takes at most. */
export function measure(before: AgentState | undefined, state: AgentState): Measured {
  const { delta, bytes } = measuredDiff(before, state);
  const stateBytes = (before === undefined ? 0 : sizeAtMost(before)) + bytes * textBytesMax;
  return { state, delta, deltaBytes: bytes, stateBytes };
}

/** The next step's count goes on from this. */
export function keepSize({ state, stateBytes }: Measured): void {
  sizes.set(state, stateBytes);
}

/** Measures a state only when by what was added it may be too large. */
export function checkStateBytes(
  { agent, stateBytesMax }: { readonly agent: Address; readonly stateBytesMax: number },
  measured: Measured,
): void {
  if (measured.stateBytes <= stateBytesMax) return;
  const bytes = encodeValue(measured.state).length;
  if (bytes <= stateBytesMax) {
    measured.stateBytes = bytes;
    return;
  }
  throw new DormouseError(
    "invalid",
    "state.too-large",
    `the agent's state would not fit; keep large values elsewhere and their names in context, or give them up: ` +
      `agent=${agent} bytes=${bytes} bytesMax=${stateBytesMax}`,
  );
}

function sizeAtMost(state: AgentState): number {
  const known = sizes.get(state);
  if (known !== undefined) return known;
  const bytes = measuredDiff(undefined, state).bytes * textBytesMax;
  sizes.set(state, bytes);
  return bytes;
}

/** Bytes of UTF-8 per unit of a string, at most: sizes by length are too small by this. */
export const textBytesMax = 3;
/** By state, what it takes at most: the sum of what its steps changed since it was measured. */
const sizes = new WeakMap<AgentState, number>();
