/** One measured number, and what was hoped for. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** In the words, and whether this run came up to it. */
  readonly goal?: { readonly text: string; readonly isMet: boolean };
}

export function atMost(most: number, figure: Omit<Figure, "goal">): Figure {
  return { ...figure, goal: { text: `≤ ${most} ${figure.unit}`, isMet: figure.value <= most } };
}

export function atLeast(least: number, figure: Omit<Figure, "goal">): Figure {
  return { ...figure, goal: { text: `≥ ${least} ${figure.unit}`, isMet: figure.value >= least } };
}

/** The value below which `share` of them lie. Sorts in place. */
export function quantile(values: number[], share: number): number {
  values.sort((a, b) => a - b);
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile([...values], 0.5);
}

/** What a program that was run by itself prints; `main.ts` reads it with `--json`. */
export function print(figures: readonly Figure[]): void {
  if (process.argv.includes("--json")) {
    console.log(JSON.stringify(figures));
    return;
  }
  for (const { what, value, unit, goal } of figures) {
    const verdict = goal === undefined ? "" : `  (${goal.text}: ${goal.isMet ? "met" : "not met"})`;
    console.log(`${what.padEnd(72)} ${format(value).padStart(12)} ${unit}${verdict}`);
  }
}

/** Three digits that count, and no more. */
export function format(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
