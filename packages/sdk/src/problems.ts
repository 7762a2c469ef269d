/** What a host says on standard error where nobody observes it: what went wrong, and nobody else is told. */
import type { Observed } from "@dormouse/core";

/** Writes one event to standard error, if it is such a problem. */
export function sayProblem(event: Observed): void {
  const text = problemText(event);
  // What messages hold may come from outside: it does not get to move the cursor.
  if (text !== undefined) console.error(`dormouse: ${text.replaceAll(controls, " ")}`);
}

// oxlint-disable-next-line no-control-regex -- all but the end of a line
const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;

function problemText(event: Observed): string | undefined {
  switch (event.kind) {
    case "stepped":
      return event.error === undefined
        ? undefined
        : `${event.agent}: step ${event.seq} failed: ${event.error.message}${stackOf(event.thrown)}`;
    case "refused":
      return event.isAsked ? undefined : `${event.agent}: a message changed nothing: ${event.error.message}`;
    case "action-failed":
      return `${event.agent}: action ${event.name} failed: ${event.error.message}${stackOf(event.thrown)}`;
    case "quarantined":
      return `${event.agent}: set aside: ${event.error.message}`;
    case "skipped":
      return `partition ${event.partition}: ${event.why}${event.error === undefined ? "" : `: ${event.error.message}`}`;
    case "regressed":
      return `partition ${event.partition}: the mailbox went back: ${event.why}`;
    case "warned":
      return `${event.about}: ${event.text}`;
    case "failed":
      return `the host ends: ${event.error.message}`;
    case "sealed":
      return "the host ends: another host took its agents over";
    case "claimed":
    case "caught-up":
    case "handed-over":
    case "activated":
    case "passivated":
    case "logged":
    case "attempt-failed":
    case "effect-started":
    case "effect-ended":
    case "committed":
    case "released":
    case "settled":
      return undefined;
  }
}

/** What was thrown may be anything, and throw when it is looked at. */
function stackOf(thrown: unknown): string {
  try {
    return thrown instanceof Error && typeof thrown.stack === "string" ? `\n${thrown.stack}` : "";
  } catch {
    return "";
  }
}
