/** Accounts that transfer money to each other: what one gives, another gets, once, and the sum stays. */
import { agent, type Ask, ref, reply } from "@dormouse/core";
import { assign, sendTo, setup } from "xstate";
import type { Book } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import {
  emptyBook,
  lastSent,
  type Numbered,
  passivateAfters,
  sendOne,
  take,
  type Told,
  type Workload,
} from "./workload.ts";

interface Account {
  readonly book: Book;
  readonly balance: number;
}

interface Transfer extends Numbered<"transfer"> {
  readonly of: string;
  readonly to: string;
  readonly amount: number;
}

type Deposit = Numbered<"deposit"> & { readonly amount: number };
type Events = Ask<Transfer, Told> | Deposit;

export function bank(random: Random): Workload {
  const definition = agent("account", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({ types: {} as { context: Account; events: Events } }).createMachine({
      context: { book: emptyBook, balance: 0 },
      on: {
        transfer: {
          actions: [
            assign({
              book: ({ context, event }) => sendOne(take(context.book, event), event.to),
              balance: ({ context, event }) => context.balance - event.amount,
            }),
            sendTo(
              ({ event }) => ref(event.to),
              ({ context, event }) => ({
                type: "deposit",
                from: event.of,
                n: lastSent(context.book),
                amount: event.amount,
              }),
            ),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
        deposit: {
          actions: assign({
            book: ({ context, event }) => take(context.book, event),
            balance: ({ context, event }) => context.balance + event.amount,
          }),
        },
      },
    }),
  });
  const keys = Array.from({ length: random.between(2, 6) }, (_, index) => `a${index}`);
  return {
    name: "bank",
    agents: [definition],
    addresses: keys.map((key) => `account/${key}`),
    draw: (draws) => {
      const key = draws.pick(keys);
      if (draws.chance(0.05)) return { verb: "read", agent: definition, key, event: { type: "read" } };
      const event = {
        type: "transfer",
        of: `account/${key}`,
        to: `account/${draws.pick(keys)}`,
        amount: draws.between(1, 1_000),
      };
      const verb = draws.chance(0.5) ? "ask" : "send";
      return { verb, agent: definition, key, event, isRepeated: draws.chance(0.1) };
    },
    check: (contexts) => {
      let sum = 0;
      for (const [address, context] of contexts) {
        if (address.startsWith("account/")) sum += (context as Account).balance;
      }
      // What is sent and not taken yet is on its way.
      return sum === 0 ? [] : [{ message: `money was made or lost: the balances come to ${sum}`, mayPass: true }];
    },
  };
}
