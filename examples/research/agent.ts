/** The agent `research`: reads a folder's documents one by one, drafts a report, and publishes it when a person agrees. */
import { basename } from "node:path";
import { agent, durable, type DurableContext } from "@dormouse/sdk";
import { assign, setup } from "xstate";
import type { Extract } from "./extract.ts";
import { draft, extract, list, publish, read, relate } from "./tools.ts";

/** What the agent begins with; absolute paths. */
interface ResearchInput {
  readonly folder: string;
  readonly reportPath: string;
}

/** Plain code around calls that are marked: after a crash it runs from the top, and is given what they gave. */
const write = durable(async ({ input: { folder } }: DurableContext<{ folder: string }>) => {
  const { paths, leftOut } = await list(folder);
  const extracts: Extract[] = [];
  for (const path of paths) {
    const document = await read(folder, path);
    extracts.push(await extract(document));
  }
  const references = await relate(extracts);
  return draft({ about: basename(folder), extracts, references, leftOut });
});

const save = durable(({ input }: DurableContext<{ path: string; report: string }>) =>
  publish(input.path, input.report),
);

interface ResearchContext extends ResearchInput {
  readonly report: string;
  readonly outcome: "published" | "rejected" | null;
  /** Who approved or rejected. */
  readonly by: string | null;
}

type ResearchEvent =
  | { readonly type: "approve"; readonly by: string }
  | { readonly type: "reject"; readonly by: string };

interface ResearchOutput {
  readonly outcome: "published" | "rejected" | null;
  readonly by: string | null;
  readonly reportPath: string;
}

const machine = setup({
  types: {} as {
    context: ResearchContext;
    input: ResearchInput;
    output: ResearchOutput;
    events: ResearchEvent;
    tags: "waiting";
  },
  actors: { write, save },
}).createMachine({
  id: "research",
  context: ({ input }) => ({ ...input, report: "", outcome: null, by: null }),
  output: ({ context: { outcome, by, reportPath } }) => ({ outcome, by, reportPath }),
  initial: "writing",
  states: {
    writing: {
      invoke: {
        id: "write",
        src: "write",
        input: ({ context: { folder } }) => ({ folder }),
        onDone: { target: "awaitingApproval", actions: assign({ report: ({ event }) => event.output }) },
      },
    },
    // For as long as it takes: nothing runs meanwhile, and no process is needed.
    awaitingApproval: {
      tags: "waiting",
      on: {
        approve: { target: "publishing", actions: assign({ by: ({ event }) => event.by }) },
        reject: { target: "rejected", actions: assign({ outcome: "rejected", by: ({ event }) => event.by }) },
      },
    },
    publishing: {
      invoke: {
        id: "publish",
        src: "save",
        input: ({ context: { reportPath, report } }) => ({ path: reportPath, report }),
        onDone: { target: "published", actions: assign({ outcome: "published" }) },
      },
    },
    published: { type: "final" },
    rejected: { type: "final" },
  },
});

/** A call that fails for good ends the agent with its error: `result()` rejects with it. */
export const research = agent("research", { machine });
