/**
 * The mixed load on the killed host, and what it learns from the answers.
 *
 * Owns: lanes (each does one thing after the other, by the seed), what was acknowledged, and what no later answer may
 * contradict.
 * Leaves to others: when the host dies and is there again (the gate), what the agents' books say at the end.
 *
 * W1  A lane numbers its messages to each agent. It goes on when one is acknowledged, and repeats one that was refused
 *     under the same number: a gap or a repeat in the agent's book is a message lost or doubled.
 * W2  An agent's answers and committed states tell how many messages it has taken. What one says that was asked for
 *     after another was received is higher; no two answers say the same.
 */
import { type Client, DormouseError } from "@dormouse/sdk";
import type { Random } from "@dormouse/testing";
import { account, alarm, clerk } from "./agents.ts";

/** The way to a host that comes and goes. */
export interface Gate {
  /** Resolves when a host has answered. */
  reachable(): Promise<void>;
  /** Takes back an agent that was set aside; resolves when that is done. */
  resume(address: string): Promise<void>;
}

export interface LoadOptions {
  readonly client: Client;
  readonly gate: Gate;
  readonly random: Random;
  readonly accounts: number;
  readonly lanes: number;
  readonly alarms: number;
  readonly clerks: number;
}

export interface Tally {
  asks: number;
  sends: number;
  transfers: number;
  rings: number;
  effects: number;
  reads: number;
  refusals: number;
}

/** So long a caller waits; every ask must be answered in this time. */
const askMsMax = 90_000;

/** A call may be cut off by its host's death, or find none: whoever called calls again. */
export function isHostGone(error: unknown): boolean {
  return error instanceof DormouseError && ["host.not-running", "channel.failed"].includes(error.code);
}

export class Load {
  /** What went wrong, as it was noticed. */
  readonly faults: string[] = [];
  readonly tally: Tally = { asks: 0, sends: 0, transfers: 0, rings: 0, effects: 0, reads: 0, refusals: 0 };
  /** By agent and source, the last acknowledged number. */
  readonly acknowledged = new Map<string, number>();
  /** By clerk, the results that were answered, in order. */
  readonly results = new Map<string, string[]>();
  /** By alarm, how often it was answered that it rang. */
  readonly rings = new Map<string, number>();
  readonly #options: LoadOptions;
  /** By account, the most that any answer or state told it had taken (W2). */
  readonly #floors = new Map<string, number>();
  readonly #told = new Set<string>();
  /** What each lane waits for, told with its fault. */
  readonly waiting = new Map<string, string>();
  readonly #lanes: Promise<void>[] = [];
  #isStopping = false;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  start(): void {
    const { random, lanes, alarms, clerks } = this.#options;
    for (let lane = 0; lane < lanes; lane += 1) {
      this.#run(`lane-${lane}`, random.fork(`lane-${lane}`), (name, chance) => this.#account(name, chance));
    }
    for (let lane = 0; lane < alarms; lane += 1) this.#run(`alarm-${lane}`, random, (name) => this.#ring(name));
    for (let lane = 0; lane < clerks; lane += 1) this.#run(`clerk-${lane}`, random, (name) => this.#work(name));
  }

  /** Begins nothing more; resolves when everything that was begun is answered. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#lanes);
  }

  #run(name: string, random: Random, turn: (name: string, random: Random) => Promise<void>): void {
    const lane = async (): Promise<void> => {
      while (!this.#isStopping) await turn(name, random);
    };
    const failed = (error: unknown): void => {
      this.faults.push(`${name} ended (${this.waiting.get(name)}): ${String(error)}`);
    };
    this.#lanes.push(lane().catch(failed));
  }

  /** Some sends and then an ask, a transfer or a read, all to accounts by chance. */
  async #account(lane: string, random: Random): Promise<void> {
    const { client, accounts } = this.#options;
    const key = `${random.int(accounts)}`;
    const one = client.agent(account, key);
    for (let sends = random.int(3); sends > 0; sends -= 1) {
      const n = this.#next(one.address, lane);
      this.waiting.set(lane, `send ${n} to ${one.address}`);
      await one.send({ type: "note", source: lane, n }, { timeout: askMsMax });
      this.#acknowledge(one.address, lane, n);
      this.tally.sends += 1;
    }
    const floor = this.#floors.get(one.address) ?? 0;
    if (random.chance(0.15)) {
      const state = await this.#repeat(lane, one.address, "read", () => one.read({ timeout: askMsMax }));
      this.#compare(one.address, floor, state?.context.book.taken ?? 0, true);
      this.tally.reads += 1;
      return;
    }
    const n = this.#next(one.address, lane);
    const to = `${random.int(accounts)}`;
    const event =
      random.chance(0.4) && to !== key
        ? ({ type: "transfer", source: lane, n, to, amount: random.between(1, 50) } as const)
        : ({ type: "note", source: lane, n } as const);
    const taken = await this.#repeat(lane, one.address, `${event.type} ${n}`, () =>
      one.ask(event, { timeout: askMsMax }),
    );
    this.#acknowledge(one.address, lane, n);
    this.#compare(one.address, floor, taken, false);
    if (event.type === "transfer") this.tally.transfers += 1;
    else this.tally.asks += 1;
  }

  async #ring(lane: string): Promise<void> {
    const one = this.#options.client.agent(alarm, lane);
    const n = this.#next(one.address, lane);
    const fired = await this.#repeat(lane, one.address, `arm ${n}`, () =>
      one.ask({ type: "arm", source: lane, n }, { timeout: askMsMax }),
    );
    this.#acknowledge(one.address, lane, n);
    if (fired !== n) this.faults.push(`${one.address} was armed ${n} times and rang ${fired} times`);
    this.rings.set(lane, fired);
    this.tally.rings += 1;
  }

  async #work(lane: string): Promise<void> {
    const one = this.#options.client.agent(clerk, lane);
    const n = this.#next(one.address, lane);
    const result = await this.#repeat(lane, one.address, `work ${n}`, () =>
      one.ask({ type: "work", source: lane, n }, { timeout: askMsMax }),
    );
    this.#acknowledge(one.address, lane, n);
    const results = this.results.get(lane) ?? [];
    this.results.set(lane, [...results, result]);
    this.tally.effects += 1;
  }

  /** Does it until it is not refused for want of a host, or because its agent was set aside (W1). */
  async #repeat<T>(lane: string, address: string, what: string, call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        this.waiting.set(lane, `${what} of ${address} since ${new Date().toISOString()}`);
        return await call();
      } catch (error) {
        if (!(error instanceof DormouseError)) throw error;
        this.tally.refusals += 1;
        if (error.code === "agent.quarantined") await this.#options.gate.resume(address);
        else if (isHostGone(error)) await this.#options.gate.reachable();
        else throw error;
      }
    }
  }

  #next(address: string, lane: string): number {
    return (this.acknowledged.get(`${address} ${lane}`) ?? 0) + 1;
  }

  #acknowledge(address: string, lane: string, n: number): void {
    this.acknowledged.set(`${address} ${lane}`, n);
  }

  /** What was told now, against the most that was told before it was asked (W2). */
  #compare(address: string, floor: number, taken: number, isRead: boolean): void {
    const isHigher = isRead ? taken >= floor : taken > floor;
    if (!isHigher) this.faults.push(`${address} told of ${taken} messages after it had told of ${floor}`);
    if (!isRead) {
      const told = `${address} ${taken}`;
      if (this.#told.has(told)) this.faults.push(`${address} gave two answers that tell of ${taken} messages`);
      this.#told.add(told);
    }
    this.#floors.set(address, Math.max(taken, this.#floors.get(address) ?? 0));
  }
}
