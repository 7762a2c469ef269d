/**
 * What a workload is: agents of one shape, what clients do with them, and what must be true of them in the end.
 *
 * Every agent keeps a book of what it took and sent in its context. A client's event carries `from` and `n`, the client
 * and the operation, which the agent writes down; an agent that sends to another numbers its own sends in the same way.
 */
import type { ActorOverrides, AnyAgentDefinition } from "@dormouse/core";
import type { Book, Taken } from "../checkers/checker.ts";
import type { Random } from "../random.ts";

export interface Workload {
  readonly name: string;
  readonly agents: readonly AnyAgentDefinition[];
  /** The agents as the release to come has them, types that it brings included. Default: as they are. */
  readonly next?: readonly AnyAgentDefinition[];
  /** Agents of another app of the same world, which is made late, or never. */
  readonly elsewhere?: Elsewhere;
  /** Of the agents that are used. */
  readonly addresses: readonly string[];
  /** The next thing that a client does. */
  draw(random: Random): Operation;
  /** What stands in for the agents' promises on a host. */
  actors?(outside: Outside): ActorOverrides;
  /** What is wrong or unfinished with the workload's agents, by address, beyond what their books tell every checker. */
  check?(contexts: ReadonlyMap<string, unknown>): readonly Finding[];
}

export interface Elsewhere {
  readonly app: string;
  readonly agents: readonly AnyAgentDefinition[];
  /** Of the agents that are used: `type/key`. */
  readonly addresses: readonly string[];
}

export interface Finding {
  readonly message: string;
  /** It is unfinished, not wrong: something is still to come. */
  readonly mayPass?: true;
}

export interface Operation {
  readonly verb: "ask" | "send" | "read" | "remove";
  readonly agent: AnyAgentDefinition;
  readonly key: string;
  /** The event but for `from` and `n`, which are the driver's. */
  readonly event: { readonly type: string; readonly [field: string]: unknown };
  /** Sent several times under one idempotency key. */
  readonly isRepeated?: boolean;
  /** The step is to throw. */
  readonly isToFail?: boolean;
  /** How long whoever asks or sends waits for it, in milliseconds. Default: drawn. */
  readonly timeoutMs?: number;
}

/** The world outside the runtime, as an effect on one host meets it. */
export interface Outside {
  readonly random: Random;
  /** Resolves after so many milliseconds of the host's clock. */
  sleep(ms: number): Promise<void>;
  /** Notes that an effect's own code begins; returns how to note its end. */
  began(effect: EffectRun): () => void;
}

export interface EffectRun {
  readonly agent: string;
  /** What is being done, by the workload's own name for it. */
  readonly effect: string;
  readonly idempotencyKey: string;
  readonly attempt: number;
}

/** What a reply tells about the agent's book, for D4: the message that asked is `position`th in it, or among the first `covers`. */
export type Told = { readonly position: number } | { readonly covers: number };

/** A message that an agent takes down. */
export interface Numbered<TType extends string> extends Taken {
  readonly type: TType;
}

export const emptyBook: Book = { taken: [], sent: [] };

/** The book with one more message taken. */
export function take(book: Book, { from, n }: Taken): Book {
  return { ...book, taken: [...book.taken, { from, n }] };
}

/** The book with one more message sent; its number is the count of those before. */
export function sendOne(book: Book, to: string): Book {
  return { ...book, sent: [...book.sent, { to, n: book.sent.length + 1 }] };
}

/** The number of the message that was sent last. */
export function lastSent(book: Book): number {
  return book.sent.length;
}

export const passivateAfters = ["0ms", "700ms", "4s", "30s"] as const;
