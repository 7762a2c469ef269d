/**
 * The agents that the killed host runs. Each keeps books in which a message taken twice, lost or out of order shows by
 * its number, whoever sent it: a client's lane, another agent, a timer, an effect.
 */
import { appendFileSync } from "node:fs";
import { randomInt, randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { agent, type Ask, message, ref, reply, replyTo } from "@dormouse/sdk";
import { assign, fromPromise, sendTo, setup } from "xstate";

/** What was taken of each source, and what was wrong with it. */
export interface Book {
  /** The last number of each source. */
  readonly last: { readonly [source: string]: number };
  /** How many messages of lanes were taken: no two replies tell the same. */
  readonly taken: number;
  readonly faults: readonly string[];
}

export interface Numbered {
  readonly source: string;
  readonly n: number;
}

const emptyBook: Book = { last: {}, taken: 0, faults: [] };

function take(book: Book, { source, n }: Numbered): Book {
  const last = book.last[source] ?? 0;
  const faults = n === last + 1 ? book.faults : [...book.faults, `from ${source} came ${n} after ${last}`];
  return { last: { ...book.last, [source]: n }, taken: book.taken + 1, faults };
}

// ------------------------------------------------------------------------------------------------------------- accounts

interface Account {
  readonly name: string;
  readonly balance: number;
  /** Paid out and not yet confirmed by the receiver. */
  readonly inTransit: number;
  readonly paid: { readonly [account: string]: number };
  readonly book: Book;
}

type AccountEvents =
  | Ask<{ readonly type: "note" } & Numbered, number>
  | Ask<{ readonly type: "transfer"; readonly to: string; readonly amount: number } & Numbered, number>
  | ({ readonly type: "credit"; readonly amount: number; readonly asked: string } & Numbered)
  | ({ readonly type: "credited"; readonly amount: number; readonly asked: string } & Numbered);

/** Holds money, and pays it to others: an ask to pay is answered when the receiver has confirmed it, some steps later. */
export const account = agent("account", {
  passivateAfter: "80ms",
  machine: setup({
    types: {} as {
      context: Account;
      events: AccountEvents;
      input: { readonly name: string; readonly balance: number };
    },
  }).createMachine({
    context: ({ input }) => ({ ...input, inTransit: 0, paid: {}, book: emptyBook }),
    on: {
      note: {
        actions: [
          assign({ book: ({ context, event }) => take(context.book, event) }),
          reply(({ context }) => context.book.taken),
        ],
      },
      transfer: {
        actions: [
          assign(({ context, event: { to, amount, source, n } }) => ({
            balance: context.balance - amount,
            inTransit: context.inTransit + amount,
            paid: { ...context.paid, [to]: (context.paid[to] ?? 0) + 1 },
            book: take(context.book, { source, n }),
          })),
          sendTo(
            ({ event }) => ref(`account/${event.to}`),
            ({ context, event: { to, amount } }) => ({
              type: "credit",
              source: context.name,
              n: context.paid[to] ?? 0,
              amount,
              asked: message().id,
            }),
          ),
        ],
      },
      credit: {
        actions: [
          assign(({ context, event }) => ({
            balance: context.balance + event.amount,
            book: take(context.book, { source: `credit:${event.source}`, n: event.n }),
          })),
          sendTo(
            ({ event }) => ref(`account/${event.source}`),
            ({ context, event: { n, amount, asked } }) => ({
              type: "credited",
              source: context.name,
              n,
              amount,
              asked,
            }),
          ),
        ],
      },
      credited: {
        actions: [
          assign(({ context, event }) => ({
            inTransit: context.inTransit - event.amount,
            book: take(context.book, { source: `credited:${event.source}`, n: event.n }),
          })),
          replyTo({ type: "transfer", id: ({ event }) => event.asked as never }, ({ context }) => context.book.taken),
        ],
      },
    },
  }),
});

// --------------------------------------------------------------------------------------------------------------- timers

interface Alarm {
  readonly fired: number;
  readonly book: Book;
}

/** Answers an ask when a timer has fired. */
export const alarm = agent("alarm", {
  passivateAfter: "30ms",
  machine: setup({
    types: {} as { context: Alarm; events: Ask<{ readonly type: "arm" } & Numbered, number> },
    delays: { ring: 25 },
  }).createMachine({
    context: { fired: 0, book: emptyBook },
    initial: "idle",
    states: {
      idle: {
        on: { arm: { target: "armed", actions: assign({ book: ({ context, event }) => take(context.book, event) }) } },
      },
      armed: {
        after: {
          ring: {
            target: "idle",
            actions: [
              assign({ fired: ({ context }) => context.fired + 1 }),
              replyTo("arm", ({ context }) => context.fired),
            ],
          },
        },
      },
    },
  }),
});

interface Ticker {
  readonly name: string;
  readonly ticks: number;
}

/** Steps by its own timer until it is halted, and tells an account of every tick. */
export const ticker = agent("ticker", {
  machine: setup({
    types: {} as {
      context: Ticker;
      input: { readonly name: string };
      events: Ask<{ readonly type: "halt" }, number>;
    },
    delays: { tick: 9 },
  }).createMachine({
    context: ({ input }) => ({ name: input.name, ticks: 0 }),
    initial: "ticking",
    states: {
      ticking: {
        after: {
          tick: {
            target: "ticking",
            reenter: true,
            actions: [
              assign({ ticks: ({ context }) => context.ticks + 1 }),
              sendTo(
                ({ context }) => ref(`tally/${context.name}`),
                ({ context }) => ({ type: "tick", source: context.name, n: context.ticks }),
              ),
            ],
          },
        },
        on: { halt: { target: "halted", actions: reply(({ context }) => context.ticks) } },
      },
      halted: { on: { halt: { actions: reply(({ context }) => context.ticks) } } },
    },
  }),
});

export const tally = agent("tally", {
  passivateAfter: "30ms",
  machine: setup({
    types: {} as { context: { readonly book: Book }; events: { readonly type: "tick" } & Numbered },
  }).createMachine({
    context: { book: emptyBook },
    on: { tick: { actions: assign({ book: ({ context, event }) => take(context.book, event) }) } },
  }),
});

// -------------------------------------------------------------------------------------------------------------- effects

/** What the runtime gives an effect beyond XState's own. */
interface Given {
  readonly idempotencyKey: string;
}

interface Job {
  readonly witness: string;
  readonly name: string;
  readonly n: number;
}

/** Each run has a name of its own, which is its result. A line is one write: a killed process has said it, or not. */
const run = fromPromise<string, Job>(async (given) => {
  const { witness, name, n } = given.input;
  const { idempotencyKey } = given as unknown as Given;
  const result = randomUUID().slice(0, 8);
  const job = `${name} ${n} ${encodeURIComponent(idempotencyKey)} ${result}`;
  appendFileSync(witness, `start ${job}\n`);
  await pause(randomInt(1, 12));
  appendFileSync(witness, `end ${job}\n`);
  return result;
});

interface Worker {
  readonly witness: string;
  readonly name: string;
  readonly results: readonly string[];
  readonly isHalted: boolean;
  readonly book: Book;
}

type WorkerEvents = Ask<{ readonly type: "work" } & Numbered, string> | Ask<{ readonly type: "halt" }, number>;

const worker = setup({
  types: {} as {
    context: Worker;
    events: WorkerEvents;
    input: { readonly name: string; readonly witness: string };
  },
  actors: { run },
  guards: { isHalted: ({ context }) => context.isHalted },
});

/** Runs an effect for each ask, and answers with its result. */
export const clerk = agent("clerk", {
  passivateAfter: "40ms",
  machine: worker.createMachine({
    context: ({ input }) => ({ ...input, results: [], isHalted: false, book: emptyBook }),
    initial: "idle",
    states: {
      idle: {
        on: {
          work: { target: "working", actions: assign({ book: ({ context, event }) => take(context.book, event) }) },
        },
      },
      working: {
        invoke: {
          src: "run",
          input: ({ context: { witness, name, results } }) => ({ witness, name, n: results.length + 1 }),
          onDone: {
            target: "idle",
            actions: [
              assign({ results: ({ context, event }) => [...context.results, event.output] }),
              replyTo("work", ({ context }) => context.results.at(-1) ?? "none"),
            ],
          },
        },
      },
    },
  }),
});

/** Runs one effect after the other until it is halted. */
export const runner = agent("runner", {
  machine: worker.createMachine({
    context: ({ input }) => ({ ...input, results: [], isHalted: false, book: emptyBook }),
    initial: "running",
    on: { halt: { actions: [assign({ isHalted: true }), reply(({ context }) => context.results.length)] } },
    states: {
      running: {
        invoke: {
          src: "run",
          input: ({ context: { witness, name, results } }) => ({ witness, name, n: results.length + 1 }),
          onDone: {
            target: "between",
            actions: assign({ results: ({ context, event }) => [...context.results, event.output] }),
          },
        },
      },
      between: { always: [{ guard: "isHalted", target: "halted" }, { target: "running" }] },
      halted: {},
    },
  }),
});

export const agents = [account, alarm, ticker, tally, clerk, runner];
