/** `dormouse history`: prints an agent's steps. */
import { type Command, limitsOf, notStarted, readStepNumber, withAgent } from "./command.ts";
import { stepText } from "./step-text.ts";
import { UsageError } from "./usage-error.ts";

export const history: Command = {
  name: "history",
  arguments: ["<type/key>"],
  options: ["from", "to", "timeout", "json"],
  summary: "print an agent's steps",
  help:
    "Each committed step: what it took, the state before and after, the effects that it began, what it sent, and its " +
    "error. The result of an effect is what a later step took. Long values are shortened; with --json they are whole: " +
    "one line of JSON per step. A host must run.",
  async run(call) {
    const [from, to] = [readStepNumber(call, "from"), readStepNumber(call, "to")];
    if (from !== undefined && to !== undefined && from > to) throw new UsageError("--from is above --to");
    const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
    const limits = limitsOf(call);
    await withAgent(call, async ({ ref }) => {
      let isEmpty = true;
      for await (const step of ref.history({ ...limits, ...range })) {
        isEmpty = false;
        call.output.result(stepText(call.output, step), { agent: ref.address, ...step });
      }
      if (!isEmpty) return;
      if ((await ref.read(limits)) === undefined) throw notStarted(ref.address);
      call.output.note("there are no such steps");
    });
  },
};
