/**
 * Sellers who ship to buyers of another app, and are paid from there: the other app may be made late, or never, and some
 * write to one that is never there. What cannot be shipped, its seller is told of. And orders that fail when
 * much was asked for already: nothing of them is let out.
 */
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

const app = "abroad";

interface Trader {
  readonly book: Book;
  readonly ballast?: string;
}

interface Order extends Numbered<"order"> {
  readonly seller: string;
  readonly buyer: string;
}

interface Spoiled extends Numbered<"spoiled"> {
  readonly seller: string;
  readonly buyer: string;
}

interface Goods extends Numbered<"goods"> {
  readonly buyer: string;
}

/** More than a state may hold. */
const ballast = "x".repeat(1_100_000);

export function trade(random: Random): Workload {
  const seller = agent("seller", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({
      types: {} as { context: Trader; events: Ask<Order, Told> | Ask<Spoiled, Told> | Numbered<"paid"> },
    }).createMachine({
      context: { book: emptyBook },
      on: {
        order: {
          actions: [
            assign({ book: ({ context, event }) => sendOne(take(context.book, event), `/${event.buyer}`) }),
            sendTo(
              ({ event }) => ref(event.buyer),
              ({ context, event }) => ({
                type: "goods",
                from: event.seller,
                n: lastSent(context.book),
                buyer: `/${event.buyer}`,
              }),
            ),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
        spoiled: {
          actions: [
            assign({ book: ({ context, event }) => sendOne(take(context.book, event), `/${event.buyer}`) }),
            sendTo(
              ({ event }) => ref(event.buyer),
              ({ event }) => ({ type: "goods", from: event.seller, n: -event.n, buyer: `/${event.buyer}` }),
            ),
            reply(({ context }) => ({ position: context.book.taken.length })),
            assign({ ballast }),
          ],
        },
        paid: { actions: assign({ book: ({ context, event }) => take(context.book, event) }) },
      },
    }),
  });
  const buyer = agent("buyer", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({ types: {} as { context: Trader; events: Goods } }).createMachine({
      context: { book: emptyBook },
      on: {
        goods: {
          actions: [
            assign({ book: ({ context, event }) => sendOne(take(context.book, event), event.from) }),
            sendTo(
              ({ event }) => ref(`default/${event.from}`),
              ({ context, event }) => ({ type: "paid", from: event.buyer, n: lastSent(context.book) }),
            ),
          ],
        },
      },
    }),
  });
  const sellers = Array.from({ length: random.between(1, 12) }, (_, index) => `s${index}`);
  const buyers = Array.from({ length: random.between(1, 3) }, (_, index) => `b${index}`);
  return {
    name: "trade",
    agents: [seller],
    addresses: sellers.map((key) => `seller/${key}`),
    elsewhere: { app, agents: [buyer], addresses: buyers.map((key) => `buyer/${key}`) },
    draw: (draws) => {
      const key = draws.pick(sellers);
      if (draws.chance(0.05)) return { verb: "read", agent: seller, key, event: { type: "read" } };
      const to = `${draws.chance(0.2) ? "nowhere" : app}/buyer/${draws.pick(buyers)}`;
      const isToFail = draws.chance(0.08);
      const event = { type: isToFail ? "spoiled" : "order", seller: `seller/${key}`, buyer: to };
      const verb = draws.chance(0.4) ? "ask" : "send";
      return { verb, agent: seller, key, event, isToFail, isRepeated: draws.chance(0.1) };
    },
  };
}
