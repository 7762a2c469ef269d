/**
 * The host that is killed: what `startHost` puts together, over a store that tells what it is doing.
 *
 * node --conditions=@dormouse/source host.ts <folder>
 *
 * Method: it loads and stands by, starts when its standard input says `go`, and drains at `drain`. Every line on its
 * standard output is one system call made before the thing it announces, or after the thing it reports: what a killed
 * process had begun and not ended is what the lines say.
 */
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { type Observed, startIncarnation } from "@dormouse/core";
import type { ObjectStore } from "@dormouse/core/ports";
import { openHostFolder } from "@dormouse/local";
import { agents } from "./agents.ts";

function tell(line: string): void {
  writeSync(1, `${line}\n`);
}

let isReady = false;
let deeds = 0;

/** Which deed a write of this name belongs to. */
function deedOf(name: string): "takeover" | "commit" | "settle" {
  if (!isReady) return "takeover";
  return /^journal\/[^/]+\/\d+$/.test(name) ? "commit" : "settle";
}

async function told<T>(kind: "takeover" | "commit" | "settle", work: () => Promise<T>): Promise<T> {
  deeds += 1;
  const deed = `${kind} ${deeds}`;
  tell(`begin ${deed}`);
  try {
    return await work();
  } finally {
    tell(`end ${deed}`);
  }
}

function telling(store: ObjectStore): ObjectStore {
  return {
    get: (name) => store.get(name),
    list: (prefix, options) => store.list(prefix, options),
    put: (name, bytes, condition) => told(deedOf(name), () => store.put(name, bytes, condition)),
    delete: (names) => told(isReady ? "settle" : "takeover", () => store.delete(names)),
  };
}

/** What has no place in any life here. */
const oddKinds: ReadonlySet<Observed["kind"]> = new Set(["failed", "sealed", "regressed", "skipped", "action-failed"]);

function observe(event: Observed): void {
  if (event.kind === "effect-started") tell(`begin effect ${event.address}`);
  else if (event.kind === "effect-ended") tell(`end effect ${event.address}`);
  else if (event.kind === "stepped") tell(`stepped ${event.agent} ${event.seq}`);
  else if (event.kind === "quarantined") tell(`quarantined ${event.agent}`);
  const hasFailed = event.kind === "stepped" && event.error !== undefined;
  if (hasFailed || oddKinds.has(event.kind)) tell(`odd ${JSON.stringify(event)}`);
}

const commands = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
tell("loaded");
if ((await commands.next()).value === "go") {
  const folder = await openHostFolder(process.argv[2] ?? "");
  const incarnation = await startIncarnation({
    agents,
    ports: { ...folder.ports, store: telling(folder.ports.store) },
    settings: { settleMs: 60, settleRoundMs: 15, settleBytes: 65_536, outboxRepeatMs: 2_000 },
    observe,
  });
  isReady = true;
  tell("ready");
  void incarnation.ended.then((error) => {
    if (error === undefined) return;
    tell(`odd ended ${error.code}: ${error.message}`);
    process.exit(1);
  });
  await commands.next();
  await incarnation.drain();
  await folder.close();
  tell("drained");
}
process.exit(0);
