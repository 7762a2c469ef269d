/**
 * Standard output as the log's: written beside the event loop, so that whoever collects lines and stops does not stop the
 * host. Lines that nobody takes are dropped, and so is a log that cannot be written.
 */
import { type DestinationStream, pino } from "pino";

export interface LogOutput extends DestinationStream {
  /** For a process that ends now. */
  flushSync(): void;
  /** Resolves when all lines are written, or nobody takes them. */
  close(): Promise<void>;
}

const heldBytesMax = 4_194_304;
const closeMsMax = 1_000;

export function openLogOutput(): LogOutput {
  const stream = pino.destination({ fd: process.stdout.fd, sync: false, maxLength: heldBytesMax });
  stream.on("error", () => undefined);
  return {
    write: (line) => void stream.write(line),
    flushSync: () => stream.flushSync(),
    close: () =>
      new Promise((resolve) => {
        stream.once("close", resolve);
        stream.end();
        // A pipe whose reader has gone is never closed.
        setTimeout(resolve, closeMsMax).unref();
      }),
  };
}
