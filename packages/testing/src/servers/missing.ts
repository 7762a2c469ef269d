/** What a test does where there is no server: skipped, loudly, on a developer's machine; failed where CI runs. */
import { DormouseError } from "@dormouse/core";
import { findNats, findS3 } from "./find.ts";

const finders = { nats: findNats, s3: findS3 };

/**
 * Whether servers to test against are missing: `false`, or why and how to get them, which is then also on standard
 * error. What it returns is what test runners take for a reason to skip.
 *
 * @throws DormouseError `unavailable` (`servers.missing`): some are missing and the variable `CI` is set, to anything
 * but nothing or `false`; `invalid` (`servers.variable`).
 * @example
 * ```ts
 * import { test } from "node:test";
 *
 * test("with real servers", { skip: await missingServers(["nats", "s3"]) }, async () => {
 *   await using nats = await startNats();
 * });
 * ```
 */
export async function missingServers(wanted: readonly (keyof typeof finders)[]): Promise<string | false> {
  const found = await Promise.all(wanted.map((name) => finders[name]()));
  const reasons = found.flatMap((one) => (one.by === "nothing" ? [one.why] : []));
  if (reasons.length === 0) return false;
  const why = reasons.join(". ");
  const ci = process.env["CI"] ?? "";
  if (ci !== "" && ci !== "false") throw new DormouseError("unavailable", "servers.missing", why);
  console.warn(`\n!!! SKIPPED: ${why}\n`);
  return why;
}
