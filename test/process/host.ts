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

/** Which deed a write or delete of this name belongs to. */
function deedOf(name: string, isReady: boolean): "takeover" | "commit" | "settle" {
  if (!isReady) return "takeover";
  return /^journal\/[^/]+\/\d+$/.test(name) ? "commit" : "settle";
}

let isReady = false;

async function told<T>(deed: string, work: () => Promise<T>): Promise<T> {
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
    put: (name, bytes, condition) => told(deedOf(name, isReady), () => store.put(name, bytes, condition)),
    delete: (names) => told(isReady ? "settle" : "takeover", () => store.delete(names)),
  };
}

function observe(event: Observed): void {
  switch (event.kind) {
    case "effect-started":
      return tell("begin effect");
    case "effect-ended":
      return tell("end effect");
    case "settled":
      return tell("settled");
    case "quarantined":
      return tell(`quarantined ${event.agent} ${event.error.code}`);
    case "failed":
    case "sealed":
    case "regressed":
    case "skipped":
    case "action-failed":
      return tell(`odd ${JSON.stringify(event)}`);
    case "stepped":
      return event.error === undefined ? undefined : tell(`odd ${JSON.stringify(event)}`);
    default:
      return undefined;
  }
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
