#!/usr/bin/env node
// npm links a command only when its file is there at install, which what is built later is not.
import { existsSync } from "node:fs";
import { enableCompileCache } from "node:module";

// A host that is replaced starts sooner, and takes less of the processor from its neighbours meanwhile.
enableCompileCache();
const main = new URL("../dist/main.js", import.meta.url);
if (existsSync(main)) await import(main.href);
else {
  console.error("error: this clone of Dormouse is not built yet; run `npm run build` at its root, then try again");
  process.exitCode = 1;
}
