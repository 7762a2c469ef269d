/** The agent `chat`: a conversation. One event is one turn; what was said is its state, and grows. */
import { agent, type Ask, replyTo } from "@dormouse/sdk";
import { assign, setup } from "xstate";
import type { Message } from "./model.ts";
import { turn } from "./turn.ts";

type ChatEvent = Ask<{ readonly type: "say"; readonly text: string }, string> | { readonly type: "stop" };

const machine = setup({
  types: {} as { context: { readonly messages: readonly Message[] }; events: ChatEvent },
  actors: { turn },
}).createMachine({
  id: "chat",
  context: { messages: [] },
  initial: "listening",
  states: {
    listening: {
      on: {
        say: {
          target: "answering",
          actions: assign({
            messages: ({ context, event }) => [...context.messages, { role: "user", text: event.text }],
          }),
        },
      },
    },
    // Who says something now is refused (`event.not-taken`), and says it again when the answer is there.
    answering: {
      invoke: {
        src: "turn",
        input: ({ context }) => ({ messages: context.messages }),
        onDone: {
          target: "listening",
          actions: [
            assign({ messages: ({ context, event }) => [...context.messages, ...event.output] }),
            replyTo("say", ({ event }) => event.output.at(-1)?.text ?? ""),
          ],
        },
        onError: {
          target: "listening",
          actions: replyTo("say", ({ event }) => `That did not work: ${String(event.error)}`),
        },
      },
      // The signals of what is under way are aborted; what it still gives is dropped.
      on: { stop: { target: "listening", actions: replyTo("say", () => "Stopped.") } },
    },
  },
});

export const chat = agent("chat", { machine });
