/** What an agent has under way, as a person reads it. */
import type { EffectView, OpenCallView } from "@dormouse/client";
import { brief, oneLine, type Output } from "./output.ts";
import { errorText } from "./step-text.ts";

/** Effects, and open calls of each, that are shown. */
const shownMax = 20;

/** Each effect, and below it the calls that a durable function waits in. */
export function effectLines(output: Output, effects: readonly EffectView[]): readonly string[] {
  return firstOf(effects, (effect) => linesOf(output, effect));
}

function linesOf(output: Output, { src, input, attempt, cancelled, durable }: EffectView): readonly string[] {
  const end = cancelled === undefined ? "" : `, cancelled, ends by ${new Date(cancelled).toISOString()}`;
  const name = `${oneLine(src)}${input === undefined ? "" : ` ${brief(input)}`}${end}`;
  if (durable === undefined) return [`${name}${attempt === 1 ? "" : `, attempt ${attempt}`}`];
  const { status, error, checkpointCount, open } = durable;
  const calls = checkpointCount === 1 ? "1 call is recorded" : `${checkpointCount} calls are recorded`;
  return [
    `${name}, ${status === "stuck" ? output.paint("red", status) : status}, ${calls}`,
    ...(error === undefined ? [] : [`  ${output.paint("red", errorText(error))}`]),
    ...firstOf(open, (call) => [`  ${openText(call)}`]),
  ];
}

function openText({ kind, name, due, attempts, error, to, question }: OpenCallView): string {
  const at = due === undefined ? undefined : new Date(due).toISOString();
  if (kind === "run") {
    const why = error === undefined ? "" : `: ${errorText(error)}`;
    return `${oneLine(name)}, again ${at === undefined ? "now" : `at ${at}`} after attempt ${attempts} failed${why}`;
  }
  const whom = to === undefined ? "" : ` ${oneLine(to)}`;
  // A child's address begins with its type.
  const what = `${kind}${whom}${kind === "sleep" || kind === "spawn" ? "" : ` ${oneLine(name)}`}`;
  return `${what}${at === undefined ? "" : ` until ${at}`}${question === undefined ? "" : `: ${brief(question)}`}`;
}

function firstOf<T>(all: readonly T[], linesFor: (one: T) => readonly string[]): readonly string[] {
  const lines = all.slice(0, shownMax).flatMap(linesFor);
  return all.length > shownMax ? [...lines, `… and ${all.length - shownMax} more; --json tells of all`] : lines;
}
