/** `dormouse read`: prints an agent's newest committed state. */
import type { AgentState } from "@dormouse/client";
import type { AnyAgentDefinition, ErrorData } from "@dormouse/sdk";
import { type Command, limitsOf, notStarted, withAgent } from "./command.ts";
import { effectLines } from "./effect-text.ts";
import { describeError, type Output } from "./output.ts";
import { stateText } from "./state-text.ts";
import { errorText, thrownText } from "./step-text.ts";

export const read: Command = {
  name: "read",
  arguments: ["<type/key>"],
  options: ["timeout", "json"],
  summary: "print an agent's newest committed state",
  help: "The state is asked of the host, which must run.",
  async run(call) {
    const limits = limitsOf(call);
    await withAgent(call, async ({ ref, client }) => {
      const state = await ref.read(limits);
      const setAside = (await client.quarantined(limits)).find(({ agent }) => agent === ref.address)?.error;
      if (state === undefined) throw notStarted(ref.address);
      const { error, ...rest } = state;
      const data = {
        agent: ref.address,
        ...rest,
        error: error === undefined ? null : describeError(error),
        setAside: setAside ?? null,
      };
      call.output.result(describe(call.output, ref.address, state, setAside), data);
    });
  },
};

function describe(
  output: Output,
  address: string,
  state: AgentState<AnyAgentDefinition>,
  setAside: ErrorData | undefined,
): string {
  const { status, seq, value, context, tags, errorCount } = state;
  const isStuck = state.effects.some(({ durable }) => durable?.status === "stuck");
  const ill = setAside === undefined ? (isStuck ? "stuck" : undefined) : "set aside";
  const failed = errorCount === 0 ? "" : output.paint("red", `, ${errorCount} failed`);
  const rows: readonly (readonly [string, string])[] = [
    [
      "status",
      `${ill === undefined ? status : output.paint("red", ill)}, ${seq} ${seq === 1 ? "step" : "steps"}${failed}`,
    ],
    ...(setAside === undefined ? [] : [["why", output.paint("red", errorText(setAside))] as const]),
    ...(stateText(value) === "" ? [] : [["state", output.show(value)] as const]),
    ...(tags.size === 0 ? [] : [["tags", [...tags].join(", ")] as const]),
    ["context", output.show(context)],
    ...(state.effects.length === 0 ? [] : [["doing", effectLines(output, state.effects).join("\n")] as const]),
    ...(state.output === undefined ? [] : [["output", output.show(state.output)] as const]),
    ...(state.error === undefined ? [] : [["error", output.paint("red", thrownText(state.error))] as const]),
  ];
  const lines = rows.map(
    ([name, text]) => `  ${output.paint("dim", name.padEnd(9))}${text.replaceAll("\n", "\n           ")}`,
  );
  return [output.paint("bold", address), ...lines].join("\n");
}
