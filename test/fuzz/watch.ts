/**
 * Seeds in a process of their own, watched: one that hangs or ends its process is found like any other.
 *
 * Owns: the process. Leaves to others: what a seed does (`seeds.ts`, which says when each begins).
 */
import { fork } from "node:child_process";
import type { Finding } from "./finding.ts";

export interface Seeds {
  readonly from: number;
  readonly count: number;
  /** Default: all. */
  readonly only?: Finding["fuzz"] | undefined;
  /** Whether to go on where something was found. Default: false. */
  readonly keepGoing?: boolean;
}

export interface Watched {
  readonly findings: readonly Finding[];
  /** How often what came of a case. */
  readonly outcomes: Readonly<Record<string, number>>;
}

export type Said =
  | { readonly kind: "begins"; readonly seed: number; readonly fuzz: Finding["fuzz"] }
  | { readonly kind: "found"; readonly finding: Finding }
  | { readonly kind: "ends"; readonly outcomes: Readonly<Record<string, number>> };

/** A seed takes some tens of milliseconds; a machine may be busy with other work. */
const silenceMsMax = 60_000;
const heapMegabytesMax = 1_024;

export function isFuzz(name: string): name is Finding["fuzz"] {
  return name === "decoders" || name === "engine";
}

export function watch({ from, count, only, keepGoing = false }: Seeds): Promise<Watched> {
  const findings: Finding[] = [];
  let outcomes: Watched["outcomes"] = {};
  let under: { readonly seed: number; readonly fuzz: Finding["fuzz"] } = { seed: from, fuzz: only ?? "decoders" };
  let how = "ended its process";
  const child = fork(new URL("seeds.ts", import.meta.url), [JSON.stringify({ from, count, only, keepGoing })], {
    execArgv: ["--conditions=@dormouse/source", `--max-old-space-size=${heapMegabytesMax}`],
  });
  const hangs = (): void => {
    how = "hangs";
    child.kill("SIGKILL");
  };
  let timer = setTimeout(hangs, silenceMsMax);
  child.on("message", (said: Said) => {
    clearTimeout(timer);
    timer = setTimeout(hangs, silenceMsMax);
    if (said.kind === "begins") under = said;
    else if (said.kind === "found") findings.push(said.finding);
    else outcomes = said.outcomes;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      const { seed, fuzz } = under;
      if (code !== 0) findings.push({ seed, fuzz, what: `it ${how}`, detail: `code=${code} signal=${signal}` });
      resolve({ findings, outcomes });
    });
  });
}
