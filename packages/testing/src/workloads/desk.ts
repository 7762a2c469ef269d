/** A desk that answers late: asks wait in it over steps, passivations and hosts, and are answered one by one or all at once. */
import { agent, type Ask, message, type MessageId, replyTo } from "@dormouse/core";
import { assign, setup } from "xstate";
import type { Book } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import { emptyBook, type Numbered, passivateAfters, take, type Told, type Workload } from "./workload.ts";

interface Desk {
  readonly book: Book;
  readonly single: readonly { readonly id: MessageId; readonly position: number }[];
  /** How many wait to be answered all at once. */
  readonly together: number;
}

type Events =
  | Ask<Numbered<"single">, Told>
  | Ask<Numbered<"together">, Told>
  | (Numbered<"open"> & { readonly ms: number });

export function desk(random: Random): Workload {
  const definition = agent("desk", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({
      types: {} as { context: Desk; events: Events },
      delays: { pause: random.between(50, 3_000) },
      guards: { isAsked: ({ context }) => context.single.length + context.together > 0 },
    }).createMachine({
      context: { book: emptyBook, single: [], together: 0 },
      initial: "idle",
      on: {
        single: {
          actions: assign(({ context, event }) => {
            const book = take(context.book, event);
            return { book, single: [...context.single, { id: message().id, position: book.taken.length }] };
          }),
        },
        together: {
          actions: assign(({ context, event }) => ({
            book: take(context.book, event),
            together: context.together + 1,
          })),
        },
      },
      states: {
        idle: { always: { guard: "isAsked", target: "waiting" } },
        waiting: { after: { pause: "answering" } },
        answering: {
          always: {
            target: "idle",
            actions: [
              replyTo(
                { type: "single", id: ({ context }) => context.single[0]?.id ?? ("none" as MessageId) },
                ({ context }) => ({ position: context.single[0]?.position ?? 0 }),
              ),
              replyTo("together", ({ context }) => ({ covers: context.book.taken.length })),
              assign({ single: ({ context }) => context.single.slice(1), together: 0 }),
            ],
          },
        },
      },
    }),
  });
  const keys = Array.from({ length: random.between(1, 3) }, (_, index) => `d${index}`);
  return {
    name: "desk",
    agents: [definition],
    addresses: keys.map((key) => `desk/${key}`),
    draw: (draws) => {
      const key = draws.pick(keys);
      if (draws.chance(0.05)) return { verb: "read", agent: definition, key, event: { type: "read" } };
      const type = draws.pick(["single", "together"] as const);
      return { verb: draws.chance(0.8) ? "ask" : "send", agent: definition, key, event: { type } };
    },
  };
}
