/** A reference to an agent as a value: in a machine's context, in an event, as the target of `sendTo`. */
import { DormouseError } from "./errors.ts";

/**
 * Names an agent, and nothing more: it holds no memory of it and cannot act. Two with the same address are the same.
 * It stands where XState expects an actor reference.
 */
export class AgentRef {
  /** `type/key`, or `/app/type/key` for an agent of another app. */
  readonly sessionId: string;
  /** The child's id within its parent, else the address. */
  readonly id: string;

  constructor(sessionId: string, id: string = sessionId) {
    this.sessionId = sessionId;
    this.id = id;
    Object.freeze(this);
  }

  get ref(): this {
    return this;
  }
  send(): never {
    throw new DormouseError(
      "invalid",
      "ref.send",
      `ref.send() is not durable; use sendTo(ref, event): agent=${this.sessionId}`,
    );
  }
  subscribe(): never {
    throw new DormouseError(
      "invalid",
      "ref.subscribe",
      `ref.subscribe() is not durable; use invoke.onSnapshot: agent=${this.sessionId}`,
    );
  }
  on(): never {
    return this.subscribe();
  }
  getSnapshot(): never {
    throw new DormouseError(
      "invalid",
      "ref.snapshot",
      `the snapshot of "${this.id}" is not available here: it is a separate agent. Use onSnapshot, or have it send ` +
        `you what you need: agent=${this.sessionId}`,
    );
  }
}
