/**
 * Permits, each a durable function without end: it waits for decisions, does two marked calls for each, side by side, sleeps,
 * and has it archived. A clerk sends the decisions, in order, and of some kinds too many; hosts come and go meanwhile.
 *
 * What must hold: the archive has every decision once, in the order in which the clerk made them, with receipts that the marked
 * calls gave; no marked call begins after its result was told (`checkers/d7-calls.ts`).
 */
import { agent, type Ask, durable, type DurableContext, type DurableLogic, ref, reply } from "@dormouse/core";
import { assign, sendTo, setup } from "xstate";
import type { Book } from "../checkers/checker.ts";
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

interface Decision {
  /** The permit's key. */
  readonly permit: string;
  readonly serial: number;
  /** How long each of the two calls takes, and the sleep after them. */
  readonly ms: readonly [number, number, number];
  /** Fails so often before it is done. */
  readonly fails: number;
}

interface Clerk {
  readonly book: Book;
  /** Decisions made, by permit. */
  readonly made: { readonly [permit: string]: number };
}

type Decide = Numbered<"decide"> & Omit<Decision, "serial"> & { readonly isBad: boolean };

interface Archived {
  readonly serial: number;
  readonly receipts: readonly string[];
}

interface Archive {
  readonly notes: readonly Archived[];
}

interface Archiving extends Archived {
  readonly type: "note";
}

interface Progress {
  readonly round: number;
}

export const toldSuffix = "!told";
const turnsPerRound = 5;
/** What is archived is looked at again in each step. */
const decisionsMax = 300;

export function permit(random: Random): Workload {
  /** What marked calls gave, by what they were for. */
  const receipts = new Map<string, string[]>();
  let drawn = 0;
  const clerk = agent("clerk", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({ types: {} as { context: Clerk; events: Ask<Decide, Told> } }).createMachine({
      context: { book: emptyBook, made: {} },
      on: {
        decide: {
          actions: [
            assign(({ context, event: { permit: key, isBad, ...event } }) => ({
              book: take(context.book, event),
              made: isBad ? context.made : { ...context.made, [key]: (context.made[key] ?? 0) + 1 },
            })),
            sendTo(
              ({ event }) => ref(`permit/${event.permit}`),
              ({ context, event: { permit: key, ms, fails, isBad } }) => ({
                type: "decision",
                value: isBad ? "bad" : { permit: key, serial: context.made[key] ?? 0, ms, fails },
              }),
            ),
            reply(({ context }) => ({ position: context.book.taken.length })),
          ],
        },
      },
    }),
  });
  const archive = agent("archive", {
    passivateAfter: random.pick(passivateAfters),
    machine: setup({ types: {} as { context: Archive; events: Archiving } }).createMachine({
      context: { notes: [] },
      on: {
        note: {
          actions: assign({
            notes: ({ context, event: { serial, receipts: given } }) => [...context.notes, { serial, receipts: given }],
          }),
        },
      },
    }),
  });
  const run = durable<unknown, Progress | undefined>(() =>
    Promise.reject(new Error("a host of the simulation brings its own")),
  );
  const definition = agent("permit", { passivateAfter: random.pick(passivateAfters), run });
  const keys = Array.from({ length: random.between(1, 4) }, (_, index) => `p${index}`);
  const clerks = keys.map((key) => `of-${key}`);
  return {
    name: "permit",
    agents: [clerk, archive, definition],
    addresses: [...clerks.map((key) => `clerk/${key}`), ...keys.map((key) => `archive/${key}`)],
    actors: (outside) => ({ permit: { run: permitFunction(outside, receipts, archive) } }),
    draw: (draws) => {
      const key = draws.pick(keys);
      if (drawn === decisionsMax || draws.chance(0.5))
        return { verb: "read", agent: clerk, key: `of-${key}`, event: { type: "read" } };
      drawn += 1;
      const ms = [draws.skewed(1, 200), draws.skewed(1, 200), draws.chance(0.1) ? 500 : 0];
      const event = { type: "decide", permit: key, ms, fails: draws.chance(0.1) ? 1 : 0, isBad: draws.chance(0.1) };
      return { verb: draws.chance(0.5) ? "ask" : "send", agent: clerk, key: `of-${key}`, event };
    },
    check: (contexts) =>
      keys.flatMap((key) =>
        checkArchive(
          key,
          (contexts.get(`clerk/of-${key}`) as Clerk | undefined)?.made[key] ?? 0,
          (contexts.get(`archive/${key}`) as Archive | undefined)?.notes ?? [],
          receipts,
        ),
      ),
  };
}

function permitFunction(
  outside: Outside,
  receipts: Map<string, string[]>,
  archive: Parameters<DurableContext["send"]>[0],
): DurableLogic<unknown, Progress | undefined> {
  return durable(async (context: DurableContext<Progress | undefined>): Promise<unknown> => {
    const { input, receive, sleep, send, restart } = context;
    const round = input?.round ?? 0;
    for (let turn = 0; turn < turnsPerRound; turn += 1) {
      const decision = (await receive("decision", { schema: decisionSchema })) as Decision;
      const { permit: key } = decision;
      const of = `${key}/${round}.${turn}`;
      const given = await Promise.all(
        (["stamp", "file"] as const).map((name, index) =>
          stamp(context, outside, receipts, { name, of, ms: decision.ms[index] ?? 0, fails: decision.fails }),
        ),
      );
      if (decision.ms[2] > 0) await sleep(decision.ms[2]);
      await send(archive, key, { type: "note", serial: decision.serial, receipts: given } as never);
    }
    return restart({ round: round + 1 });
  }) as DurableLogic<unknown, Progress | undefined>;
}

interface Stamp {
  readonly name: string;
  readonly of: string;
  readonly ms: number;
  readonly fails: number;
}

/** One marked call, which tells when it begins and when its result was told. */
async function stamp(
  { run, attempt: life }: DurableContext<Progress | undefined>,
  outside: Outside,
  receipts: Map<string, string[]>,
  { name, of, ms, fails }: Stamp,
): Promise<string> {
  const effect = `permit ${of} ${name}`;
  const retry = { maxAttempts: 5, initialInterval: "300ms", jitter: 0 } as const;
  const given = await run(
    name,
    async ({ idempotencyKey, attempt }) => {
      const ended = outside.began({ agent: "permit", effect, idempotencyKey, attempt });
      await outside.sleep(ms);
      ended();
      if (attempt <= fails) throw new Error("not yet");
      const known = receipts.get(effect) ?? [];
      const receipt = `${effect} ${known.length} ${idempotencyKey}`;
      receipts.set(effect, [...known, receipt]);
      return receipt;
    },
    { retry },
  );
  const told = `${given.slice(given.lastIndexOf(" ") + 1)}${toldSuffix}`;
  outside.began({ agent: "permit", effect: `${effect} told`, idempotencyKey: told, attempt: life })();
  return given;
}

const decisionSchema = {
  "~standard": {
    version: 1,
    vendor: "simulation",
    validate: (value: unknown) =>
      typeof value === "object" ? { value: value as Decision } : { issues: [{ message: "no decision" }] },
  },
} as const;

function checkArchive(
  key: string,
  made: number,
  notes: readonly Archived[],
  receipts: ReadonlyMap<string, readonly string[]>,
): Finding[] {
  const findings: Finding[] = [];
  for (const [index, { serial, receipts: given }] of notes.entries()) {
    if (serial !== index + 1) findings.push({ message: `archive/${key} has decision ${serial} in place ${index + 1}` });
    for (const receipt of given) {
      const effect = receipt.split(" ").slice(0, 3).join(" ");
      if (receipts.get(effect)?.includes(receipt) !== true) {
        findings.push({ message: `archive/${key} holds a receipt that no call gave: ${receipt}` });
      }
    }
  }
  if (notes.length !== made) {
    const message = `archive/${key} has ${notes.length} of ${made} decisions`;
    findings.push({ message, ...(notes.length < made ? { mayPass: true as const } : {}) });
  }
  return findings;
}
