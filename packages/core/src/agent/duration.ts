/** Lengths of time, as people write them. */
import { DormouseError } from "./errors.ts";

/** A length of time; a number is milliseconds. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const pattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/**
 * A duration in milliseconds.
 *
 * @throws DormouseError `invalid` (`duration.invalid`).
 */
export function parseDuration(duration: Duration): number {
  if (typeof duration === "number") {
    if (Number.isFinite(duration) && duration >= 0) return duration;
  } else {
    const [, amount, unit] = pattern.exec(duration) ?? [];
    if (amount !== undefined && unit !== undefined) return Number(amount) * unitMs[unit as keyof typeof unitMs];
  }
  throw new DormouseError(
    "invalid",
    "duration.invalid",
    `a duration is a number of milliseconds, 0 or more, or such as "500ms", "10s", "5m", "2h", "7d": duration=${duration}`,
  );
}
