/**
 * The witness: a file that only grows, outside of everything that Dormouse keeps. Each call writes a line when it starts
 * and one when it ends, so that anybody can count afterwards what ran how often.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export interface Testimony {
  readonly what: "start" | "end";
  readonly name: string;
  /** The call's idempotency key. */
  readonly key: string;
  /** What it is about, such as a document. */
  readonly about: string;
}

export interface WitnessLine extends Testimony {
  /** Keys are numbered as they come, from 1: a key that was seen before is the same call again. */
  readonly number: number;
  /** Whether there were lines of this call before. */
  readonly isAgain: boolean;
  /** In milliseconds since 1970. */
  readonly at: number;
}

let opened: { readonly path: string; readonly tell: (line: WitnessLine) => void } | undefined;

/** What this process testifies goes to `path` from now on, and is told. */
export function openWitness(path: string, tell: (line: WitnessLine) => void = () => undefined): void {
  opened = { path, tell };
}

/** Written at once and whole, so that a process killed in the next moment has said it. Returns the call's number. */
export function testify({ what, name, key, about }: Testimony): number {
  if (opened === undefined) return 0;
  appendFileSync(opened.path, `${what} ${Date.now()} ${name} ${key} ${about}\n`);
  const line = readWitness(opened.path).findLast((one) => one.what === what && one.key === key);
  if (line === undefined) throw new Error("the witness has forgotten what it was told");
  opened.tell(line);
  return line.number;
}

/** What was testified so far. */
export function readWitness(path: string): WitnessLine[] {
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
  const keys: string[] = [];
  return lines.map((line) => {
    const [, what, at, name, key, about] = /^(start|end) (\d+) (\S+) (\S+) (.*)$/.exec(line) ?? [];
    if (what === undefined || name === undefined || key === undefined || about === undefined)
      throw new Error(`the witness is garbled: ${line}`);
    const isAgain = keys.includes(key);
    if (!isAgain) keys.push(key);
    const number = keys.indexOf(key) + 1;
    return { what: what === "start" ? "start" : "end", name, key, about, number, isAgain, at: Number(at) };
  });
}
