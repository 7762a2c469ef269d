/** Guests that come and go: agents that are removed, and begin again under the same key, time after time. */
import { agent, type Ask, reply } from "@dormouse/core";
import { assign, setup } from "xstate";
import type { Book } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import { emptyBook, type Numbered, passivateAfters, take, type Told, type Workload } from "./workload.ts";

type Events = Ask<Numbered<"order">, Told> | Numbered<"note">;

export function guest(random: Random): Workload {
  const definition = agent("guest", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({ types: {} as { context: { book: Book }; events: Events } }).createMachine({
      context: { book: emptyBook },
      on: {
        order: {
          actions: [
            assign({ book: ({ context, event }) => take(context.book, event) }),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
        note: { actions: assign({ book: ({ context, event }) => take(context.book, event) }) },
      },
    }),
  });
  const keys = Array.from({ length: random.between(1, 4) }, (_, index) => `g${index}`);
  return {
    name: "guest",
    agents: [definition],
    addresses: keys.map((key) => `guest/${key}`),
    draw: (draws) => {
      const key = draws.pick(keys);
      const roll = draws.int(100);
      if (roll < 10) return { verb: "read", agent: definition, key, event: { type: "read" } };
      if (roll < 25) return { verb: "remove", agent: definition, key, event: { type: "remove" } };
      const type = draws.pick(["order", "note"] as const);
      return { verb: type === "order" ? "ask" : "send", agent: definition, key, event: { type } };
    },
  };
}
