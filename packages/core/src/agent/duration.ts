/** Lengths of time, as people write them. */
import { DormouseError } from "./errors.ts";

/** A length of time; a number is milliseconds. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const pattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** The last date there is, in milliseconds since 1970: ECMA-262, section "Time Values and Time Range". */
export const dateMsMax: number = 8_640_000_000_000_000;

/**
 * A duration in milliseconds, 100,000,000 days at most: as many as the calendar has.
 *
 * @throws DormouseError `invalid` (`duration.invalid`).
 */
export function parseDuration(duration: Duration): number {
  const ms = typeof duration === "number" ? duration : parseText(duration);
  if (ms >= 0 && ms <= dateMsMax) return ms;
  throw new DormouseError(
    "invalid",
    "duration.invalid",
    `a duration is a number of milliseconds, 0 or more, or such as "500ms", "10s", "5m", "2h", "7d", up to the ` +
      `100,000,000 days of the calendar: duration=${duration}`,
  );
}

function parseText(duration: string): number {
  const [, amount, unit] = pattern.exec(duration) ?? [];
  return amount === undefined || unit === undefined ? Number.NaN : Number(amount) * unitMs[unit as keyof typeof unitMs];
}
