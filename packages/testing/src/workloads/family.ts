/** Parents that give their jobs to children, one child a job: done, failed, or stopped half-way. */
import { agent, type Ask, reply } from "@dormouse/core";
import { assign, setup } from "xstate";
import type { Book, Taken } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import { emptyBook, type Finding, type Numbered, passivateAfters, take, type Told, type Workload } from "./workload.ts";

interface Job extends Taken {
  readonly ms: number;
  readonly isToFail: boolean;
}

interface Parent {
  readonly book: Book;
  readonly queue: readonly Job[];
  readonly given: readonly Taken[];
  readonly ended: readonly { readonly job: Taken; readonly how: string }[];
}

type JobEvent = Numbered<"job"> & Omit<Job, keyof Taken>;
type Events = Ask<JobEvent, Told> | Numbered<"drop">;

const child = setup({
  types: {} as { context: { readonly job: Job }; input: Job; output: string },
  delays: { work: ({ context }) => context.job.ms },
}).createMachine({
  context: ({ input }) => ({ job: input }),
  initial: "working",
  states: {
    working: {
      after: { work: [{ guard: ({ context }) => context.job.isToFail, target: "failing" }, { target: "done" }] },
    },
    failing: {
      entry: assign(() => {
        throw new Error("this child is to fail");
      }),
    },
    done: { type: "final" },
  },
  output: ({ context }) => `done ${context.job.from} ${context.job.n}`,
});

export function family(random: Random): Workload {
  const definition = agent("parent", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({
      types: {} as { context: Parent; events: Events },
      actors: { child },
      guards: { hasJob: ({ context }) => context.queue.length > 0 },
    }).createMachine({
      context: { book: emptyBook, queue: [], given: [], ended: [] },
      initial: "idle",
      on: {
        job: {
          actions: [
            assign(({ context, event }) => {
              const { from, n, ms, isToFail } = event;
              const job = { from, n, ms, isToFail };
              return {
                book: take(context.book, event),
                queue: [...context.queue, job],
                given: [...context.given, { from, n }],
              };
            }),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
        drop: { actions: assign({ book: ({ context, event }) => take(context.book, event) }) },
      },
      states: {
        idle: { always: { guard: "hasJob", target: "working" } },
        working: {
          invoke: {
            id: "child",
            src: "child",
            input: ({ context }) => context.queue[0] ?? { from: "", n: 0, ms: 0, isToFail: false },
            onDone: { target: "idle", actions: assign(({ context, event }) => endFirst(context, event.output)) },
            onError: { target: "idle", actions: assign(({ context }) => endFirst(context, "failed")) },
          },
          on: {
            drop: {
              target: "idle",
              actions: assign(({ context, event }) => ({
                book: take(context.book, event),
                ...endFirst(context, "dropped"),
              })),
            },
          },
        },
      },
    }),
  });
  const keys = Array.from({ length: random.between(1, 4) }, (_, index) => `p${index}`);
  return {
    name: "family",
    agents: [definition],
    addresses: keys.map((key) => `parent/${key}`),
    draw: (draws) => {
      const key = draws.pick(keys);
      const roll = draws.int(100);
      if (roll < 8) return { verb: "read", agent: definition, key, event: { type: "read" } };
      if (roll < 20) return { verb: "send", agent: definition, key, event: { type: "drop" } };
      const event = { type: "job", ms: draws.skewed(1, 1_000), isToFail: draws.chance(0.2) };
      return { verb: draws.chance(0.5) ? "ask" : "send", agent: definition, key, event };
    },
    check: (contexts) =>
      [...contexts].flatMap(([address, context]) =>
        address.startsWith("parent/") ? checkParent(address, context as Parent) : [],
      ),
  };
}

function endFirst({ queue, ended }: Parent, how: string): Partial<Parent> {
  const [job, ...rest] = queue;
  return job === undefined ? {} : { queue: rest, ended: [...ended, { job: { from: job.from, n: job.n }, how }] };
}

function checkParent(address: string, { queue, given, ended }: Parent): Finding[] {
  const findings: Finding[] = [];
  if (queue.length > 0) findings.push({ message: `${queue.length} jobs of ${address} are not ended`, mayPass: true });
  for (const [index, { job, how }] of ended.entries()) {
    const wanted = given[index];
    if (wanted?.from !== job.from || wanted.n !== job.n) {
      const expected = `${wanted?.from} ${wanted?.n}`;
      findings.push({
        message: `${address} ended another job than it gave: ${job.from} ${job.n} ${how}, not ${expected}`,
      });
    }
    // A child that was stopped may still have said that it is done: that is not for the one after it.
    if (how.startsWith("done") && how !== `done ${job.from} ${job.n}`) {
      findings.push({ message: `${address} took "${how}" for the end of ${job.from} ${job.n}` });
    }
  }
  return findings;
}
