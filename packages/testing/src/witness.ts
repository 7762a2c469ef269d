/**
 * Sees what the outside world sees, at the moment it happens, and tells the checkers.
 *
 * Owns: the ports of every party, wrapped so that their effects are seen with the bytes they carry.
 * Leaves to others: what becomes of a call (`simulated-wire.ts`), what it means (`checkers/`).
 *
 * W1  An observation is made in the very event in which the servers took the effect: no sooner, and though the caller
 *     never hears of it.
 * W2  When a stream goes backwards, connections to it are lost or kept. A call on one that was lost fails until its party has
 *     heard of one that failed. Of one that was kept, as by a client whose own server stayed up, nobody hears anything: what
 *     is on its way arrives, but for trims. A server that died takes them with it, and for `awaySilentMs` is not there to
 *     take others.
 */
import type { Ports, PutCondition } from "@dormouse/core/ports";
import { type Call, LostAnswer, type MemoryWorld, type Wire } from "@dormouse/local";
import { assert } from "./assert.ts";
import type { Checker, Observation } from "./checkers/checker.ts";
import { readBatch } from "./checkers/stored.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimulatedWire } from "./simulated-wire.ts";

/** An observation without its time, which the witness adds. */
export type Seen = Observation extends infer O ? (O extends Observation ? Omit<O, "atMs"> : never) : never;

export interface WitnessOptions {
  readonly scheduler: Scheduler;
  readonly world: MemoryWorld;
  readonly wire: SimulatedWire;
  readonly checkers: readonly Checker[];
  /** Who watches another app of the world, if anyone does. */
  readonly elsewhere?: (app: string) => Witness | undefined;
}

/** What a call carries beyond its name. */
interface Cargo {
  readonly party: string;
  readonly operation: string;
  readonly bytes?: Uint8Array;
  readonly condition?: PutCondition["if"];
  /** Of an append or a barrier: which of this world it is. */
  readonly append?: number;
  readonly partition?: number;
  readonly below?: number;
  readonly names?: readonly string[];
  /** The other app that it goes to. */
  readonly app?: string;
}

export interface RawPublish {
  readonly type: string;
  readonly key: string;
  readonly event: { readonly type: string; readonly n: number };
}

export class Witness {
  readonly #options: WitnessOptions;
  readonly #wire: Wire;
  /** Of each partition's stream: how often it went backwards. */
  readonly #generations = new Map<number, number>();
  /** Of each partition's stream: the generation of the last time that connections were lost. */
  readonly #lostAt = new Map<number, number>();
  /** Of each partition's stream: since when it is as it is now. */
  readonly #backAtMs = new Map<number, number>();
  /** By partition and party: the generation that the party is connected to. */
  readonly #connections = new Map<number, Map<string, number>>();
  #appends = 0;
  /** Set while a port is called, and taken when the wire is handed the call: both in one go. */
  #cargo: Cargo | undefined;

  constructor(options: WitnessOptions) {
    this.#options = options;
    const { wire } = options;
    this.#wire = {
      push: (call, deliver) => wire.push(call, deliver),
      carry: (call, effect) => {
        const cargo = this.#takeCargo(call);
        const { app } = cargo ?? {};
        const there = app === undefined ? this : options.elsewhere?.(app);
        return (there ?? this).#connected(call, (check) =>
          wire.carry(call, () => {
            check();
            const value = effect();
            if (cargo !== undefined && there !== undefined) there.#see(call, cargo, value);
            if (app !== undefined) {
              this.observe({ type: "appended-elsewhere", party: call.party, app, bytes: cargo?.bytes ?? noBytes });
            }
            return value;
          }),
        );
      },
    };
  }

  /** Tells the checkers. */
  observe(seen: Seen): void {
    const observation: Observation = { atMs: this.#options.scheduler.now(), ...seen };
    for (const checker of this.#options.checkers) checker.observe(observation);
  }

  /** A stream goes backwards: its server died and came back; connections to it are lost, or kept (W2). */
  goesBackwards(partition: number, connections: "lost" | "kept"): void {
    const before = this.#generations.get(partition) ?? 0;
    this.#generations.set(partition, before + 1);
    this.#backAtMs.set(partition, this.#options.scheduler.now());
    if (connections === "lost") this.#lostAt.set(partition, before + 1);
    else {
      const parties = this.#connections.get(partition) ?? new Map<string, number>();
      for (const [party, generation] of parties) if (generation === before) parties.set(party, before + 1);
    }
  }

  /** Makes a call on the connection that its party has now; `check` throws if it was lost since. */
  async #connected<T>(call: Call, carry: (check: () => void) => Promise<T>): Promise<T> {
    if (call.port !== "mailbox") return carry(() => undefined);
    const { party, operation, about } = call;
    const partition = Number.parseInt(about, 10);
    const parties = this.#connections.get(partition) ?? new Map<string, number>();
    this.#connections.set(partition, parties);
    const connection = parties.get(party) ?? this.#generations.get(partition) ?? 0;
    parties.set(party, connection);
    try {
      return await carry(() => this.#checkConnection(partition, operation, connection));
    } catch (error) {
      if (error instanceof LostConnection) parties.set(party, error.generation);
      throw error;
    }
  }

  #checkConnection(partition: number, operation: string, connection: number): void {
    const generation = this.#generations.get(partition) ?? 0;
    if (connection < (this.#lostAt.get(partition) ?? 0)) throw new LostConnection(generation);
    const silentMs = this.#options.scheduler.now() - (this.#backAtMs.get(partition) ?? -Infinity);
    if (operation === "trim" && (connection < generation || silentMs < awaySilentMs)) {
      throw new LostAnswer("the server that was to trim died");
    }
  }

  /** The ports of a party, watched. */
  open(party: string): Ports {
    const { scheduler, world, wire } = this.#options;
    const options = { wire: this.#wire, clock: scheduler.clockFor(party), entropy: scheduler.entropyFor(party) };
    const { mailbox, store, membership, channel, clock, entropy, elsewhere } = world.open(party, options);
    const carrying = <T>(cargo: Omit<Cargo, "party">, call: () => T): T => {
      this.#cargo = { party, ...cargo };
      return call();
    };
    const appending = <T>(cargo: Omit<Cargo, "party" | "append">, call: () => Promise<T>): Promise<T> => {
      this.#appends += 1;
      const append = this.#appends;
      const accepted = carrying({ append, ...cargo }, call);
      accepted.then(
        () => this.observe({ type: "acknowledged", party, append }),
        () => undefined,
      );
      return accepted;
    };
    return {
      membership,
      clock,
      entropy,
      elsewhere: (app) => {
        const there = elsewhere?.(app);
        assert(there !== undefined, "a world in memory holds any number of apps");
        return {
          store: there.store,
          mailbox: {
            append: (partition, bytes) =>
              appending({ operation: "append", app, partition, bytes: Uint8Array.from(bytes) }, () =>
                there.mailbox.append(partition, bytes),
              ),
          },
        };
      },
      mailbox: {
        create: (count) => mailbox.create(count),
        read: (partition, from) => mailbox.read(partition, from),
        append: (partition, bytes) =>
          appending({ operation: "append", partition, bytes: Uint8Array.from(bytes) }, () =>
            mailbox.append(partition, bytes),
          ),
        barrier: (partition, bytes) =>
          appending({ operation: "barrier", partition, bytes: Uint8Array.from(bytes) }, () =>
            mailbox.barrier(partition, bytes),
          ),
        trim: (partition, below) =>
          carrying({ operation: "trim", partition, below }, () => mailbox.trim(partition, below)),
      },
      store: wire.unreliableStore(party, {
        get: (name) => store.get(name),
        list: (prefix, listed) => store.list(prefix, listed),
        put: (name, bytes, condition) =>
          carrying({ operation: "put", bytes: Uint8Array.from(bytes), condition: condition.if }, () =>
            store.put(name, bytes, condition),
          ),
        delete: (names) => carrying({ operation: "delete", names: [...names] }, () => store.delete(names)),
      }),
      channel: {
        ...channel,
        publish: (subject, bytes) =>
          wire.publish({ party, port: "channel", operation: "publish", about: subject }, () => {
            this.observe({ type: "published", party, subject, bytes: Uint8Array.from(bytes) });
            channel.publish(subject, bytes);
          }),
        serve: (subject, handler) =>
          channel.serve(subject, async (request) => {
            const answer = await handler(request);
            if (!scheduler.hasEnded(party)) {
              this.observe({ type: "told", party, request: Uint8Array.from(request), answer: Uint8Array.from(answer) });
            }
            return answer;
          }),
      },
    };
  }

  /**
   * Publishes as a client without our code does, past the wire.
   *
   * @throws DormouseError `unavailable` (`mailbox.no-ack`): there is no such stream now.
   */
  publishRaw(party: string, partition: number, { type, key, event }: RawPublish): void {
    const { world, scheduler } = this.#options;
    const bytes = new TextEncoder().encode(JSON.stringify(event));
    const place = world.publishRaw(partition, { type, key }, bytes);
    const agent = `${type}/${key}`;
    scheduler.note(`${place.stream} takes ${place.sequence} of ${party}: raw to ${agent} ${event.type} #${event.n}`);
    this.#appends += 1;
    this.observe({ type: "appended-raw", party, partition, ...place, append: this.#appends, agent, event });
  }

  #takeCargo(call: Call): Cargo | undefined {
    const cargo = this.#cargo;
    this.#cargo = undefined;
    return cargo?.party === call.party && cargo.operation === call.operation ? cargo : undefined;
  }

  #see(call: Call, cargo: Cargo, value: unknown): void {
    const { party, about } = call;
    const { bytes = noBytes, partition = 0, append = 0 } = cargo;
    switch (cargo.operation) {
      case "put":
        if ((value as { readonly outcome: string }).outcome !== "stored") return;
        this.observe({ type: "stored", party, name: about, bytes, condition: cargo.condition ?? "any" });
        return;
      case "delete":
        for (const name of cargo.names ?? []) this.observe({ type: "deleted", party, name });
        return;
      case "append":
      case "barrier": {
        const { stream, sequence } = value as { readonly stream: string; readonly sequence: number };
        this.#options.scheduler.note(`${stream} takes ${sequence} of ${party}: ${batchText(bytes)}`);
        const from = cargo.app === undefined ? {} : ({ isFromElsewhere: true } as const);
        this.observe({ type: "appended", party, partition, stream, sequence, bytes, append, ...from });
        return;
      }
      case "trim":
        this.observe({ type: "trimmed", party, partition, below: cargo.below ?? 0 });
    }
  }
}

const noBytes = new Uint8Array(0);
/** A server that takes the place of another is not there for some seconds (FACTS.md); this is the least. */
const awaySilentMs = 1_000;

class LostConnection extends LostAnswer {
  /** Of the stream as it is now: what the party connects to next. */
  readonly generation: number;

  constructor(generation: number) {
    super("the connection was lost");
    this.generation = generation;
  }
}

/** A mailbox message in one line: its source, and each envelope's number there and the operation it stands for. */
function batchText(bytes: Uint8Array): string {
  const { source, envelopes } = readBatch(bytes);
  const texts = envelopes.map(
    ({ n, to, body }) => `${n} to ${to} ${body.event?.type ?? body.kind} #${body.event?.n ?? ""}`,
  );
  return `${source.kind} ${source.id.slice(-12)} floor ${source.floor} [${texts.join(", ")}]`;
}
