/** Runs the seeds that `watch.ts` asks for, and tells it of each. */
import { DecoderFuzz } from "./decoders.ts";
import { runEngineSeed } from "./engine.ts";
import type { Finding } from "./finding.ts";
import type { Said, Seeds } from "./watch.ts";

const { from, count, only, keepGoing } = JSON.parse(process.argv[2] ?? "{}") as Seeds;
const outcomes: { [outcome: string]: number } = {};

function say(said: Said): void {
  process.send?.(said);
}

function note(outcome: string): void {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}

async function runEngine(seed: number): Promise<readonly Finding[]> {
  const { findings, verdict } = await runEngineSeed(seed);
  note(`engine: ${verdict.end}`);
  return findings;
}

const decoders = await DecoderFuzz.open(note);
const fuzzes = { decoders: (seed: number) => decoders.run(seed), engine: runEngine };

seeds: for (let seed = from; seed < from + count; seed += 1) {
  for (const fuzz of ["decoders", "engine"] as const) {
    if (only !== undefined && only !== fuzz) continue;
    say({ kind: "begins", seed, fuzz });
    const findings = await fuzzes[fuzz](seed);
    for (const finding of findings) say({ kind: "found", finding });
    if (findings.length > 0 && keepGoing !== true) break seeds;
  }
}
decoders.close();
say({ kind: "ends", outcomes });
process.disconnect();
