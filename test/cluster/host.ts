/** A host process as operators run it, that ends with whoever started it: its standard input is a pipe from there. Its main module is named on the line. */
import { enableCompileCache } from "node:module";

// As bin/dormouse-host.js does.
enableCompileCache();
process.stdin.once("end", () => process.exit(1)).resume();
const [, , main = ""] = process.argv;
process.argv.splice(2, 1);
await import(main);
