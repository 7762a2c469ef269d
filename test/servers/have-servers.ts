/** Whether tests against real servers can run. Where CI runs, they must. */
import type { Found, Missing } from "@dormouse/testing/servers";

export async function haveServers(find: () => Promise<Found | Missing>): Promise<boolean> {
  const found = await find();
  if (found.by !== "nothing") return true;
  if (process.env["CI"] !== undefined) throw new Error(found.why);
  console.warn(`\n!!! SKIPPED: ${found.why}\n`);
  return false;
}
