/**
 * Scribes who fill page after page by chance: large states of which each step changes little (D8), and steps made of the
 * time, randomness and ids that they are given (D2).
 */
import { agent, type Ask, now, random as draw, reply, uuid } from "@dormouse/core";
import { assign, setup } from "xstate";
import type { Book } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import { emptyBook, type Numbered, passivateAfters, take, type Told, type Workload } from "./workload.ts";

interface Page {
  readonly id: string;
  readonly at: number;
  readonly luck: number;
  /** What no codec makes smaller. */
  readonly ink: Uint8Array;
}

interface Scribe {
  readonly book: Book;
  readonly pages: readonly Page[];
}

type Write = Numbered<"write"> & { readonly inkBytes: number };
type Events = Ask<Write, Told> | Numbered<"note">;

export function scribe(random: Random): Workload {
  const definition = agent("scribe", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({ types: {} as { context: Scribe; events: Events } }).createMachine({
      context: { book: emptyBook, pages: [] },
      on: {
        write: {
          actions: [
            assign({
              book: ({ context, event }) => take(context.book, event),
              pages: ({ context, event }) => [...context.pages, drawPage(event.inkBytes)],
            }),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
        note: { actions: assign({ book: ({ context, event }) => take(context.book, event) }) },
      },
    }),
  });
  const keys = Array.from({ length: random.between(1, 3) }, (_, index) => `s${index}`);
  const inkBytesMax = random.pick([100, 1_000, 8_000]);
  return {
    name: "scribe",
    agents: [definition],
    addresses: keys.map((key) => `scribe/${key}`),
    draw: (draws) => {
      const key = draws.pick(keys);
      const roll = draws.int(100);
      if (roll < 5) return { verb: "read", agent: definition, key, event: { type: "read" } };
      if (roll < 40) return { verb: "send", agent: definition, key, event: { type: "note" } };
      const event = { type: "write", inkBytes: draws.skewed(10, inkBytesMax) };
      return { verb: draws.chance(0.5) ? "ask" : "send", agent: definition, key, event };
    },
  };
}

function drawPage(inkBytes: number): Page {
  const ink = crypto.getRandomValues(new Uint8Array(inkBytes));
  return { id: uuid(), at: now(), luck: draw() + new Date().getTime(), ink };
}
