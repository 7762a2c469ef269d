/** `dormouse waits`: prints what agents wait for, of people and other programs. */
import type { WaitView } from "@dormouse/client";
import { type Command, limitsOf, readType, withClient } from "./command.ts";
import { brief, oneLine, type Output } from "./output.ts";

export const waits: Command = {
  name: "waits",
  arguments: ["[type]"],
  options: ["type", "timeout", "json"],
  summary: "print what agents wait for, and how to answer",
  help:
    "Each value that a durable function waits to receive, with its question, what it may be, and its token; and of a " +
    'machine in a state tagged "waiting", each event that it takes there. Answer with respond. Whoever has a token may ' +
    "answer. With --json: one line of JSON per wait, whole. A host must run.",
  async run(call) {
    const type = readType(call);
    const limits = limitsOf(call);
    await withClient(call, async (client) => {
      let isAny = false;
      for await (const wait of client.waits({ ...limits, ...(type === undefined ? {} : { type }) })) {
        isAny = true;
        call.output.result(waitText(call.output, wait), wait);
      }
      if (!isAny) call.output.note("no agent waits for anybody");
    });
  },
};

const questionCharactersMax = 400;

function waitText(output: Output, { agent, name, since, due, question, schema, token }: WaitView): string {
  const until = due === undefined ? "" : `, until ${new Date(due).toISOString()}`;
  const time = output.paint("dim", `since ${new Date(since).toISOString()}${until}`);
  const lines = [
    ...(question === undefined ? [] : [oneLine(question.slice(0, questionCharactersMax).toWellFormed())]),
    ...(schema === undefined ? [] : [`takes ${brief(withoutVersion(schema))}`]),
    ...(token === undefined ? [] : [output.paint("dim", `token ${oneLine(token)}`)]),
  ];
  const head = `${output.paint("bold", oneLine(agent))}  ${oneLine(name)}  ${time}`;
  return [head, ...lines.map((line) => `      ${line}`)].join("\n");
}

/** Which draft of JSON Schema it is, is of no use to a person. */
function withoutVersion(schema: unknown): unknown {
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== "$schema"));
}
