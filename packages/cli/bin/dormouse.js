#!/usr/bin/env node
// npm links a command only when its file is there at install, which what is built later is not.
await import("../dist/main.js");
