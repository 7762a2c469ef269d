/**
 * Goal: what docs/guides/cli.md shows of a terminal is what happens.
 *
 * Method: its lines are run by a shell, in order, in one folder with the page's modules; `dev` runs on until the next `^C`.
 * Times, spans, tokens, processes and folders, which differ from run to run, are not compared.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { programsOf, root } from "./programs.ts";
import { scratchFolder } from "./scratch.ts";

const page = "docs/guides/cli.md";
const lineMsMax = 30_000;
const node = `'${process.execPath}' --conditions=@dormouse/source '${join(root, "packages/cli/src/main.ts")}'`;

interface Line {
  /** What is typed. */
  readonly typed: string;
  /** What the page shows of its output. */
  readonly shown: string;
}

function linesOf(markdown: string): Line[] {
  const blocks = [...markdown.matchAll(/^```console\n(.*?)^```\n/gms)].map(([, block = ""]) => block);
  return blocks.flatMap((block) =>
    [...block.matchAll(/^(?:\$ |(?=\^C))(.*)\n((?:(?!\$ |\^C).*\n)*)/gm)].map(([, typed = "", shown = ""]) => ({
      typed,
      shown,
    })),
  );
}

let dev: ChildProcess | undefined;

/** Resolves with what is printed: by `dev`, first. */
async function enter(typed: string, folder: string): Promise<string> {
  if (typed.startsWith("npx dormouse dev ")) return startDev(typed, folder);
  if (typed !== "^C") return run(typed, folder);
  await endDev();
  return "";
}

async function startDev(typed: string, folder: string): Promise<string> {
  dev = spawn("sh", ["-c", `exec ${commandOf(typed)}`], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  const [text] = (await once(dev.stdout ?? dev, "data")) as [Buffer];
  return text.toString();
}

async function endDev(): Promise<void> {
  if (dev === undefined) return;
  const ended = once(dev, "close");
  dev.kill("SIGINT");
  await ended;
  dev = undefined;
}

function run(typed: string, folder: string): Promise<string> {
  return new Promise((ended) => {
    const options = { cwd: folder, timeout: lineMsMax, killSignal: "SIGKILL" } as const;
    execFile("sh", ["-c", commandOf(typed)], options, (_, stdout, stderr) => ended(stdout + stderr));
  });
}

function commandOf(typed: string): string {
  return typed.replace(/^npx dormouse /, `${node} `);
}

function withoutChance(text: string): string {
  // A function that waited for long has left memory, which is a step, and was run again.
  const numbered = text.includes("├─") ? text.replaceAll(/#\d+ +/g, "#<n> ").replaceAll(/, run \d+$/gm, "") : text;
  return numbered
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replaceAll(/after \d[\d.]* m?s/g, "after <span>")
    .replaceAll(/[0-9a-f]{32}\./g, "<secret>.")
    .replaceAll(/process \d+/g, "process <id>")
    .replaceAll(/file:[^"]*\/\.dormouse/g, "file:<folder>/.dormouse");
}

afterEach(endDev);

test("the terminal of docs/guides/cli.md shows what happens", async () => {
  const folder = scratchFolder();
  for (const { file, text } of programsOf(page)) writeFileSync(join(folder, file), text);
  const lines = linesOf(readFileSync(join(root, page), "utf8"));
  expect(lines.length).toBeGreaterThan(10);
  for (const { typed, shown } of lines) {
    const printed = await enter(typed, folder);
    expect({ typed, printed: withoutChance(printed) }).toEqual({ typed, printed: withoutChance(shown) });
  }
});
