/** The agent `research`: reads a folder's documents one by one, drafts a report, and publishes it when a person agrees. */
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
        src: "list",
        input: ({ context }) => ({ ...callOf(context), folder: context.folder }),
        onDone: {
          target: "reading",
          actions: assign(({ context, event }) => ended(context, { documents: event.output })),
        },
      },
    },
    reading: {
      invoke: {
        src: "read",
        input: ({ context }) => ({
          ...callOf(context),
          folder: context.folder,
          path: context.documents[context.next] ?? "",
        }),
        onDone: {
          target: "extracting",
          actions: assign(({ context, event }) => ended(context, { document: event.output })),
        },
      },
    },
    extracting: {
      invoke: {
        src: "extract",
        input: ({ context }) => ({ ...callOf(context), document: context.document ?? nothingRead }),
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
        src: "relate",
        input: ({ context }) => ({ ...callOf(context), extracts: context.extracts }),
        onDone: {
          target: "drafting",
          actions: assign(({ context, event }) => ended(context, { references: event.output })),
        },
      },
    },
    drafting: {
      invoke: {
        src: "draft",
        input: ({ context }) => ({
          ...callOf(context),
          folder: context.folder,
          extracts: context.extracts,
          references: context.references,
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
        src: "publish",
        input: ({ context }) => ({ ...callOf(context), path: context.reportPath, report: context.report }),
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
