/** A step of an agent's history as a person reads it. */
import type { StepView } from "@dormouse/client";
import { brief, describeError, oneLine, type Output } from "./output.ts";
import { stateText } from "./state-text.ts";

/** What there is to say of effects beside a step's own lines. */
export interface EffectText {
  /** Of an effect whose result it took: how long that took. */
  readonly suffix: string;
  /** Trees of functions that are over with it. */
  readonly lines: readonly string[];
}

/** Number, time, and what it took; then, line by line, what came of it. */
export function stepText(output: Output, step: StepView, effects: EffectText): string {
  const lines = [
    moveText(step),
    ...step.began.map(({ src, input }) => `begins ${oneLine(src)}${input === undefined ? "" : ` ${brief(input)}`}`),
    ...step.sent.map(({ what, to }) => `sends ${oneLine(what)} to ${oneLine(to)}`),
    ...step.emitted.map((event) => `emits ${eventText(event)}`),
    ...(step.error === undefined ? [] : [output.paint("red", `fails: ${errorText(step.error)}`)]),
    ...effects.lines,
  ];
  return [`${stepHeadText(output, step)}${effects.suffix}`, ...indented(lines)].join("\n");
}

/** Lines below a step's own. */
export function indented(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => line !== "").map((line) => `      ${line}`);
}

/** Number, time, and what it took. */
export function stepHeadText(output: Output, step: StepView): string {
  const time = output.paint("dim", new Date(step.at).toISOString());
  return `${output.paint("bold", `#${step.seq}`.padEnd(5))} ${time}  ${causeText(step)}`;
}

export function errorText({ message, code }: { readonly message: string; readonly code?: string }): string {
  return `${oneLine(message)}${code === undefined ? "" : ` (${oneLine(code)})`}`;
}

/** What an agent ended with: its stack would be that of whoever decoded it. */
export function thrownText(thrown: unknown): string {
  const { code, message } = describeError(thrown);
  return code === "Error" ? oneLine(message) : errorText({ message, code });
}

function moveText({ valueBefore, value }: StepView): string {
  const [before, after] = [stateText(valueBefore), stateText(value)];
  return before === after ? after : `${before} → ${after}`.trim();
}

function causeText(step: StepView): string {
  const { cause, event, from } = step;
  switch (cause) {
    case "event":
      return `${event === undefined ? "an event" : eventText(event)}${from === undefined ? "" : ` from ${oneLine(from)}`}`;
    case "start":
      return "start";
    case "timer":
      return `timer ${event === undefined ? "" : eventText(event)}`.trimEnd();
    case "effect":
      return event === undefined ? "an effect ends" : effectText(event);
    case "calls":
      return "calls of a durable function";
    case "call":
      return "a wait of a durable function ends";
    case "respond":
      return `a response${from === undefined ? "" : ` from ${oneLine(from)}`}`;
    case "cancel":
      return "cancelled from outside";
    case "unsent":
      return "an event that was sent ahead is taken back";
    case "resumed":
      return "stuck functions go on";
    case "attempt":
      return "an effect that was cut off begins again";
    case "child":
      return `news of a child: ${event === undefined ? "" : eventText(event)}`.trimEnd();
    case "action":
      return "an action ends";
    case "undelivered":
      return "a message that could not be sent";
    case "end":
      return "ended from outside";
  }
}

type Event = NonNullable<StepView["event"]>;

/** The result of an effect comes as XState's event: `xstate.done.actor.<id>` with its output, or `xstate.error.actor.<id>`. */
function effectText(event: Event): string {
  const [, way, id = ""] = /^xstate\.(done|error)\.actor\.(.+)$/s.exec(event.type) ?? [];
  if (way === undefined) return `effect: ${eventText(event)}`;
  const [word, result] = way === "done" ? ["gives", event["output"]] : ["fails:", event["error"]];
  return `effect ${oneLine(id)} ${word} ${brief(result)}`;
}

/** Its type and what else it holds. */
function eventText({ type, ...data }: Event): string {
  return Object.keys(data).length === 0 ? oneLine(type) : `${oneLine(type)} ${brief(data)}`;
}
