/** A time span as a person reads it. */

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const;

/** `12 ms`, `1.2 s`, `3 min 20 s`, `2 d 3 h`: the two largest units at most. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${Math.floor(ms / 100) / 10} s`;
  const index = units.findIndex(([, unitMs]) => ms >= unitMs);
  const [unit, unitMs] = units[index] ?? units[0];
  const [nextUnit, nextMs] = units[index + 1] ?? units[3];
  const [count, left] = [Math.floor(ms / unitMs), Math.floor((ms % unitMs) / nextMs)];
  return left === 0 ? `${count} ${unit}` : `${count} ${unit} ${left} ${nextUnit}`;
}
