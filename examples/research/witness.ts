/**
 * The witness: a file that only grows, outside of everything that Dormouse keeps. Each effect writes a line when it
 * starts and one when it ends, so that anybody can count afterwards what ran how often.
 */
import { appendFileSync, readFileSync } from "node:fs";

export interface WitnessLine {
  readonly what: "start" | "end";
  /** The place of the effect in the agent's life, from 1. */
  readonly number: number;
  readonly name: string;
  /** The effect's idempotency key. */
  readonly key: string;
}

/** Written at once and whole, so that a process killed in the next moment has said it. */
export function testify(path: string, { what, number, name, key }: WitnessLine): void {
  appendFileSync(path, `${what} ${number} ${name} ${key}\n`);
}

/** What was testified so far. */
export function readWitness(path: string): WitnessLine[] {
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => {
    const [, what, number, name, key] = /^(start|end) (\d+) (\S+) (.+)$/.exec(line) ?? [];
    if (what === undefined || name === undefined || key === undefined)
      throw new Error(`the witness is garbled: ${line}`);
    return { what: what === "start" ? "start" : "end", number: Number(number), name, key };
  });
}
