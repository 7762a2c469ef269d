/**
 * The model: here a stub that knows two tools and no language. Put a real one in its place: it is given the messages and
 * gives the next one, with the tool calls that it wants.
 */
export interface ToolCall {
  readonly id: string;
  readonly tool: string;
  readonly argument: string;
}

export type Message =
  | { readonly role: "user"; readonly text: string }
  | { readonly role: "assistant"; readonly text: string; readonly calls: readonly ToolCall[] }
  | { readonly role: "tool"; readonly id: string; readonly text: string };

export interface Completion {
  readonly message: Extract<Message, { readonly role: "assistant" }>;
  /** In the history beside the call. */
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number };
}

export async function complete(messages: readonly Message[], _options: { signal?: AbortSignal }): Promise<Completion> {
  const message = next(messages);
  const inputTokens = messages.reduce((sum, { text }) => sum + text.split(" ").length, 0);
  return { message, usage: { inputTokens, outputTokens: message.text.split(" ").length } };
}

/** Asks for the tools that the user's words call for; with their results, says them. */
function next(messages: readonly Message[]): Completion["message"] {
  const last = messages.at(-1);
  if (last?.role !== "user") return say(results(messages).join(", "));
  const sums = [...last.text.matchAll(/\d+(?: \+ \d+)+/g)].map(([sum]) => ["add", sum] as const);
  const wanted = /\bfirst\b/.test(last.text) ? [...sums, ["recall", "1"] as const] : sums;
  if (wanted.length === 0) return say(`You said: ${last.text}`);
  const calls = wanted.map(([tool, argument], index) => ({ id: `${messages.length}-${index}`, tool, argument }));
  return { role: "assistant", text: "", calls };
}

function say(text: string): Completion["message"] {
  return { role: "assistant", text, calls: [] };
}

/** What the tools gave since the user spoke. */
function results(messages: readonly Message[]): string[] {
  const spoken = messages.findLastIndex(({ role }) => role === "user");
  return messages.slice(spoken).flatMap((message) => (message.role === "tool" ? [message.text] : []));
}
