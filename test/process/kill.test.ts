/**
 * A host that is killed two hundred times under a mixed load, judged from outside.
 *
 * Method: a real process on a real folder dies by SIGKILL at moments that the seed chooses among what the process says
 * it begins (a commit, a settle, an effect, a write of its takeover) and anything else. This process drives it over the
 * socket, survives it, and knows what was acknowledged; effects testify in a file that only grows. At the end the books
 * of the agents are compared with both, and once more after a clean end and a last start.
 *
 * Not verified here: loss of what the operating system had not written when the machine itself fails. The seed chooses
 * the moments and the load; how they fall together is the machine's, so a seed does not repeat a run.
 *
 * KILL_SEED and KILL_COUNT choose the run.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectedClient, connect } from "@dormouse/sdk";
import { Random } from "@dormouse/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { account, alarm, type Book, clerk, runner, tally, ticker } from "./agents.ts";
import { Hosts } from "./hosts.ts";
import { Load } from "./load.ts";
import { type Aim, type Death, deeds } from "./victim.ts";

const seed = process.env["KILL_SEED"] ?? "1";
const kills = Number(process.env["KILL_COUNT"] ?? 200);
const accounts = 16;
const clerks = 4;
const alarms = 4;
const loners = 2;
const balance = 1_000_000;

const random = new Random(seed);
const folder = mkdtempSync(join(tmpdir(), "dormouse-kill-"));
const store = join(folder, "store");
const cache = join(folder, "cache");
const witness = join(folder, "witness");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Half of the moments are commits and settles, the rest effects, takeovers and anything. */
function aim(): Aim {
  const draw = random.int(100);
  if (draw < 35) return { at: "commit", nth: random.between(1, 30), delayMicros: random.skewed(1, 2_000) };
  if (draw < 65) return { at: "settle", nth: random.between(1, 30), delayMicros: random.skewed(1, 2_000) };
  if (draw < 80) return { at: "effect", nth: random.between(1, 8), delayMicros: random.skewed(1, 8_000) };
  if (draw < 90) return { at: "takeover", nth: random.between(1, 40), delayMicros: random.skewed(1, 2_000) };
  return { at: "any", nth: random.between(1, 200), delayMicros: random.skewed(1, 5_000) };
}

const hosts = new Hosts(store, cache);
let client: ConnectedClient;
let load: Load;

beforeAll(async () => {
  console.log(`kill loop: KILL_SEED=${seed} KILL_COUNT=${kills} folder=${folder}`);
  writeFileSync(witness, "");
  const first = await hosts.start();
  await first.ready;
  client = await connect({ store: `file:${store}` });
  hosts.use(client);
  const starts: Promise<unknown>[] = [];
  for (const name of keys(accounts)) starts.push(client.agent(account, name).start({ name, balance }));
  for (const name of keys(clerks, "clerk-")) starts.push(client.agent(clerk, name).start({ name, witness }));
  for (const name of keys(loners, "runner-")) starts.push(client.agent(runner, name).start({ name, witness }));
  for (const name of keys(loners, "ticker-")) starts.push(client.agent(ticker, name).start({ name }));
  await Promise.all(starts);
  load = new Load({ client, gate: hosts, random: random.fork("load"), accounts, lanes: 24, alarms, clerks });
  load.start();
}, 60_000);

afterAll(async () => {
  await hosts.end();
  await client.close();
});

test(`after ${kills} kills everything acknowledged was applied once, and nothing recorded was computed again`, async () => {
  const startedAt = performance.now();
  for (let n = 0; n < kills; n += 1) {
    await hosts.kill(aim());
    await hosts.start();
  }
  const killedMs = performance.now() - startedAt;
  await hosts.reachable();
  for (const { agent } of await client.quarantined()) await hosts.resume(agent);
  await load.stop();
  const quiet = await quiesce();
  report(killedMs);
  expect([...load.faults, ...hosts.faults]).toEqual([]);
  expect(booksAgainstAcknowledged(quiet)).toEqual([]);
  expect(effectsAgainstWitness(quiet)).toEqual([]);
  expect(hosts.deaths.filter(isHit).length).toBeGreaterThanOrEqual(kills / 2);

  await hosts.drain();
  await hosts.start();
  await hosts.reachable();
  expect(await states()).toEqual(quiet);
  expect(hosts.deaths.flatMap(({ odd }) => odd)).toEqual([]);
  expect(stepsTakenAgain()).toEqual([]);
}, 400_000);

function isHit({ open }: Death): boolean {
  return open.has("commit") || open.has("settle") || open.has("effect");
}

function keys(count: number, prefix: string = ""): string[] {
  return Array.from({ length: count }, (_, n) => `${prefix}${n}`);
}

interface States {
  readonly accounts: readonly AccountState[];
  readonly alarms: readonly { readonly fired: number; readonly book: Book }[];
  readonly tallies: readonly { readonly ticks: number; readonly book: Book }[];
  readonly clerks: readonly WorkerState[];
  readonly runners: readonly WorkerState[];
}

interface AccountState {
  readonly name: string;
  readonly balance: number;
  readonly inTransit: number;
  readonly book: Book;
}

interface WorkerState {
  readonly name: string;
  readonly results: readonly string[];
}

/** Ends what moves by itself, and waits until nothing is on its way. */
async function quiesce(): Promise<States> {
  for (let n = 0; n < loners; n += 1) {
    const ticks = await client.agent(ticker, `ticker-${n}`).ask({ type: "halt" }, { timeout: 60_000 });
    await client
      .agent(tally, `ticker-${n}`)
      .waitFor((state) => (state.context.book.last[`ticker-${n}`] ?? 0) >= ticks, { timeout: 60_000 });
    const one = client.agent(runner, `runner-${n}`);
    await one.ask({ type: "halt" }, { timeout: 60_000 });
    await one.waitFor("halted", { timeout: 60_000 });
  }
  for (let n = 0; n < accounts; n += 1) {
    await client.agent(account, `${n}`).waitFor((state) => state.context.inTransit === 0, { timeout: 60_000 });
  }
  return states();
}

function of<T>(count: number, read: (n: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => read(n)));
}

async function states(): Promise<States> {
  return {
    accounts: await of(accounts, async (n) => contextOf(await client.agent(account, `${n}`).read())),
    alarms: await of(alarms, async (n) => contextOf(await client.agent(alarm, `alarm-${n}`).read())),
    tallies: await of(loners, async (n) => ({
      ...contextOf(await client.agent(tally, `ticker-${n}`).read()),
      ticks: contextOf(await client.agent(ticker, `ticker-${n}`).read()).ticks,
    })),
    clerks: await of(clerks, async (n) => contextOf(await client.agent(clerk, `clerk-${n}`).read())),
    runners: await of(loners, async (n) => contextOf(await client.agent(runner, `runner-${n}`).read())),
  };
}

function contextOf<T>(state: { readonly context: T } | undefined): T {
  if (state === undefined) throw new Error("an agent is gone");
  return state.context;
}

function booksAgainstAcknowledged(quiet: States): string[] {
  const wrong: string[] = [];
  const books = new Map<string, Book>([
    ...quiet.accounts.map(({ name, book }) => [`account/${name}`, book] as const),
    ...quiet.alarms.map(({ book }, n) => [`alarm/alarm-${n}`, book] as const),
    ...quiet.tallies.map(({ book }, n) => [`tally/ticker-${n}`, book] as const),
  ]);
  for (const [address, { faults }] of books) for (const fault of faults) wrong.push(`${address}: ${fault}`);
  for (const [key, n] of load.acknowledged) {
    const [address = "", source = ""] = key.split(" ");
    const taken = books.get(address)?.last[source];
    if (books.has(address) && taken !== n) wrong.push(`${address} took ${taken} of ${n} acknowledged by ${source}`);
  }
  for (const [n, { fired }] of quiet.alarms.entries()) {
    const told = load.rings.get(`alarm-${n}`);
    if (fired !== told) wrong.push(`alarm-${n} rang ${fired} times and told of ${told}`);
  }
  for (const [n, { ticks, book }] of quiet.tallies.entries()) {
    if (book.last[`ticker-${n}`] !== ticks) wrong.push(`ticker-${n} ticked ${ticks} times: ${JSON.stringify(book)}`);
  }
  const total = quiet.accounts.reduce((sum, one) => sum + one.balance + one.inTransit, 0);
  if (total !== accounts * balance) wrong.push(`money: total=${total} put in=${accounts * balance}`);
  return wrong;
}

/**
 * The run whose result is in a committed state is the last that was begun of its effect, and it came to its end: what
 * was recorded was not computed again. Every run of an effect went under one idempotency key.
 */
function effectsAgainstWitness(quiet: States): string[] {
  const wrong: string[] = [];
  const begun = new Map<string, string>();
  const ended = new Set<string>();
  const keyOf = new Map<string, string>();
  for (const line of readFileSync(witness, "utf8").split("\n").slice(0, -1)) {
    const [what, name, n, key = "", result = ""] = line.split(" ");
    const effect = `${name} ${n}`;
    if (what === "start") begun.set(effect, result);
    else ended.add(result);
    const known = keyOf.get(effect) ?? key;
    keyOf.set(effect, known);
    if (known !== key) wrong.push(`${effect} ran under ${known} and under ${key}`);
  }
  for (const { name, results } of [...quiet.clerks, ...quiet.runners]) {
    for (const [index, result] of results.entries()) {
      const last = begun.get(`${name} ${index + 1}`);
      if (last !== result) wrong.push(`${name} ${index + 1} is recorded as ${result}, and ${last} was begun after it`);
      if (!ended.has(result)) wrong.push(`${name} ${index + 1} is recorded as ${result}, which did not end`);
    }
    if (begun.has(`${name} ${results.length + 1}`)) wrong.push(`${name} began an effect beyond its last result`);
  }
  for (const { name, results } of quiet.clerks) {
    const told = load.results.get(name) ?? [];
    if (told.join() !== results.join()) wrong.push(`${name} answered ${told.join()} and keeps ${results.join()}`);
  }
  return wrong;
}

/** A step that a host told to be durable is never taken again by a later one. */
function stepsTakenAgain(): string[] {
  const wrong: string[] = [];
  const last = new Map<string, number>();
  for (const { agent, seq } of hosts.deaths.flatMap(({ stepped }) => stepped)) {
    const before = last.get(agent) ?? 0;
    if (seq <= before) wrong.push(`${agent} took step ${seq} after step ${before}`);
    last.set(agent, seq);
  }
  return wrong;
}

/** What was under way at the kills: each thing by itself, then the most telling one of each kill. */
function report(killedMs: number): void {
  const { deaths } = hosts;
  const count = (isOne: (death: Death) => boolean): number => deaths.filter(isOne).length;
  const first = (deed: string | undefined): number => count(({ open }) => deeds.find((one) => open.has(one)) === deed);
  const starts = deaths.flatMap(({ startMs }) => startMs ?? []).toSorted((a, b) => a - b);
  const begun = readFileSync(witness, "utf8").split("start ").length - 1;
  console.log(
    [
      `${deaths.length} kills in ${(killedMs / 1_000).toFixed(1)} s, seed ${seed}`,
      `  under way: ${deeds.map((deed) => `${deed}=${count(({ open }) => open.has(deed))}`).join(" ")}`,
      `  each once: ${deeds.map((deed) => `${deed}=${first(deed)}`).join(" ")} nothing=${first(undefined)}; ` +
        `before it was ready: ${count(({ wasReady }) => !wasReady)}`,
      `  from go to ready: median ${starts[starts.length >> 1]?.toFixed(0)} ms, most ${starts.at(-1)?.toFixed(0)} ms`,
      `  acknowledged: ${JSON.stringify(load.tally)}`,
      `  steps seen durable: ${deaths.reduce((sum, { stepped }) => sum + stepped.length, 0)}; effects begun: ${begun}; ` +
        `set aside and taken back: ${deaths.reduce((sum, { quarantined }) => sum + quarantined, 0)}`,
    ].join("\n"),
  );
}
