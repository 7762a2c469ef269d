/** The agent `expense`: somebody must approve it; who does not answer is reminded, and then somebody else is asked. */
import { agent, durable, type DurableContext, type Duration } from "@dormouse/sdk";
import { z } from "zod";
import { sendMail } from "./mail.ts";

export interface Expense {
  readonly what: string;
  readonly euros: number;
  readonly approver: string;
  /** Who is asked when the approver does not answer. */
  readonly deputy: string;
  /** How long to wait before the next mail. */
  readonly patience: Duration;
  /** Where answers are posted to: the token is added. */
  readonly answerUrl: string;
}

/** What is posted; anything else is refused, and the wait goes on. */
const decision = z.object({ approved: z.boolean(), by: z.string().min(1) });

export const expense = agent("expense", {
  run: durable(async ({ input, receive, sleep }: DurableContext<Expense>) => {
    const { what, euros, approver, deputy, patience } = input;
    const question = `May we spend ${euros} EUR on ${what}?`;
    const decided = receive("decision", { schema: decision, question });
    const link = `${input.answerUrl}/${encodeURIComponent(decided.token)}`;

    const mails = [
      { to: approver, text: `${question} ${link}` },
      { to: approver, text: `A reminder: ${question} ${link}` },
      { to: deputy, text: `${approver} does not answer. ${question} ${link}` },
    ];
    for (const { to, text } of mails) {
      await sendMail(to, text);
      const answer = await Promise.race([decided, sleep(patience)]);
      if (answer !== undefined) return answer;
    }
    return { approved: false, by: "nobody" };
  }),
});
