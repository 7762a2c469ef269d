/** The `dormouse` command: its line is this process's, and so is its exit code. */
import { wantsColour } from "./output.ts";
import { runLine } from "./run-line.ts";

// Whoever reads our output may have seen enough, as `head` does.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});
const exitCode = await runLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  isColourWanted: wantsColour(process.env),
  environment: process.env,
});

// A server that hangs would keep its connection, and this process, for as long as it does.
await Promise.all([written(process.stdout), written(process.stderr)]);
process.exit(exitCode);

/** Resolves when all that was given to the stream is out, or nobody reads it any more. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}
