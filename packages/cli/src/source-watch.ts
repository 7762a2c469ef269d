/**
 * Notices changes of the source files in a folder and below it.
 *
 * Owns: one watcher per folder. Node's own recursive watch would walk through `node_modules` too.
 * Called by dev: `change(signal)`.
 */
import { type FSWatcher, readdirSync, watch } from "node:fs";
import { join } from "node:path";

/** Not JSON: agents and stores write that, and what they do must not start their host anew. */
const sources = /\.[cm]?[jt]s$/;
const skipped = new Set(["node_modules", "dist"]);
/** An editor or a checkout changes several files at once, some of them twice. */
const quietMs = 100;
/** Below so many folders there is no project of one's own. */
const foldersMax = 1_000;

export class SourceWatch {
  readonly #watchers = new Map<string, FSWatcher>();
  #changed: string | undefined;
  #notify: () => void = () => undefined;

  constructor(folder: string) {
    this.#add(folder);
  }

  /** The path of the first source file that changed since the last call, once it is quiet; `undefined` if `signal` ends the wait. */
  async change(signal: AbortSignal): Promise<string | undefined> {
    this.#changed = undefined;
    await new Promise<void>((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      let immediate: NodeJS.Immediate | undefined;
      const forget = (): void => {
        clearTimeout(timer);
        clearImmediate(immediate);
      };
      this.#notify = () => {
        forget();
        // A busy process comes to its timers late: what has been reported meanwhile is heard first.
        timer = setTimeout(() => (immediate = setImmediate(resolve)), quietMs);
      };
      const stop = (): void => {
        forget();
        resolve();
      };
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop, { once: true });
    });
    this.#notify = () => undefined;
    return signal.aborted ? undefined : this.#changed;
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #add(folder: string): void {
    if (this.#watchers.has(folder) || this.#watchers.size >= foldersMax) return;
    let watcher: FSWatcher;
    try {
      watcher = watch(folder, (_, name) => this.#see(folder, name ?? ""));
    } catch {
      // It is gone already, or not ours to look into.
      return;
    }
    watcher.on("error", () => this.#remove(folder));
    this.#watchers.set(folder, watcher);
    for (const name of foldersIn(folder)) this.#add(join(folder, name));
  }

  #remove(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }

  #see(folder: string, name: string): void {
    if (name.startsWith(".")) return;
    for (const inner of foldersIn(folder)) this.#add(join(folder, inner));
    if (!sources.test(name)) return;
    this.#changed ??= join(folder, name);
    this.#notify();
  }
}

function foldersIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && !skipped.has(entry.name))
      .map(({ name }) => name);
  } catch {
    return [];
  }
}
