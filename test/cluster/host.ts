/** A host process as operators run it, that ends with whoever started it: its standard input is a pipe from there. */
process.stdin.once("end", () => process.exit(1)).resume();
await import("../../services/host/src/main.ts");
