/**
 * Agents whose code changes: the release to come has another version of one type, and a type that the old one does not
 * know. Hosts of both run side by side, as deploys go forwards and back.
 */
import { agent, type AnyAgentDefinition, type Ask, reply } from "@dormouse/core";
import { assign, setup } from "xstate";
import type { Book } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import { emptyBook, type Finding, type Numbered, passivateAfters, take, type Told, type Workload } from "./workload.ts";

interface Plan {
  readonly book: Book;
  /** By which version each message was taken. */
  readonly versions: readonly number[];
}

type Events = Ask<Numbered<"mark">, Told> | Numbered<"note">;

export function plan(random: Random): Workload {
  const passivateAfter = random.pick(passivateAfters);
  const make = (type: string, version: number): AnyAgentDefinition => {
    const write = assign<Plan, Events, undefined, Events, never>(({ context, event }) => ({
      book: take(context.book, event),
      versions: [...context.versions, version],
    }));
    return agent(type, {
      passivateAfter,
      version,
      machine: setup({ types: {} as { context: Plan; events: Events } }).createMachine({
        context: { book: emptyBook, versions: [] },
        on: {
          mark: { actions: [write, reply(({ context }) => ({ position: context.book.taken.length }))] },
          note: { actions: write },
        },
      }),
    });
  };
  const old = make("plan", 1);
  const memo = make("memo", 2);
  const keys = Array.from({ length: random.between(1, 3) }, (_, index) => `p${index}`);
  return {
    name: "plan",
    agents: [old],
    next: [make("plan", 2), memo],
    addresses: ["plan", "memo"].flatMap((type) => keys.map((key) => `${type}/${key}`)),
    draw: (draws) => {
      const definition = draws.pick([old, memo]);
      const key = draws.pick(keys);
      const roll = draws.int(100);
      if (roll < 10) return { verb: "read", agent: definition, key, event: { type: "read" } };
      const type = roll < 50 ? "mark" : "note";
      return { verb: type === "mark" ? "ask" : "send", agent: definition, key, event: { type } };
    },
    check: (contexts) => [...contexts].flatMap(([address, context]) => checkPlan(address, context as Partial<Plan>)),
  };
}

/** What a newer version has taken up, no older one goes on with. */
function checkPlan(address: string, { versions = [] }: Partial<Plan>): Finding[] {
  const falls = versions.findIndex((version, index) => version < (versions[index - 1] ?? 0));
  return falls < 0
    ? []
    : [{ message: `${address} was taken up by version 2, and its message ${falls + 1} by version 1` }];
}
