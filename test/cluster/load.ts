/**
 * The mixed load: lanes, each of which does one thing after the other, at its pace, by the seed.
 *
 * Owns: what is asked, and its numbers. Leaves to others: whether the answers are right (`verdict.ts`).
 *
 * W1  A lane numbers its messages to each agent, and goes on when one is acknowledged: a gap or a repeat in an agent's
 *     book is a message lost or doubled.
 * W2  Lanes that note keep to the agents of one partition each, so a partition that stands still holds up no other.
 */
import { setTimeout as pause } from "node:timers/promises";
import { makeAddress, partitionOf } from "@dormouse/core/protocol";
import { type Client, DormouseError } from "@dormouse/sdk";
import { Random } from "@dormouse/testing";
import { account, alarm, clerk } from "../process/agents.ts";
import { accountKeys, balance, type Line, type LoadPlan, type What } from "./call.ts";

/** So long a caller waits; whatever happens, everything is answered in this time. */
const patienceMs = 180_000;
/** How many agents begin at once. */
const startsAtOnce = 16;

export class Load {
  readonly #client: Client;
  readonly #plan: LoadPlan;
  readonly #say: (line: Line) => void;
  readonly #accounts: readonly string[];
  readonly #stopping = new AbortController();
  readonly #lanes: Promise<void>[] = [];
  /** By agent and source. */
  readonly #numbers = new Map<string, number>();
  #calls = 0;

  constructor(client: Client, plan: LoadPlan, say: (line: Line) => void) {
    this.#client = client;
    this.#plan = plan;
    this.#say = say;
    this.#accounts = accountKeys(plan.partitions, (key) => partitionOf(makeAddress("account", key), plan.partitions));
  }

  async start(): Promise<void> {
    const { partitions, lanes, others, everyMs, witness, seed } = this.#plan;
    const starts = this.#accounts.map((name) => () => {
      const one = this.#client.agent(account, name);
      return this.#call(one.address, "start", "load", () => one.start({ name, balance }, { timeout: patienceMs }));
    });
    for (let n = 0; n < others; n += 1) {
      const one = this.#client.agent(clerk, `clerk-${n}`);
      const input = { name: `clerk-${n}`, witness };
      starts.push(() => this.#call(one.address, "start", "load", () => one.start(input, { timeout: patienceMs })));
    }
    for (let n = 0; n < starts.length; n += startsAtOnce) {
      await Promise.all(starts.slice(n, n + startsAtOnce).map((begin) => begin()));
    }
    this.#say({ is: "ready" });
    const random = new Random(seed);
    const each = this.#accounts.length / partitions;
    for (let n = 0; n < partitions * lanes; n += 1) {
      const partition = n % partitions;
      const own = this.#accounts.slice(partition * each, (partition + 1) * each);
      // One after the other, so that a partition's lanes do not all ask at once.
      const delayMs = (everyMs * n) / (partitions * lanes);
      this.#run(`note-${n}`, delayMs, random, (lane, chance) => this.#note(lane, chance.pick(own), chance));
    }
    for (let n = 0; n < others; n += 1) {
      const delayMs = (everyMs * n) / others;
      this.#run(`transfer-${n}`, delayMs, random, (lane, chance) => this.#transfer(lane, chance));
      this.#run(`alarm-${n}`, delayMs, random, (lane) => this.#ring(lane));
      this.#run(`clerk-${n}`, delayMs, random, (lane) => this.#work(lane));
    }
  }

  /** Begins nothing more; resolves when everything that was begun is answered. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#lanes);
  }

  #run(lane: string, delayMs: number, random: Random, turn: (lane: string, random: Random) => Promise<boolean>): void {
    const chance = random.fork(lane);
    const run = async (): Promise<void> => {
      await this.#pause(delayMs);
      for (let dueMs = performance.now(); !this.#stopping.signal.aborted;) {
        // After a failure its numbers say nothing any more; the failure is told.
        if (!(await turn(lane, chance))) return;
        // In its own time also after a pause: lanes that waited for one thing would else go on all at once, and tell less.
        const { everyMs } = this.#plan;
        dueMs += everyMs * Math.max(1, Math.ceil((performance.now() - dueMs) / everyMs));
        await this.#pause(dueMs - performance.now());
      }
    };
    this.#lanes.push(run());
  }

  async #pause(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }

  /** Now and then sends first, or asks again what it asked, under the key of both. */
  async #note(lane: string, key: string, random: Random): Promise<boolean> {
    const one = this.#client.agent(account, key);
    const event = (n: number) => ({ type: "note", source: lane, n }) as const;
    const timeout = patienceMs;
    if (random.chance(0.2)) {
      const isSent = await this.#call(one.address, "send", lane, async (n) => {
        await one.send(event(n), { timeout });
        return null;
      });
      if (!isSent) return false;
    }
    if (!random.chance(0.1)) return this.#call(one.address, "note", lane, (n) => one.ask(event(n), { timeout }));
    const idempotencyKey = `${lane}-${this.#calls}`;
    const ask = (n: number): Promise<number> => one.ask(event(n), { timeout, idempotencyKey });
    return (
      (await this.#call(one.address, "note", lane, ask)) &&
      this.#call(one.address, "again", lane, () => ask(this.#numbers.get(`${one.address} ${lane}`) ?? 0))
    );
  }

  #transfer(lane: string, random: Random): Promise<boolean> {
    const from = random.int(this.#accounts.length);
    const to = this.#accounts[(from + random.between(1, this.#accounts.length - 1)) % this.#accounts.length] ?? "";
    const one = this.#client.agent(account, this.#accounts[from] ?? "");
    const amount = random.between(1, 50);
    return this.#call(one.address, "transfer", lane, (n) =>
      one.ask({ type: "transfer", source: lane, n, to, amount }, { timeout: patienceMs }),
    );
  }

  #ring(lane: string): Promise<boolean> {
    const one = this.#client.agent(alarm, lane);
    return this.#call(one.address, "ring", lane, (n) =>
      one.ask({ type: "arm", source: lane, n }, { timeout: patienceMs }),
    );
  }

  #work(lane: string): Promise<boolean> {
    const one = this.#client.agent(clerk, lane);
    return this.#call(one.address, "work", lane, (n) =>
      one.ask({ type: "work", source: lane, n }, { timeout: patienceMs }),
    );
  }

  /** One call, told before and after; whether it was answered. */
  async #call(
    agent: string,
    what: What,
    source: string,
    call: (n: number) => Promise<number | string | null | { readonly created: boolean }>,
  ): Promise<boolean> {
    this.#calls += 1;
    const told = this.#calls;
    const lane = `${agent} ${source}`;
    const isNumbered = what !== "start" && what !== "again";
    const n = (this.#numbers.get(lane) ?? 0) + (isNumbered ? 1 : 0);
    this.#numbers.set(lane, n);
    this.#say({ is: "asked", call: told, atMs: nowMs(), agent, what, source, n });
    try {
      const given = await call(n);
      const value = typeof given === "object" ? null : given;
      this.#say({ is: "answered", call: told, atMs: nowMs(), value });
      return true;
    } catch (error) {
      const why = error instanceof DormouseError ? `${error.code}: ${error.message}` : String(error);
      this.#say({ is: "failed", call: told, atMs: nowMs(), why });
      return false;
    }
  }
}

/** As all processes of this machine have it, and never back. */
function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
