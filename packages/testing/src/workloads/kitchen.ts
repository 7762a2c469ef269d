/**
 * Kitchens with two clocks that are set together: when the first rings, the second is set anew. Due at once, as after a
 * pause, the one that rings first must keep the other, as it was set before, from ringing.
 */
import { agent, type Ask, now, reply } from "@dormouse/core";
import { assign, raise, setup } from "xstate";
import type { Book, Taken } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import { emptyBook, type Finding, type Numbered, passivateAfters, take, type Told, type Workload } from "./workload.ts";

interface Kitchen {
  readonly book: Book;
  readonly by: Taken;
  readonly ms: number;
  /** When the second clock was set the last time. */
  readonly restedAt: number;
  readonly served: readonly { readonly by: Taken; readonly earlyMs: number }[];
}

type Cook = Numbered<"cook"> & { readonly ms: number };
type Events = Ask<Cook, Told> | { readonly type: "rest" };

const restMs = 4_000;

export function kitchen(random: Random): Workload {
  const definition = agent("kitchen", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({
      types: {} as { context: Kitchen; events: Events },
      delays: { cook: ({ context }) => context.ms, rest: ({ context }) => Math.max(context.ms, restMs) },
    }).createMachine({
      context: { book: emptyBook, by: { from: "", n: 0 }, ms: 0, restedAt: 0, served: [] },
      type: "parallel",
      on: {
        cook: {
          target: [".oven.on", ".table.resting"],
          reenter: true,
          actions: [
            assign(({ context, event }) => ({
              book: take(context.book, event),
              by: { from: event.from, n: event.n },
              ms: event.ms,
              restedAt: now(),
            })),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
      },
      states: {
        oven: {
          initial: "off",
          states: { off: {}, on: { after: { cook: { target: "off", actions: raise({ type: "rest" }) } } } },
        },
        table: {
          initial: "free",
          on: { rest: { target: ".resting", reenter: true, actions: assign({ restedAt: () => now() }) } },
          states: {
            free: {},
            resting: {
              after: {
                rest: {
                  target: "free",
                  actions: assign(({ context }) => {
                    const { by, ms, restedAt, served } = context;
                    return { served: [...served, { by, earlyMs: restedAt + Math.max(ms, restMs) - now() }] };
                  }),
                },
              },
            },
          },
        },
      },
    }),
  });
  const keys = Array.from({ length: random.between(1, 4) }, (_, index) => `k${index}`);
  return {
    name: "kitchen",
    agents: [definition],
    addresses: keys.map((key) => `kitchen/${key}`),
    draw: (draws) => {
      const key = draws.pick(keys);
      if (draws.chance(0.05)) return { verb: "read", agent: definition, key, event: { type: "read" } };
      const event = { type: "cook", ms: draws.skewed(500, 8_000) };
      return { verb: draws.chance(0.5) ? "ask" : "send", agent: definition, key, event };
    },
    check: (contexts) =>
      [...contexts].flatMap(([address, context]) =>
        address.startsWith("kitchen/") ? checkKitchen(address, context as Kitchen) : [],
      ),
  };
}

function checkKitchen(address: string, { by, served }: Kitchen): Finding[] {
  const findings: Finding[] = [];
  for (const { by: order, earlyMs } of served) {
    if (earlyMs > 0) findings.push({ message: `${address} serves ${order.from}#${order.n} ${earlyMs}ms early` });
  }
  const last = served.at(-1)?.by;
  if (by.n !== 0 && (last?.from !== by.from || last.n !== by.n)) {
    findings.push({ message: `${address} has not served ${by.from}#${by.n}`, mayPass: true });
  }
  return findings;
}
