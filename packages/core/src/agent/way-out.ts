/** What one step asks for, as data: the engine gives it, `step/ways-out.ts` folds it into state and what is let out. */
import type { Address } from "./address.ts";

/** An event as data: what a machine takes. */
export interface EventData {
  readonly type: string;
  readonly [field: string]: unknown;
}

export type WayOut =
  /** An event to another agent (or, `isToSelf`, to this one), at once or after `delayMs`. */
  | {
      readonly kind: "send";
      /** `type/key`, or `/app/type/key` for an agent of another app. */
      readonly to: string;
      readonly event: EventData;
    }
  /** A timer of this agent; one with the same id is replaced. With `to` the event goes to another agent when due. */
  | {
      readonly kind: "timer";
      readonly id: string;
      readonly delayMs: number;
      readonly event: EventData;
      readonly to?: string;
    }
  | { readonly kind: "cancel-timer"; readonly id: string }
  /** A promise actor begins: work outside the step, whose result comes back as an event. */
  | {
      readonly kind: "start-effect";
      /** The actor's id in the machine: `children[id]`. */
      readonly id: string;
      /** Unique for all time; also the idempotency key. */
      readonly address: Address;
      readonly src: string;
      readonly input: unknown;
    }
  /** A child agent begins: a machine or a transition function. */
  | {
      readonly kind: "start-child";
      readonly id: string;
      readonly address: Address;
      /** Names of actors from the definition's machine down to the child's logic; empty when it is a registered type. */
      readonly path: readonly string[];
      readonly src: string;
      readonly input: unknown;
      readonly systemId?: string;
      /** The parent hears `xstate.snapshot.<id>` after each of the child's steps. */
      readonly isSnapshotSynced: boolean;
    }
  /** An effect is aborted, or a child agent stopped, whichever has this address. */
  | { readonly kind: "stop"; readonly address: Address }
  /** Answers the ask being handled. */
  | { readonly kind: "reply"; readonly value: unknown }
  /** Answers open asks of an earlier event type: all of them, or the one with a message id. */
  | { readonly kind: "reply-to"; readonly eventType: string; readonly messageId?: string; readonly value: unknown }
  | { readonly kind: "emit"; readonly event: EventData }
  | { readonly kind: "log"; readonly label?: string; readonly value: unknown }
  /** A plain action of the machine, to run after the commit; named ones are owed until they ran, inline ones run at most once. */
  | {
      readonly kind: "action";
      readonly name: string;
      readonly params: unknown;
      /** What the machine handled when it asked for the action: the step's event, or one that was raised. */
      readonly event: EventData;
      readonly isNamed: boolean;
      /** Runs it as XState would have; lost with this process. */
      readonly run: () => unknown;
    };
