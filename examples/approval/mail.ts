/** What people are told. A real one calls a mail service, and gives it `idempotencyKey`, so that a repeat is no second mail. */
import { checkpoint, currentCall } from "@dormouse/sdk";

export interface Mail {
  readonly to: string;
  readonly text: string;
  readonly idempotencyKey: string | undefined;
}

let deliver = (mail: Mail): void => console.log(`to ${mail.to}: ${mail.text}`);

/** Gives mails to somebody else, such as a test. */
export function deliverTo(receiver: (mail: Mail) => void): void {
  deliver = receiver;
}

/** Marked: in a durable function, a mail that was sent is not sent again. */
export const sendMail = checkpoint("mail", async (to: string, text: string) => {
  deliver({ to, text, idempotencyKey: currentCall()?.idempotencyKey });
});
