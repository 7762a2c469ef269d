/** The `dormouse` command: its line is this process's, and so is its exit code. */
import { wantsColour } from "./output.ts";
import { runLine } from "./run-line.ts";

// Whoever reads our output may have seen enough, as `head` does.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});
process.exitCode = await runLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  isColourWanted: wantsColour(process.env),
  environment: process.env,
});
