/** The net catches fish: a machine that is not pure is found. Method: one that counts its steps outside its state. */
import { agent, type Ask, reply } from "@dormouse/core";
import { simulate, type Workload } from "@dormouse/testing";
import { expect, test } from "vitest";
import { assign, setup } from "xstate";
import { stepAgainOf } from "./step-again.ts";

type Add = { readonly type: "add"; readonly from: string; readonly n: number };
interface Serial {
  readonly book: { readonly taken: readonly { readonly from: string; readonly n: number }[]; readonly sent: [] };
  readonly serial: number;
}

function impure(): Workload {
  let stepsEver = 0;
  const definition = agent("serial", {
    machine: setup({
      types: {} as { context: Serial; events: Ask<Add, { readonly position: number }> },
    }).createMachine({
      context: { book: { taken: [], sent: [] }, serial: 0 },
      on: {
        add: {
          actions: [
            assign({
              book: ({ context: { book }, event: { from, n } }) => ({ ...book, taken: [...book.taken, { from, n }] }),
              serial: () => (stepsEver += 1),
            }),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
      },
    }),
  });
  return {
    name: "impure",
    agents: [definition],
    addresses: ["serial/a"],
    draw: () => ({ verb: "ask", agent: definition, key: "a", event: { type: "add" } }),
  };
}

test("a step that reads what is not in its state, message or context is found (D2)", async () => {
  const { violations } = await simulate({
    seed: 1,
    workloads: () => [impure()],
    faults: {},
    worldSpellsPerMinute: {},
    durationMs: 2_000,
    stepAgain: stepAgainOf,
  });
  expect(new Set(violations.map(({ invariant }) => invariant))).toEqual(new Set(["D2"]));
  expect(violations[0]?.message).toContain("executed again: delta was");
});
