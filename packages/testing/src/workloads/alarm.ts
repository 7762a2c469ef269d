/** Alarm clocks: timers that are set, replaced and disarmed, and ring once, not before their time. */
import { agent, type Ask, now, reply } from "@dormouse/core";
import { assign, setup } from "xstate";
import type { Book, Taken } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import { emptyBook, type Finding, type Numbered, passivateAfters, take, type Told, type Workload } from "./workload.ts";

interface Alarm {
  readonly book: Book;
  readonly set: { readonly by: Taken; readonly ms: number; readonly at: number } | undefined;
  readonly rung: readonly { readonly by: Taken; readonly earlyMs: number }[];
}

type SetEvent = Numbered<"set"> & { readonly ms: number };
type Events = Ask<SetEvent, Told> | Numbered<"off">;

export function alarm(random: Random): Workload {
  const definition = agent("alarm", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({
      types: {} as { context: Alarm; events: Events },
      delays: { ring: ({ context }) => context.set?.ms ?? 0 },
    }).createMachine({
      context: { book: emptyBook, set: undefined, rung: [] },
      initial: "off",
      on: {
        set: {
          target: ".on",
          reenter: true,
          actions: [
            assign(({ context, event }) => ({
              book: take(context.book, event),
              set: { by: { from: event.from, n: event.n }, ms: event.ms, at: now() },
            })),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
        off: {
          target: ".off",
          actions: assign({ book: ({ context, event }) => take(context.book, event), set: undefined }),
        },
      },
      states: {
        off: {},
        on: {
          after: {
            ring: {
              target: "off",
              actions: assign(({ context }) => {
                const { set, rung } = context;
                if (set === undefined) throw new Error("an alarm that is not set rings");
                return { set: undefined, rung: [...rung, { by: set.by, earlyMs: set.at + set.ms - now() }] };
              }),
            },
          },
        },
      },
    }),
  });
  const keys = Array.from({ length: random.between(1, 5) }, (_, index) => `t${index}`);
  return {
    name: "alarm",
    agents: [definition],
    addresses: keys.map((key) => `alarm/${key}`),
    draw: (draws) => {
      const key = draws.pick(keys);
      const roll = draws.int(100);
      if (roll < 5) return { verb: "read", agent: definition, key, event: { type: "read" } };
      if (roll < 15) return { verb: "send", agent: definition, key, event: { type: "off" } };
      const event = { type: "set", ms: draws.skewed(1, 15_000) };
      return { verb: draws.chance(0.5) ? "ask" : "send", agent: definition, key, event };
    },
    check: (contexts) =>
      [...contexts].flatMap(([address, context]) =>
        address.startsWith("alarm/") ? checkAlarm(address, context as Alarm) : [],
      ),
  };
}

function checkAlarm(address: string, { set, rung }: Alarm): Finding[] {
  const findings: Finding[] = [];
  if (set !== undefined) findings.push({ message: `${address} has not rung for ${nameOf(set.by)}`, mayPass: true });
  const names = new Set<string>();
  for (const { by, earlyMs } of rung) {
    if (names.has(nameOf(by))) findings.push({ message: `${address} rang twice for ${nameOf(by)}` });
    if (earlyMs > 0) findings.push({ message: `${address} rang ${earlyMs}ms early for ${nameOf(by)}` });
    names.add(nameOf(by));
  }
  return findings;
}

function nameOf({ from, n }: Taken): string {
  return `${from}#${n}`;
}
