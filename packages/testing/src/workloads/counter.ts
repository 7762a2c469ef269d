/** The smallest agents that answer: asks, sends, repeats under one idempotency key, steps that throw. */
import { agent, type Ask, reply } from "@dormouse/core";
import { assign, setup } from "xstate";
import type { Book } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import { emptyBook, type Numbered, passivateAfters, take, type Told, type Workload } from "./workload.ts";

type Events = Ask<Numbered<"add">, Told> | Numbered<"note"> | Ask<Numbered<"fail">, Told>;

export function counter(random: Random): Workload {
  const definition = agent("counter", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({ types: {} as { context: { book: Book }; events: Events } }).createMachine({
      context: { book: emptyBook },
      on: {
        add: {
          actions: [
            assign({ book: ({ context, event }) => take(context.book, event) }),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
        note: { actions: assign({ book: ({ context, event }) => take(context.book, event) }) },
        fail: {
          actions: [
            assign({ book: ({ context, event }) => take(context.book, event) }),
            reply(({ context }) => ({ position: context.book.taken.length })),
            assign(() => {
              throw new Error("this step is to fail");
            }),
          ],
        },
      },
    }),
  });
  const keys = Array.from({ length: random.between(1, 6) }, (_, index) => `c${index}`);
  return {
    name: "counter",
    agents: [definition],
    addresses: keys.map((key) => `counter/${key}`),
    draw: (draws) => {
      const key = draws.pick(keys);
      const roll = draws.int(100);
      if (roll < 10) return { verb: "read", agent: definition, key, event: { type: "read" } };
      if (roll < 15) return { verb: "ask", agent: definition, key, event: { type: "fail" }, isToFail: true };
      if (roll < 20) return { verb: "send", agent: definition, key, event: { type: "fail" }, isToFail: true };
      if (roll < 50) return { verb: "send", agent: definition, key, event: { type: "note" } };
      return { verb: "ask", agent: definition, key, event: { type: "add" }, isRepeated: roll >= 85 };
    },
  };
}
