/**
 * How calls of the memory drivers travel: the one place where a test or simulator makes the world unreliable.
 *
 * A memory driver holds plain data and changes it in one synchronous `effect` per call; when the effect runs, and when
 * and whether its answer comes back, is up to the wire.
 */

/** One call of a port, as a simulator schedules, traces and disturbs it. */
export interface Call {
  /** Who calls: the name given when the ports were opened. */
  readonly party: string;
  readonly port: "mailbox" | "store" | "membership" | "channel";
  /** The port's method: "put", "append", … */
  readonly operation: string;
  /** What it is about, for traces: an object's name, a partition, a subject. */
  readonly about: string;
}

export interface Wire {
  /**
   * Carries a call there, runs `effect` once, carries its answer (or what it threw) back. An unreliable wire may run the
   * effect and lose the answer, lose the call, delay either; a driver turns its `LostAnswer` into what its port promises.
   */
  carry<T>(call: Call, effect: () => T): Promise<T>;
  /** Carries something to `party` that nobody waits for: a notice, a delivery. It may be lost or come late. */
  push(call: Call, deliver: () => void): void;
}

/** What `carry` rejects with when the caller gets no answer: the effect may have run, now, later or never. */
export class LostAnswer extends Error {
  override readonly name: string = "LostAnswer";
}

/** Everything arrives at once, in order. */
export const directWire: Wire = {
  carry: async (_call, effect) => effect(),
  push: (_call, deliver) => void Promise.resolve().then(deliver),
};
