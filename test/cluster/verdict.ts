/**
 * Whether the cluster stood what was done to it: what its agents keep at the end, against what the client was told.
 *
 * V1  What was acknowledged was applied once, in order: books have no faults, and end where the client's numbers do.
 * V2  No answer contradicts another: what an account says that it has taken is more than in any answer received before
 *     it was asked, and never the same twice; the same ask under one idempotency key gets the same answer.
 * V3  No entry of an outbox is lost: all money has arrived, and there is as much as was put in.
 * V4  An effect goes by one idempotency key in all its runs; its result is of a run that came to its end, and is the one
 *     that was answered.
 * V5  Everything that was asked was answered.
 *
 * Does not verify who committed (`witnessed-store.ts`). An effect may run again (D6): a host that was stopped does not
 * know that its work went on elsewhere.
 */
import { readFileSync } from "node:fs";
import type { AgentState, AnyAgentDefinition, Client } from "@dormouse/sdk";
import { makeAddress, partitionOf } from "@dormouse/core/protocol";
import { account, alarm, type Book, clerk } from "../process/agents.ts";
import { accountKeys, balance, type Line } from "./call.ts";

type Asked = Extract<Line, { readonly is: "asked" }>;

interface Told {
  /** By agent and source, the last acknowledged number (V1). */
  readonly acknowledged: ReadonlyMap<string, number>;
  /** By clerk, the results that were answered, in order. */
  readonly results: ReadonlyMap<string, readonly string[]>;
  /** By alarm, how often it rang. */
  readonly rings: ReadonlyMap<string, number>;
  readonly wrong: readonly string[];
}

export interface VerdictOptions {
  readonly client: Client;
  readonly lines: readonly Line[];
  readonly witness: string;
  readonly partitions: number;
}

const patienceMs = 60_000;

/** What was wrong; nothing if nothing was. The load has stopped. */
export async function verdict({ client, lines, witness, partitions }: VerdictOptions): Promise<readonly string[]> {
  const told = toldBy(lines);
  const names = accountKeys(partitions, (key) => partitionOf(makeAddress("account", key), partitions));
  const accounts = await Promise.all(
    names.map(async (name) => {
      const arrived = client
        .agent(account, name)
        .waitFor(({ context }) => context.inTransit === 0, { timeout: patienceMs });
      await arrived.catch(() => undefined);
      return contextOf(await client.agent(account, name).read({ timeout: patienceMs }));
    }),
  );
  const alarms = await Promise.all(
    [...told.rings.keys()].map(async (name) => ({
      name,
      ...contextOf(await client.agent(alarm, name).read({ timeout: patienceMs })),
    })),
  );
  const clerks = await Promise.all(
    [...told.results.keys()].map(async (name) =>
      contextOf(await client.agent(clerk, name).read({ timeout: patienceMs })),
    ),
  );
  const books = new Map<string, Book>([
    ...accounts.map(({ name, book }) => [`account/${name}`, book] as const),
    ...alarms.map(({ name, book }) => [`alarm/${name}`, book] as const),
    ...clerks.map(({ name, book }) => [`clerk/${name}`, book] as const),
  ]);
  return [
    ...told.wrong,
    ...booksAgainst(books, told.acknowledged),
    ...money(accounts),
    ...alarms.flatMap(({ name, fired }) =>
      fired === told.rings.get(name) ? [] : [`${name} rang ${fired} times and told of ${told.rings.get(name)}`],
    ),
    ...effects(clerks, told.results, witness),
  ];
}

function contextOf<TDefinition extends AnyAgentDefinition>(
  state: AgentState<TDefinition> | undefined,
): AgentState<TDefinition>["context"] {
  if (state === undefined) throw new Error("an agent is gone");
  return state.context;
}

/** Reads the client's lines in their order. */
function toldBy(lines: readonly Line[]): Told {
  const wrong: string[] = [];
  const acknowledged = new Map<string, number>();
  const results = new Map<string, string[]>();
  const rings = new Map<string, number>();
  const open = new Map<number, { readonly asked: Asked; readonly floor: number }>();
  /** By account, the most that any answer told it had taken (V2). */
  const floors = new Map<string, number>();
  const taken = new Set<string>();
  /** By agent and source, the last answer to a note. */
  const notes = new Map<string, number | string | null>();
  for (const line of lines) {
    if (line.is === "asked") open.set(line.call, { asked: line, floor: floors.get(line.agent) ?? 0 });
    if (line.is !== "answered" && line.is !== "failed") continue;
    const call = open.get(line.call);
    if (call === undefined) throw new Error(`call ${line.call} ended and was not begun`);
    open.delete(line.call);
    const { asked, floor } = call;
    const { agent, what, source, n } = asked;
    const lane = `${agent} ${source}`;
    if (line.is === "failed") {
      wrong.push(`${what} ${n} of ${source} to ${agent} failed: ${line.why}`);
      continue;
    }
    const { value } = line;
    if (what === "again") {
      const first = notes.get(lane);
      if (first !== value) wrong.push(`${agent} answered ${source}'s ${n} with ${first}, and again with ${value}`);
      continue;
    }
    if (what === "start") continue;
    acknowledged.set(lane, n);
    if (what === "note") notes.set(lane, value);
    if (what === "work") results.set(source, [...(results.get(source) ?? []), String(value)]);
    if (what === "ring") {
      if (value !== n) wrong.push(`${agent} was armed ${n} times and rang ${value} times`);
      rings.set(source, Number(value));
    }
    if (what !== "note" && what !== "transfer") continue;
    const count = Number(value);
    if (count <= floor) wrong.push(`${agent} told of ${count} messages after it had told of ${floor}`);
    if (taken.has(`${agent} ${count}`)) wrong.push(`${agent} gave two answers that tell of ${count} messages`);
    taken.add(`${agent} ${count}`);
    floors.set(agent, Math.max(count, floors.get(agent) ?? 0));
  }
  for (const { asked } of open.values()) {
    wrong.push(`${asked.what} ${asked.n} of ${asked.source} to ${asked.agent} was never answered`);
  }
  return { acknowledged, results, rings, wrong };
}

function booksAgainst(books: ReadonlyMap<string, Book>, acknowledged: ReadonlyMap<string, number>): string[] {
  const wrong: string[] = [];
  for (const [address, { faults }] of books) for (const fault of faults) wrong.push(`${address}: ${fault}`);
  for (const [lane, n] of acknowledged) {
    const [address = "", source = ""] = lane.split(" ");
    const taken = books.get(address)?.last[source];
    if (taken !== n) wrong.push(`${address} took ${taken} of ${n} acknowledged by ${source}`);
  }
  return wrong;
}

interface Purse {
  readonly name: string;
  readonly balance: number;
  readonly inTransit: number;
}

function money(accounts: readonly Purse[]): string[] {
  const wrong = accounts.flatMap(({ name, inTransit }) =>
    inTransit === 0 ? [] : [`account/${name} has ${inTransit} on the way for ever`],
  );
  const total = accounts.reduce((sum, one) => sum + one.balance + one.inTransit, 0);
  const wanted = accounts.length * balance;
  return total === wanted ? wrong : [...wrong, `there is ${total} of ${wanted}`];
}

function effects(
  clerks: readonly { readonly name: string; readonly results: readonly string[] }[],
  told: ReadonlyMap<string, readonly string[]>,
  witness: string,
): string[] {
  const wrong: string[] = [];
  const keyOf = new Map<string, string>();
  const ended = new Map<string, string>();
  for (const line of readFileSync(witness, "utf8").split("\n").slice(0, -1)) {
    const [what, name, n, key = "", result = ""] = line.split(" ");
    const effect = `${name} ${n}`;
    const known = keyOf.get(effect) ?? key;
    keyOf.set(effect, known);
    if (known !== key) wrong.push(`${effect} ran under ${known} and under ${key}`);
    if (what === "end") ended.set(result, effect);
  }
  for (const { name, results } of clerks) {
    for (const [index, result] of results.entries()) {
      const effect = `${name} ${index + 1}`;
      if (ended.get(result) !== effect) wrong.push(`${effect} is recorded as ${result}, which did not end`);
    }
    const answered = told.get(name) ?? [];
    if (answered.join() !== results.join())
      wrong.push(`${name} answered ${answered.join()} and keeps ${results.join()}`);
  }
  return wrong;
}
