/** An agent that is a durable function, as the engine runs it. Called by registry. */
import { type AnyStateMachine, assign, setup } from "xstate";
import type { DurableLogic } from "../agent/durable.ts";

interface Around {
  readonly input: unknown;
  readonly output?: unknown;
}

/** Two states around one effect: running, and done with its output. */
export function machineAround(type: string, run: DurableLogic<unknown, unknown>): AnyStateMachine {
  return setup({
    types: { context: {} as Around },
    actors: { run },
  }).createMachine({
    id: type,
    context: ({ input }) => ({ input }),
    initial: "running",
    states: {
      running: {
        invoke: {
          id: "run",
          src: "run",
          input: ({ context }: { readonly context: Around }) => context.input,
          onDone: { target: "done", actions: assign({ output: ({ event }) => event.output }) },
        },
      },
      done: { type: "final" },
    },
    output: ({ context }: { readonly context: Around }) => context.output,
  });
}
