/** An agent with input, output, states, tags, an effect and late replies. */
import { agent, type Ask, type MessageId, message, reply, replyTo } from "@dormouse/sdk";
import { assign, fromPromise, setup } from "xstate";

interface Report {
  readonly report: string;
}
type Events =
  | Ask<{ type: "order" }, { accepted: boolean }>
  | Ask<{ type: "report" }, Report>
  | { type: "approve"; by: string };

export const research = agent("research", {
  machine: setup({
    types: {} as {
      context: { topic: string; report?: string; asker?: MessageId };
      input: { topic: string };
      output: Report;
      tags: "waiting" | "busy";
      events: Events;
    },
    actors: {
      write: fromPromise(async ({ input }: { input: { topic: string } }): Promise<Report> => ({ report: input.topic })),
    },
  }).createMachine({
    context: ({ input }) => ({ topic: input.topic }),
    initial: "drafting",
    output: ({ context }) => ({ report: context.report ?? "" }),
    on: {
      order: { actions: reply({ accepted: true }) },
      report: { actions: assign({ asker: () => message().id }) },
    },
    states: {
      drafting: {
        tags: "busy",
        invoke: {
          src: "write",
          input: ({ context }) => ({ topic: context.topic }),
          onDone: {
            target: "awaitingApproval",
            actions: [
              assign({ report: ({ event }) => event.output.report }),
              // In place of the event that was asked: here the event is the effect's own.
              replyTo("report", ({ context }) => ({ report: context.report ?? "" })),
            ],
          },
        },
      },
      awaitingApproval: { tags: "waiting", on: { approve: "publishing" } },
      publishing: {
        initial: "checking",
        states: { checking: { after: { "1000": "writing" } }, writing: {} },
        // @ts-expect-error `approve` is not answered
        entry: replyTo("approve", () => ({ report: "" })),
        // @ts-expect-error the reply of `report` has a report
        exit: replyTo("report", () => ({ rapport: "" })),
      },
    },
  }),
});
