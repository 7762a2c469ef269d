/**
 * Effects, and the marked calls of durable functions, as a tree that a person reads: gathered from an agent's steps.
 *
 * Owns: of each effect under way, when it began and what became of its newest calls.
 * Leaves to others: steps' own lines (`step-text.ts`). Called by history: `take` for each step in order, `underWay` at the end.
 */
import type { CallView, StepView } from "@dormouse/client";
import { durationText } from "./duration-text.ts";
import { brief, oneLine, type Output } from "./output.ts";
import { type EffectText, errorText } from "./step-text.ts";

/** Calls of one function that are shown, and failed attempts of one call: the newest. */
const callsMax = 200;
const attemptsMax = 10;
/** Functions under way that are shown. */
const functionsMax = 50;

interface Known {
  readonly src: string;
  input: unknown;
  readonly beganAt: number | undefined;
  /** By place, oldest first; lines that were logged, and what became of the function itself, each under a place of its own. */
  calls: Map<number | string, Call>;
  earlierCalls: number;
  /** Whether it is a durable function. */
  isTold: boolean;
}

/** What was told of one call, the last of it first known. */
interface Call {
  readonly seq: number;
  readonly text: string;
  readonly attempts: readonly string[];
  readonly isOver: boolean;
}

export class EffectTrees {
  readonly #output: Output;
  readonly #known = new Map<string, Known>();

  constructor(output: Output) {
    this.#output = output;
  }

  take(step: StepView): EffectText {
    for (const { address, src, input } of step.began) this.#known.set(address, begun(src, input, step.at));
    // What a function logs in one step with calls that begin, it logs before it waits for them.
    this.#takeLogs(step);
    for (const call of step.calls) this.#takeCall(step, call);
    const { effect, cause } = step;
    const dropped = step.dropped.flatMap(({ address, src, input }) => {
      const known = this.#take(address) ?? begun(src, input, undefined);
      return [`gives up ${nameText(src, input)}${afterText(known.beganAt, step.at)}`, ...endLines(known)];
    });
    if (cause !== "effect" || effect === undefined) return { suffix: "", lines: dropped };
    const known = this.#take(effect.address);
    const runs = effect.attempt === 1 ? "" : `, ${known?.isTold === true ? "run" : "attempt"} ${effect.attempt}`;
    return {
      suffix: `${afterText(known?.beganAt, step.at)}${runs}`,
      lines: [...(known === undefined ? [] : endLines(known)), ...dropped],
    };
  }

  /** Trees of durable functions that have not ended. */
  underWay(): readonly string[] {
    const told = [...this.#known.values()].filter(({ isTold }) => isTold);
    const shown = told.slice(-functionsMax).flatMap((known) => {
      const since = known.beganAt === undefined ? "" : ` since ${new Date(known.beganAt).toISOString()}`;
      return [`under way: ${nameText(known.src, known.input)}${since}`, ...treeLines(known)];
    });
    const rest = told.length - functionsMax;
    return rest > 0 ? [`${rest} more functions are under way`, ...shown] : shown;
  }

  #take(address: string): Known | undefined {
    const known = this.#known.get(address);
    this.#known.delete(address);
    return known;
  }

  #takeCall({ seq, at }: StepView, call: CallView): void {
    const known = this.#knownOf(call.effect, call.src);
    if (call.what === "restarted") {
      known.input = call.input;
      known.calls = new Map();
      known.earlierCalls = 0;
    }
    const text = callText(this.#output, call, at);
    if (call.kind === "function") {
      put(known, `function ${seq}`, { seq, text, attempts: [], isOver: true });
      return;
    }
    const { place } = call;
    const before = known.calls.get(place);
    // An attempt that failed, or a value that was refused, is told below what becomes of the call.
    if (call.what === "failed" || call.what === "refused") {
      const attempts = [...(before?.attempts ?? []), text].slice(-attemptsMax);
      const waiting = call.what === "failed" ? `${nameOf(call)} is tried again at ${timeText(call.due)}` : undefined;
      put(known, place, { seq, text: waiting ?? before?.text ?? nameOf(call), attempts, isOver: false });
    } else put(known, place, { seq, text, attempts: before?.attempts ?? [], isOver: call.what !== "began" });
  }

  #takeLogs({ seq, effect, emitted }: StepView): void {
    if (effect === undefined) return;
    for (const [index, { type, ["message"]: message, ["fields"]: fields }] of emitted.entries()) {
      if (type !== logType) continue;
      const text = `logs ${oneLine(String(message))}${fields === undefined ? "" : ` ${brief(fields)}`}`;
      const known = this.#knownOf(effect.address, effect.src);
      put(known, `log ${seq} ${index}`, { seq, text, attempts: [], isOver: true });
    }
  }

  /** Of a history that is not read from its beginning, what began before is not known. */
  #knownOf(address: string, src: string): Known {
    const known = this.#known.get(address) ?? begun(src, undefined, undefined);
    known.isTold = true;
    this.#known.set(address, known);
    return known;
  }
}

/** Whether a step only tells of calls, which the tree shows. */
export function isOfCalls({ cause, error }: StepView): boolean {
  return (cause === "calls" || cause === "call") && error === undefined;
}

const logType = "dormouse.log";

function begun(src: string, input: unknown, beganAt: number | undefined): Known {
  return { src, input, beganAt, calls: new Map(), earlierCalls: 0, isTold: false };
}

function put(known: Known, place: number | string, call: Call): void {
  known.calls.set(place, call);
  if (known.calls.size <= callsMax) return;
  // What still waits stays, however old it is.
  const over = [...known.calls].find(([, { isOver }]) => isOver) ?? [...known.calls][0];
  if (over === undefined) return;
  known.calls.delete(over[0]);
  known.earlierCalls += 1;
}

/** Of a function that has ended: what it still waited for, nobody does any more. */
function endLines(known: Known): readonly string[] {
  const calls = [...known.calls].map(([place, call]): [number | string, Call] => [
    place,
    call.isOver ? call : { ...call, text: `${call.text}, and is given up` },
  ]);
  return treeLines({ ...known, calls: new Map(calls) });
}

function treeLines({ calls, earlierCalls }: Known): readonly string[] {
  const earlier = earlierCalls === 0 ? [] : [`├─ ${earlierCalls} earlier calls; --json tells of all`];
  const all = [...calls.values()];
  return [
    ...earlier,
    ...all.flatMap(({ seq, text, attempts }, index) => {
      const [branch, below] = index === all.length - 1 ? ["└─", "   "] : ["├─", "│  "];
      const leaves = attempts.map((line, n) => `${below}${n === attempts.length - 1 ? "└─" : "├─"} ${line}`);
      return [`${branch} #${seq} ${text}`, ...leaves];
    }),
  ];
}

function callText(output: Output, call: CallView, at: number): string {
  const name = nameOf(call);
  switch (call.what) {
    case "began":
      return `${name} waits${call.due === undefined ? "" : ` until ${timeText(call.due)}`}${questionText(call)}`;
    case "ended":
      return endText(output, call, at);
    case "failed": {
      const { attempt, startedAt, error } = call;
      return output.paint("red", `attempt ${attempt ?? ""} fails${afterText(startedAt, at)}: ${thrownText(error)}`);
    }
    case "refused":
      return output.paint("red", `refuses a value: ${thrownText(call.error)}`);
    case "stuck":
      return output.paint("red", `is stuck: ${thrownText(call.error)}`);
    case "resumed":
      return "goes on";
    case "restarted":
      return `begins anew${call.input === undefined ? "" : ` with ${brief(call.input)}`}`;
  }
}

function endText(output: Output, call: CallView, at: number): string {
  const { kind, result, input, usage, attempt = 1, startedAt } = call;
  const name = `${nameOf(call)}${input === undefined ? "" : ` ${brief(input)}`}`;
  const took = kind === "send" ? "" : afterText(startedAt, at);
  const more = `${took}${attempt === 1 ? "" : `, attempt ${attempt}`}${usage === undefined ? "" : `, used ${brief(usage)}`}`;
  if (result?.ok === false) return output.paint("red", `${name} fails${more}: ${thrownText(result.error)}`);
  const isOfNothing = kind === "send" || kind === "sleep";
  return `${name}${isOfNothing ? "" : ` gives ${brief(result?.output)}`}${more}`;
}

/** A `run` by its name alone, as the function's code has it; other calls with what they are. */
function nameOf({ kind, name, to }: CallView): string {
  if (kind === "sleep") return "sleep";
  const whom = to === undefined ? "" : ` ${kind === "send" ? "to " : ""}${oneLine(to)}`;
  if (kind === "ask") return `ask${whom} ${oneLine(name)}`;
  if (kind === "spawn") return `spawn${to === undefined ? ` ${oneLine(name)}` : whom}`;
  return `${kind === "run" || kind === "function" ? "" : `${kind} `}${oneLine(name)}${whom}`;
}

function questionText({ question }: CallView): string {
  return question === undefined ? "" : `: ${brief(question)}`;
}

/** Its name too, which tells a `TypeError` from what a service said. */
function thrownText(error: CallView["error"]): string {
  if (error === undefined) return "";
  return error.code === undefined ? `${oneLine(error.name)}: ${oneLine(error.message)}` : errorText(error);
}

function nameText(src: string, input: unknown): string {
  return `${oneLine(src)}${input === undefined ? "" : ` ${brief(input)}`}`;
}

function timeText(at: number | undefined): string {
  return at === undefined ? "" : new Date(at).toISOString();
}

function afterText(since: number | undefined, at: number | undefined): string {
  return since === undefined || at === undefined ? "" : ` after ${durationText(at - since)}`;
}
