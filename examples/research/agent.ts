/** The agent `research`: reads a folder's documents one by one, drafts a report, and publishes it when a person agrees. */
import { basename } from "node:path";
import { agent } from "@dormouse/sdk";
import { assign, setup } from "xstate";
import { type Call, draft, extractOne, list, publish, read, relate } from "./effects.ts";
import type { CrossReferences, Extract, SourceDocument } from "./extract.ts";

/** What the agent begins with; absolute paths. */
interface ResearchInput {
  readonly folder: string;
  readonly reportPath: string;
  readonly witnessPath: string;
}

interface ResearchContext extends ResearchInput {
  /** How many effects have ended. */
  readonly effectsDone: number;
  /** Paths within the folder. */
  readonly documents: readonly string[];
  /** How many more there are in the folder. */
  readonly leftOut: number;
  /** The index of the document at hand. */
  readonly next: number;
  /** Read and not yet extracted. */
  readonly document: SourceDocument | null;
  readonly extracts: readonly Extract[];
  readonly references: CrossReferences;
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
  actors: { list, read, extract: extractOne, relate, draft, publish },
  guards: { isMoreToRead: ({ context }) => context.next < context.documents.length },
}).createMachine({
  id: "research",
  context: ({ input }) => ({
    ...input,
    effectsDone: 0,
    documents: [],
    leftOut: 0,
    next: 0,
    document: null,
    extracts: [],
    references: { terms: [], kinships: [] },
    report: "",
    outcome: null,
    by: null,
  }),
  output: ({ context: { outcome, by, reportPath } }) => ({ outcome, by, reportPath }),
  initial: "listing",
  states: {
    listing: {
      invoke: {
        id: "list",
        src: "list",
        input: ({ context }) => ({ folder: context.folder, ...callOf(context) }),
        onDone: {
          target: "reading",
          actions: assign(({ context, event: { output } }) =>
            ended(context, { documents: output.paths, leftOut: output.leftOut }),
          ),
        },
      },
    },
    reading: {
      invoke: {
        id: "read",
        src: "read",
        input: ({ context }) => ({
          folder: context.folder,
          path: context.documents[context.next] ?? "",
          ...callOf(context),
        }),
        onDone: {
          target: "extracting",
          actions: assign(({ context, event }) => ended(context, { document: event.output })),
        },
      },
    },
    extracting: {
      invoke: {
        id: "extract",
        src: "extract",
        input: ({ context }) => ({ document: context.document ?? nothingRead, ...callOf(context) }),
        onDone: {
          target: "extracted",
          actions: assign(({ context, event }) =>
            ended(context, { extracts: [...context.extracts, event.output], document: null, next: context.next + 1 }),
          ),
        },
      },
    },
    extracted: { always: [{ guard: "isMoreToRead", target: "reading" }, { target: "crossReferencing" }] },
    crossReferencing: {
      invoke: {
        id: "relate",
        src: "relate",
        input: ({ context }) => ({ extracts: context.extracts, ...callOf(context) }),
        onDone: {
          target: "drafting",
          actions: assign(({ context, event }) => ended(context, { references: event.output })),
        },
      },
    },
    drafting: {
      invoke: {
        id: "draft",
        src: "draft",
        input: ({ context }) => ({
          about: basename(context.folder),
          extracts: context.extracts,
          references: context.references,
          leftOut: context.leftOut,
          ...callOf(context),
        }),
        onDone: {
          target: "awaitingApproval",
          actions: assign(({ context, event }) => ended(context, { report: event.output })),
        },
      },
    },
    // For as long as it takes: nothing runs meanwhile, and no process is needed.
    awaitingApproval: {
      tags: "waiting",
      on: {
        approve: { target: "publishing", actions: assign({ by: ({ event }) => event.by }) },
        reject: { target: "rejected", actions: assign({ by: ({ event }) => event.by, outcome: "rejected" }) },
      },
    },
    publishing: {
      invoke: {
        id: "publish",
        src: "publish",
        input: ({ context }) => ({ path: context.reportPath, report: context.report, ...callOf(context) }),
        onDone: { target: "published", actions: assign(({ context }) => ended(context, { outcome: "published" })) },
      },
    },
    published: { type: "final" },
    rejected: { type: "final" },
  },
});

/** An effect that throws ends the agent with its error: `result()` rejects with it. */
export const research = agent("research", { machine });

const nothingRead: SourceDocument = { path: "", text: "", isCut: false };

function callOf(context: ResearchContext): Call {
  return { number: context.effectsDone + 1, witnessPath: context.witnessPath };
}

function ended(context: ResearchContext, result: Partial<ResearchContext>): Partial<ResearchContext> {
  return { ...result, effectsDone: context.effectsDone + 1 };
}
