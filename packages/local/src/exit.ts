/**
 * A process that ends in the middle of a write to a folder. It would wait for lmdb's thread, which waits for this one to give it
 * its changes: for ever. So it ends as by `kill -9`, which no folder minds.
 *
 * Called by lmdb: `writeBegan`, `writeEnded`. Looks at how this process ends, once for all folders.
 */
import { writeSync } from "node:fs";
import { inspect } from "node:util";
import { isMainThread } from "node:worker_threads";

const writing = new Set<Promise<unknown>>();
/** What nobody has caught in this turn. */
let uncaught: { readonly thrown: unknown } | undefined;

export function writeBegan(write: Promise<unknown>): void {
  writing.add(write);
}

export function writeEnded(write: Promise<unknown>): void {
  writing.delete(write);
}

function noteUncaught(thrown: unknown): void {
  uncaught = { thrown };
  // Whoever handles it goes on.
  setImmediate(() => (uncaught = undefined)).unref();
}

function endAtOnce(): void {
  if (writing.size === 0) return;
  // Node says it only after this.
  if (uncaught !== undefined) writeSync(process.stderr.fd, `Uncaught ${inspect(uncaught.thrown)}\n`);
  process.kill(process.pid, "SIGKILL");
}

// The end of another thread waits for nothing, and is not the process's.
if (isMainThread) process.on("uncaughtExceptionMonitor", noteUncaught).on("exit", endAtOnce);
