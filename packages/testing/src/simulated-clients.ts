/**
 * The clients of a simulated world: they do what the workloads draw, and tell the checkers what came of it.
 *
 * Owns: the count of operations, what is still open. Leaves to others: what to do (`workloads/`).
 */
import { type Client, makeClient } from "@dormouse/client";
import { DormouseError } from "@dormouse/core";
import { type App, makeAddress, partitionOf } from "@dormouse/core/protocol";
import type { Book, ClientOutcome } from "./checkers/checker.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Witness } from "./witness.ts";
import type { Operation, Workload } from "./workloads/workload.ts";

export interface SimulatedClientsOptions {
  readonly scheduler: Scheduler;
  readonly witness: Witness;
  readonly workloads: readonly Workload[];
  readonly count: number;
  /** The longest pause between two operations of a client. */
  readonly pauseMsMax: number;
  /** What one client does, in the place of what the workloads draw for all. */
  readonly script?: (player: Player) => Promise<void>;
}

/** What a client of a script does, one thing after the other. */
export interface Player {
  /** Resolves when it has returned, whatever came of it. */
  readonly perform: (operation: Operation) => Promise<void>;
  readonly sleep: (ms: number) => Promise<void>;
}

const repeatsMax = 3;
const readMsMax = 10_000;
const settledMsMax = 20_000;
/** Of the auditor: longer than any host stands still. */
const readTriesMax = 4;
/** Of answered asks, those after which the client reads the agent at once. */
const readShare = 0.15;
/** How many clients believe that the app has one partition: what they send goes on to its own (DESIGN.md section 4). */
const strayShare = 0.1;
/** In how many worlds a client without our code publishes too. */
const strangerShare = 0.25;

export class SimulatedClients {
  readonly #options: SimulatedClientsOptions;
  readonly #open = new Set<Promise<void>>();
  /** They ask the wrong owner, who passes sends on, and no reads. */
  readonly #strays = new Set<string>();
  #operations = 0;
  #isOver = false;

  constructor(options: SimulatedClientsOptions) {
    this.#options = options;
  }

  get operations(): number {
    return this.#operations;
  }

  parties(): readonly string[] {
    return Array.from({ length: this.#options.count }, (_, index) => `client-${index}`);
  }

  /** Works until `stop` is called; resolves when each operation has returned. */
  async run(app: Promise<App>): Promise<void> {
    const found = await app;
    const { script } = this.#options;
    if (script !== undefined) return this.#runScript(found, script);
    const work = this.parties().map((party) => this.#runClient(party, found));
    if (this.#options.scheduler.randomFor("stranger").chance(strangerShare)) this.#runStranger(found);
    await Promise.all(work);
  }

  stop(): void {
    this.#isOver = true;
  }

  #runClient(party: string, app: App): Promise<void> {
    const { scheduler, witness, workloads, pauseMsMax } = this.#options;
    const random = scheduler.randomFor(`workload/${party}`);
    return new Promise((resolve, reject) => {
      const work = async (): Promise<void> => {
        const isStray = scheduler.randomFor(`stray/${party}`).chance(strayShare);
        if (isStray) this.#strays.add(party);
        const client = makeClient({ app: isStray ? { ...app, partitions: 1 } : app, ports: witness.open(party) });
        while (!this.#isOver) {
          const operation = random.pick(workloads).draw(random);
          // A read is asked of the owner, and nobody passes it on. Time passes all the same: there may be nothing but reads left.
          if (isStray && operation.verb === "read") {
            await sleep(scheduler, party, 1);
            continue;
          }
          const performed = this.#perform(client, party, operation, random);
          this.#open.add(performed);
          void performed.then(() => this.#open.delete(performed));
          // Half of them wait for what came of it; the others go on, so that many are under way at once.
          if (random.chance(0.4)) await performed;
          if (random.chance(0.7)) await sleep(scheduler, party, random.skewed(1, pauseMsMax));
        }
        await Promise.all(this.#open);
        await client.close();
      };
      scheduler.add({ party, label: "begins", delayMs: 0, run: () => void work().then(resolve, reject) });
    });
  }

  #runScript(app: App, script: (player: Player) => Promise<void>): Promise<void> {
    const { scheduler, witness } = this.#options;
    const [party = ""] = this.parties();
    const random = scheduler.randomFor(`workload/${party}`);
    return new Promise((resolve, reject) => {
      const work = async (): Promise<void> => {
        const client = makeClient({ app, ports: witness.open(party) });
        await script({
          perform: (operation) => this.#perform(client, party, operation, random),
          sleep: (ms) => sleep(scheduler, party, ms),
        });
        await Promise.all(this.#open);
        await client.close();
      };
      scheduler.add({ party, label: "begins", delayMs: 0, run: () => void work().then(resolve, reject) });
    });
  }

  /** A client without our code: it publishes events as JSON, to one partition if it does not know which is right. */
  #runStranger(app: App): void {
    const { scheduler, witness, workloads, pauseMsMax } = this.#options;
    const party = "stranger";
    const random = scheduler.randomFor(`workload/${party}`);
    const isStray = random.chance(strayShare);
    const publish = (): void => {
      if (this.#isOver) return;
      const { verb, agent, key, event, isToFail = false, isRepeated } = random.pick(workloads).draw(random);
      if (isRepeated !== true && verb === "send") {
        this.#operations += 1;
        const operation = this.#operations;
        const address = makeAddress(agent.type, key);
        witness.observe({
          type: "called",
          operation,
          party,
          what: { verb: "send", agent: address, event: event.type, isToFail },
        });
        const message = { ...event, from: party, n: operation };
        let outcome: ClientOutcome;
        try {
          const partition = isStray ? 0 : partitionOf(address, app.partitions);
          witness.publishRaw(party, partition, { type: agent.type, key, event: message });
          outcome = { is: "accepted", messageId: "" };
        } catch (error) {
          outcome = outcomeOf(error);
        }
        witness.observe({ type: "returned", operation, outcome });
      }
      scheduler.add({ party, label: "publishes", delayMs: random.skewed(1, pauseMsMax), run: publish });
    };
    publish();
  }

  async #perform(client: Client, party: string, operation: Operation, random: Random): Promise<void> {
    if (operation.isRepeated !== true) return this.#call(client, party, operation, random, undefined);
    const idempotencyKey = `key-${this.#operations}`;
    for (let repeat = 0; repeat < repeatsMax; repeat += 1) {
      const called = this.#call(client, party, operation, random, idempotencyKey);
      if (random.chance(0.3)) this.#open.add(called.then(() => undefined));
      else await called;
      await sleep(this.#options.scheduler, party, random.skewed(1, 4_000));
    }
  }

  async #call(
    client: Client,
    party: string,
    { verb, agent, key, event, isToFail = false, timeoutMs }: Operation,
    random: Random,
    idempotencyKey: string | undefined,
  ): Promise<void> {
    const { scheduler, witness } = this.#options;
    this.#operations += 1;
    const operation = this.#operations;
    const address = `${agent.type}/${key}`;
    const keyed = idempotencyKey === undefined ? {} : { idempotencyKey };
    const what = { verb, agent: address, event: event.type, isToFail, ...keyed };
    witness.observe({ type: "called", operation, party, what });
    scheduler.note(
      `#${operation} ${verb} ${address} ${event.type}${idempotencyKey === undefined ? "" : ` under ${idempotencyKey}`}`,
      party,
    );
    const ref = client.agent(agent.type, key);
    const message = { ...event, from: party, n: operation };
    let outcome: ClientOutcome;
    try {
      switch (verb) {
        case "ask": {
          const timeout = timeoutMs ?? random.pick([2_000, 10_000, 30_000, 60_000]);
          outcome = { is: "answered", value: await ref.ask(message, { timeout, ...keyed }) };
          break;
        }
        case "send": {
          const timeout = timeoutMs ?? random.pick([undefined, undefined, 3_000, 30_000]);
          const limits = timeout === undefined ? {} : { timeout };
          outcome = { is: "accepted", messageId: await ref.send(message, { ...limits, ...keyed }) };
          break;
        }
        case "remove":
          await ref.remove({ timeout: readMsMax });
          outcome = { is: "removed" };
          break;
        case "read":
          outcome = { is: "read", book: bookOf(await ref.read({ timeout: readMsMax })) };
      }
    } catch (error) {
      outcome = outcomeOf(error);
    }
    scheduler.note(`#${operation} ${textOf(outcome)}`, party);
    witness.observe({ type: "returned", operation, outcome });
    // Who got an answer reads a state that includes it, whichever host tells it.
    const isAnswered = outcome.is === "answered" && idempotencyKey === undefined;
    if (isAnswered && !this.#strays.has(party) && random.chance(readShare)) {
      const read: Operation = { verb: "read", agent, key, event: { type: "read" } };
      await this.#call(client, party, read, random, undefined);
    }
  }
}

export interface AuditorOptions {
  readonly scheduler: Scheduler;
  /** Of the app whose agents are looked at. */
  readonly witness: Witness;
  readonly party: string;
  readonly addresses: readonly string[];
  /** Told of each agent's book, under the name that its app goes before, if that is another. */
  readonly tell: (agent: string, book: Book | undefined) => void;
}

/** Looks at every agent when faults have stopped, as any client could. */
export class Auditor {
  readonly #options: AuditorOptions;
  #client: Client | undefined;

  constructor(options: AuditorOptions) {
    this.#options = options;
  }

  /** Reads all agents, tells their books, and gives their contexts by address; what cannot be read is missing. */
  look(app: App): Promise<ReadonlyMap<string, unknown>> {
    const { scheduler, witness, party, addresses, tell } = this.#options;
    return new Promise((resolve, reject) => {
      const look = async (): Promise<ReadonlyMap<string, unknown>> => {
        this.#client ??= makeClient({ app, ports: witness.open(party) });
        await this.#resumeAll(this.#client);
        const contexts = new Map<string, unknown>();
        for (const address of addresses) {
          const state = await this.#readAtLast(this.#client, address);
          if (state === "unreadable") continue;
          if (state !== undefined) contexts.set(address, state.context);
          tell(address, bookOf(state));
        }
        return contexts;
      };
      scheduler.add({ party, label: "looks", delayMs: 0, run: () => void look().then(resolve, reject) });
    });
  }

  /** Deaths of hosts may have set agents aside that did nothing wrong: a person would take them back. */
  async #resumeAll(client: Client): Promise<void> {
    const { scheduler, party } = this.#options;
    try {
      for (const { agent, error } of await client.quarantined({ timeout: settledMsMax })) {
        scheduler.note(`finds ${agent} set aside: ${error.message}`, party);
        const [type = "", key = ""] = agent.split("/");
        await client.agent(type, key).resume({ timeout: settledMsMax });
      }
    } catch (error) {
      scheduler.note(`cannot resume: ${String(error)}`, party);
    }
  }

  /** Also of an owner that stands still when faults stop: what is not read would seem not to be there. */
  async #readAtLast(
    client: Client,
    address: string,
  ): Promise<{ readonly context: unknown } | undefined | "unreadable"> {
    for (let left = readTriesMax; left > 1; left -= 1) {
      const state = await this.#read(client, address);
      if (state !== "unreadable") return state;
    }
    return this.#read(client, address);
  }

  async #read(client: Client, address: string): Promise<{ readonly context: unknown } | undefined | "unreadable"> {
    const [type = "", key = ""] = address.split("/");
    try {
      return await client.agent(type, key).read({ timeout: settledMsMax });
    } catch (error) {
      const { scheduler, party } = this.#options;
      scheduler.note(`cannot read ${address}: ${String(error)}`, party);
      return "unreadable";
    }
  }
}

function bookOf(state: { readonly context: unknown } | undefined): Book | undefined {
  return (state?.context as { readonly book?: Book } | undefined)?.book;
}

function outcomeOf(error: unknown): ClientOutcome {
  if (!(error instanceof DormouseError)) return { is: "refused", kind: "thrown", code: String(error) };
  const { kind, code } = error;
  if (kind === "timeout" || kind === "unavailable" || kind === "closed") return { is: "unknown", code };
  return { is: "refused", kind, code };
}

function textOf(outcome: ClientOutcome): string {
  switch (outcome.is) {
    case "answered":
      return `answered ${JSON.stringify(outcome.value)}`;
    case "read":
      return `read ${outcome.book?.taken.length ?? "nothing"}`;
    case "refused":
    case "unknown":
      return `${outcome.is} ${outcome.code}`;
    case "removed":
      return "removed";
    case "accepted":
      return `accepted as ${outcome.messageId}`;
  }
}

function sleep(scheduler: Scheduler, party: string, ms: number): Promise<void> {
  return new Promise((resolve) => void scheduler.clockFor(party).schedule(ms, resolve));
}
