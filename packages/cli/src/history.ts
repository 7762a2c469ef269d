/** `dormouse history`: prints an agent's steps. */
import { type Command, limitsOf, notStarted, readStepNumber, withAgent } from "./command.ts";
import { EffectTrees, isOfCalls } from "./call-tree.ts";
import { indented, stepText } from "./step-text.ts";
import { UsageError } from "./usage-error.ts";

export const history: Command = {
  name: "history",
  arguments: ["<type/key>"],
  options: ["from", "to", "timeout", "json"],
  summary: "print an agent's steps",
  help:
    "Each committed step: what it took, the state before and after, the effects that it began, what it sent, and its " +
    "error. The result of an effect is what a later step took; under that of a durable function stand its calls, each with " +
    "its step's number, what it was given, gave or failed with, its attempts, its time, and usage where the result tells " +
    "it. Long values are shortened, of a function the newest 200 calls are shown; with --json all is whole: one line of " +
    "JSON per step. A host must run.",
  async run(call) {
    const [from, to] = [readStepNumber(call, "from"), readStepNumber(call, "to")];
    if (from !== undefined && to !== undefined && from > to) throw new UsageError("--from is above --to");
    const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
    const limits = limitsOf(call);
    const isJson = call.options.json !== undefined;
    await withAgent(call, async ({ ref }) => {
      let isEmpty = true;
      const trees = new EffectTrees(call.output);
      for await (const step of ref.history({ ...limits, ...range })) {
        isEmpty = false;
        if (isJson) call.output.result("", { agent: ref.address, ...step });
        else {
          const effects = trees.take(step);
          if (!isOfCalls(step)) call.output.result(stepText(call.output, step, effects), undefined);
        }
      }
      const left = trees.underWay();
      if (left.length > 0) call.output.result(indented(left).join("\n"), undefined);
      if (!isEmpty) return;
      if ((await ref.read(limits)) === undefined) throw notStarted(ref.address);
      call.output.note("there are no such steps");
    });
  },
};
