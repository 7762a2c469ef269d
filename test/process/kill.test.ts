/**
 * A host that is killed two hundred times under a mixed load, judged from outside.
 *
 * Method: a real process on a real folder dies by SIGKILL at moments that the seed chooses among what the process says
 * it begins (a commit, a settle, an effect, a step of its takeover) and anything else. This process drives it over the
 * socket, survives it, and knows what was acknowledged; effects testify in a file that only grows. Books of the agents
 * are compared with both at the end, and once more after a clean end and a last start.
 *
 * Not verified here: loss of what the operating system had not written when the machine itself fails.
 *
 * KILL_SEED and KILL_COUNT choose the run.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, type ConnectedClient, connect, DormouseError } from "@dormouse/sdk";
import { Random } from "@dormouse/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { account, alarm, type Book, clerk, runner, tally, ticker } from "./agents.ts";
import { type Gate, Load } from "./load.ts";
import { type Aim, type Death, deeds, Victim } from "./victim.ts";

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

/** The host of the moment, and the one that stands by: loading is what a start costs most. */
class Hosts implements Gate {
  readonly deaths: Death[] = [];
  #next = new Victim(store, cache);
  #current: Victim | undefined;
  #client: Client | undefined;
  #reaching: Promise<void> | undefined;
  readonly #resuming = new Map<string, Promise<void>>();

  use(client: Client): void {
    this.#client = client;
  }

  async start(): Promise<Victim> {
    const victim = this.#next;
    await victim.go();
    this.#current = victim;
    this.#next = new Victim(store, cache);
    return victim;
  }

  async end(): Promise<void> {
    await this.#current?.end();
    await this.#next.end();
  }

  /** Asks do not wait for a host, so the lanes do: a read that succeeds shows that one is reached. */
  reachable(): Promise<void> {
    this.#reaching ??= this.#reach().finally(() => (this.#reaching = undefined));
    return this.#reaching;
  }

  async #reach(): Promise<void> {
    for (;;) {
      await this.#current?.ready.catch(() => undefined);
      const isReached = await this.#client
        ?.agent(account, "0")
        .read({ timeout: 500 })
        .then(
          () => true,
          () => false,
        );
      if (isReached === true) return;
      // One turn: a host that is being killed or started says so by an event.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  resumed(address: string): Promise<void> {
    const known = this.#resuming.get(address);
    if (known !== undefined) return known;
    const resuming = this.#resume(address).finally(() => this.#resuming.delete(address));
    this.#resuming.set(address, resuming);
    return resuming;
  }

  async #resume(address: string): Promise<void> {
    const [type = "", key = ""] = address.split("/");
    for (;;) {
      try {
        await this.#client?.agent(type, key).resume({ timeout: 60_000 });
        return;
      } catch (error) {
        if (!(error instanceof DormouseError) || error.code !== "host.not-running") throw error;
        await this.reachable();
      }
    }
  }
}

/** Half of the moments are commits and settles, the rest effects, takeovers and anything. */
function aim(): Aim {
  const draw = random.int(100);
  if (draw < 35) return { at: "commit", nth: random.between(1, 30), delayMicros: random.skewed(1, 2_000) };
  if (draw < 65) return { at: "settle", nth: random.between(1, 30), delayMicros: random.skewed(1, 2_000) };
  if (draw < 80) return { at: "effect", nth: random.between(1, 8), delayMicros: random.skewed(1, 8_000) };
  if (draw < 90) return { at: "takeover", nth: random.between(1, 40), delayMicros: random.skewed(1, 2_000) };
  return { at: "any", nth: random.between(1, 200), delayMicros: random.skewed(1, 5_000) };
}

const hosts = new Hosts();
let client: ConnectedClient;
let load: Load;
let everyAgent: string[];

beforeAll(async () => {
  console.log(`kill loop: KILL_SEED=${seed} KILL_COUNT=${kills} folder=${folder}`);
  writeFileSync(witness, "");
  const first = await hosts.start();
  await first.ready;
  client = await connect({ store: `file:${store}` });
  hosts.use(client);
  const starts: Promise<unknown>[] = [];
  const keys = (count: number, prefix = ""): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}`);
  for (const name of keys(accounts)) starts.push(client.agent(account, name).start({ name, balance }));
  for (const name of keys(clerks, "clerk-")) starts.push(client.agent(clerk, name).start({ name, witness }));
  for (const name of keys(loners, "runner-")) starts.push(client.agent(runner, name).start({ name, witness }));
  for (const name of keys(loners, "ticker-")) starts.push(client.agent(ticker, name).start({ name }));
  await Promise.all(starts);
  everyAgent = [
    ...keys(accounts).map((name) => `account/${name}`),
    ...keys(loners, "runner-").map((name) => `runner/${name}`),
    ...keys(loners, "ticker-").map((name) => `ticker/${name}`),
    ...keys(loners, "ticker-").map((name) => `tally/${name}`),
    ...keys(alarms, "alarm-").map((name) => `alarm/${name}`),
    ...keys(clerks, "clerk-").map((name) => `clerk/${name}`),
  ];
  load = new Load({ client, gate: hosts, random: random.fork("load"), accounts, lanes: 24, alarms, clerks });
  load.start();
  hosts.deaths.push(await first.killAt({ at: "commit", nth: 20, delayMicros: 100 }));
}, 60_000);

afterAll(async () => {
  await client?.close();
  await hosts.end();
});

test(`after ${kills} kills everything acknowledged was applied once, and nothing recorded was computed again`, async () => {
  const startedAt = performance.now();
  while (hosts.deaths.length < kills) {
    const victim = await hosts.start();
    const death = await victim.killAt(aim());
    hosts.deaths.push(death);
    // Set aside by two deaths under one note: the design's choice; someone takes it back, and all of it is still there.
    for (const line of death.quarantined) void hosts.resumed(line.split(" ")[0] ?? "");
  }
  const killedMs = performance.now() - startedAt;
  const last = await hosts.start();
  await last.ready;
  await hosts.reachable();
  for (const { agent } of await client.quarantined()) await hosts.resumed(agent);
  await load.stop();
  const quiet = await quiesce();
  report(killedMs);
  expect(load.faults).toEqual([]);
  expect(hosts.deaths.flatMap(({ odd }) => odd)).toEqual([]);
  expect(booksAgainstAcknowledged(quiet)).toEqual([]);
  expect(effectsAgainstWitness(quiet)).toEqual([]);
  expect(landed((open) => open.has("commit") || open.has("settle") || open.has("effect"))).toBeGreaterThanOrEqual(
    kills / 2,
  );

  hosts.deaths.push(await last.drain());
  const again = await hosts.start();
  await again.ready;
  await hosts.reachable();
  expect(await states()).toEqual(quiet);
}, 400_000);

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

async function states(): Promise<States> {
  const of = <T>(count: number, read: (n: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: count }, (_, n) => read(n)));
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
 * The run whose result is in a committed state is the last that the effect ever began, and every run of an effect went
 * under one idempotency key.
 */
function effectsAgainstWitness(quiet: States): string[] {
  const wrong: string[] = [];
  const last = new Map<string, string>();
  const keys = new Map<string, string>();
  for (const line of readFileSync(witness, "utf8").split("\n").slice(0, -1)) {
    const [what, name, n, key = "", result = ""] = line.split(" ");
    const effect = `${name} ${n}`;
    last.set(effect, what === "end" ? result : `began ${key} again`);
    const known = keys.get(effect) ?? key;
    keys.set(effect, known);
    if (known !== key) wrong.push(`${effect} ran under ${known} and under ${key}`);
  }
  for (const { name, results } of [...quiet.clerks, ...quiet.runners]) {
    for (const [index, result] of results.entries()) {
      const seen = last.get(`${name} ${index + 1}`);
      if (seen !== result) wrong.push(`${name} ${index + 1} is recorded as ${result}; the witness says ${seen}`);
    }
    if (last.has(`${name} ${results.length + 1}`)) wrong.push(`${name} began an effect beyond its last result`);
  }
  for (const { name, results } of quiet.clerks) {
    const told = load.results.get(name) ?? [];
    if (told.join() !== results.join()) wrong.push(`${name} answered ${told.join()} and keeps ${results.join()}`);
  }
  return wrong;
}

function landed(isOne: (open: Death["open"]) => boolean): number {
  return hosts.deaths.filter(({ open }) => isOne(open)).length;
}

function report(killedMs: number): void {
  const at = deeds.map((deed) => `${deed}=${landed((open) => open.has(deed))}`).join(" ");
  const starts = hosts.deaths.flatMap(({ startMs }) => startMs ?? []).toSorted((a, b) => a - b);
  const lines = [
    `${hosts.deaths.length} kills in ${(killedMs / 1_000).toFixed(1)} s, seed ${seed}; under way at the kill: ${at}`,
    `  a commit or a settle: ${landed((open) => open.has("commit") || open.has("settle"))}; an effect and neither: ` +
      `${landed((open) => open.has("effect") && !open.has("commit") && !open.has("settle"))}; nothing of these: ` +
      `${landed((open) => open.size === 0)}; before it was ready: ${hosts.deaths.filter((one) => !one.wasReady).length}`,
    `  from go to ready: median ${starts[starts.length >> 1]?.toFixed(0)} ms, most ${starts.at(-1)?.toFixed(0)} ms; ` +
      `set aside and taken back: ${hosts.deaths.reduce((sum, one) => sum + one.quarantined.length, 0)}`,
    `  acknowledged: ${JSON.stringify(load.tally)}; effects begun: ${readFileSync(witness, "utf8").split("start ").length - 1}`,
  ];
  console.log(lines.join("\n"));
}
