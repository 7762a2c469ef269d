/** Goal: a refusal by JetStream says what to change. Method: answers as servers give them, in words of ours. */
import { JetStreamApiError } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { streamError } from "./errors.ts";

test.for([
  { err_code: 10_005, description: "no suitable peers for placement", says: "too few servers" },
  { err_code: 10_005, description: "no suitable peers for placement, insufficient storage", says: "max_file_store" },
  { err_code: 10_047, description: "insufficient storage resources available", says: "max_file_store" },
])("a stream refused with $description says what to change", ({ err_code, description, says }) => {
  const refused = streamError("dormouse_shop_0", new JetStreamApiError({ code: 400, err_code, description }));
  expect(refused).toMatchObject({ kind: "unavailable", code: "nats.no-room" });
  expect(refused.message).toContain(says);
});
