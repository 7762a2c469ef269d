/**
 * What the agent calls: tools, and what stands for a model. Each is marked, so that inside a durable function its result
 * is recorded and it is never done again; one that a crash cut off is done again under the same idempotency key.
 * Called elsewhere, each is a plain function.
 */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { checkpoint, currentCall, TerminalError } from "@dormouse/sdk";
import { listDocuments, readDocument } from "./documents.ts";
import {
  crossReference,
  draftReport,
  extract as extractText,
  type Extract,
  type Findings,
  type SourceDocument,
} from "./extract.ts";
import { testify } from "./witness.ts";

/** How long each call takes at least, so that a person can follow. */
const paceMs = Number(process.env["RESEARCH_PACE_MS"] ?? 0);
const heldMs = 3_600_000;

export const list = tool("list", async (folder: string) => {
  const listing = await listDocuments(folder);
  if (listing.paths.length > 0) return listing;
  throw new TerminalError(`there is no Markdown or text file to report on; name another folder: folder=${folder}`);
});

export const read = tool("read", readDocument, (_folder, path) => path);

// In the place of a model, which would take seconds and money: the reason not to ask it twice.
export const extract = tool(
  "extract",
  async (document: SourceDocument) => extractText(document),
  ({ path }) => path,
);
export const relate = tool("relate", async (extracts: readonly Extract[]) => crossReference(extracts));
export const draft = tool("draft", async (findings: Findings) => draftReport(findings));

/** Whoever looks finds the whole report or none, and twice is as good as once. */
export const publish = tool("publish", async (path: string, report: string) => {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.part`, report);
  await rename(`${path}.part`, path);
});

/**
 * A function that is marked, and says to the witness when it starts and ends.
 *
 * @param about - What of its arguments a person wants to see.
 */
function tool<TArgs extends readonly unknown[], TResult>(
  name: string,
  work: (...args: TArgs) => Promise<TResult>,
  about: (...args: TArgs) => string = () => "",
): (...args: TArgs) => Promise<TResult> {
  return checkpoint(name, async (...args: TArgs) => {
    const { idempotencyKey: key = "none", signal } = currentCall() ?? {};
    const number = testify({ what: "start", name, key, about: about(...args) });
    const result = await work(...args);
    // One that does not come to its end, so that a kill surely meets it.
    const isHeld = number === Number(process.env["RESEARCH_HOLD"]);
    await pause(isHeld ? heldMs : paceMs, undefined, { signal });
    testify({ what: "end", name, key, about: about(...args) });
    return result;
  });
}
