#!/usr/bin/env node
// npm links a command only when its file is there at install, which what is built later is not.
import { existsSync } from "node:fs";

const nodeMajorMin = 24;

const main = new URL("../dist/main.js", import.meta.url);
if (Number.parseInt(process.versions.node, 10) < nodeMajorMin) {
  console.error(
    `error: Dormouse needs Node ${nodeMajorMin} or newer, and this is ${process.versions.node}; \`npm i -D node@${nodeMajorMin}\` ` +
      "brings it to one project, and `npx dormouse` takes it from there",
  );
  process.exitCode = 1;
} else if (existsSync(main)) await import(main.href);
else {
  console.error("error: this clone of Dormouse is not built yet; run `npm run build` at its root, then try again");
  process.exitCode = 1;
}
