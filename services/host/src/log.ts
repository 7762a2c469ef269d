/**
 * The log of a host process: what is observed, as lines of JSON.
 *
 * Owns: the level and sentence of each event, and how many lines a second there may be.
 * Leaves to others: where lines go (`log-output.ts`).
 *
 * L1  A line's `msg` is constant; what varies is in fields of its own, named by the words of the design.
 * L2  Events and states of agents are never in it, nor secrets. What an agent's own code says is: the text and stack of
 *     what it throws, and what XState's `log` and a durable function's are given.
 * L3  A storm does not drown the host: of one kind of event, so many lines a second are written and the others counted.
 */
import { inspect } from "node:util";
import type { ErrorData, Observed } from "@dormouse/sdk";
import { type DestinationStream, type Logger, pino } from "pino";
import type { LogLevel } from "./options.ts";

export interface LogOptions {
  readonly level: LogLevel;
  /** What the host is called, in each line. */
  readonly name: string;
  readonly destination: DestinationStream;
  /** Milliseconds since some moment. */
  readonly monotonic: () => number;
}

interface Line {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly msg: string;
  readonly fields: { readonly [name: string]: unknown };
}

const linesPerSecondMax = 100;
const textCharactersMax = 2_000;
const stackLinesMax = 12;

export class Log {
  readonly #pino: Logger;
  readonly #monotonic: () => number;
  readonly #counts = new Map<Observed["kind"], { since: number; written: number; leftOut: number }>();
  #incarnation: () => string | undefined = () => undefined;
  #toldEnd: string | undefined;

  constructor({ level, name, destination, monotonic }: LogOptions) {
    this.#monotonic = monotonic;
    const options = {
      level,
      base: { host: name },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label: string) => ({ level: label }) },
      mixin: () => {
        const incarnation = this.#incarnation();
        return incarnation === undefined ? {} : { incarnation };
      },
    };
    this.#pino = pino(options, destination);
  }

  /** In each line from now on: a host that begins anew has another. */
  started(incarnation: () => string): void {
    this.#incarnation = incarnation;
  }

  say(level: Line["level"], msg: string, fields: Line["fields"] = {}): void {
    this.#pino[level](fields, msg);
  }

  /** Whether this is what a host was seen to end with. */
  hasToldEnd(thrown: unknown): boolean {
    return thrown instanceof Error && thrown.message === this.#toldEnd;
  }

  observe(event: Observed): void {
    if (event.kind === "failed") this.#toldEnd = event.error.message;
    const { level, msg, fields } = lineOf(event);
    if (!this.#pino.isLevelEnabled(level) || !this.#mayWrite(event.kind, level)) return;
    this.say(level, msg, fields);
  }

  #mayWrite(kind: Observed["kind"], level: Line["level"]): boolean {
    const now = this.#monotonic();
    const count = this.#counts.get(kind) ?? { since: now, written: 0, leftOut: 0 };
    this.#counts.set(kind, count);
    if (now - count.since >= 1_000) {
      if (count.leftOut > 0)
        this.say(level, "lines like the next were left out", { event: kind, count: count.leftOut });
      Object.assign(count, { since: now, written: 0, leftOut: 0 });
    }
    const isWritten = count.written < linesPerSecondMax;
    if (isWritten) count.written += 1;
    else count.leftOut += 1;
    return isWritten;
  }
}

/** `error`: a person must act; `warn`: it healed, or is one agent's; `info`: ownership or life changed; `debug`: steps. */
function lineOf(event: Observed): Line {
  switch (event.kind) {
    case "claimed": {
      const { partition, epoch, records } = event;
      return { level: "info", msg: "a partition is claimed", fields: { partition, epoch, records } };
    }
    case "handed-over":
      return { level: "info", msg: "a partition is handed over", fields: { partition: event.partition } };
    case "caught-up":
      return { level: "info", msg: "a partition has caught up", fields: { partition: event.partition } };
    case "regressed":
      return {
        level: "warn",
        msg: "the mailbox went back",
        fields: { partition: event.partition, why: clip(event.why) },
      };
    case "activated":
      return { level: "debug", msg: "an agent is in memory", fields: { agent: event.agent, seq: event.seq } };
    case "passivated":
      return { level: "debug", msg: "an agent left memory", fields: { agent: event.agent, seq: event.seq } };
    case "stepped": {
      const { agent, seq, error, thrown } = event;
      if (error === undefined) return { level: "debug", msg: "an agent has stepped", fields: { agent, seq } };
      return { level: "warn", msg: "a step failed", fields: { agent, seq, ...errorFields(error, thrown) } };
    }
    case "refused": {
      const { agent, id, isAsked, error } = event;
      // Who asked was told.
      const level = isAsked ? "debug" : "warn";
      return { level, msg: "a message changed nothing", fields: { agent, message: id, ...errorFields(error) } };
    }
    case "logged": {
      const { agent, label, value } = event;
      return { level: "info", msg: "an agent says", fields: { agent, label, value: shown(value) } };
    }
    case "action-failed": {
      const { agent, name, error, thrown } = event;
      return { level: "warn", msg: "an action failed", fields: { agent, action: name, ...errorFields(error, thrown) } };
    }
    case "effect-started": {
      const { agent, address, src, attempt } = event;
      return { level: "debug", msg: "an effect starts", fields: { agent, effect: address, src, attempt } };
    }
    case "effect-ended": {
      const { agent, address, src, isOk, error, thrown } = event;
      const fields = { agent, effect: address, src, isOk };
      if (error === undefined) return { level: "debug", msg: "an effect has ended", fields };
      // Its machine hears of it, and may well do without.
      return { level: "info", msg: "an effect has failed", fields: { ...fields, ...errorFields(error, thrown) } };
    }
    case "attempt-failed": {
      const { agent, name, attempt, error } = event;
      const fields = { agent, call: name, attempt, ...errorFields(error) };
      return { level: "info", msg: "an attempt failed, and is made again", fields };
    }
    case "committed": {
      const { n, entries, bytes } = event;
      return { level: "debug", msg: "a record is committed", fields: { record: n, entries, bytes } };
    }
    case "released":
      return { level: "debug", msg: "a step is released", fields: { agent: event.agent, seq: event.seq } };
    case "settled": {
      const { partition, cut, heads } = event;
      return { level: "debug", msg: "a partition is settled", fields: { partition, cut, heads } };
    }
    case "skipped": {
      const { partition, why, error } = event;
      const fields = { partition, why: clip(why), ...(error === undefined ? {} : errorFields(error)) };
      return { level: error === undefined ? "warn" : "error", msg: "something is skipped", fields };
    }
    case "quarantined":
      return {
        level: "error",
        msg: "an agent is set aside",
        fields: { agent: event.agent, ...errorFields(event.error) },
      };
    case "warned":
      return { level: "warn", msg: "the host warns", fields: { about: event.about, text: clip(event.text) } };
    case "sealed":
      return { level: "warn", msg: "the host ends: another has taken over", fields: {} };
    case "failed":
      return { level: "error", msg: "the host ends", fields: errorFields(event.error) };
  }
}

/** An error in fields: kind and code to search for, the text for people. */
export function errorFields({ name, kind, code, message }: Omit<ErrorData, "cause">, thrown?: unknown): Line["fields"] {
  return { kind, code, error: clip(`${name}: ${message}`), stack: stackOf(thrown) };
}

/** What was thrown may be anything, and throw when it is looked at. */
function stackOf(thrown: unknown): string | undefined {
  try {
    if (!(thrown instanceof Error) || typeof thrown.stack !== "string") return undefined;
    return clip(thrown.stack.split("\n").slice(0, stackLinesMax).join("\n"));
  } catch {
    return undefined;
  }
}

function shown(value: unknown): string {
  return clip(
    typeof value === "string" ? value : inspect(value, { depth: 3, maxArrayLength: 20, breakLength: Infinity }),
  );
}

function clip(text: string): string {
  return text.length <= textCharactersMax ? text : `${text.slice(0, textCharactersMax).toWellFormed()}…`;
}
