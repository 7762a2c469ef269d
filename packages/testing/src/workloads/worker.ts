/** Agents whose jobs are effects: a promise outside, whose result is taken once, whatever happens to the host. */
import { agent, type Ask, reply } from "@dormouse/core";
import { assign, fromPromise, setup } from "xstate";
import type { Book, Taken } from "../checkers/checker.ts";
import type { Random } from "../random.ts";
import {
  emptyBook,
  type Finding,
  type Numbered,
  type Outside,
  passivateAfters,
  take,
  type Told,
  type Workload,
} from "./workload.ts";

interface Job extends Taken {
  readonly agent: string;
  readonly ms: number;
  readonly isToFail: boolean;
}

interface Worker {
  readonly book: Book;
  readonly queue: readonly Job[];
  readonly given: readonly Taken[];
  readonly ended: readonly { readonly job: Taken; readonly receipt: string }[];
}

type JobEvent = Numbered<"job"> & Omit<Job, keyof Taken>;
type Events = Ask<JobEvent, Told> | Numbered<"drop">;

/** What the runtime gives an effect beyond XState's own. */
interface EffectArguments {
  readonly input: Job;
  readonly idempotencyKey: string;
  readonly attempt: number;
}

export function worker(random: Random): Workload {
  /** What runs gave, by idempotency key: a recorded result must be one of them. */
  const receipts = new Map<string, string[]>();
  const definition = agent("worker", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({
      types: {} as { context: Worker; events: Events },
      actors: {
        pay: fromPromise<string, Job>(() => Promise.reject(new Error("a host of the simulation brings its own"))),
      },
      guards: { hasJob: ({ context }) => context.queue.length > 0 },
    }).createMachine({
      context: { book: emptyBook, queue: [], given: [], ended: [] },
      initial: "idle",
      on: {
        job: {
          actions: [
            assign(({ context, event }) => {
              const { type: _type, ...job } = event;
              return {
                book: take(context.book, event),
                queue: [...context.queue, job],
                given: [...context.given, { from: job.from, n: job.n }],
              };
            }),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
        drop: { actions: assign({ book: ({ context, event }) => take(context.book, event) }) },
      },
      states: {
        idle: { always: { guard: "hasJob", target: "paying" } },
        paying: {
          invoke: {
            id: "pay",
            src: "pay",
            input: ({ context }) => context.queue[0] ?? { from: "", n: 0, agent: "", ms: 0, isToFail: false },
            onDone: { target: "idle", actions: assign(({ context, event }) => endFirst(context, event.output)) },
            onError: {
              target: "idle",
              actions: assign(({ context, event }) => endFirst(context, (event.error as Error).message)),
            },
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
  const keys = Array.from({ length: random.between(1, 5) }, (_, index) => `w${index}`);
  return {
    name: "worker",
    agents: [definition],
    addresses: keys.map((key) => `worker/${key}`),
    actors: (outside) => ({
      worker: {
        pay: fromPromise<string, Job>((given) => pay(outside, given as unknown as EffectArguments, receipts)),
      },
    }),
    draw: (draws) => {
      const key = draws.pick(keys);
      const roll = draws.int(100);
      if (roll < 8) return { verb: "read", agent: definition, key, event: { type: "read" } };
      if (roll < 15) return { verb: "send", agent: definition, key, event: { type: "drop" } };
      const job = { agent: `worker/${key}`, ms: draws.skewed(1, 1_000), isToFail: draws.chance(0.2) };
      return { verb: draws.chance(0.5) ? "ask" : "send", agent: definition, key, event: { type: "job", ...job } };
    },
    check: (contexts) =>
      [...contexts].flatMap(([address, context]) =>
        address.startsWith("worker/") ? checkWorker(address, context as Worker, receipts) : [],
      ),
  };
}

function endFirst({ queue, ended }: Worker, receipt: string): Partial<Worker> {
  const [job, ...rest] = queue;
  return job === undefined ? {} : { queue: rest, ended: [...ended, { job: { from: job.from, n: job.n }, receipt }] };
}

async function pay(outside: Outside, given: EffectArguments, receipts: Map<string, string[]>): Promise<string> {
  const { input, idempotencyKey, attempt } = given;
  const effect = jobName(input);
  const ended = outside.began({ agent: input.agent, effect, idempotencyKey, attempt });
  await outside.sleep(input.ms);
  const runs = receipts.get(effect) ?? [];
  const receipt = `${input.isToFail ? "refused" : "paid"} ${effect} ${runs.length}`;
  receipts.set(effect, [...runs, receipt]);
  ended();
  if (input.isToFail) throw new Error(receipt);
  return receipt;
}

function checkWorker(
  address: string,
  { queue, given, ended }: Worker,
  receipts: ReadonlyMap<string, readonly string[]>,
): Finding[] {
  const findings: Finding[] = [];
  if (queue.length > 0) findings.push({ message: `${queue.length} jobs of ${address} are not ended`, mayPass: true });
  for (const [index, { job, receipt }] of ended.entries()) {
    const wanted = given[index];
    if (wanted?.from !== job.from || wanted.n !== job.n) {
      findings.push({ message: `${address} ended ${jobName(job)} where it had begun ${wanted && jobName(wanted)}` });
    }
    if (receipt !== "dropped" && receipts.get(jobName(job))?.includes(receipt) !== true) {
      findings.push({ message: `${address} holds a result that no run of ${jobName(job)} gave: ${receipt}` });
    }
  }
  return findings;
}

function jobName({ from, n }: Taken): string {
  return `${from}#${n}`;
}
