/**
 * Standard output as the log's: written beside the event loop, so that whoever collects lines and stops does not stop the
 * host. Lines that nobody takes are dropped, and so is a log that cannot be written.
 */
import { type DestinationStream, pino } from "pino";

export interface LogOutput extends DestinationStream {
  /** Resolves when all lines are written, or nobody has taken them for a second. Later lines are dropped. */
  close(): Promise<void>;
  /** Writes at once what there is: the process ends. */
  flush(): void;
}

const heldBytesMax = 4_194_304;
const closeMsMax = 1_000;

export function openLogOutput(): LogOutput {
  const stream = pino.destination({ fd: process.stdout.fd, sync: false, maxLength: heldBytesMax });
  stream.on("error", () => undefined);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      // A pipe whose reader has gone is never closed; one that stands would be waited for at the exit, so it is dropped.
      const timer = setTimeout(() => {
        stream.destroy();
        resolve();
      }, closeMsMax);
      stream.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      stream.end();
    });
  return {
    write: (line) => {
      if (closed === undefined) stream.write(line);
    },
    close: () => (closed ??= close()),
    flush: () => {
      try {
        stream.flushSync();
      } catch {
        // Nobody takes it.
      }
    },
  };
}
