/**
 * Runs a durable function over its checkpoints: what was recorded is told to it again, and the rest is done.
 *
 * Owns: one run of one function: which calls it has made, which of them are answered, what it has to tell its agent.
 * Leaves to others: what is recorded (`step/durable.ts`), when it runs and ends (`effect.ts`).
 * Called by host for each durable effect: `run`. Calls `tell` with news, which become a step of the agent.
 *
 * F4  A call is answered from its agent's committed state alone, now as in a re-run: one at a time, in the order in which
 *     results were recorded, and the next only when the function has gone as far as it can. So plain `Promise.all`, `race`
 *     and `any` come out the same each time (D7).
 * F5  Calls are known by place, kind and name. A call that is not what stands recorded at its place ends the run: the
 *     function is stuck until someone mends its code, and nothing of it is done (`checkpoint.mismatch`).
 * F6  News of one turn go together, so parallel calls that end together are one commit.
 * F7  A run that is dropped, by a park, a restart, another owner or an end, never resumes: its promises stay open, and go
 *     with its memory.
 * F8  What a marked call does begins when the waits that the function has begun before it are durable: it may hand out their
 *     tokens, and whoever answers at once must find the wait (D6).
 * F9  A cancel is told by what the function waits for, as an error: what it waits for then, or, until a call of it has failed
 *     or it has found its signal aborted, the next wait that it begins. What it begins afterwards undoes things.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { checkName, makeAddress } from "../../agent/address.ts";
import type { AnyAgentDefinition } from "../../agent/definition.ts";
import {
  checkCallName,
  currentScope,
  type DurableContext,
  type DurableFunction,
  type DurableScope,
  inScope,
  type Received,
  type ReceiveOptions,
  type RunCall,
  type RunOptions,
} from "../../agent/durable.ts";
import { dateMsMax, type Duration, parseDuration } from "../../agent/duration.ts";
import { assert } from "../../agent/assert.ts";
import { decodeError, DormouseError, encodeError } from "../../agent/errors.ts";
import { checkOptions, optionError } from "../../agent/options.ts";
import { attemptTimeout, type ResolvedRetry, resolveRetry, retryDelay } from "../../agent/retry.ts";
import type { EventData } from "../../agent/way-out.ts";
import { checkData } from "../../format/codec/data.ts";
import { encodeValue } from "../../format/codec/msgpack.ts";
import type { Clock, Entropy } from "../../ports/index.ts";
import { Draw, sha256, toHex } from "../../step/context.ts";
import { type CallNews, cancelledError, tokenOf, type WaitNews } from "../../step/durable.ts";
import { asDurable } from "../../step/input.ts";
import { checkEventBytes } from "../../step/send.ts";
import type { CallKind, Checkpoint, DurableState, Effect, EffectResult, OpenCall } from "../../step/state.ts";
import { checkedBy, checkEvent, checkSchema, copyOf, dateMsOf, inputOf, jsonSchemaOf, usageOf } from "./call-values.ts";
import type { EffectCall, EffectRun } from "./effect.ts";

export interface DurableRunOptions {
  readonly call: EffectCall;
  readonly running: EffectRun;
  readonly fn: DurableFunction;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly parkMs: number;
  /** What the run has to say, in order. */
  readonly tell: (news: readonly CallNews[]) => void;
}

/** A call that the function has made and that is not answered yet. */
interface Made {
  readonly answer: (result: EffectResult) => void;
  /** Told its open call, as it is committed, each time that it changes. */
  readonly look: ((open: OpenCall) => void) | undefined;
}

/** Runs it; resolves with its output or rejects with what it throws, unless it is dropped (F7). */
export function runDurable(options: DurableRunOptions): Promise<unknown> {
  return new DurableRun(options).go();
}

class DurableRun implements DurableScope {
  readonly run: DurableContext["run"];
  readonly #options: DurableRunOptions;
  readonly #draw: Draw;
  /** By place. */
  readonly #made = new Map<number, Made>();
  readonly #recorded = new Map<number, Checkpoint>();
  readonly #life = new AbortController();
  /** The function's own signal. */
  readonly #cancel = new AbortController();
  /** Whether the function's signal is aborted by a cancel, and whether the function knows: F9. */
  #isCancelled = false;
  #hasHeard = false;
  /** Lines that earlier runs logged. */
  readonly #logged: number;
  #state: DurableState;
  #places = 0;
  /** Checkpoints that were told to the function. */
  #seen = 0;
  #now: number;
  #logs = 0;
  /** Waits whose beginning was told and is not committed yet. */
  readonly #opening = new Set<number>();
  /** What begins when there are none. */
  readonly #gated: (() => void)[] = [];
  /** Attempts and checks under way here. */
  #atWork = 0;
  #news: CallNews[] = [];
  #isTurning = false;
  #isOver = false;
  #cancelPark: (() => void) | undefined;

  constructor(options: DurableRunOptions) {
    this.#options = options;
    const { durable } = options.call.effect;
    assert(durable !== undefined, "a durable function's effect has its record");
    this.#state = durable;
    this.#now = durable.since;
    this.#logged = durable.logs;
    this.#draw = new Draw(durable.key, durable.round);
    this.run = (name, fn, runOptions) => this.#run(name, fn, runOptions) as Promise<never>;
    this.#learn(durable);
  }

  async go(): Promise<unknown> {
    const { call, running, fn } = this.#options;
    call.signal.addEventListener("abort", () => this.#end(), { once: true });
    running.onChange((effect) => this.#changed(effect));
    this.#turn();
    const result = await inScope(this, () => outcomeOf(() => fn.fn(this.#context())));
    this.#checkEnd();
    if (!this.#isOver && !result.ok) this.#retry(result.thrown);
    if (this.#isOver) return never();
    this.#flush();
    this.#end();
    if (result.ok) return result.value;
    throw result.thrown;
  }

  #context(): DurableContext<unknown> {
    const { call } = this.#options;
    return {
      input: copyOf(call.effect.input),
      run: this.run,
      sleep: (duration) => settled(() => this.#sleep(this.#options.clock.now() + parseDuration(duration))),
      sleepUntil: (date) => settled(() => this.#sleep(dateMsOf(date))),
      receive: (name: string, options?: ReceiveOptions) => this.#receive(name, options) as Received<never>,
      send: (definition, key, event) => settled(() => this.#send(addressOf(definition, key), event)),
      ask: (definition, key, event, options) =>
        settled(() => this.#ask(addressOf(definition, key), event, options) as Promise<never>),
      spawn: (definition, ...[input]) => settled(() => this.#spawn(definition, input) as Promise<never>),
      restart: (input) => settled(() => this.#restart(input)),
      signal: this.#cancel.signal,
      attempt: call.effect.attempt,
      idempotencyKey: call.address,
      now: () => this.#now,
      random: () => this.#drawHere().random(),
      uuid: () => this.#drawHere().uuid(),
      log: (message, fields) => this.#log(message, fields),
    };
  }

  // ------------------------------------------------------------------------------------------------------------- its calls

  #run(name: string, fn: (call: RunCall) => unknown, options: RunOptions<never> = {}): Promise<unknown> {
    const inside = currentScope();
    // The outermost marked call is the boundary.
    if (inside !== undefined && inside !== this) return settled(() => inside.run(name, fn));
    return settled(() => {
      checkCallName(name);
      if (typeof fn !== "function") throw optionError("what run does is a function", fn);
      checkOptions("run", options, ["retry", "input", "usage"]);
      // Read once, here: what a getter throws is the caller's.
      const { retry: policy, input, usage } = options;
      if (usage !== undefined && typeof usage !== "function") {
        throw optionError("usage is a function of the result", usage);
      }
      const retry = resolveRetry(policy);
      const attempt = (place: number, n: number): void =>
        void this.#attempt({ place, name, fn, retry, n, input, usage });
      let begun = 0;
      return this.#make("run", name, (place) => ({
        begin: () => this.#afterWaits(() => attempt(place, (begun = 1))),
        look: (open) => {
          if (open.kind !== "run" || open.due !== undefined || open.attempts < begun) return;
          attempt(place, (begun = open.attempts + 1));
        },
      })).answered;
    });
  }

  /** F8 */
  #afterWaits(begin: () => void): void {
    if (this.#opening.size === 0) {
      begin();
      return;
    }
    this.#begin();
    this.#gated.push(() => {
      this.#done();
      begin();
    });
  }

  async #attempt({ place, name, fn, retry, n, input, usage }: Attempt): Promise<void> {
    const { call, clock, entropy } = this.#options;
    const startedAt = clock.now();
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    // What is begun after a cancel undoes things, and is not cancelled itself.
    const isUndoing = this.#isCancelled;
    const stop = isUndoing ? this.#life.signal : this.#cancel.signal;
    stop.addEventListener("abort", abort, { once: true });
    const runCall: RunCall = {
      signal: controller.signal,
      attempt: n,
      idempotencyKey: `${call.address}/${this.#state.round}/${place}`,
    };
    const plain = new InsideCall(runCall, new Draw(sha256(`${toHex(this.#state.key)} ${place}`), n));
    this.#begin();
    const result = await this.#within(name, retry, abort, () => inScope(plain, () => outcomeOf(() => fn(runCall))));
    stop.removeEventListener("abort", abort);
    if (this.#isOver) return;
    const isCancelled = !isUndoing && this.#isCancelled;
    const told = { place, name, attempt: n, startedAt };
    const delayMs = result.ok || isCancelled ? undefined : delayAfter(retry, n, result.thrown, entropy);
    if (!result.ok && delayMs !== undefined) {
      this.#tell({ what: "failed", ...told, error: encodeError(result.thrown), due: clock.now() + delayMs });
    } else {
      const ended = result.ok ? this.#valueOf(result.value) : { ok: false as const, error: encodeError(result.thrown) };
      this.#tell({ what: "ended", ...told, result: ended, ...inputOf(input), ...usageOf(ended, usage) });
    }
    this.#done();
  }

  /** What an attempt comes to; after its time, that it took too long. */
  #within(name: string, { timeoutMs }: ResolvedRetry, abort: () => void, work: () => Promise<Result>): Promise<Result> {
    if (timeoutMs === undefined) return work();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.schedule(timeoutMs, () => {
        abort();
        resolve({ ok: false, thrown: attemptTimeout(name, timeoutMs) });
      });
      const { signal } = this.#life;
      signal.addEventListener("abort", cancel, { once: true });
      const ended = async (): Promise<void> => {
        resolve(await work());
        signal.removeEventListener("abort", cancel);
        cancel();
      };
      void ended();
    });
  }

  #valueOf(value: unknown): EffectResult {
    return asDurable(this.#options.call.agent, { ok: true, output: value }, checkpointCodes);
  }

  #sleep(due: number): Promise<void> {
    checkOutside("sleep");
    if (!(due <= dateMsMax && due >= 0)) throw optionError("a sleep ends at a date of the calendar", due);
    const begin = (place: number) => (): void => this.#tell({ what: "sleep", place, due: Math.ceil(due) });
    return this.#make("sleep", "sleep", (place) => ({ begin: begin(place) })).answered as Promise<void>;
  }

  #receive(name: string, options?: ReceiveOptions): Promise<unknown> {
    let token = "";
    const received = settled(() => {
      const { place, answered } = this.#makeReceive(name, options);
      token = tokenOf(this.#options.call.agent, this.#state.key, place);
      return answered;
    });
    return Object.assign(received, { token });
  }

  #makeReceive(name: string, options: ReceiveOptions = {}): { place: number; answered: Promise<unknown> } {
    checkOutside("receive");
    checkCallName(name);
    checkOptions("receive", options, ["schema", "timeout", "question"]);
    const { schema, timeout, question } = options;
    checkSchema(schema);
    if (question !== undefined && !(typeof question === "string" && question.length <= questionCharactersMax)) {
      throw optionError(`a question is a text of at most ${questionCharactersMax} characters`, question);
    }
    const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout);
    let looked: string | undefined;
    return this.#make("receive", name, (at) => ({
      begin: () => {
        this.#opening.add(at);
        this.#tell({
          what: "receive",
          place: at,
          name,
          isChecked: schema !== undefined,
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
          ...(question === undefined ? {} : { question }),
          ...jsonSchemaOf(schema),
        });
      },
      look: (open) => {
        if (open.kind !== "receive" || open.offered === undefined || open.offered.id === looked) return;
        looked = open.offered.id;
        void this.#check(at, name, schema, open.offered);
      },
    }));
  }

  /** Looks whether a value that was offered will do. */
  async #check(place: number, name: string, schema: StandardSchemaV1 | undefined, offered: Offered): Promise<void> {
    const { id } = offered;
    this.#begin();
    // Code that was deployed since may have no schema any more: then any value will do.
    const result = await outcomeOf(async () => {
      const value = copyOf(offered.value);
      return schema === undefined ? value : checkedBy(schema, name, value);
    });
    if (this.#isOver) return;
    const taken = result.ok ? this.#valueOf(result.value) : { ok: false as const, error: encodeError(result.thrown) };
    if (taken.ok) this.#tell({ what: "taken", place, id, value: taken.output });
    else this.#tell({ what: "refused", place, id, error: taken.error });
    this.#done();
  }

  #send(to: string, event: EventData): Promise<void> {
    checkOutside("send");
    checkEvent(to, event);
    const sent = copyOf(event) as EventData;
    const begin = (place: number) => (): void => this.#tell({ what: "send", place, to, event: sent });
    return this.#make("send", event.type, (place) => ({ begin: begin(place) })).answered as Promise<void>;
  }

  #ask(to: string, event: EventData, options: AskOptions = {}): Promise<unknown> {
    checkOutside("ask");
    checkEvent(to, event);
    checkOptions("ask", options, ["timeout"]);
    const timeoutMs = parseDuration(options.timeout ?? askTimeoutDefault);
    const sent = copyOf(event) as EventData;
    const begin = (place: number) => (): void => this.#tell({ what: "ask", place, to, event: sent, timeoutMs });
    return this.#make("ask", event.type, (place) => ({ begin: begin(place) })).answered;
  }

  #spawn(definition: AnyAgentDefinition, input: unknown): Promise<unknown> {
    checkOutside("spawn");
    const type = typeof definition === "string" ? definition : definition.type;
    checkName("type", type);
    checkData(input, { what: "input", code: "input.not-data", of: this.#options.call.agent });
    checkEventBytes(this.#options.call.agent, input, "input");
    const begin = (place: number) => (): void => this.#tell({ what: "spawn", place, type, input: copyOf(input) });
    return this.#make("spawn", type, (place) => ({ begin: begin(place) })).answered;
  }

  #restart(input: unknown): Promise<never> {
    checkOutside("restart");
    checkData(input, { what: "input", code: "input.not-data", of: this.#options.call.agent });
    this.#tell({ what: "restart", input: copyOf(input) });
    this.#flush();
    this.#end();
    return never();
  }

  #log(message: string, fields?: object): void {
    // The body of a recorded call does not run again: its lines are not among those that a re-run comes by.
    const isInside = currentScope() instanceof InsideCall;
    const of = this.#options.call.agent;
    // Refused each time that it is run, and never counted.
    if (typeof message !== "string") throw optionError("what is logged is a text", message);
    if (fields !== undefined) checkData(fields, { what: "fields", code: "log.not-data", of });
    checkEvent(of, { type: "dormouse.log", message, ...(fields === undefined ? {} : { fields }) });
    if (!isInside) this.#logs += 1;
    if (this.#isOver || (!isInside && this.#logs <= this.#logged)) return;
    const told = fields === undefined ? {} : { fields: copyOf(fields) };
    this.#tell({ what: "log", message, ...told, ...(isInside ? { isInside } : {}) });
  }

  /** For the same reason, what the body of a call draws is not the function's. */
  #drawHere(): Draw {
    const scope = currentScope();
    return scope instanceof InsideCall ? scope.draw : this.#draw;
  }

  /** A call of the function: it begins, goes on where it was left, or is answered by what was recorded. */
  #make(kind: CallKind, name: string, at: (place: number) => CallWork): { place: number; answered: Promise<unknown> } {
    this.#places += 1;
    const place = this.#places;
    const recorded = this.#recorded.get(place) ?? this.#state.open[place];
    if (this.#isOver) return { place, answered: never() };
    if (recorded !== undefined && (recorded.kind !== kind || recorded.name !== name)) {
      this.#stick(mismatch(this.#options.call, place, describeCall(recorded), describeCall({ kind, name })));
      return { place, answered: never() };
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const work = at(place);
    this.#made.set(place, {
      answer: (result) => (result.ok ? resolve(copyOf(result.output)) : reject(decodeError(result.error))),
      look: work.look,
    });
    this.#stayHere();
    const open = this.#state.open[place];
    if (open !== undefined) work.look?.(open);
    else if (recorded === undefined) work.begin();
    this.#turn();
    return { place, answered: promise };
  }

  // ------------------------------------------------------------------------------------------------------ what was recorded

  #changed({ durable }: Effect): void {
    if (this.#isOver || durable === undefined) return;
    if (durable.rest !== undefined) {
      this.#leave();
      return;
    }
    const before = this.#state;
    this.#learn(durable);
    for (const [place, open] of Object.entries(durable.open)) {
      if (open !== before.open[place]) this.#made.get(Number(place))?.look?.(open);
    }
    this.#turn();
  }

  /** Before it is told what the cancel ended, with all calls made that were made before: so in a re-run as well (F4). */
  #hearCancel(): void {
    const { cancelledAt } = this.#state;
    if (this.#isCancelled || cancelledAt === undefined || this.#seen < cancelledAt) return;
    this.#isCancelled = true;
    this.#cancel.abort(cancelledError(this.#options.call.agent));
    onFound(this.#cancel.signal, () => (this.#hasHeard = true));
  }

  #learn(durable: DurableState): void {
    for (let index = this.#recorded.size; index < durable.checkpoints.length; index += 1) {
      const checkpoint = durable.checkpoints[index];
      if (checkpoint !== undefined) this.#recorded.set(checkpoint.place, checkpoint);
    }
    this.#state = durable;
    for (const place of this.#opening) {
      if (place in durable.open || this.#recorded.has(place)) this.#opening.delete(place);
    }
    if (this.#opening.size === 0) for (const begin of this.#gated.splice(0)) begin();
  }

  /** When the function has gone as far as it can: tells the next result, and what there is to tell of it (F4, F6). */
  #turn(): void {
    if (this.#isTurning || this.#isOver) return;
    this.#isTurning = true;
    this.#options.clock.turn(() => {
      this.#isTurning = false;
      if (this.#isOver) return;
      this.#flush();
      if (this.#answerNext()) this.#turn();
      else this.#restIfIdle();
    });
  }

  #answerNext(): boolean {
    const next = this.#state.checkpoints[this.#seen];
    const made = next === undefined ? undefined : this.#made.get(next.place);
    if (next === undefined) this.#hearCancel();
    // Its call is still to be made.
    if (next === undefined || made === undefined) return false;
    this.#hearCancel();
    if (this.#isCancelled && !next.result.ok) this.#hasHeard = true;
    this.#seen += 1;
    this.#now = next.at;
    this.#made.delete(next.place);
    this.#stayHere();
    made.answer(next.result);
    return true;
  }

  /** Nothing is at work, and calls wait: after a while the function leaves memory. */
  #restIfIdle(): void {
    const { clock, parkMs, running } = this.#options;
    if (this.#atWork > 0 || this.#made.size === 0) return;
    // What was told and is not committed yet brings something to do.
    for (const place of this.#made.keys()) if (this.#state.open[place] === undefined) return;
    running.rest();
    this.#cancelPark ??= clock.schedule(parkMs, () => this.#park());
  }

  /** One that waits, and does not make the call whose result is next, would never be told anything any more (F5). */
  #park(): void {
    const next = this.#state.checkpoints[this.#seen];
    if (next === undefined) this.#tell({ what: "park", seen: this.#seen });
    else if (!this.#made.has(next.place)) {
      const waits = [...this.#made.keys()].map((place) => describeCall(this.#state.open[place])).join(", ");
      this.#stick(mismatch(this.#options.call, next.place, describeCall(next), `a wait for ${waits}`));
    }
  }

  #stayHere(): void {
    this.#cancelPark?.();
    this.#cancelPark = undefined;
    this.#options.running.work();
  }

  #begin(): void {
    this.#atWork += 1;
    this.#stayHere();
  }

  #done(): void {
    this.#atWork -= 1;
  }

  #tell(news: CallNews): void {
    if (this.#isOver) return;
    // An attempt goes with what its call was begun for, and is not made again while it is to end.
    const isUndoing = news.what === "failed" ? this.#isCancelled : this.#hasHeard;
    this.#news.push(isUndoing && isOfWait(news) ? { ...news, isUndoing } : news);
    this.#turn();
  }

  /** In so many steps that each fits a record. */
  #flush(): void {
    let [first, bytes] = [0, 0];
    for (const [index, news] of this.#news.entries()) {
      const newsBytes = letOutBytes(news);
      if (index > first && (bytes + newsBytes > stepBytesMax || index - first === stepNewsMax)) {
        this.#options.tell(this.#news.slice(first, index));
        [first, bytes] = [index, 0];
      }
      bytes += newsBytes;
    }
    if (this.#news.length > first) this.#options.tell(this.#news.slice(first));
    this.#news = [];
  }

  // ---------------------------------------------------------------------------------------------------------------- its end

  /** A function that ends before calls that were recorded is not the one that made them (F5). */
  #checkEnd(): void {
    if (this.#isOver) return;
    const places = [...this.#recorded.keys(), ...Object.keys(this.#state.open).map(Number)];
    const missed = places.filter((place) => place > this.#places).toSorted((a, b) => a - b)[0];
    if (missed === undefined) return;
    const recorded = this.#recorded.get(missed) ?? this.#state.open[missed];
    this.#stick(mismatch(this.#options.call, missed, describeCall(recorded), "the function's end"));
  }

  #retry(thrown: unknown): void {
    const { call, clock, entropy, fn } = this.#options;
    const failed = this.#state.open[0];
    const attempt = (failed?.kind === "run" ? failed.attempts : 0) + 1;
    const delayMs = delayAfter(fn.retry, attempt, thrown, entropy);
    if (delayMs === undefined) return;
    const told = { place: 0, name: call.effect.src, attempt, startedAt: this.#state.since };
    this.#tell({ what: "failed", ...told, error: encodeError(thrown), due: clock.now() + delayMs });
    this.#flush();
    this.#end();
  }

  #stick(error: DormouseError): void {
    this.#news = [];
    this.#tell({ what: "stuck", error: encodeError(error) });
    this.#flush();
    this.#end();
  }

  /** F7 */
  #end(): void {
    this.#leave();
    this.#cancel.abort();
  }

  /** Its result is still wanted: another run will give it. */
  #leave(): void {
    this.#isOver = true;
    this.#cancelPark?.();
    this.#made.clear();
    this.#life.abort();
  }
}

// ------------------------------------------------------------------------------------------------------------------ leaves

/** Where the body of a marked call runs: what is marked in it runs plainly. */
class InsideCall implements DurableScope {
  readonly run: DurableScope["run"];
  readonly call: RunCall;
  readonly draw: Draw;

  constructor(call: RunCall, draw: Draw) {
    this.call = call;
    this.run = async (_name, inner) => inner(call) as never;
    this.draw = draw;
  }
}

interface CallWork {
  readonly begin: () => void;
  readonly look?: (open: OpenCall) => void;
}

interface Attempt {
  readonly place: number;
  readonly name: string;
  readonly fn: (call: RunCall) => unknown;
  readonly retry: ResolvedRetry;
  readonly n: number;
  readonly input: unknown;
  readonly usage: RunOptions<never>["usage"];
}

interface AskOptions {
  readonly timeout?: Duration;
}

type Offered = NonNullable<Extract<OpenCall, { kind: "receive" }>["offered"]>;

type Result = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly thrown: unknown };

const checkpointCodes = { notData: "checkpoint.not-data", tooLarge: "checkpoint.too-large" };
const askTimeoutDefault: Duration = "30s";
const questionCharactersMax = 4_096;

async function outcomeOf(work: () => unknown): Promise<Result> {
  try {
    return { ok: true, value: await work() };
  } catch (thrown) {
    return { ok: false, thrown };
  }
}

/**
 * What is wrong with a call is told as its promise. One that nobody awaits has failed all the same, as its record tells; the
 * process, with all else that runs in it, does not end for that.
 */
function settled<T>(work: () => Promise<T>): Promise<T> {
  const promise = new Promise<T>((resolve) => resolve(work()));
  promise.catch(() => undefined);
  return promise;
}

/** Of an error that cannot be told from others, since to look at it throws: none. */
function delayAfter(retry: ResolvedRetry, attempt: number, thrown: unknown, entropy: Entropy): number | undefined {
  try {
    return retryDelay(retry, attempt, thrown, (entropy.bytes(1)[0] ?? 0) / 256);
  } catch {
    return undefined;
  }
}

/** Calls `found` each time that someone looks at an aborted signal, and so knows. */
function onFound(signal: AbortSignal, found: () => void): void {
  const aborted = (): boolean => {
    found();
    return true;
  };
  const throwIfAborted = (): never => {
    found();
    throw signal.reason;
  };
  Object.defineProperties(signal, { aborted: { get: aborted }, throwIfAborted: { value: throwIfAborted } });
}

/** Whether a cancel ends what it tells of, if the function had not heard of that. */
function isOfWait(news: CallNews): news is WaitNews {
  return news.what in waits;
}

const waits: { readonly [what in WaitNews["what"]]: true } = {
  sleep: true,
  receive: true,
  ask: true,
  spawn: true,
  failed: true,
};

/** What a call's news takes beside its agent's state. */
function letOutBytes(news: CallNews): number {
  if (news.what === "send" || news.what === "ask") return encodeValue(news.event).length;
  if (news.what === "spawn") return encodeValue(news.input).length;
  return news.what === "log" && news.fields !== undefined ? encodeValue(news.fields).length : 0;
}

const stepBytesMax = 4_194_304;
const stepNewsMax = 256;

function never(): Promise<never> {
  return new Promise(() => undefined);
}

function addressOf(definition: AnyAgentDefinition | string, key: string): string {
  return makeAddress(typeof definition === "string" ? definition : definition.type, key);
}

function checkOutside(call: string): void {
  const scope = currentScope();
  if (scope === undefined || scope instanceof DurableRun) return;
  throw new DormouseError(
    "invalid",
    "durable.nested",
    `${call}() is called inside a marked call, whose result is recorded as one; call it in the durable function itself`,
  );
}

function describeCall(call: { readonly kind: CallKind; readonly name: string } | undefined): string {
  return `${call?.kind} "${call?.name}"`;
}

function mismatch({ agent, effect }: EffectCall, place: number, recorded: string, found: string): DormouseError {
  return new DormouseError(
    "failed",
    "checkpoint.mismatch",
    `the function's code no longer makes the calls that are recorded; bring the call back, or deploy the code that made ` +
      `it, then resume the agent: agent=${agent} function=${effect.src} call=${place} recorded=${recorded} found=${found}`,
  );
}
