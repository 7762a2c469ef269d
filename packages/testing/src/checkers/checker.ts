/**
 * What a checker is: something outside the runtime that sees what the outside world can see, and knows DESIGN.md.
 *
 * One file per invariant, or for a few that share their model, each written against a model of its own and none of the
 * runtime's code. Each says in its header what it does not verify.
 */
import type { PutCondition } from "@dormouse/core/ports";

/** Something the outside world can see, at one moment of virtual time. */
export type Observation = { readonly atMs: number } & (
  | { readonly type: "host-started"; readonly party: string }
  /** `ended`: its process is gone; `why` tells how. */
  | { readonly type: "host-ended"; readonly party: string; readonly why: HostEnd }
  /** Bytes took their place on the store: what an independent reader decodes, and the only proof that all is durable. */
  | {
      readonly type: "stored";
      readonly party: string;
      readonly name: string;
      readonly bytes: Uint8Array;
      readonly condition: PutCondition["if"];
    }
  | { readonly type: "deleted"; readonly party: string; readonly name: string }
  /** A stream took a mailbox message. */
  | {
      readonly type: "appended";
      readonly party: string;
      readonly partition: number;
      readonly stream: string;
      readonly sequence: number;
      readonly bytes: Uint8Array;
      /** Which append of this world it was, or which barrier. */
      readonly append: number;
      /** By a host of another app. */
      readonly isFromElsewhere?: true;
    }
  /** Whoever made an append hears that the stream took it. */
  | { readonly type: "acknowledged"; readonly party: string; readonly append: number }
  /** A stream of another app took a mailbox message of a host of this one. */
  | { readonly type: "appended-elsewhere"; readonly party: string; readonly app: string; readonly bytes: Uint8Array }
  /** A stream took what a client without our code published: one operation's event. */
  | {
      readonly type: "appended-raw";
      readonly party: string;
      readonly partition: number;
      readonly stream: string;
      readonly sequence: number;
      /** The stream's time of it. */
      readonly at: number;
      /** Which append of this world it was; whoever made it has heard that it was taken. */
      readonly append: number;
      readonly agent: string;
      readonly event: { readonly type: string; readonly n: number };
    }
  | { readonly type: "trimmed"; readonly party: string; readonly partition: number; readonly below: number }
  /** A world fault took messages that were acknowledged: what was among them and never consumed may be lost. */
  | { readonly type: "tail-lost"; readonly partition: number; readonly from: number }
  /** A host let something out on the channel: a reply, an emitted event, a step notice. */
  | { readonly type: "published"; readonly party: string; readonly subject: string; readonly bytes: Uint8Array }
  /** A host answered whoever asked it about an agent. */
  | { readonly type: "told"; readonly party: string; readonly request: Uint8Array; readonly answer: Uint8Array }
  /** A client's operation, as its caller saw it; `operation` counts the workload's operations. */
  | { readonly type: "called"; readonly operation: number; readonly party: string; readonly what: ClientCall }
  | { readonly type: "returned"; readonly operation: number; readonly outcome: ClientOutcome }
  /** An effect's own code began or ended: what a payment provider would have seen. */
  | ({ readonly type: "effect-began" } & EffectReport)
  | ({ readonly type: "effect-ended" } & EffectReport)
  /** What a client reads of an agent at the end, when faults have stopped; read again, the newest counts. */
  | { readonly type: "final"; readonly agent: string; readonly book: Book | undefined }
  /** Agents held in a living host's memory, when nothing was left to do; looked at again, the newest counts. */
  | { readonly type: "at-rest"; readonly party: string; readonly agentsInMemory: number; readonly effects: number }
);

export interface EffectReport {
  readonly party: string;
  readonly agent: string;
  /** What is done, by the workload's own name for it. */
  readonly effect: string;
  readonly idempotencyKey: string;
  readonly attempt: number;
}

/** How a host came to its end: the simulator ended it, it was drained, it was sealed, or a typed error ended it. */
export type HostEnd =
  | { readonly is: "crashed" | "drained" | "sealed" }
  | { readonly is: "failed"; readonly kind: string; readonly code: string; readonly message: string };

/** What a client asked for. */
export interface ClientCall {
  readonly verb: "start" | "send" | "ask" | "read" | "cancel" | "terminate" | "remove" | "fork";
  readonly agent: string;
  /** The event's type. */
  readonly event?: string;
  readonly idempotencyKey?: string;
  /** The step is to throw: it is answered so, and leaves no trace in the agent (D9). */
  readonly isToFail?: boolean;
}

export type ClientOutcome =
  | { readonly is: "accepted"; readonly messageId: string }
  | { readonly is: "answered"; readonly value: unknown }
  | { readonly is: "removed" }
  /** A state was read: the agent's book in it. */
  | { readonly is: "read"; readonly book: Book | undefined }
  | { readonly is: "refused"; readonly kind: string; readonly code: string }
  /** No answer: it may have happened, or happen yet. */
  | { readonly is: "unknown"; readonly code: string };

/** A message as the agent that took it writes it down: who sent it, and the sender's number of it. */
export interface Taken {
  /** A client's party, or an agent's address. */
  readonly from: string;
  /** A client's operation, or the sending agent's own count. */
  readonly n: number;
}

/** What every agent of the workloads keeps in its context, for checkers. */
export interface Book {
  /** Every message taken, in order. */
  readonly taken: readonly Taken[];
  /** Every message sent to another agent, in order. */
  readonly sent: readonly { readonly to: string; readonly n: number }[];
}

export interface Violation {
  /** Which invariant is broken. `history`: it is not what happened; `host`: a host ended by a bug of its own. */
  readonly invariant:
    | "D1"
    | "D2"
    | "D3"
    | "D4"
    | "D5"
    | "D6"
    | "D7"
    | "D8"
    | "D9"
    | "D10"
    | "history"
    | "liveness"
    | "host";
  /** What was expected and what was seen, with the ids to search the trace for. */
  readonly message: string;
  readonly atMs: number;
  /** Something is still to come: a violation only if it has not come when the world had its time to finish. */
  readonly mayPass?: true;
}

export interface Checker {
  readonly name: string;
  observe(observation: Observation): void;
  /**
   * What is broken so far. Asked at the end, when faults have stopped, again and again until nothing is left that may
   * pass by itself, or the world's time to finish is over.
   */
  finish(): readonly Violation[];
  /** Figures of the run, for its reader. */
  report?(): { readonly [figure: string]: number };
}
