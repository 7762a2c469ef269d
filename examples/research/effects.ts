/**
 * What the agent does outside of its machine, one promise each. The runtime runs one after the step that asked for it
 * is durable, records its result, and never runs it again; one that was cut off by a crash runs again under the same
 * idempotency key.
 */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fromPromise, type PromiseActorLogic } from "xstate";
import { listDocuments, readDocument } from "./documents.ts";
import { crossReference, draftReport, extract, type Extract, type Findings, type SourceDocument } from "./extract.ts";
import { testify } from "./witness.ts";

/** What every effect is given. */
export interface Call {
  /** Its place in the agent's life, from 1. */
  readonly number: number;
  readonly witnessPath: string;
}

/** How long each effect takes at least, so that a person can follow. */
const paceMs = Number(process.env["RESEARCH_PACE_MS"] ?? 0);
/** The number of the effect that does not come to its end, so that a kill surely meets it. */
const held = Number(process.env["RESEARCH_HOLD"] ?? 0);
const heldMs = 3_600_000;

export const list = effect("list", async ({ folder }: { readonly folder: string }) => {
  const listing = await listDocuments(folder);
  if (listing.paths.length > 0) return listing;
  throw new Error(`there is no Markdown or text file to report on; name another folder: folder=${folder}`);
});

export const read = effect("read", ({ folder, path }: { readonly folder: string; readonly path: string }) =>
  readDocument(folder, path),
);

export const extractOne = effect("extract", async ({ document }: { readonly document: SourceDocument }) =>
  extract(document),
);

export const relate = effect("cross-reference", async ({ extracts }: { readonly extracts: readonly Extract[] }) =>
  crossReference(extracts),
);

export const draft = effect("draft", async (findings: Findings) => draftReport(findings));

/** Whoever looks finds the whole report or none, and twice is as good as once. */
export const publish = effect(
  "publish",
  async ({ path, report }: { readonly path: string; readonly report: string }) => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.part`, report);
    await rename(`${path}.part`, path);
    return Buffer.byteLength(report);
  },
);

function effect<TInput, TOutput>(
  name: string,
  work: (input: TInput) => Promise<TOutput>,
): PromiseActorLogic<TOutput, TInput & Call> {
  return fromPromise<TOutput, TInput & Call>(async ({ input, self, signal }) => {
    const { number, witnessPath } = input;
    // In a host, an actor's session id is its address: the same at every attempt.
    const key = self.sessionId;
    testify(witnessPath, { what: "start", number, name, key });
    const output = await work(input);
    await pause(number === held ? heldMs : paceMs, undefined, { signal });
    testify(witnessPath, { what: "end", number, name, key });
    return output;
  });
}
